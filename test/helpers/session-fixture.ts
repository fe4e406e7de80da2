/**
 * Sessions and streams for tests of the transport's stream layer.
 */
import { serverSessionDefaults } from '../../src/quic/transport/session-options.js'
import { QuicSession } from '../../src/quic/transport/session.js'
import { QuicStream } from '../../src/quic/transport/streams/quic-stream.js'
import { connect, Perspective, SessionPipe, type FakeConnection, type PipeFrame } from './session-pipe.js'

/** `length` bytes that differ by `seed`. */
export const bytes = (length: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff)

/** A stream that writes down what it is told. */
export class TestStream extends QuicStream {
  readonly log: string[] = []
  input = Buffer.alloc(0)
  reading = true
  onData: (() => void) | undefined

  override onDataAvailable(): void {
    this.log.push('data')
    this.onData?.()
    if (this.reading) this.drainInput()
    if (this.readEnded) this.log.push('end')
  }

  drainInput(): void {
    for (let part = this.read(); part !== undefined; part = this.read()) this.input = Buffer.concat([this.input, part])
  }

  override onReset(errorCode: number): void {
    this.log.push(`reset ${errorCode}`)
  }

  override onStopSending(): void {
    this.log.push('stop')
  }

  override onWritable(): void {
    this.log.push('writable')
  }

  override onClose(): void {
    this.log.push('close')
  }
}

/** A session that keeps what it makes, and shows its counts. */
export class TestSession extends QuicSession {
  readonly made = new Map<number, TestStream>()
  readonly errors: [TestStream | undefined, unknown][] = []
  readonly log: string[] = []
  factory: ((id: number) => TestStream | undefined) | undefined

  protected override createIncomingDynamicStream(id: number): QuicStream | undefined {
    const stream = this.factory === undefined ? new TestStream(id, this) : this.factory(id)
    if (stream !== undefined) this.made.set(id, stream)
    return stream
  }

  open(): TestStream {
    const stream = new TestStream(this.ids.nextOutgoing, this)
    this.ids.nextOutgoing += 2
    this.activate(stream)
    return stream
  }

  get canOpen(): boolean {
    return this.mayOpenStream
  }

  get counts(): [number, number] {
    return [this.ids.openIncoming, this.ids.openOutgoing]
  }

  protected override onApplicationError(stream: QuicStream | undefined, error: unknown): void {
    this.errors.push([stream as TestStream | undefined, error])
  }

  protected override onGoAway(): void {
    this.log.push('goaway')
  }

  protected override onCanOpenStream(): void {
    this.log.push('room')
  }

  protected override onSessionClosed(): void {
    this.log.push('closed')
  }
}

/** The reference server's limits. */
export const limits = { ...serverSessionDefaults }

/** A server's session whose hellos are done. */
export function server(config = {}, options = {}, label = 'Q036') {
  return connect(Perspective.Server, (c) => new TestSession(c, { ...limits, ...options }), config, label)
}

/** A client's session whose hellos are done. */
export function client(config = {}, options = {}, label = 'Q036') {
  const make = (c: FakeConnection): TestSession => new TestSession(c, { ...limits, autoTune: false, ...options })
  return connect(Perspective.Client, make, config, label)
}

/** A client's and a server's session on one pipe. */
export function pair(pipe = {}, config = {}, options = {}) {
  const a = client(config, options)
  const b = server(config, options)
  return { a, b, pipe: new SessionPipe(a.connection, b.connection, pipe) }
}

/** The frames of one kind. */
export function kinds(frames: PipeFrame[], kind: number): PipeFrame['frame'][] {
  return frames.filter(({ frame }) => frame.kind === kind).map(({ frame }) => frame)
}

/** The code that a connection was closed with by this side. */
export const codeOf = (connection: FakeConnection): number | undefined => connection.closedWith?.wireCode
