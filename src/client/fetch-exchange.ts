/**
 * One request of a fetching client: writes the request, hands out the response, and ends as a promise.
 */
import { createHash } from 'node:crypto'
import type { Hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { hasNoContent } from '../http/fields.js'
import { QuicRstStreamErrorCode } from '../quic/errors.js'
import { headerValue } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { explainConnectionError, explainReset, malformedResponse, RequestFailure } from './failure.js'
import type { OriginConnection } from './origin-connections.js'
import { openRequestStream } from './request-stream.js'
import type { RequestStream, RequestStreamHandler } from './request-stream.js'

/** Where a response goes. Methods are called in this order; `write` only after `headers`. */
export interface ResponseSink {
  headers(headers: HeaderList, version: string): void
  /** Takes a piece of the body; false asks to wait until the callback given to {@link onReady} is called. */
  write(piece: Uint8Array): boolean
  /** Whether `write` may be called now. */
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
  /** From the request's first byte to the response's headers, ms. */
  readonly firstByteMs: number
}

/** Runs one exchange on a connection where a stream may be opened now. Rejects with a RequestFailure. */
export function exchange(
  connection: OriginConnection,
  request: FetchRequest,
  sink: ResponseSink,
  options: { sha256: boolean; signal?: AbortSignal }
): Promise<FetchResponse> {
  return new Promise((resolve, reject) => new FetchExchange(connection, request, sink, options, resolve, reject))
}

class FetchExchange implements RequestStreamHandler {
  private readonly stream: RequestStream
  private readonly startedAt = performance.now()
  private readonly hash: Hash | undefined
  private headers: HeaderList | undefined
  private trailers: HeaderList = []
  private firstByteMs = 0
  private bodyLength = 0
  private endSeen = false
  private done = false
  private readonly onAbort = (): void => this.abort()

  constructor(
    private readonly connection: OriginConnection,
    private readonly request: FetchRequest,
    private readonly sink: ResponseSink,
    private readonly options: { sha256: boolean; signal?: AbortSignal },
    private readonly resolve: (response: FetchResponse) => void,
    private readonly reject: (failure: RequestFailure) => void
  ) {
    this.hash = options.sha256 ? createHash('sha256') : undefined
    this.stream = openRequestStream(connection.session, this)
    this.stream.writeHeaders(request.headers, request.body === undefined)
    options.signal?.addEventListener('abort', this.onAbort)
    sink.onReady(() => this.pump())
    if (request.body !== undefined) this.upload(request.body)
  }

  private upload(body: Readable): void {
    body.on('data', (piece: Uint8Array) => {
      if (this.stream.writeEnded || this.stream.closed) body.destroy()
      else if (!this.stream.write(piece)) body.pause()
    })
    body.on('end', () => {
      if (!this.stream.writeEnded && !this.stream.closed) this.stream.end()
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
      this.fail(malformedResponse(`":status" is ${headerValue(headers, ':status') ?? 'missing'}`))
      return
    }
    this.headers = headers
    this.firstByteMs = performance.now() - this.startedAt
    this.sink.headers(headers, this.stream.session.connection.version.label)
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
    while (this.sink.ready) {
      const piece = this.stream.read()
      if (piece === undefined) break
      this.bodyLength += piece.length
      this.hash?.update(piece)
      this.sink.write(piece)
    }
    if (this.sink.ready && (this.endSeen || this.stream.readEnded)) this.complete(this.headers)
  }

  private complete(headers: HeaderList): void {
    const promised = headerValue(headers, 'content-length')
    const method = headerValue(this.request.headers, ':method')!
    const bodiless = hasNoContent(method, Number(headerValue(headers, ':status')))
    if (promised !== undefined && !bodiless && Number(promised) !== this.bodyLength) {
      this.fail(malformedResponse(`content-length is ${promised}, but ${this.bodyLength} bytes came`))
      return
    }
    if (this.trailers.length > 0) this.sink.trailers(this.trailers)
    this.end()
    this.resolve({
      version: this.stream.session.connection.version.label,
      status: Number(headerValue(headers, ':status')),
      headers,
      trailers: this.trailers,
      bodyLength: this.bodyLength,
      sha256: this.hash?.digest('hex'),
      firstByteMs: this.firstByteMs
    })
  }

  onReset(errorCode: number): void {
    this.fail(explainReset(errorCode, this.headers !== undefined))
  }

  onClose(): void {
    const error = this.stream.session.closeError
    if (error !== undefined) this.fail(explainConnectionError(error, this.connection.context))
    else if (!this.done && !this.stream.readEnded) this.fail(explainReset(0, this.headers !== undefined))
  }

  private abort(): void {
    this.fail(this.options.signal!.reason as RequestFailure)
  }

  private fail(failure: RequestFailure): void {
    if (this.done) return
    this.end()
    this.reject(failure)
  }

  private end(): void {
    this.done = true
    this.options.signal?.removeEventListener('abort', this.onAbort)
    this.request.body?.destroy()
    const { stream } = this
    const complete = stream.writeEnded && stream.readEnded
    if (!stream.closed && !complete) stream.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
  }
}
