/**
 * What runs on the simulated connections: exchanges whose bodies, both ways, are checked byte for byte.
 *
 * The client says how long and from which seed the answer's body shall be; the server answers while it still reads, and
 * tells in a trailer what it received. So one exchange proves both directions, headers and trailers included.
 */
import { createHash, type Hash } from 'node:crypto'
import { sessionOptions, type TransportOptions } from '../../../src/endpoint/transport-options.js'
import { quicErrorName, quicRstErrorName } from '../../../src/quic/errors.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { QuicSpdyClientSession } from '../../../src/quic/spdy/spdy-client-session.js'
import { QuicSpdyServerSession } from '../../../src/quic/spdy/spdy-server-session.js'
import { QuicSpdyStream } from '../../../src/quic/spdy/spdy-stream.js'
import type { SessionConnection } from '../../../src/quic/transport/session-connection.js'
import { SeededRandom } from './seeded-random.js'

const CHUNK = 4096

/** Produces a body of `length` bytes from a seed, piece by piece. */
class BodySource {
  readonly hash: Hash = createHash('sha256')
  private readonly random: SeededRandom

  constructor(
    private left: number,
    seed: number
  ) {
    this.random = new SeededRandom(seed)
  }

  get done(): boolean {
    return this.left === 0
  }

  next(): Uint8Array {
    const bytes = this.random.bytes(Math.min(CHUNK, this.left))
    this.left -= bytes.length
    this.hash.update(bytes)
    return bytes
  }
}

/** The digest of the body that {@link BodySource} produces. */
export function bodyDigest(length: number, seed: number): string {
  const source = new BodySource(length, seed)
  while (!source.done) source.next()
  return source.hash.digest('hex')
}

/** Both directions of a checked exchange; the server's and the client's streams differ in what they begin with. */
abstract class SimStream extends QuicSpdyStream {
  /** Paused readers read nothing until {@link resume}. */
  paused = false
  received = 0
  receivedHeaders: HeaderList | undefined
  receivedTrailers: HeaderList | undefined
  closeSeen = false
  resetSeen: string | undefined
  protected source: BodySource | undefined
  protected readonly receivedHash = createHash('sha256')

  override onInitialHeaders(headers: HeaderList, _fin: boolean): void {
    if (this.receivedHeaders !== undefined) throw new Error('headers came twice')
    this.receivedHeaders = headers
  }

  override onTrailers(headers: HeaderList): void {
    this.receivedTrailers = headers
  }

  override onDataAvailable(): void {
    if (this.paused) return
    for (let bytes = this.read(); bytes !== undefined; bytes = this.read()) {
      this.received += bytes.length
      this.receivedHash.update(bytes)
    }
    if (this.readEnded) this.onInputEnd()
  }

  override onReset(errorCode: number): void {
    this.resetSeen = quicRstErrorName(errorCode)
  }

  override onClose(): void {
    if (this.closeSeen) throw new Error('onClose came twice')
    this.closeSeen = true
  }

  override onWritable(): void {
    this.pump()
  }

  /** Goes on reading. */
  resume(): void {
    this.paused = false
    this.onDataAvailable()
  }

  protected pump(): void {
    const { source } = this
    if (source === undefined || this.writeEnded) return
    while (!source.done) if (!this.write(source.next())) return
    this.finishOutput(source)
  }

  /** Everything was read. */
  protected abstract onInputEnd(): void
  /** Everything was written. */
  protected abstract finishOutput(source: BodySource): void
}

/** Answers as the request's headers ask, at once or when the request is complete. */
export class SimServerStream extends SimStream {
  private inputEnded = false

  override onInitialHeaders(headers: HeaderList, fin: boolean): void {
    super.onInitialHeaders(headers, fin)
    this.writeHeaders([[':status', '200']], false)
    this.source = new BodySource(Number(field(headers, 'x-length')), Number(field(headers, 'x-seed')))
    this.pump()
  }

  protected override onInputEnd(): void {
    if (this.inputEnded) return
    this.inputEnded = true
    this.finish()
  }

  protected override finishOutput(): void {
    this.finish()
  }

  // The trailer tells what was received, so it has to wait for the request's end as well as for the answer's.
  private finish(): void {
    if (!this.inputEnded || !this.source!.done || this.writeEnded) return
    this.writeTrailers([['x-received', this.receivedHash.digest('hex')]])
  }
}

/** What one exchange shall be. */
export interface ExchangeOptions {
  /** Bytes of the request's body. */
  up: number
  /** Bytes of the answer's body. */
  down: number
  seed: number
  priority?: number
}

/** The client's end of an exchange. */
export class SimClientStream extends SimStream {
  complete = false
  private options!: ExchangeOptions

  begin(options: ExchangeOptions): void {
    this.options = options
    const headers: HeaderList = [
      [':method', 'POST'],
      [':scheme', 'https'],
      [':authority', 'www.example.org'],
      [':path', `/exchange/${options.seed}`],
      ['x-length', String(options.down)],
      ['x-seed', String(options.seed)]
    ]
    this.source = new BodySource(options.up, options.seed + 1)
    this.writeHeaders(headers, options.up === 0, options.priority)
    if (options.up > 0) this.pump()
  }

  protected override finishOutput(source: BodySource): void {
    if (!source.done) throw new Error('output ended early')
    this.end()
  }

  protected override onInputEnd(): void {
    if (this.complete) return
    this.complete = true
    const { down, up, seed } = this.options
    if (field(this.receivedHeaders, ':status') !== '200') throw new Error('no answer')
    if (this.received !== down) throw new Error(`${this.received} bytes instead of ${down} on stream ${this.id}`)
    const got = this.receivedHash.digest('hex')
    if (got !== bodyDigest(down, seed)) throw new Error(`the answer's body is damaged on stream ${this.id}`)
    const told = field(this.receivedTrailers, 'x-received')
    if (told !== bodyDigest(up, seed + 1)) throw new Error(`the request's body is damaged on stream ${this.id}`)
  }
}

function field(headers: HeaderList | undefined, name: string): string | undefined {
  return headers?.find(([key]) => key === name)?.[1]
}

/** A session that does not forgive: an error in the application is kept for the scenario to throw. */
export class SimServerSession extends QuicSpdyServerSession {
  readonly streams: SimServerStream[] = []
  applicationError: unknown
  /** New streams do not read until told to. */
  pauseNewStreams = false

  constructor(connection: SessionConnection, transport: TransportOptions = {}) {
    super(connection, sessionOptions('server', transport))
  }

  protected override createIncomingDynamicStream(id: number): SimServerStream {
    const stream = new SimServerStream(id, this)
    stream.paused = this.pauseNewStreams
    this.streams.push(stream)
    return stream
  }

  override onApplicationError(_stream: unknown, error: unknown): void {
    this.applicationError ??= error
  }
}

/** Starts exchanges, as many at a time as the server allows. */
export class SimClientSession extends QuicSpdyClientSession {
  readonly streams: SimClientStream[] = []
  applicationError: unknown
  private readonly waiting: ExchangeOptions[] = []

  constructor(connection: SessionConnection, transport: TransportOptions = {}) {
    super(connection, sessionOptions('client', transport))
  }

  /** Queues an exchange. The connection must be established. */
  start(options: ExchangeOptions): void {
    this.waiting.push(options)
    this.startWaiting()
  }

  override onCanOpenStream(): void {
    this.startWaiting()
  }

  override onApplicationError(_stream: unknown, error: unknown): void {
    this.applicationError ??= error
  }

  /** Whether every exchange is complete. Throws if one never will be. */
  get done(): boolean {
    if (this.applicationError !== undefined) throw this.applicationError
    if (this.closeError !== undefined) {
      const { wireCode, details } = this.closeError
      throw new Error(`closed by ${this.closedByPeer ? 'peer' : 'itself'}: ${quicErrorName(wireCode)}: ${details}`)
    }
    for (const stream of this.streams) {
      if (stream.resetSeen !== undefined) throw new Error(`stream ${stream.id} was reset: ${stream.resetSeen}`)
    }
    return this.waiting.length === 0 && this.streams.every((stream) => stream.complete)
  }

  private startWaiting(): void {
    while (this.waiting.length > 0 && this.canOpenStream) {
      const stream = this.openStream((id, session) => new SimClientStream(id, session))
      this.streams.push(stream)
      stream.begin(this.waiting.shift()!)
    }
  }
}
