/**
 * One local HTTP request and its response, carried as one QUIC stream.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { explainConnectionError, explainReset } from '../client/failure.js'
import type { FailureContext , RequestFailure } from '../client/failure.js'
import { openRequestStream } from '../client/request-stream.js'
import type { RequestStream, RequestStreamHandler } from '../client/request-stream.js'
import { QuicRstStreamErrorCode } from '../quic/errors.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import type { PushClaim } from '../quic/spdy/push/promise-index.js'
import type { QuicSpdyClientSession } from '../quic/spdy/spdy-client-session.js'
import type { GatewayConnection, StreamRequest } from './gateway-connection.js'
import { ResponseWriter } from './response-writer.js'
import type { Framing } from './response-writer.js'
import { sendFailure } from './send-failure.js'
import { requestTrailers, responseToLocal, responseTrailers } from './translate.js'
import type { TranslatedRequest } from './translate.js'

/** How an exchange ended, in one word for logs. */
export type ExchangeOutcome =
  | 'ok'
  | 'client_gone'
  | 'gateway_unreachable'
  | 'gateway_reset'
  | 'gateway_lost'
  | 'bad_response'

/** What the access log says about one exchange. */
export interface ExchangeRecord {
  readonly method: string
  readonly authority: string
  readonly path: string
  /** What the client was told; 0 if nothing. */
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** From the request's headers to the end, ms. */
  readonly totalMs: number
  /** From the request's headers to a stream, ms; undefined if it got none. */
  readonly queueMs: number | undefined
  readonly version: string | undefined
  readonly connectionId: string | undefined
  readonly streamId: number | undefined
  /** The gateway had pushed the response before it was asked for. */
  readonly pushed: true | undefined
  readonly outcome: ExchangeOutcome
  readonly failure: RequestFailure | undefined
}

/** What all exchanges of a forwarder share. */
export interface ExchangeContext {
  readonly pool: GatewayConnection<QuicSpdyClientSession>
  /** How this forwarder calls itself in Via and Proxy-Status. */
  readonly name: string
  readonly failureContext: FailureContext
  onDone?(record: ExchangeRecord): void
}

/** Takes the place of an exchange on a stream that it gave up, so that the pool still learns of its end. */
class Release implements RequestStreamHandler {
  constructor(
    private readonly pool: GatewayConnection<QuicSpdyClientSession>,
    private readonly stream: RequestStream
  ) {}

  onResponse(): void {}
  onData(): void {}
  onTrailers(): void {}
  onWritable(): void {}
  onStopSending(): void {}
  onReset(): void {}

  onClose(): void {
    this.pool.release(this.stream.session as QuicSpdyClientSession)
  }
}

/** Methods that change nothing, which a proxy may send again (RFC 9110 §9.2.1, §9.2.2). */
const safeMethods = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** See the file comment. {@link start} it once. */
export class Exchange implements StreamRequest<QuicSpdyClientSession>, RequestStreamHandler {
  private readonly startedAt = performance.now()
  private queueMs: number | undefined
  private stream: RequestStream | undefined
  private readonly writer: ResponseWriter
  private failure: RequestFailure | undefined
  private retried = false
  private claim: PushClaim | undefined
  private claimTried = false
  private pushed = false
  private done = false
  private bytesIn = 0

  constructor(
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly translated: TranslatedRequest,
    private readonly context: ExchangeContext
  ) {
    const toLocal = (headers: HeaderList, framing: Framing): string[] =>
      responseToLocal(headers, framing, this.versionLabel, context.name)
    this.writer = new ResponseWriter(response, request.method === 'HEAD', toLocal, {
      complete: () => this.finish('ok'),
      failed: (failure) => this.fail(failure, 'bad_response')
    })
  }

  /** Asks for a stream and goes from there. */
  start(): void {
    this.response.on('close', () => this.localClosed())
    this.context.pool.request(this)
  }

  // ---- the pool's answers ----

  onSession(session: QuicSpdyClientSession): void {
    this.queueMs = performance.now() - this.startedAt
    if (this.claimPushed(session)) return
    const stream = openRequestStream(session, this)
    this.stream = stream
    stream.writeHeaders(this.translated.headers, !this.translated.hasBody)
    if (this.translated.hasBody) this.upload(stream)
  }

  /** Waits for the response that the gateway has promised to push, if it has. */
  private claimPushed(session: QuicSpdyClientSession): boolean {
    if (this.translated.hasBody || this.claimTried) return false
    this.claimTried = true
    this.claim = session.claimPush<RequestStream>(this.translated.headers, (stream) => this.onClaimed(stream))
    return this.claim !== undefined
  }

  private onClaimed(stream: RequestStream | undefined): void {
    this.claim = undefined
    if (stream === undefined) {
      this.context.pool.request(this)
      return
    }
    this.pushed = true
    this.stream = stream
    stream.handler = this
  }

  onUnavailable(failure: RequestFailure): void {
    this.fail(failure, 'gateway_unreachable')
  }

  // ---- the request's body: read from the local socket only as the stream takes it ----

  private upload(stream: RequestStream): void {
    const { request } = this
    request.on('data', (piece: Buffer) => {
      if (stream.writeEnded || stream.closed) return
      this.bytesIn += piece.length
      if (!stream.write(piece)) request.pause()
    })
    request.on('end', () => {
      if (stream.writeEnded || stream.closed) return
      const trailers = requestTrailers(request.rawTrailers)
      if (trailers.length > 0) stream.writeTrailers(trailers)
      else stream.end()
    })
  }

  onWritable(): void {
    this.request.resume()
  }

  onStopSending(): void {
    this.request.resume()
  }

  // ---- the response ----

  onResponse(headers: HeaderList, fin: boolean): void {
    if (!this.done) this.writer.begin(headers, fin, this.stream!)
  }

  onData(): void {
    if (this.done) this.stream!.stopReading()
    else this.writer.pump()
  }

  onTrailers(trailers: HeaderList): void {
    if (!this.done) this.writer.end(responseTrailers(trailers))
  }

  onReset(errorCode: number): void {
    if (this.done) return
    const refused = errorCode === QuicRstStreamErrorCode.REFUSED_STREAM
    if (!((refused || this.pushed) && this.retry())) this.fail(explainReset(errorCode, this.writer.started), 'gateway_reset')
  }

  onClose(): void {
    const { session } = this.stream!
    this.context.pool.release(session as QuicSpdyClientSession)
    // With everything read the stream closes before a slow local socket has taken the rest.
    if (this.done || this.writer.receivedAll) return
    if (safeMethods.has(this.request.method!) && this.retry()) return
    const error = session.closeError
    if (error === undefined) this.fail(explainReset(0, this.writer.started), 'gateway_lost')
    else this.fail(explainConnectionError(error, this.context.failureContext), 'gateway_lost')
  }

  /** Sends the request once more on another stream, if nothing of it or of its response is lost that way. */
  private retry(): boolean {
    if (this.retried || this.translated.hasBody || this.writer.started) return false
    this.retried = true
    this.pushed = false
    this.stream!.handler = new Release(this.context.pool, this.stream!)
    this.context.pool.request(this)
    return true
  }

  // ---- ends ----

  private localClosed(): void {
    if (this.done) return
    this.context.pool.cancel(this)
    this.finish('client_gone')
  }

  private fail(failure: RequestFailure, outcome: ExchangeOutcome): void {
    if (this.done) return
    this.failure = failure
    const { response } = this
    if (!response.headersSent) {
      sendFailure(this.request, response, failure, this.context.name)
    } else {
      // A reset, not an end: a body without a length would otherwise look complete.
      response.socket?.resetAndDestroy()
      response.destroy()
    }
    this.finish(outcome)
  }

  private finish(outcome: ExchangeOutcome): void {
    if (this.done) return
    this.done = true
    this.claim?.cancel()
    const { stream, response, translated } = this
    if (stream !== undefined && !stream.closed && !(outcome === 'ok' && stream.writeEnded)) {
      stream.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
    }
    if (!this.request.readableEnded) this.request.resume()
    this.context.onDone?.({
      method: this.request.method!,
      authority: translated.authority,
      path: translated.path,
      status: response.headersSent ? response.statusCode : 0,
      bytesIn: this.bytesIn,
      bytesOut: this.writer.bytes,
      totalMs: performance.now() - this.startedAt,
      queueMs: this.queueMs,
      version: stream === undefined ? undefined : this.versionLabel,
      connectionId: stream?.session.connection.connectionId.toString(),
      streamId: stream?.id,
      pushed: this.pushed || undefined,
      outcome,
      failure: this.failure
    })
  }

  private get versionLabel(): string {
    return this.stream!.session.connection.version.label
  }
}
