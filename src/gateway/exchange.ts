/**
 * One request and its response: from the QUIC stream to an upstream and back. Knows streams only by what it needs of
 * them, so that it runs the same under tests.
 */
import { errorContent } from '../http/error-answer.js'
import { hasNoContent, latin1Fields, trailerFields } from '../http/fields.js'
import { clientAddress } from '../http/forwarded.js'
import { proxyStatus } from '../http/proxy-status.js'
import type { ProxyErrorType } from '../http/proxy-status.js'
import { readRequestHead } from '../http/request-head.js'
import type { RequestHead } from '../http/request-head.js'
import { QuicRstStreamErrorCode, quicRstErrorName } from '../quic/errors.js'
import { headerValue, headerValues } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { roundMs } from './access-log.js'
import type { Outcome } from './access-log.js'
import type { ClientStream, ConnectionFacts, ExchangeContext } from './exchange-context.js'
import { responseHeaders, upstreamRequest } from './messages.js'
import { mayBePushed, resourcesToPush } from './push.js'
import { RequestBody } from './request-body.js'
import type { RouteMatch } from './route-table.js'
import { UpstreamAttempt } from './upstream-attempt.js'
import type { AttemptListener, AttemptTimes } from './upstream-attempt.js'
import { failureOf, isBrokenConnection } from './upstream-failure.js'
import type { UpstreamPool } from './upstream-pool.js'

/** Methods that may be sent twice without harm when they have no content. */
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS'])
const noTimes: AttemptTimes = { queue: undefined, connect: undefined, firstByte: undefined }

/** Fed by the stream's callbacks. Writes one line to the access log when the stream closes. */
export class Exchange implements AttemptListener {
  private begun = false
  private head: RequestHead | undefined
  private match: RouteMatch | undefined
  private pools: readonly UpstreamPool[] = []
  private body: RequestBody | undefined
  private attempt: UpstreamAttempt | undefined
  private attempts = 0
  private status: number | undefined
  private outcome: Outcome | undefined
  private reason: string | undefined
  private responseEnded = false
  private bytesOut = 0
  private informational = 0
  private droppedTrailers = 0
  private stalledAt = 0
  private stalledMs = 0
  private readonly startedAt = performance.now()

  constructor(
    private readonly stream: ClientStream,
    private readonly connection: ConnectionFacts,
    private readonly context: ExchangeContext
  ) {}

  /** The request's header block; `ended` if the request has no content. */
  onHeaders(headers: HeaderList, ended: boolean): void {
    this.begun = true
    // A promised request says that it has no content in a field that real requests without content leave out.
    const fields = this.stream.pushed === true ? headers.filter(([name]) => name !== 'content-length') : headers
    const head = readRequestHead(fields, ended, this.context.underscores)
    if ('refused' in head) {
      this.answer(head.status, 'bad_request', 'http_request_error', head.refused, headerValue(headers, 'accept'))
      return
    }
    this.head = head
    this.match = this.context.routes.match(head)
    if (this.match === undefined) {
      const asked = `${head.method} ${head.host}${head.path}`
      const words = `no route takes ${asked.length > 200 ? `${asked.slice(0, 200)}…` : asked}`
      this.answer(404, 'no_route', 'destination_unavailable', words)
      return
    }
    const { route } = this.match
    if (!ended) this.body = new RequestBody(this.stream, head.contentLength, route.timeouts.idle)
    this.pools = this.context.upstreams.inTurn(route)
    this.tryUpstream(this.pools[0])
  }

  /** A header block that is no list of fields, at the beginning or as trailers. */
  onMalformedHeaders(reason: string): void {
    this.begun = true
    if (this.status !== undefined) {
      this.giveUp('bad_request', reason)
      this.stream.reset(QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD)
      return
    }
    this.attempt?.cancel()
    this.answer(400, 'bad_request', 'http_request_error', reason)
  }

  onDataAvailable(): void {
    this.body?.onReadable()
  }

  /** HTTP/1.1 request trailers cannot be sent with undici: they are counted and left out. */
  onTrailers(headers: HeaderList): void {
    this.droppedTrailers += headers.length
    this.body?.onReadable()
  }

  /** The client takes data again. */
  onWritable(): void {
    if (this.stalledAt === 0) return
    this.stalledMs += performance.now() - this.stalledAt
    this.stalledAt = 0
    this.attempt?.resume()
  }

  /** The client gave the whole exchange up. */
  onReset(errorCode: number): void {
    this.giveUp('client_reset', `the client reset the stream: ${quicRstErrorName(errorCode)}`)
  }

  /** The client wants no response: nothing is left that the upstream could do for it. */
  onStopSending(): void {
    if (this.responseEnded) return
    this.giveUp('client_reset', 'the client wants no more of the response')
    this.stream.stopReading()
    if (!this.stream.closed) this.stream.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
  }

  /** The stream is over, one way or another. */
  onClose(): void {
    if (!this.responseEnded && this.outcome === undefined) {
      if (!this.begun) this.giveUp('bad_request', 'no usable header block came')
      else if (this.connection.stopping()) this.giveUp('gateway_stopping', 'the gateway stopped before the end')
      else this.giveUp('client_gone', 'the connection ended before the response did')
    }
    this.body?.destroy()
    this.log()
  }

  onInformational(): void {
    this.informational++
  }

  onHead(status: number, raw: readonly Buffer[]): void {
    if (this.stream.pushed === true && !mayBePushed(status)) {
      this.giveUp('push_dropped', `a response with status ${status} may not be pushed`)
      this.stream.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
      return
    }
    this.status = status
    const ended = hasNoContent(this.head!.method, status)
    const headers = responseHeaders(status, raw, this.match!, this.context)
    if (this.stream.mayPush === true) this.pushWith(status, headers)
    this.stream.writeHeaders(headers, ended)
    if (ended) this.finishResponse()
  }

  /** Promises what goes with the response, before the client can learn from the response that it needs it. */
  private pushWith(status: number, headers: HeaderList): void {
    const head = this.head!
    const resources = resourcesToPush(head, status, headers, this.match!.route.push)
    if (resources.length === 0) return
    const original: HeaderList = [[':authority', head.authority], [':path', head.target], ...head.fields]
    for (const resource of resources) this.stream.push!(original, resource)
  }

  onData(bytes: Uint8Array): boolean {
    if (this.responseEnded) return true
    this.bytesOut += bytes.length
    const more = this.stream.write(bytes)
    if (!more && this.stalledAt === 0) this.stalledAt = performance.now()
    return more
  }

  onEnd(rawTrailers: readonly Buffer[]): void {
    if (this.responseEnded) return
    const fields = rawTrailers.length === 0 ? [] : trailerFields(latin1Fields(rawTrailers))
    if (fields.length > 0) this.stream.writeTrailers(fields)
    else this.stream.end()
    this.finishResponse()
  }

  onFailure(error: Error): void {
    const attempt = this.attempt!
    if (this.responseEnded) return
    const next = this.nextUpstream(attempt, error)
    if (next !== undefined) {
      this.tryUpstream(next)
      return
    }
    const failure = failureOf(error)
    if (failure.outcome === 'gateway_error') this.context.onInternalError(error)
    const reason = `${failure.words} (${(error as NodeJS.ErrnoException).code ?? error.message})`
    if (attempt.answered) {
      this.outcome = failure.outcome
      this.reason = reason
      this.body?.destroy()
      // The status is sent and cannot be taken back; a reset tells the client that the content is not whole.
      this.stream.reset(QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM)
      return
    }
    this.reason = reason
    this.answer(failure.status, failure.outcome, failure.error, failure.words, undefined, attempt.pool.authority)
  }

  /**
   * Where to try again: the next upstream while no connection was had and nothing of the content is used up; the same
   * one once if an old connection broke under a request that may be repeated.
   */
  private nextUpstream(attempt: UpstreamAttempt, error: Error): UpstreamPool | undefined {
    if (this.body?.started === true || this.body?.destroyed === true || attempt.answered) return undefined
    if (!attempt.sent) return this.pools[this.attempts]
    const once = this.attempts === 1 && this.body === undefined && repeatable.has(this.head!.method)
    return once && attempt.reused && isBrokenConnection(error) ? attempt.pool : undefined
  }

  private tryUpstream(pool: UpstreamPool): void {
    this.attempts++
    const request = upstreamRequest(this.head!, this.match!, pool, this.body, this.connection, this.context)
    this.attempt = new UpstreamAttempt(pool, request, this.match!.route.timeouts, this)
    this.attempt.start()
  }

  /** Answers in the gateway's own name. */
  private answer(
    status: number,
    outcome: Outcome,
    error: ProxyErrorType,
    words: string,
    accept = this.head === undefined ? undefined : headerValue(this.head.fields, 'accept'),
    nextHop?: string
  ): void {
    if (this.responseEnded || this.status !== undefined || this.stream.closed) return
    if (this.stream.pushed === true) {
      this.giveUp(outcome, words)
      this.stream.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
      return
    }
    this.status = status
    this.outcome = outcome
    this.reason ??= words
    const code = outcome === 'bad_request' || outcome === 'no_route' ? outcome : error
    const content = errorContent({ status, detail: `${this.context.name}: ${words}`, code }, accept)
    const headers: HeaderList = [[':status', String(status)], ...content.headers]
    headers.push(['proxy-status', proxyStatus({ name: this.context.name, error, details: words, nextHop })])
    const headOnly = this.head?.method === 'HEAD'
    this.stream.writeHeaders(headers, headOnly)
    if (!headOnly) {
      this.bytesOut = content.body.length
      this.stream.write(content.body, true)
    }
    this.finishResponse()
  }

  /** The response is written; what still comes of the request is of no use to anybody. */
  private finishResponse(): void {
    this.responseEnded = true
    this.outcome ??= 'ok'
    this.body?.destroy()
    if (!this.stream.readEnded) this.stream.stopReading()
  }

  private giveUp(outcome: Outcome, reason: string): void {
    // A client can reset a stream whose response it has not taken in full.
    if (this.outcome === undefined || this.outcome === 'ok') {
      this.outcome = outcome
      this.reason = reason
    }
    this.responseEnded = true
    this.attempt?.cancel()
    this.body?.destroy()
  }

  private log(): void {
    const { head, connection, attempt } = this
    const { peer } = connection
    const { trustedProxies } = this.context.forwarded
    const chain = head === undefined || !peer.trusted ? [] : headerValues(head.fields, 'x-forwarded-for')
    const behind = clientAddress(peer, chain, trustedProxies)
    const times = attempt?.times ?? noTimes
    this.context.accessLog.write({
      client: peer.label,
      forwardedFor: behind === peer.address ? undefined : behind,
      method: head?.method,
      host: head?.host,
      path: head?.path,
      route: this.match?.route.name,
      upstream: attempt?.pool.authority,
      status: this.status,
      pushed: this.stream.pushed || undefined,
      outcome: this.outcome!,
      reason: this.outcome === 'ok' ? undefined : this.reason,
      ms: {
        queue: optionalMs(times.queue),
        connect: optionalMs(times.connect),
        firstByte: optionalMs(times.firstByte),
        clientStall: this.stalledMs === 0 ? undefined : roundMs(this.stalledMs),
        total: roundMs(performance.now() - this.startedAt)
      },
      bytesIn: this.body?.received ?? 0,
      bytesOut: this.bytesOut,
      attempts: this.attempts,
      informational: this.informational || undefined,
      droppedTrailers: this.droppedTrailers || undefined,
      quic: connection.version,
      connection: connection.connectionId,
      channelId: connection.channelId(),
      stream: this.stream.id,
      rtt: roundMs(connection.rtt())
    })
  }
}

function optionalMs(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : roundMs(milliseconds)
}
