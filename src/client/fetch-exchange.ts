/**
 * One request of a fetching client: writes the request, hands out the response, and ends as a promise.
 */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { hasNoContent } from '../http/fields.js'
import { QuicRstStreamErrorCode } from '../quic/errors.js'
import type { PushClaim } from '../quic/spdy/push/promise-index.js'
import { headerValue } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { explainConnectionError, explainReset, malformedResponse, RequestFailure } from './failure.js'
import type { OriginConnection } from './origin-connections.js'
import { openRequestStream } from './request-stream.js'
import type { RequestStream, RequestStreamHandler } from './request-stream.js'

/** The most that a sink is given at once, bytes. */
export const SINK_PIECE = 65_536

// One for all exchanges: sinks give it back before anything else happens.
const room = new Uint8Array(SINK_PIECE)

/** Where a response goes. Methods are called in this order; `write` only after `headers`. */
export interface ResponseSink {
  headers(headers: HeaderList, version: string): void
  /** Takes a piece of the body, at most {@link SINK_PIECE} bytes that are lent for the call. */
  write(piece: Uint8Array): void
  /** Whether `write` may be called now; if not, the callback given to {@link onReady} is called when it may. */
  readonly ready: boolean
  onReady(resume: () => void): void
  trailers(trailers: HeaderList): void
}

/** A request as it goes onto the wire. */
export interface FetchRequest {
  /** Pseudo-headers first. */
  readonly headers: HeaderList
  readonly body: Readable | undefined
}

/** A complete response. */
export interface FetchResponse {
  readonly version: string
  readonly status: number
  readonly headers: HeaderList
  readonly trailers: HeaderList
  readonly bodyLength: number
  /** Hex; undefined if it was not asked for. */
  readonly sha256: string | undefined
  /** Whether the server pushed it before it was asked for. */
  readonly pushed: boolean
  /** From the request's first byte to the response's headers, ms. */
  readonly firstByteMs: number
}

/** The server had promised the response and then could not give it: the request has yet to be sent. */
export class PromiseBrokenError extends Error {
  override readonly name = 'PromiseBrokenError'
}

/** How to run one exchange. */
export interface ExchangeOptions {
  /** Whether to compute the body's SHA-256. */
  readonly sha256: boolean
  readonly signal?: AbortSignal
  /** Whether a response that the server pushes may be taken instead of sending the request; true unless told. */
  readonly claimPush?: boolean
}

/**
 * Runs one exchange on a connection where a stream may be opened now. Rejects with a RequestFailure, or with a
 * {@link PromiseBrokenError} before anything was sent or given to the sink: then it may be run again.
 */
export function exchange(
  connection: Pick<OriginConnection, 'session' | 'context'>,
  request: FetchRequest,
  sink: ResponseSink,
  options: ExchangeOptions
): Promise<FetchResponse> {
  return new Promise((resolve, reject) => new FetchExchange(connection, request, sink, options, resolve, reject))
}

class FetchExchange implements RequestStreamHandler {
  private stream: RequestStream | undefined
  private readonly startedAt = performance.now()
  private readonly hash: Hash | undefined
  private headers: HeaderList | undefined
  private trailers: HeaderList = []
  private firstByteMs = 0
  private bodyLength = 0
  private expectedLength = Infinity
  private endSeen = false
  private done = false
  private readonly onAbort = (): void => this.abort()

  /** A promise that the request may be answered by; nothing is sent while it is. */
  private claim: PushClaim | undefined
  private pushed = false

  constructor(
    private readonly connection: Pick<OriginConnection, 'session' | 'context'>,
    private readonly request: FetchRequest,
    private readonly sink: ResponseSink,
    private readonly options: ExchangeOptions,
    private readonly resolve: (response: FetchResponse) => void,
    private readonly reject: (error: Error) => void
  ) {
    this.hash = options.sha256 ? createHash('sha256') : undefined
    options.signal?.addEventListener('abort', this.onAbort)
    sink.onReady(() => this.pump())
    if (request.body === undefined && options.claimPush !== false) {
      this.claim = connection.session.claimPush<RequestStream>(request.headers, (stream) => this.onClaimed(stream))
    }
    if (this.claim === undefined) this.send()
  }

  private onClaimed(stream: RequestStream | undefined): void {
    this.claim = undefined
    if (stream === undefined) {
      this.end()
      this.reject(new PromiseBrokenError())
      return
    }
    this.pushed = true
    this.stream = stream
    stream.handler = this
  }

  private send(): void {
    const { request } = this
    const stream = openRequestStream(this.connection.session, this)
    this.stream = stream
    stream.writeHeaders(request.headers, request.body === undefined)
    if (request.body !== undefined) this.upload(request.body, stream)
  }

  private upload(body: Readable, stream: RequestStream): void {
    body.on('data', (piece: Uint8Array) => {
      if (stream.writeEnded || stream.closed) body.destroy()
      else if (!stream.write(piece)) body.pause()
    })
    body.on('end', () => {
      if (!stream.writeEnded && !stream.closed) stream.end()
    })
    body.on('error', (error) => {
      const cause = `the request's body cannot be read (${error.message})`
      this.fail(new RequestFailure({ type: 'http_request_error', status: 400, cause, remedy: 'check the file' }))
    })
  }

  onWritable(): void {
    this.request.body?.resume()
  }

  onStopSending(): void {
    this.request.body?.destroy()
  }

  onResponse(headers: HeaderList, fin: boolean): void {
    if (this.done) return
    if (!/^[1-5]\d\d$/.test(headerValue(headers, ':status') ?? '')) {
      const words = `":status" is ${headerValue(headers, ':status') ?? 'missing'}`
      this.fail(malformedResponse(words), QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD)
      return
    }
    this.headers = headers
    this.expectedLength = this.announcedLength(headers)
    this.firstByteMs = performance.now() - this.startedAt
    this.sink.headers(headers, this.version)
    this.endSeen = fin
    this.pump()
  }

  onTrailers(trailers: HeaderList): void {
    this.trailers = trailers
    this.endSeen = true
    this.pump()
  }

  onData(): void {
    this.pump()
  }

  /** Passes the body on while the sink takes it; a sink that stalls leaves the flow-control window closed. */
  private pump(): void {
    if (this.done || this.headers === undefined) return
    const stream = this.stream!
    while (this.sink.ready) {
      const length = stream.readInto(room)
      if (length === 0) break
      this.bodyLength += length
      if (this.bodyLength > this.expectedLength) return this.failLength()
      const piece = room.subarray(0, length)
      this.hash?.update(piece)
      this.sink.write(piece)
    }
    if (this.sink.ready && (this.endSeen || stream.readEnded)) this.complete(this.headers)
  }

  private complete(headers: HeaderList): void {
    if (this.expectedLength !== Infinity && this.bodyLength !== this.expectedLength) return this.failLength()
    if (this.trailers.length > 0) this.sink.trailers(this.trailers)
    this.end()
    this.resolve({
      version: this.version,
      status: Number(headerValue(headers, ':status')),
      headers,
      trailers: this.trailers,
      bodyLength: this.bodyLength,
      sha256: this.hash?.digest('hex'),
      pushed: this.pushed,
      firstByteMs: this.firstByteMs
    })
  }

  private get version(): string {
    return this.connection.session.connection.version.label
  }

  /** How long the body has to be, bytes; Infinity where nothing is announced, or what is means nothing. */
  private announcedLength(headers: HeaderList): number {
    const announced = headerValue(headers, 'content-length')
    const method = headerValue(this.request.headers, ':method')!
    const bodiless = hasNoContent(method, Number(headerValue(headers, ':status')))
    return announced === undefined || bodiless ? Infinity : Number(announced)
  }

  /** The reference resets a response that is longer than announced with this code (quic_spdy_client_stream.cc). */
  private failLength(): void {
    const words = `content-length is ${this.expectedLength}, but ${this.bodyLength} bytes came`
    this.fail(malformedResponse(words), QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD)
  }

  onReset(errorCode: number): void {
    this.fail(explainReset(errorCode, this.headers !== undefined))
  }

  onClose(): void {
    // With everything read the stream closes before a slow sink has taken the rest.
    if (this.endSeen || this.stream?.readEnded === true) return
    const error = this.connection.session.closeError
    if (error !== undefined) this.fail(explainConnectionError(error, this.connection.context))
    else this.fail(explainReset(0, this.headers !== undefined))
  }

  private abort(): void {
    this.fail(this.options.signal!.reason as RequestFailure)
  }

  private fail(failure: RequestFailure, errorCode?: number): void {
    if (this.done) return
    this.end(errorCode)
    this.reject(failure)
  }

  private end(errorCode: number = QuicRstStreamErrorCode.STREAM_CANCELLED): void {
    this.done = true
    this.claim?.cancel()
    this.options.signal?.removeEventListener('abort', this.onAbort)
    this.request.body?.destroy()
    const { stream } = this
    if (stream === undefined || stream.closed || (stream.writeEnded && stream.readEnded)) return
    stream.reset(errorCode)
  }
}
