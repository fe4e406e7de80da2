/**
 * What a client knows of promised resources until somebody asks for them (quic_client_push_promise_index.cc,
 * quic_client_promised_info.cc): found by URL, matched with a request once the response's headers are there, given up
 * after a minute.
 */
import { QuicRstStreamErrorCode } from '../../errors.js'
import type { Micros } from '../../types.js'
import { headerValue, type HeaderList } from '../header-list.js'
import type { QuicSpdyStream } from '../spdy-stream.js'
import { hostOfUrl, requestUrl, varyMatches } from './promise-headers.js'

/** How long a promise waits to be claimed, µs (kPushPromiseTimeoutSecs). */
export const PROMISE_LIFETIME: Micros = 60_000_000

/** A promise of the server's, as the application is told of it. */
export interface PushPromise {
  /** The stream that the response comes on. */
  readonly streamId: number
  /** `scheme://authority/path`. */
  readonly url: string
  /** The request that the server answers. */
  readonly headers: HeaderList
}

/**
 * Decides a claim: with the stream that carries the response, whose callbacks follow, or with undefined: no promise can
 * answer the request, so it has to be sent.
 */
export type PushClaimResult<T extends QuicSpdyStream> = (stream: T | undefined) => void

/** A request that waits for a promised response. */
export class PushClaim {
  private open = true

  /** @param onCancel takes the promise back */
  constructor(private readonly onCancel: () => void) {}

  /** Whether the claim is neither decided nor cancelled. */
  get pending(): boolean {
    return this.open
  }

  /** Gives the claim and the promised response up; the result is not called any more. */
  cancel(): void {
    if (!this.open) return
    this.open = false
    this.onCancel()
  }

  /** Called by the index: the claim is decided. @returns whether anybody still wants to know */
  settle(): boolean {
    const wanted = this.open
    this.open = false
    return wanted
  }
}

/** What the index needs of its session. */
export interface PromiseHost {
  readonly now: Micros
  /** How many promises may wait at a time. */
  readonly maxPromises: number
  /** Whether the server may speak for that host. */
  isAuthorized(host: string): boolean
  /** Ends a promised stream, open or not. */
  resetPromised(streamId: number, errorCode: number): void
  /** The promised stream, if it is open. */
  promisedStream(streamId: number): QuicSpdyStream | undefined
  /** A claim was decided: `PromiseIndex.deliver` has something to do. */
  onClaimSettled(): void
}

interface Waiting {
  readonly claim: PushClaim
  readonly request: HeaderList
  readonly onResult: PushClaimResult<QuicSpdyStream>
}

interface Promised extends PushPromise {
  readonly expires: Micros
  response: HeaderList | undefined
  waiting: Waiting | undefined
}

interface Settled {
  readonly waiting: Waiting
  readonly stream: QuicSpdyStream | undefined
}

/** The promises of one connection. */
export class PromiseIndex {
  /** In the order in which they expire. */
  private readonly byId = new Map<number, Promised>()
  private readonly byUrl = new Map<string, Promised>()
  private readonly settled: Settled[] = []
  /** When the oldest promise is given up, µs; Infinity without one. */
  nextExpiry: Micros = Infinity

  constructor(private readonly host: PromiseHost) {}

  /** Promises that wait, claimed or not. */
  get size(): number {
    return this.byId.size
  }

  has(streamId: number): boolean {
    return this.byId.has(streamId)
  }

  /** Takes a promise in; one that cannot be accepted is reset. @returns it if it was accepted */
  add(streamId: number, headers: HeaderList): PushPromise | undefined {
    const { host } = this
    const url = requestUrl(headers)
    const errorCode = this.refusal(url, headers)
    if (errorCode !== undefined) {
      host.resetPromised(streamId, errorCode)
      return undefined
    }
    const expires = host.now + PROMISE_LIFETIME
    const promised: Promised = { streamId, url, headers, expires, response: undefined, waiting: undefined }
    this.byId.set(streamId, promised)
    this.byUrl.set(url, promised)
    this.nextExpiry = Math.min(this.nextExpiry, expires)
    return promised
  }

  private refusal(url: string, headers: HeaderList): number | undefined {
    if (this.byId.size >= this.host.maxPromises) return QuicRstStreamErrorCode.REFUSED_STREAM
    if (this.byUrl.has(url)) return QuicRstStreamErrorCode.DUPLICATE_PROMISE_URL
    const method = headerValue(headers, ':method')
    // Only requests that change nothing can be made on somebody's behalf (RFC 7540 §8.2).
    if (method !== 'GET' && method !== 'HEAD') return QuicRstStreamErrorCode.INVALID_PROMISE_METHOD
    const hostName = hostOfUrl(url)
    if (hostName === undefined) return QuicRstStreamErrorCode.INVALID_PROMISE_URL
    return this.host.isAuthorized(hostName) ? undefined : QuicRstStreamErrorCode.UNAUTHORIZED_PROMISE_URL
  }

  /** The headers of a promised response arrived. */
  onResponse(streamId: number, headers: HeaderList): void {
    const promised = this.byId.get(streamId)
    if (promised === undefined || promised.response !== undefined) return
    promised.response = headers
    this.match(promised)
  }

  /** The promised stream is gone: reset by the server, or refused here. */
  onStreamGone(streamId: number): void {
    const promised = this.byId.get(streamId)
    if (promised !== undefined) this.decide(promised, undefined)
  }

  /**
   * Claims the promise with the request's URL and method for the request.
   * @returns undefined if there is none that is still free; else `onResult` is called from {@link deliver}
   */
  claim<T extends QuicSpdyStream>(request: HeaderList, onResult: PushClaimResult<T>): PushClaim | undefined {
    const promised = this.byUrl.get(requestUrl(request))
    if (promised === undefined || promised.waiting !== undefined) return undefined
    if (headerValue(promised.headers, ':method') !== headerValue(request, ':method')) return undefined
    const claim = new PushClaim(() => this.giveUp(promised, QuicRstStreamErrorCode.STREAM_CANCELLED))
    promised.waiting = { claim, request, onResult: onResult as PushClaimResult<QuicSpdyStream> }
    this.match(promised)
    return claim
  }

  private match(promised: Promised): void {
    const { waiting, response, streamId } = promised
    if (waiting === undefined || response === undefined) return
    if (varyMatches(response, promised.headers, waiting.request)) {
      this.decide(promised, this.host.promisedStream(streamId))
    } else {
      this.giveUp(promised, QuicRstStreamErrorCode.PROMISE_VARY_MISMATCH)
    }
  }

  /** Resets promises that have waited too long; the claims of those are decided with nothing. */
  expire(now: Micros): void {
    for (const promised of this.byId.values()) {
      if (promised.expires > now) break
      this.giveUp(promised, QuicRstStreamErrorCode.PUSH_STREAM_TIMED_OUT)
    }
  }

  /** Resets the oldest promise that nobody has claimed. @returns whether there was one */
  dropOldest(): boolean {
    for (const promised of this.byId.values()) {
      if (promised.waiting !== undefined) continue
      this.giveUp(promised, QuicRstStreamErrorCode.STREAM_CANCELLED)
      return true
    }
    return false
  }

  /** Forgets every promise: the connection is closed. Claims are decided with nothing. */
  clear(): void {
    for (const promised of this.byId.values()) this.decide(promised, undefined)
  }

  /** Tells those who claimed what came of it. What their callbacks throw passes through; the others keep their turn. */
  deliver(): void {
    for (let next = this.settled.shift(); next !== undefined; next = this.settled.shift()) {
      const { waiting, stream } = next
      if (waiting.claim.settle()) {
        if (this.settled.length > 0) this.host.onClaimSettled()
        this.tell(waiting, stream)
      } else {
        stream?.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
      }
    }
  }

  private tell(waiting: Waiting, stream: QuicSpdyStream | undefined): void {
    try {
      waiting.onResult(stream)
    } catch (error) {
      stream?.reset(QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM)
      throw error
    }
    stream?.release()
  }

  private giveUp(promised: Promised, errorCode: number): void {
    if (this.byId.get(promised.streamId) !== promised) return
    this.decide(promised, undefined)
    this.host.resetPromised(promised.streamId, errorCode)
  }

  private decide(promised: Promised, stream: QuicSpdyStream | undefined): void {
    this.byId.delete(promised.streamId)
    this.byUrl.delete(promised.url)
    this.nextExpiry = Infinity
    for (const { expires } of this.byId.values()) {
      this.nextExpiry = expires
      break
    }
    if (promised.waiting?.claim.pending !== true) return
    this.settled.push({ waiting: promised.waiting, stream })
    this.host.onClaimSettled()
  }
}
