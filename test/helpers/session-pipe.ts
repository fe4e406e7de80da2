/**
 * Two sessions joined by a pipe that carries their frames, without packets, handshake or clocks: loss, reordering,
 * duplication and spurious losses under a seed. Every step checks what a connection relies on: hasFramesToSend() is
 * true exactly when writeFrames() adds a frame to an empty packet.
 */
import { ConnectionId } from '../../src/quic/connection-id.js'
import { QuicError } from '../../src/quic/errors.js'
import type { HandshakeDescription } from '../../src/quic/handshake/handshake.js'
import type { NegotiatedConfig } from '../../src/quic/handshake/negotiated-config.js'
import { SentFrame, SentFrameKind } from '../../src/quic/recovery/sent-frame.js'
import type { PacketSink, StreamDataSource } from '../../src/quic/transport/packets/packet-sink.js'
import type { SessionConnection } from '../../src/quic/transport/session-connection.js'
import type { QuicSession } from '../../src/quic/transport/session.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import { versionByLabel } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'

/** A connection that only remembers what its session asks of it. */
export class FakeConnection implements SessionConnection {
  readonly connectionId = ConnectionId.fromHex('0123456789abcdef')
  readonly peerAddress = { family: 4, address: '192.0.2.1', port: 4433 } as const
  version: QuicVersion
  serverName = 'a.example'
  connected = true
  encryptionEstablished = true
  smoothedRtt = 20_000
  now = 1_000_000
  wakes = 0
  session: QuicSession | undefined
  /** The error this side closed with. */
  closedWith: QuicError | undefined

  constructor(
    readonly perspective: Perspective,
    label = 'Q036'
  ) {
    this.version = versionByLabel(label)!
  }

  describeHandshake(): HandshakeDescription {
    return {
      aead: undefined,
      keyExchange: undefined,
      serverName: this.serverName,
      userAgent: undefined,
      certificates: [],
      helloCount: 1,
      rejections: [],
      earlyData: 'none',
      timestamps: undefined,
      channelId: undefined
    }
  }

  wake(): void {
    this.wakes++
  }

  close(errorCode: number, details: string): void {
    this.fail(new QuicError(errorCode, details))
  }

  fail(error: QuicError): void {
    if (!this.connected) return
    this.connected = false
    this.closedWith = error
    this.session?.onConnectionClosed(error, false)
  }

  /** Runs a frame handler the way a connection does: a QuicError closes it. */
  guard(handler: () => void): void {
    if (!this.connected) return
    try {
      handler()
    } catch (error) {
      if (!(error instanceof QuicError)) throw error
      this.fail(error)
    }
  }
}

/** A frame in a {@link FakePacket}, with the data of a STREAM frame. */
export interface PipeFrame {
  readonly frame: SentFrame
  readonly data: Uint8Array
  readonly reason: string
}

const STREAM_HEADER = 15

/** A packet that keeps frames as objects. */
export class FakePacket implements PacketSink {
  level: EncryptionLevel = EncryptionLevel.ForwardSecure
  readonly mayCut = true
  readonly frames: PipeFrame[] = []

  private readonly size: number

  constructor(public remaining = 1300) {
    this.size = remaining
  }

  fitsAlone(_streamId: number, _offset: number, length: number): boolean {
    return STREAM_HEADER + length <= this.size
  }

  streamCapacity(_streamId: number, _offset: number): number {
    return Math.max(-1, this.remaining - STREAM_HEADER)
  }

  addStream(streamId: number, offset: number, length: number, fin: boolean, source: StreamDataSource): void {
    if (length > this.streamCapacity(streamId, offset)) throw new Error('a STREAM frame larger than the packet')
    if (length === 0 && !fin) throw new Error('an empty STREAM frame without FIN')
    const data = new Uint8Array(length)
    if (length > 0) source.copyTo(data, 0, offset, length)
    this.add(SentFrameKind.Stream, streamId, STREAM_HEADER + length, { offset, length, fin }, data)
  }

  addStreamAgain(streamId: number, offset: number, length: number, fin: boolean, source: StreamDataSource): boolean {
    if (STREAM_HEADER + length > this.remaining) return false
    this.addStream(streamId, offset, length, fin, source)
    return true
  }

  addRstStream(streamId: number, errorCode: number, finalOffset: number): boolean {
    return this.add(SentFrameKind.RstStream, streamId, 17, { errorCode, offset: finalOffset })
  }

  addWindowUpdate(streamId: number, limit: number): boolean {
    return this.add(SentFrameKind.WindowUpdate, streamId, 13, { offset: limit })
  }

  addBlocked(streamId: number): boolean {
    return this.add(SentFrameKind.Blocked, streamId, 5, {})
  }

  addGoAway(errorCode: number, lastGoodStreamId: number, reason: string): boolean {
    return this.add(SentFrameKind.GoAway, lastGoodStreamId, 11 + reason.length, { errorCode }, undefined, reason)
  }

  addPing(): boolean {
    return this.add(SentFrameKind.Ping, 0, 1, {})
  }

  private add(
    kind: SentFrame['kind'],
    streamId: number,
    size: number,
    fields: Partial<SentFrame>,
    data = new Uint8Array(0),
    reason = ''
  ): boolean {
    if (size > this.remaining) return false
    this.remaining -= size
    const frame = Object.assign(new SentFrame(), { kind, streamId, level: this.level }, fields)
    this.frames.push({ frame, data, reason })
    return true
  }
}

/** Everything a session has to say now, as frames, in packets of `size` bytes; at most `packets` of them. */
export function drain(session: QuicSession, size = 1300, packets = 10_000): PipeFrame[] {
  const frames: PipeFrame[] = []
  for (let i = 0; i < packets && session.hasFramesToSend(); i++) frames.push(...onePacket(session, size).frames)
  return frames
}

/** One packet of a session, with the check that hasFramesToSend() told the truth. */
export function onePacket(session: QuicSession, size = 1300): FakePacket {
  const expected = session.hasFramesToSend()
  const packet = new FakePacket(size)
  session.writeFrames(packet, session.connection.now)
  if (expected !== packet.frames.length > 0) {
    throw new Error(`hasFramesToSend() said ${expected}, writeFrames() wrote ${packet.frames.length} frames`)
  }
  return packet
}

// Frame data is lent: the buffer is scribbled over after every call.
const lent = new Uint8Array(70_000)

/** Gives one frame to a session as its connection would. */
export function give(connection: FakeConnection, { frame, data, reason }: PipeFrame): void {
  const session = connection.session!
  connection.guard(() => {
    switch (frame.kind) {
      case SentFrameKind.Stream:
        lent.fill(0xee)
        lent.set(data, 100)
        session.onStreamFrame(frame.streamId, frame.offset, frame.fin, lent, 100, 100 + data.length)
        return
      case SentFrameKind.RstStream:
        return session.onRstStreamFrame(frame.streamId, frame.errorCode, frame.offset)
      case SentFrameKind.WindowUpdate:
        return session.onWindowUpdateFrame(frame.streamId, frame.offset)
      case SentFrameKind.Blocked:
        return session.onBlockedFrame(frame.streamId)
      case SentFrameKind.GoAway:
        return session.onGoAwayFrame(frame.errorCode, frame.streamId, reason)
      default:
        return
    }
  })
  lent.fill(0xee)
}

/** A STREAM frame by hand. */
export function streamFrame(streamId: number, offset: number, data: Uint8Array | string, fin = false): PipeFrame {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data
  const fields = { kind: SentFrameKind.Stream, streamId, offset, length: bytes.length, fin }
  const frame = Object.assign(new SentFrame(), fields)
  return { frame, data: bytes, reason: '' }
}

/** An RST_STREAM frame by hand. */
export function rstFrame(streamId: number, errorCode: number, offset: number): PipeFrame {
  const frame = Object.assign(new SentFrame(), { kind: SentFrameKind.RstStream, streamId, errorCode, offset })
  return { frame, data: new Uint8Array(0), reason: '' }
}

/** Limits as a hello brings them; generous unless overridden. */
export function negotiated(overrides: Partial<NegotiatedConfig> = {}): NegotiatedConfig {
  return {
    idleTimeoutSeconds: 30,
    silentClose: true,
    maxStreamsPerConnection: 100,
    peerMaxIncomingStreams: 100,
    peerStreamWindow: 64 * 1024,
    peerConnectionWindow: 1024 * 1024,
    initialRtt: undefined,
    omitConnectionId: false,
    connectionOptions: [],
    forceHolBlocking: false,
    ...overrides
  }
}

/** Makes a session on a fake connection whose hellos are done. */
export function connect<S extends QuicSession>(
  perspective: Perspective,
  make: (connection: FakeConnection) => S,
  config: Partial<NegotiatedConfig> = {},
  label = 'Q036'
): { connection: FakeConnection; session: S } {
  const connection = new FakeConnection(perspective, label)
  const session = make(connection)
  connection.session = session
  session.onConfigNegotiated(negotiated(config))
  session.onEncryptionEstablished()
  session.deliverEvents(connection.now)
  return { connection, session }
}

/** What happens to packets on their way. Probabilities 0..1, distances in steps. */
export interface PipeOptions {
  seed?: number
  loss?: number
  duplicate?: number
  /** A packet is reported lost although it arrives; its acknowledgement comes later. */
  spuriousLoss?: number
  /** The most steps that a packet may be late. */
  reorder?: number
  packetSize?: number
  /** Packets in flight. */
  window?: number
}

interface Flight {
  readonly at: number
  readonly run: () => void
}

/** A small generator of pseudo-random numbers in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** Carries frames between two sessions. */
export class SessionPipe {
  steps = 0
  framesLost = 0
  private readonly random: () => number
  private flights: Flight[] = []
  private readonly inFlight = new Map<FakeConnection, number>()

  constructor(
    readonly a: FakeConnection,
    readonly b: FakeConnection,
    private readonly options: PipeOptions = {}
  ) {
    this.random = seededRandom(options.seed ?? 1)
  }

  /** Steps until `done` holds. Throws if it does not within `limit` steps. */
  run(done: () => boolean, limit = 20_000): void {
    for (let i = 0; i < limit; i++) {
      if (done()) return
      this.step()
    }
    throw new Error(`not done after ${limit} steps (seed ${this.options.seed ?? 1})`)
  }

  /** Steps until nothing moves any more. */
  settle(limit = 20_000): void {
    let quiet = 0
    this.run(() => {
      quiet = this.flights.length === 0 && !this.hasWork(this.a) && !this.hasWork(this.b) ? quiet + 1 : 0
      return quiet > 2
    }, limit)
  }

  private hasWork(connection: FakeConnection): boolean {
    return connection.connected && connection.session!.hasFramesToSend()
  }

  /** One step: 5 ms pass, arrivals are handled, events delivered, packets sent. */
  step(): void {
    this.steps++
    this.a.now += 5000
    this.b.now += 5000
    const due = this.flights.filter((flight) => flight.at <= this.steps)
    this.flights = this.flights.filter((flight) => flight.at > this.steps)
    for (const flight of due) flight.run()
    for (const { session, now } of [this.a, this.b]) if (session!.nextTimeout() <= now) session!.handleTimeout(now)
    this.a.session!.deliverEvents(this.a.now)
    this.b.session!.deliverEvents(this.b.now)
    this.send(this.a, this.b)
    this.send(this.b, this.a)
    this.a.session!.deliverEvents(this.a.now)
    this.b.session!.deliverEvents(this.b.now)
  }

  private send(from: FakeConnection, to: FakeConnection): void {
    const { loss = 0, duplicate = 0, spuriousLoss = 0, reorder = 0, packetSize = 1300, window = 64 } = this.options
    const session = from.session!
    if (!from.connected && to.connected) {
      to.connected = false
      to.session!.onConnectionClosed(from.closedWith!, true)
    }
    while (from.connected && (this.inFlight.get(from) ?? 0) < window && session.hasFramesToSend()) {
      const { frames } = onePacket(session, packetSize)
      this.inFlight.set(from, (this.inFlight.get(from) ?? 0) + 1)
      const arrival = 1 + Math.floor(this.random() * (reorder + 1))
      if (this.random() < loss) {
        this.framesLost += frames.length
        this.later(8, () => this.report(from, frames, 'lost', true))
        continue
      }
      this.later(arrival, () => frames.forEach((frame) => give(to, frame)))
      if (this.random() < duplicate) this.later(arrival + 2, () => frames.forEach((frame) => give(to, frame)))
      const spurious = this.random() < spuriousLoss
      if (spurious) this.later(1, () => this.report(from, frames, 'lost', false))
      this.later(arrival + 1, () => this.report(from, frames, 'acked', true))
    }
  }

  private report(from: FakeConnection, frames: PipeFrame[], fate: 'acked' | 'lost', final: boolean): void {
    if (final) this.inFlight.set(from, this.inFlight.get(from)! - 1)
    if (!from.connected) return
    for (const { frame } of frames) {
      if (fate === 'acked') from.session!.onFrameAcked(frame)
      else from.session!.onFrameLost(frame)
    }
  }

  private later(steps: number, run: () => void): void {
    this.flights.push({ at: this.steps + steps, run })
  }
}

export { Perspective }
