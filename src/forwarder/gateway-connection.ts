/**
 * The one QUIC connection to the gateway that all local requests share: made at the start and on demand, made anew with
 * jittered exponential backoff when it dies, replaced when the gateway says GOAWAY.
 */
import { explainConnectionError, explainDialError, RequestFailure } from '../client/failure.js'
import type { FailureContext } from '../client/failure.js'

/** What this class needs of a client session. */
export interface PooledSession {
  readonly connection: { readonly connected: boolean }
  readonly goAwayReceived: boolean
  readonly canOpenStream: boolean
  readonly openStreamCount: number
}

interface CloseReason {
  readonly code: string
  readonly message: string
}

/** An established connection, as {@link GatewayConnectionOptions.dial} gives it. */
export interface DialledConnection<S> {
  readonly session: S
  readonly closed: Promise<{ error: CloseReason; fromPeer: boolean }>
  close(): Promise<void>
}

/** One who wants a stream. One of the methods is called, once, unless {@link GatewayConnection.cancel} comes first. */
export interface StreamRequest<S> {
  /** A stream may be opened now, and only during this call. */
  onSession(session: S): void
  onUnavailable(failure: RequestFailure): void
}

/** What happened to the connection, for logs. Repeated failures of one kind are told once. */
export type GatewayConnectionEvent<S> =
  | { type: 'connected'; session: S; attempts: number }
  | { type: 'unreachable'; failure: RequestFailure }
  | { type: 'lost'; failure: RequestFailure; idle: boolean }
  | { type: 'draining'; openStreams: number }

export interface GatewayConnectionOptions<S> {
  /** Makes one connection, or rejects with a QuicError or a system error. */
  dial(signal: AbortSignal): Promise<DialledConnection<S>>
  readonly context: FailureContext
  /** How long a request waits for a connection or a free stream, ms. */
  readonly waitMs: number
  /** How many requests may wait at a time. */
  readonly maxWaiting: number
  /** First and longest pause between attempts, ms. */
  readonly backoffMs: readonly [first: number, longest: number]
  readonly onEvent?: (event: GatewayConnectionEvent<S>) => void
}

/** While somebody waits, attempts follow each other after this many milliseconds at most. */
const IMPATIENT_MS = 1_000
/** A connection that lived this long, ms, was a good one: the next pause is the shortest again. */
const STABLE_MS = 5_000

/** See the file comment. Not started until {@link start} or the first {@link request}. */
export class GatewayConnection<S extends PooledSession> {
  private current: DialledConnection<S> | undefined
  private readonly draining = new Set<DialledConnection<S>>()
  /** Who waits, in order of arrival, and until when (ms of performance.now). */
  private readonly waiting = new Map<StreamRequest<S>, number>()
  private deadlineTimer: NodeJS.Timeout | undefined
  private retryTimer: NodeJS.Timeout | undefined
  private retryAt = Infinity
  private attempt: AbortController | undefined
  private failures = 0
  private lastFailure: RequestFailure | undefined
  private closed = false

  constructor(private readonly options: GatewayConnectionOptions<S>) {}

  /** Whether requests can be sent now without waiting for a connection. */
  get connected(): boolean {
    return this.current !== undefined && isUsable(this.current.session)
  }

  /** Why the last attempt failed; undefined while connected or before any attempt. */
  get failure(): RequestFailure | undefined {
    return this.lastFailure
  }

  /** How many requests wait for a connection or a free stream. */
  get waitingCount(): number {
    return this.waiting.size
  }

  /** Connects now, without a request. */
  start(): void {
    this.ensureConnection()
  }

  /**
   * Asks for a stream: answered at once if one can be opened, else when the connection is there or has room, else with
   * a failure after `waitMs`. A permanent failure of an attempt is told to everybody who waits.
   */
  request(who: StreamRequest<S>): void {
    if (this.closed) {
      who.onUnavailable(shuttingDown())
      return
    }
    const session = this.usableSession()
    if (session !== undefined && this.waiting.size === 0 && session.canOpenStream) {
      who.onSession(session)
      return
    }
    if (this.waiting.size >= this.options.maxWaiting) {
      who.onUnavailable(this.tooMany(`${this.waiting.size} requests wait already`))
      return
    }
    this.waiting.set(who, performance.now() + this.options.waitMs)
    this.armDeadline()
    this.ensureConnection()
  }

  /** Takes a request back that was not answered yet. */
  cancel(who: StreamRequest<S>): void {
    this.waiting.delete(who)
  }

  /** A stream of this session closed, or its limit rose: lets waiting requests in, and drained connections go. */
  release(session: S): void {
    for (const old of this.draining) {
      if (old.session === session && session.openStreamCount === 0) this.discard(old)
    }
    if (this.current?.session === session) this.admit()
  }

  /** The gateway said GOAWAY on this session: its streams may end, new ones go to a new connection. */
  goAway(session: S): void {
    const old = this.current
    if (old === undefined || old.session !== session) return
    this.current = undefined
    this.draining.add(old)
    this.options.onEvent?.({ type: 'draining', openStreams: session.openStreamCount })
    if (session.openStreamCount === 0) this.discard(old)
    if (this.waiting.size > 0) this.ensureConnection()
  }

  /** Fails whoever waits and closes every connection. */
  async close(): Promise<void> {
    this.closed = true
    clearTimeout(this.retryTimer)
    clearTimeout(this.deadlineTimer)
    this.attempt?.abort()
    this.failWaiting(shuttingDown())
    const all = [...this.draining]
    if (this.current !== undefined) all.push(this.current)
    this.current = undefined
    this.draining.clear()
    await Promise.all(all.map((connection) => connection.close()))
  }

  private usableSession(): S | undefined {
    if (this.current === undefined) return undefined
    return isUsable(this.current.session) ? this.current.session : undefined
  }

  /** Opens streams for those who wait, oldest first, while the session allows. */
  private admit(): void {
    const session = this.usableSession()
    if (session === undefined) return
    for (const who of this.waiting.keys()) {
      if (!session.canOpenStream || !isUsable(session)) return
      this.waiting.delete(who)
      who.onSession(session)
    }
  }

  private ensureConnection(): void {
    if (this.closed || this.attempt !== undefined) return
    if (this.current !== undefined) {
      // A session that is dead or going away without its event having come yet: the event will not find it here.
      if (isUsable(this.current.session)) return
      this.draining.add(this.current)
      this.current = undefined
    }
    if (this.retryTimer === undefined) void this.connect()
    else if (this.waiting.size > 0) this.scheduleRetry(Math.min(this.retryAt - performance.now(), IMPATIENT_MS))
  }

  private scheduleRetry(delayMs: number): void {
    const at = performance.now() + Math.max(delayMs, 0)
    if (this.retryTimer !== undefined && at >= this.retryAt) return
    clearTimeout(this.retryTimer)
    this.retryAt = at
    this.retryTimer = setTimeout(() => {
      this.retryTimer = undefined
      this.retryAt = Infinity
      this.ensureConnection()
    }, Math.max(delayMs, 0))
  }

  private async connect(): Promise<void> {
    const attempt = new AbortController()
    this.attempt = attempt
    const startedAt = performance.now()
    try {
      const connection = await this.options.dial(attempt.signal)
      this.attempt = undefined
      if (this.closed) await connection.close()
      else this.adopt(connection)
    } catch (error) {
      this.attempt = undefined
      if (!this.closed) this.attemptFailed(explainDialError(error, this.options.context, performance.now() - startedAt))
    }
  }

  private adopt(connection: DialledConnection<S>): void {
    const since = performance.now()
    this.current = connection
    this.options.onEvent?.({ type: 'connected', session: connection.session, attempts: this.failures + 1 })
    this.lastFailure = undefined
    void connection.closed.then(({ error, fromPeer }) => {
      if (performance.now() - since >= STABLE_MS) this.failures = 0
      this.connectionClosed(connection, error, fromPeer)
    })
    this.admit()
  }

  private attemptFailed(failure: RequestFailure): void {
    const known = this.lastFailure?.message === failure.message
    this.lastFailure = failure
    if (!known) this.options.onEvent?.({ type: 'unreachable', failure })
    if (failure.permanent) this.failWaiting(failure)
    this.retryLater()
  }

  private retryLater(): void {
    const [first, longest] = this.options.backoffMs
    const full = Math.min(longest, first * 2 ** Math.min(this.failures++, 20))
    const delay = full * (0.5 + Math.random() / 2)
    this.scheduleRetry(this.waiting.size > 0 ? Math.min(delay, IMPATIENT_MS) : delay)
  }

  private connectionClosed(connection: DialledConnection<S>, error: CloseReason, fromPeer: boolean): void {
    const wasDraining = this.draining.delete(connection)
    if (this.closed || (!wasDraining && this.current !== connection)) return
    if (!wasDraining) this.current = undefined
    if (wasDraining && connection.session.goAwayReceived) return
    // Nobody used it: the next request finds the way again, and an unused gateway is left in peace.
    const idle = error.code === 'QUIC_NETWORK_IDLE_TIMEOUT' && !fromPeer && this.waiting.size === 0
    this.options.onEvent?.({ type: 'lost', failure: explainConnectionError(error, this.options.context), idle })
    if (!wasDraining && !idle) this.retryLater()
  }

  private discard(connection: DialledConnection<S>): void {
    this.draining.delete(connection)
    void connection.close()
  }

  private failWaiting(failure: RequestFailure): void {
    const all = [...this.waiting.keys()]
    this.waiting.clear()
    for (const who of all) who.onUnavailable(failure)
  }

  /** All wait equally long, so the first in line is the first to give up. */
  private armDeadline(): void {
    if (this.deadlineTimer !== undefined || this.waiting.size === 0) return
    const [first] = this.waiting.values()
    this.deadlineTimer = setTimeout(() => this.expire(), Math.max(first! - performance.now(), 0))
  }

  private expire(): void {
    this.deadlineTimer = undefined
    const now = performance.now() + 1
    for (const [who, deadline] of this.waiting) {
      if (deadline > now) break
      this.waiting.delete(who)
      who.onUnavailable(this.expiredFailure())
    }
    this.armDeadline()
  }

  private expiredFailure(): RequestFailure {
    if (this.connected) return this.tooMany('every stream that it allows is busy')
    if (this.lastFailure !== undefined) return this.lastFailure
    const { context, waitMs } = this.options
    return explainConnectionError({ code: 'QUIC_HANDSHAKE_TIMEOUT' }, { ...context, timeoutMs: waitMs })
  }

  private tooMany(what: string): RequestFailure {
    return new RequestFailure({
      type: 'connection_limit_reached',
      status: 503,
      cause: `no room for another request to ${this.options.context.target}, ${what}`,
      remedy: 'try again later, or raise the stream limit of the gateway'
    })
  }
}

function isUsable(session: PooledSession): boolean {
  return session.connection.connected && !session.goAwayReceived
}

function shuttingDown(): RequestFailure {
  return new RequestFailure({
    type: 'proxy_internal_error',
    status: 503,
    cause: 'the forwarder is shutting down',
    remedy: 'start it again'
  })
}
