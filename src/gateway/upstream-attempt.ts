/** One try of one request at one upstream. */
import type { Dispatcher } from 'undici'
import type { Timeouts } from '../config/upstream-schema.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import type { RequestBody } from './request-body.js'
import { NoPlaceError } from './upstream-failure.js'
import type { MeteredClient, MeteredDispatch, PlaceWaiter, UpstreamPool } from './upstream-pool.js'

/** A request in the upstream's terms. */
export interface UpstreamRequest {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly host: string
  /** Regular fields without `host` and `content-length`. */
  readonly fields: HeaderList
  readonly contentLength: number | undefined
  /** Undefined if the request has no content. */
  readonly body: RequestBody | undefined
}

/** What an attempt tells. After {@link UpstreamAttempt.cancel}, `onEnd` or `onFailure`, nothing more. */
export interface AttemptListener {
  onInformational(status: number): void
  /** @param raw names and values in turn */
  onHead(status: number, raw: string[]): void
  /** @returns whether more can be taken now; after false, {@link UpstreamAttempt.resume} asks for more */
  onData(bytes: Uint8Array): boolean
  /** @param rawTrailers names and values in turn */
  onEnd(rawTrailers: string[]): void
  onFailure(error: Error): void
}

/** Phases in milliseconds; undefined for those not reached. */
export interface AttemptTimes {
  queue: number | undefined
  connect: number | undefined
  firstByte: number | undefined
}

const cancelledError = new Error('cancelled')

/** Waits for a place, sends the request, hands on the response at the pace of the listener. */
export class UpstreamAttempt implements Dispatcher.DispatchHandler, PlaceWaiter {
  readonly times: AttemptTimes = { queue: undefined, connect: undefined, firstByte: undefined }
  /** Whether the request was handed to an open connection: from then on the upstream may have seen it. */
  sent = false
  /** Whether that connection had served other requests before. */
  reused = false
  /** Whether the head of the response arrived. */
  answered = false
  private controller: Dispatcher.DispatchController | undefined
  private client: MeteredClient | undefined
  private queueTimer: NodeJS.Timeout | undefined
  private readonly startedAt = performance.now()
  private assignedAt = 0
  private sentAt = 0
  private over = false
  private hasPlace = false

  constructor(
    readonly pool: UpstreamPool,
    private readonly request: UpstreamRequest,
    private readonly timeouts: Timeouts,
    private readonly listener: AttemptListener
  ) {}

  /** Begins. The listener may be called before this returns. */
  start(): void {
    const place = this.pool.take(this)
    if (place === 'taken') this.onPlace()
    else if (place === 'refused') this.fail(new NoPlaceError('TOO_MANY_WAITING'))
    else this.queueTimer = setTimeout(() => this.fail(new NoPlaceError('QUEUE_TIMEOUT')), this.timeouts.queue)
  }

  /** Ends the exchange with the upstream; the listener hears nothing more. */
  cancel(): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.queueTimer)
    this.pool.leave(this)
    this.controller?.abort(cancelledError)
    this.request.body?.destroy()
  }

  /** The listener can take data again. */
  resume(): void {
    this.controller?.resume()
  }

  onPlace(): void {
    clearTimeout(this.queueTimer)
    this.hasPlace = true
    const { method, target, host, fields, contentLength, body } = this.request
    const headers: string[] = ['host', host]
    for (const [name, value] of fields) headers.push(name, value)
    if (contentLength !== undefined) headers.push('content-length', String(contentLength))
    const options: MeteredDispatch = {
      method,
      path: target,
      headers,
      body: body ?? null,
      headersTimeout: this.timeouts.firstByte,
      bodyTimeout: this.timeouts.idle,
      servername: this.pool.servername,
      onClient: (client) => this.onClient(client)
    }
    this.times.queue = performance.now() - this.startedAt
    this.pool.dispatch(options, this)
  }

  private onClient(client: MeteredClient): void {
    this.assignedAt = performance.now()
    this.client = client
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Aborting would destroy the connection; an error here only takes the request off it.
    if (this.over) throw cancelledError
    this.controller = controller
    this.sent = true
    this.sentAt = performance.now()
    const client = this.client!
    this.reused = client.requests++ > 0
    if (client.connectedAt > this.assignedAt) {
      this.times.connect = client.connectedAt - Math.max(this.assignedAt, client.connectStartedAt)
    }
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.over) return
    if (status < 200) {
      this.listener.onInformational(status)
      return
    }
    this.answered = true
    this.times.firstByte = performance.now() - this.sentAt
    this.listener.onHead(status, texts(controller.rawHeaders))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.over && !this.listener.onData(chunk)) controller.pause()
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.releasePlace()
    if (this.over) return
    this.over = true
    this.listener.onEnd(texts(controller.rawTrailers))
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error)
  }

  private fail(error: Error): void {
    this.releasePlace()
    this.pool.leave(this)
    if (this.over) return
    this.over = true
    this.listener.onFailure(error)
  }

  private releasePlace(): void {
    if (!this.hasPlace) return
    this.hasPlace = false
    this.pool.release()
  }
}

/** Header octets as latin1 text, which keeps each of them. */
function texts(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  if (!Array.isArray(raw)) return []
  return raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}
