/**
 * The engine that is always there: node:dgram and node:crypto.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { NodeAeadProvider } from '../../quic/crypto/node-aead.js'
import { TRANSMIT_BUFFER_SIZE, type Transmit } from '../../quic/transport/transmit.js'
import type { PeerAddress } from '../../quic/types.js'
import {
  RECEIVE_BUDGET,
  type DatagramEngine,
  type DatagramHandler,
  type DatagramSocket,
  type SocketOptions
} from '../datagram-engine.js'
import { KernelDropTable } from '../kernel-drops.js'

const DEFAULT_RECEIVE_BUFFER = 4 * 1024 * 1024
const SEND_BUFFER = 4 * 1024 * 1024
const RING_SIZE = 32
/** With this much waiting in libuv's queue, bytes, the kernel's buffer being full, no more is taken. */
const SEND_QUEUE_LIMIT = 256 * 1024
/** Datagrams up to this size are taken to leave; the first larger one of each size has its outcome looked at. */
const UNQUESTIONED_SIZE = 1200
const MAX_KNOWN_ADDRESSES = 4096

/** Keeps one PeerAddress object for each peer, so that a packet makes no new one. */
class AddressBook {
  private last: PeerAddress = { family: 4, address: '', port: 0 }
  private readonly byHost = new Map<string, Map<number, PeerAddress>>()
  private size = 0

  of(info: RemoteInfo): PeerAddress {
    const { last } = this
    if (info.port === last.port && info.address === last.address) return last
    let ports = this.byHost.get(info.address)
    let known = ports?.get(info.port)
    if (known === undefined) {
      if (this.size++ >= MAX_KNOWN_ADDRESSES) {
        this.byHost.clear()
        this.size = 1
        ports = undefined
      }
      if (ports === undefined) this.byHost.set(info.address, (ports = new Map()))
      known = { family: info.family === 'IPv6' ? 6 : 4, address: info.address, port: info.port }
      ports.set(info.port, known)
    }
    this.last = known
    return known
  }
}

/** A buffer for transmits, and its packets as dgram wants them: given an offset and a length it would make a view each time. */
class TransmitBuffer {
  private readonly views: Buffer[] = []
  private segmentSize = 0

  constructor(readonly bytes: Uint8Array = new Uint8Array(TRANSMIT_BUFFER_SIZE)) {}

  /** The packet at `at`, in a transmit whose packets have `segmentSize` bytes, the last of them maybe less. */
  packet(at: number, size: number, segmentSize: number): Buffer {
    if (size !== segmentSize) return this.view(at, size)
    if (segmentSize !== this.segmentSize) {
      this.views.length = 0
      this.segmentSize = segmentSize
    }
    const index = at / segmentSize
    if (index === this.views.length) this.views.push(this.view(at, size))
    return this.views[index]!
  }

  private view(at: number, size: number): Buffer {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + at, size)
  }
}

/**
 * Buffers that dgram may still be reading. The kernel copies at once as a rule, but a datagram that it refuses for the
 * moment waits in libuv's queue with its buffer: one is used again only in a later turn, with that queue empty.
 */
class BufferRing {
  private readonly buffers: TransmitBuffer[] = []
  private next = 0
  private acquired = new TransmitBuffer()
  private usedThisTurn = 0
  private resetPlanned = false

  constructor(private readonly socket: Socket) {}

  /** A buffer to write into. The same one until {@link onSent} says that it was given to the socket. */
  acquire(): TransmitBuffer {
    if (this.usedThisTurn >= RING_SIZE || this.socket.getSendQueueCount() > 0) this.acquired = new TransmitBuffer()
    else this.acquired = this.buffers[this.next] ??= new TransmitBuffer()
    return this.acquired
  }

  /** What {@link acquire} gave last, if these are its bytes. */
  find(bytes: Uint8Array): TransmitBuffer {
    return bytes === this.acquired.bytes ? this.acquired : new TransmitBuffer(bytes)
  }

  /** These bytes were given to the socket. */
  onSent(buffer: TransmitBuffer): void {
    if (buffer !== this.buffers[this.next]) return
    this.next = (this.next + 1) % RING_SIZE
    this.usedThisTurn++
    if (this.resetPlanned) return
    this.resetPlanned = true
    setImmediate(this.onTurn)
  }

  private readonly onTurn = (): void => {
    this.resetPlanned = false
    this.usedThisTurn = 0
  }
}

class NodeDatagramSocket implements DatagramSocket {
  readonly localAddress: PeerAddress
  readonly receiveBufferSize: number
  private readonly addresses = new AddressBook()
  private readonly ring: BufferRing
  private readonly drops: KernelDropTable
  private batchPlanned = false
  private batchSize = 0
  private largestKnownGood = UNQUESTIONED_SIZE
  private blocked = false
  private closed = false

  constructor(
    private readonly socket: Socket,
    private readonly handler: DatagramHandler,
    private readonly connected: boolean
  ) {
    const { address, port, family } = socket.address()
    this.localAddress = { family: family === 'IPv6' ? 6 : 4, address, port }
    this.receiveBufferSize = socket.getRecvBufferSize()
    this.ring = new BufferRing(socket)
    this.drops = new KernelDropTable(this.localAddress)
    socket.on('message', this.onMessage)
    socket.on('error', (error) => this.handler.onSocketError(error))
  }

  private readonly onMessage = (message: Uint8Array, info: RemoteInfo): void => {
    if (!this.batchPlanned) {
      this.batchPlanned = true
      setImmediate(this.onBatchEnd)
    }
    this.handler.onDatagram(this.addresses.of(info), message)
    if (++this.batchSize >= RECEIVE_BUDGET) this.endBatch()
  }

  // libuv hands over up to 32 waiting datagrams before the loop goes on to immediates: that is one batch.
  private readonly onBatchEnd = (): void => {
    this.batchPlanned = false
    if (this.batchSize > 0) this.endBatch()
  }

  private endBatch(): void {
    this.batchSize = 0
    if (!this.closed) this.handler.onBatchEnd()
  }

  acquireBuffer(): Uint8Array {
    return this.ring.acquire().bytes
  }

  send(transmit: Transmit, bytes: Uint8Array): boolean {
    if (this.closed) return true
    const { to, length, segmentSize } = transmit
    const buffer = this.ring.find(bytes)
    const queued = this.socket.getSendQueueSize()
    for (let at = 0; at < length; at += segmentSize) {
      const size = Math.min(segmentSize, length - at)
      // Only who waits for an outcome pays for hearing of it: the end of a queue, or a size never sent before.
      const last = queued > 0 && at + size === length
      const packet = buffer.packet(at, size, segmentSize)
      if (last || size > this.largestKnownGood) this.sendWatched(to, packet)
      else if (this.connected) this.socket.send(packet)
      else this.socket.send(packet, to.port, to.address)
    }
    this.ring.onSent(buffer)
    this.blocked = queued > 0 && queued + length > SEND_QUEUE_LIMIT
    return !this.blocked
  }

  private sendWatched(to: PeerAddress, packet: Buffer): void {
    const size = packet.length
    const done = (error: Error | null): void => {
      if (this.closed) return
      if (error === null) this.largestKnownGood = Math.max(this.largestKnownGood, size)
      else if ((error as NodeJS.ErrnoException).code === 'EMSGSIZE') this.handler.onTooBig(to, size)
      else this.handler.onSocketError(error)
      if (!this.blocked || this.socket.getSendQueueSize() > SEND_QUEUE_LIMIT / 2) return
      this.blocked = false
      this.handler.onWritable()
    }
    if (this.connected) this.socket.send(packet, done)
    else this.socket.send(packet, to.port, to.address, done)
  }

  /** Nothing has been gathered. */
  flush(): boolean {
    return !this.blocked
  }

  kernelDrops(): number | undefined {
    return this.drops.latest()
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.socket.off('message', this.onMessage)
    await new Promise<void>((resolve) => this.socket.close(() => resolve()))
  }
}

/** An engine was asked for something that only another engine can do. */
export class FeatureUnavailableError extends Error {
  readonly code = 'ERR_FEATURE_UNAVAILABLE'

  constructor(what: string) {
    super(`${what} needs the native engine`)
  }
}

/** node:dgram and node:crypto. */
export class NodeEngine implements DatagramEngine {
  readonly name = 'node'
  readonly aeadProvider = new NodeAeadProvider()

  async open(options: SocketOptions): Promise<DatagramSocket> {
    const { address, port, connectTo, handler } = options
    if (options.reusePort !== undefined || options.fd !== undefined) throw new FeatureUnavailableError('sharing a port by connection id')
    const family = isIPv6(address) ? 6 : 4
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      // Addresses are always numeric here; the default resolver would cost a tick and a closure for each datagram.
      lookup: (host, _options, callback) => callback(null, host, family)
    })
    try {
      // With a lookup that answers at once, binding ends, well or badly, before bind() returns.
      const listening = once(socket, 'listening')
      socket.bind(port, address)
      await listening
      setBufferSizes(socket, options.receiveBufferSize ?? DEFAULT_RECEIVE_BUFFER)
      if (connectTo !== undefined) {
        socket.connect(connectTo.port, connectTo.address)
        await once(socket, 'connect')
      }
    } catch (error) {
      socket.close()
      throw error
    }
    return new NodeDatagramSocket(socket, handler, connectTo !== undefined)
  }
}

// The kernel caps what is asked for, silently; some sandboxes refuse outright, which is no reason not to start.
function setBufferSizes(socket: Socket, receive: number): void {
  try {
    socket.setRecvBufferSize(receive)
    socket.setSendBufferSize(SEND_BUFFER)
  } catch {
    return
  }
}
