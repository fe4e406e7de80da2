/**
 * Whole servers and clients, drivers included, on a clock that moves by itself and sockets that are often full: what a
 * kernel does whose send buffer is small and whose network card is slow.
 */
import type { DatagramEngine, DatagramHandler, DatagramSocket, SocketOptions } from '../../../src/endpoint/datagram-engine.js'
import type { EndpointHelper } from '../../../src/endpoint/system.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import { TRANSMIT_BUFFER_SIZE, type Transmit } from '../../../src/quic/transport/transmit.js'
import type { PeerAddress } from '../../../src/quic/types.js'
import { EventQueue } from './event-queue.js'
import type { SeededRandom } from './seeded-random.js'

const WALL_SECONDS_AT_START = 1_811_000_000
const START = 1_234_567_000

/** A clock with things to happen. Nothing happens but in {@link step}. */
export class VirtualClock implements EndpointHelper {
  private time = START
  /** Alarms that rang, for tests of how often a driver looks. */
  alarms = 0
  private readonly queue = new EventQueue<{ run: () => void; cancelled: boolean }>()

  constructor(private readonly random: SeededRandom) {}

  now(): number {
    return this.time
  }

  wallSeconds(): number {
    return WALL_SECONDS_AT_START + Math.floor((this.time - START) / 1e6)
  }

  randomBytes(length: number): Uint8Array {
    return this.random.bytes(length)
  }

  setAlarm(callback: () => void, delayMs: number): unknown {
    const ring = (): void => {
      this.alarms++
      callback()
    }
    return this.at(this.time + Math.ceil(delayMs * 1000), ring)
  }

  cancelAlarm(alarm: unknown): void {
    if (alarm !== undefined) (alarm as { cancelled: boolean }).cancelled = true
  }

  runSoon(callback: () => void): void {
    this.at(this.time, callback)
  }

  at(time: number, run: () => void): unknown {
    const entry = { run, cancelled: false }
    this.queue.add(time, entry)
    return entry
  }

  /** The next thing; false if there is none. */
  step(): boolean {
    if (this.queue.size === 0) return false
    this.time = Math.max(this.time, this.queue.nextTime)
    const entry = this.queue.take()
    if (!entry.cancelled) entry.run()
    return true
  }

  /** Steps until `done` holds, and lets promises settle in between. */
  async run(done: () => boolean, limitMs: number): Promise<void> {
    const end = this.time + limitMs * 1000
    for (let i = 0; !done(); i++) {
      if (this.time > end || !this.step()) throw new Error(`not done after ${limitMs} ms of virtual time`)
      if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** How bad the sockets are. */
export interface FullSocketOptions {
  /** Datagrams that fit before the socket says that it is full. */
  capacity: number
  /** µs for each datagram to leave. */
  perDatagram: number
  /** µs on the way. */
  delay: number
  /** Share of datagrams lost on the way. */
  loss: number
  /** Who reads comes every so many µs, and finds this many datagrams at most: the kernel throws the others away. */
  receive?: { every: number; capacity: number }
}

/** Connects its sockets with each other. */
export class FullSocketEngine implements DatagramEngine {
  readonly name = 'full sockets'
  readonly aeadProvider = new NodeAeadProvider()
  readonly sockets: FullSocket[] = []
  private nextPort = 40_000

  constructor(
    readonly clock: VirtualClock,
    readonly random: SeededRandom,
    readonly o: FullSocketOptions
  ) {}

  open(options: SocketOptions): Promise<DatagramSocket> {
    const port = options.port === 0 ? this.nextPort++ : options.port
    const socket = new FullSocket(this, { family: 4, address: '127.0.0.1', port }, options.handler)
    this.sockets.push(socket)
    return Promise.resolve(socket)
  }
}

/** A socket with a queue. It throws where the rules of {@link DatagramSocket.send} are broken. */
export class FullSocket implements DatagramSocket {
  readonly receiveBufferSize = 1_000_000
  readonly handler: DatagramHandler
  timesFull = 0
  sent = 0
  largestQueue = 0
  private readonly queue: { to: PeerAddress; bytes: Uint8Array }[] = []
  private readonly buffer = new Uint8Array(TRANSMIT_BUFFER_SIZE)
  private readonly arrived: { from: PeerAddress; bytes: Uint8Array }[] = []
  /** Datagrams that found the receive buffer full. */
  dropped = 0
  private draining = false
  private full = false
  private closed = false

  constructor(
    private readonly engine: FullSocketEngine,
    readonly localAddress: PeerAddress,
    handler: DatagramHandler
  ) {
    this.handler = handler
  }

  acquireBuffer(): Uint8Array {
    return this.buffer
  }

  send({ to, length, segmentSize }: Transmit, bytes: Uint8Array): boolean {
    if (this.full) throw new Error('something is sent although the socket is full')
    for (let at = 0; at < length; at += segmentSize) {
      this.queue.push({ to, bytes: bytes.slice(at, Math.min(at + segmentSize, length)) })
      this.sent++
    }
    bytes.fill(0xee)
    this.largestQueue = Math.max(this.largestQueue, this.queue.length)
    this.full = this.queue.length >= this.engine.o.capacity
    if (this.full) this.timesFull++
    if (!this.draining) this.drainLater()
    return !this.full
  }

  flush(): boolean {
    return !this.full
  }

  kernelDrops(): number {
    return this.dropped
  }

  private drainLater(): void {
    const { clock, o } = this.engine
    this.draining = true
    clock.at(clock.now() + o.perDatagram, () => this.drain())
  }

  private drain(): void {
    const { clock, o, random, sockets } = this.engine
    const { to, bytes } = this.queue.shift()!
    const target = sockets.find((socket) => socket.localAddress.port === to.port)
    if (!random.chance(o.loss)) clock.at(clock.now() + o.delay, () => target?.receive(this.localAddress, bytes))
    this.draining = false
    if (this.queue.length > 0) this.drainLater()
    if (!this.full || this.queue.length > o.capacity / 2) return
    this.full = false
    this.handler.onWritable()
  }

  private receive(from: PeerAddress, bytes: Uint8Array): void {
    const { clock, o } = this.engine
    if (this.arrived.length >= (o.receive?.capacity ?? Infinity)) {
      this.dropped++
      return
    }
    this.arrived.push({ from, bytes })
    if (o.receive === undefined) this.read()
    else if (this.arrived.length === 1) clock.at(clock.now() + o.receive.every, () => this.read())
  }

  private read(): void {
    const batch = this.arrived.splice(0)
    if (this.closed) return
    for (const { from, bytes } of batch) this.handler.onDatagram(from, bytes)
    this.handler.onBatchEnd()
  }

  close(): Promise<void> {
    this.closed = true
    return Promise.resolve()
  }
}
