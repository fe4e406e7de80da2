/** One try of one request at one upstream. */
import type { Dispatcher } from 'undici'
import type { Timeouts } from '../config/upstream-schema.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import type { RequestBody } from './request-body.js'
import { failureOf, NoPlaceError } from './upstream-failure.js'
import type { ConnectionWaiter, MeteredClient, UpstreamPool } from './upstream-pool.js'

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
  /** @param raw names and values in turn, each octet one character of latin1 */
  onHead(status: number, raw: readonly Buffer[]): void
  /** @returns whether more can be taken now; after false, {@link UpstreamAttempt.resume} asks for more */
  onData(bytes: Uint8Array): boolean
  /** @param rawTrailers as for {@link onHead} */
  onEnd(rawTrailers: readonly Buffer[]): void
  onFailure(error: Error): void
}

/** Phases in milliseconds; undefined for those not reached. */
export interface AttemptTimes {
  queue: number | undefined
  connect: number | undefined
  firstByte: number | undefined
}

const cancelledError = new Error('cancelled')

/**
 * Waits for a connection, sends the request, hands on the response at the pace of the listener. undici calls it by the
 * methods of its version 6: for those of version 7 it would collect all fields in an object first, which nobody here reads.
 */
export class UpstreamAttempt implements Dispatcher.DispatchHandler, ConnectionWaiter {
  readonly times: AttemptTimes = { queue: undefined, connect: undefined, firstByte: undefined }
  /** Whether the request was handed to an open connection: from then on the upstream may have seen it. */
  sent = false
  /** Whether that connection had served other requests before. */
  reused = false
  /** Whether the head of the response arrived. */
  answered = false
  // Of the pool's waiting line.
  waits = false
  lineBefore: ConnectionWaiter | undefined
  lineAfter: ConnectionWaiter | undefined
  private abortRequest: ((error: Error) => void) | undefined
  private resumeResponse: (() => void) | undefined
  /** From when it is this attempt's until it is given back. */
  private client: MeteredClient | undefined
  private queueTimer: NodeJS.Timeout | undefined
  private readonly startedAt = performance.now()
  private assignedAt = 0
  private sentAt = 0
  private over = false
  /** Whether the listener ever took no more, so that reading stopped. */
  private heldUp = false

  constructor(
    readonly pool: UpstreamPool,
    private readonly request: UpstreamRequest,
    private readonly timeouts: Timeouts,
    private readonly listener: AttemptListener
  ) {}

  /** Begins. The listener may be called before this returns. */
  start(): void {
    this.pool.attempts++
    const answer = this.pool.take(this)
    if (answer === 'given') return
    if (answer === 'refused') this.fail(new NoPlaceError('TOO_MANY_WAITING'))
    else this.queueTimer = setTimeout(() => this.fail(new NoPlaceError('QUEUE_TIMEOUT')), this.timeouts.queue)
  }

  /** Ends the exchange with the upstream; the listener hears nothing more. */
  cancel(): void {
    if (this.over) return
    this.over = true
    this.stopWaiting()
    this.abortRequest?.(cancelledError)
    this.request.body?.destroy()
  }

  /** The listener can take data again. */
  resume(): void {
    this.resumeResponse?.()
  }

  onConnection(client: MeteredClient): void {
    this.stopWaiting()
    this.client = client
    const { method, target, host, fields, contentLength, body } = this.request
    const headers: string[] = ['host', host]
    for (let i = 0; i < fields.length; i++) headers.push(fields[i][0], fields[i][1])
    if (contentLength !== undefined) headers.push('content-length', String(contentLength))
    this.assignedAt = performance.now()
    this.times.queue = this.assignedAt - this.startedAt
    const options: Dispatcher.DispatchOptions & { servername: string } = {
      method,
      path: target,
      headers,
      body: body ?? null,
      headersTimeout: this.timeouts.firstByte,
      bodyTimeout: this.timeouts.idle,
      servername: this.pool.servername
    }
    client.dispatch(options, this)
  }

  onConnect(abort: (error?: Error) => void): void {
    // Aborting would destroy the connection; an error here only takes the request off it.
    if (this.over) throw cancelledError
    this.abortRequest = abort
    this.sent = true
    this.sentAt = performance.now()
    const client = this.client!
    this.reused = client.requests++ > 0
    if (client.connectedAt > this.assignedAt) {
      this.times.connect = client.connectedAt - Math.max(this.assignedAt, client.connectStartedAt)
    }
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    if (this.over) return true
    if (status < 200) {
      this.listener.onInformational(status)
      return true
    }
    this.answered = true
    this.resumeResponse = resume
    this.times.firstByte = performance.now() - this.sentAt
    this.listener.onHead(status, raw)
    return true
  }

  onData(chunk: Buffer): boolean {
    const more = this.over || this.listener.onData(chunk)
    if (!more) this.heldUp = true
    return more
  }

  /** @param trailers octets, whatever undici's types say */
  onComplete(trailers: unknown): void {
    this.giveBack()
    if (this.over) return
    this.over = true
    this.listener.onEnd(trailers as readonly Buffer[])
  }

  /**
   * Not dealt with at once: undici tells one request after the other that its connection failed, and asserts that none is
   * left. Whoever hears of it may have something to send on the very same connection, or lets somebody else have it.
   */
  onError(error: Error): void {
    queueMicrotask(() => this.fail(error))
  }

  private fail(error: Error): void {
    this.giveBack()
    this.stopWaiting()
    if (this.over) return
    this.over = true
    this.pool.countFailure(failureOf(error).outcome)
    this.listener.onFailure(error)
  }

  private stopWaiting(): void {
    if (this.queueTimer === undefined) return
    clearTimeout(this.queueTimer)
    this.queueTimer = undefined
    this.pool.leave(this)
  }

  private giveBack(): void {
    const { client } = this
    if (client === undefined) return
    this.client = undefined
    if (!this.heldUp) this.pool.release(client)
    // Nothing was read meanwhile: the end of the connection, or what nobody asked for, may wait behind the response. Between
    // the two the loop polls, so that undici hears of it before the next request is written.
    else setImmediate(() => setImmediate(() => this.pool.release(client)))
  }
}
