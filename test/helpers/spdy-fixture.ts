/**
 * Sessions that carry HTTP, for tests without a network.
 */
import { SentFrameKind } from '../../src/quic/recovery/sent-frame.js'
import type { HeaderList } from '../../src/quic/spdy/header-list.js'
import { HpackEncoder } from '../../src/quic/spdy/hpack/hpack-encoder.js'
import { writeHeadersFrames, writePushPromise } from '../../src/quic/spdy/http2-frames.js'
import type { PushPromise } from '../../src/quic/spdy/push/promise-index.js'
import { QuicSpdyClientSession } from '../../src/quic/spdy/spdy-client-session.js'
import type { NegotiatedConfig } from '../../src/quic/handshake/negotiated-config.js'
import { QuicSpdyServerSession } from '../../src/quic/spdy/spdy-server-session.js'
import type { SpdySessionOptions } from '../../src/quic/spdy/spdy-session.js'
import { QuicSpdyStream } from '../../src/quic/spdy/spdy-stream.js'
import { clientSessionDefaults, serverSessionDefaults } from '../../src/quic/transport/session-options.js'
import {
  connect,
  give,
  Perspective,
  SessionPipe,
  streamFrame,
  type FakeConnection,
  type PipeFrame,
  type PipeOptions
} from './session-pipe.js'

export const REQUEST: HeaderList = [
  [':method', 'POST'],
  [':scheme', 'https'],
  [':authority', 'a.example'],
  [':path', '/x']
]
export const RESPONSE: HeaderList = [[':status', '200'], ['server', 'test']]

/** One side of an exchange, which writes down what it is told. */
export class Message extends QuicSpdyStream {
  readonly log: string[] = []
  headers: HeaderList | undefined
  trailers: HeaderList | undefined
  body = Buffer.alloc(0)
  reading = true
  answer: ((stream: Message) => void) | undefined

  override onInitialHeaders(headers: HeaderList, fin: boolean): void {
    this.headers = headers
    this.log.push(fin ? 'headers fin' : 'headers')
    this.answer?.(this)
  }

  override onDataAvailable(): void {
    if (this.reading) for (let part = this.read(); part !== undefined; part = this.read()) this.take(part)
    this.log.push(this.readEnded ? 'end' : 'data')
  }

  private take(part: Uint8Array): void {
    this.body = Buffer.concat([this.body, part])
  }

  override onTrailers(headers: HeaderList): void {
    this.trailers = headers
    this.log.push('trailers')
  }

  override onReset(code: number): void {
    this.log.push(`reset ${code}`)
  }

  override onStopSending(): void {
    this.log.push('stop')
  }

  override onClose(): void {
    this.log.push('close')
  }
}

/** A server that keeps the streams it makes. */
export class Server extends QuicSpdyServerSession {
  readonly made = new Map<number, Message>()
  prepare: (stream: Message) => void = () => {}

  protected override createIncomingDynamicStream(id: number): Message {
    const stream = new Message(id, this)
    this.prepare(stream)
    this.made.set(id, stream)
    return stream
  }
}

/** Opens a stream. */
export function openMessage(session: QuicSpdyClientSession): Message {
  return session.openStream((id, owner) => new Message(id, owner))
}

/** A client that keeps what was promised and what was pushed. */
export class Client extends QuicSpdyClientSession {
  readonly pushed = new Map<number, Message>()
  readonly promised: PushPromise[] = []

  protected override createPushedStream(id: number): Message {
    const stream = new Message(id, this)
    this.pushed.set(id, stream)
    return stream
  }

  protected override onPushPromise(promise: PushPromise): void {
    this.promised.push(promise)
  }
}

/** A server's session whose hellos are done. */
export function spdyServer(options = {}, config = {}, label = 'Q036') {
  return connect(Perspective.Server, (c) => new Server(c, { ...serverSessionDefaults, ...options }), config, label)
}

/** A client's session whose hellos are done. */
export function spdyClient(options = {}, config = {}, label = 'Q036') {
  const make = (c: FakeConnection): Client => new Client(c, { ...clientSessionDefaults, ...options })
  return connect(Perspective.Client, make, config, label)
}

/** What makes a {@link spdyPair} besides its path. */
export interface PairOptions {
  label?: string
  client?: Partial<SpdySessionOptions>
  server?: Partial<SpdySessionOptions>
  /** What the client's hello tells the server. */
  hello?: Partial<NegotiatedConfig>
  /** What the server's hello tells the client. */
  answer?: Partial<NegotiatedConfig>
}

/** A client's and a server's session on one pipe. */
export function spdyPair(path: PipeOptions = {}, o: PairOptions = {}) {
  const a = spdyClient({ streamWindow: 64 * 1024, connectionWindow: 1024 * 1024, ...o.client }, o.answer, o.label)
  const b = spdyServer(o.server, o.hello, o.label)
  return { a, b, pipe: new SessionPipe(a.connection, b.connection, path) }
}

/** The sending end of a headers stream, by hand. */
export class Peer {
  readonly encoder = new HpackEncoder()
  private offset = 0
  constructor(
    readonly connection: FakeConnection,
    readonly isClient: boolean
  ) {}

  headers(id: number, list: HeaderList, fin: boolean, priority = this.isClient ? 3 : undefined): void {
    this.raw(writeHeadersFrames(id, this.encoder.encode(list), fin, priority))
  }

  promise(id: number, promisedId: number, list: HeaderList): void {
    this.raw(writePushPromise(id, promisedId, this.encoder.encode(list)))
  }

  raw(data: Uint8Array): void {
    give(this.connection, streamFrame(this.connection.version.traits.headersStreamId, this.offset, data))
    this.offset += data.length
  }
}

/** The RST_STREAM frames among these: stream, code, final offset. */
export function resets(frames: PipeFrame[]): [number, number, number][] {
  return frames
    .filter(({ frame }) => frame.kind === SentFrameKind.RstStream)
    .map(({ frame }) => [frame.streamId, frame.errorCode, frame.offset])
}
