/**
 * A client's request stream that tells one object what happens to it, so that callers compose instead of subclassing.
 */
import type { HeaderList } from '../quic/spdy/header-list.js'
import { QuicSpdyStream } from '../quic/spdy/spdy-stream.js'
import type { QuicSpdyClientSession } from '../quic/spdy/spdy-client-session.js'

/** Called from the session's event delivery; may write, read, reset. */
export interface RequestStreamHandler {
  /** The response's headers. `fin`: no body follows. */
  onResponse(headers: HeaderList, fin: boolean): void
  /** Body bytes or the end of the body can be read. */
  onData(): void
  onTrailers(trailers: HeaderList): void
  /** The stream takes more after write() had answered false. */
  onWritable(): void
  /** The server wants no more of the request's body; its response goes on. */
  onStopSending(): void
  /** The server reset the stream with this code. */
  onReset(errorCode: number): void
  /** The last call: both directions are done, or the connection died (`session.closeError`). */
  onClose(): void
}

/** See the file comment. The handler is set right after opening, before anything can arrive. */
export class RequestStream extends QuicSpdyStream {
  handler: RequestStreamHandler | undefined

  override onInitialHeaders(headers: HeaderList, fin: boolean): void {
    this.handler?.onResponse(headers, fin)
  }

  override onTrailers(headers: HeaderList): void {
    this.handler?.onTrailers(headers)
  }

  override onDataAvailable(): void {
    this.handler?.onData()
  }

  override onWritable(): void {
    this.handler?.onWritable()
  }

  override onStopSending(): void {
    this.handler?.onStopSending()
  }

  override onReset(errorCode: number): void {
    this.handler?.onReset(errorCode)
  }

  override onClose(): void {
    this.handler?.onClose()
  }
}

/** Opens a request stream on `session` for `handler`. Throws if the session's limit is reached: ask canOpenStream. */
export function openRequestStream(session: QuicSpdyClientSession, handler: RequestStreamHandler): RequestStream {
  const stream = session.openStream((id, owner) => new RequestStream(id, owner))
  stream.handler = handler
  return stream
}
