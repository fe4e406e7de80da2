/**
 * The clocks that decide whether a connection still lives: handshake deadline, idle timeout, keep-alive PING
 * (quic_connection.cc, SetNetworkTimeouts and ping alarm; quic_protocol.h for the constants).
 */
import { Perspective, type Micros } from '../types.js'

const SECOND = 1_000_000

/** Handshake must be done this long after the connection was made, µs. */
export const HANDSHAKE_TIMEOUT: Micros = 10 * SECOND
/** Idle timeout until the hellos are exchanged, µs. */
export const INITIAL_IDLE_TIMEOUT: Micros = 5 * SECOND
/** A client with open streams sends a PING after this much silence, µs. */
export const PING_INTERVAL: Micros = 15 * SECOND

/** With nothing under way, a connection is at rest after this much silence, µs. */
export const REST_AFTER: Micros = SECOND

// The server waits a little longer and the client a little less, so that it is the client that gives up first.
const CLIENT_HEAD_START = SECOND
const SERVER_GRACE = 3 * SECOND

/** Why a connection is no longer alive. */
export type LivenessFailure = 'handshake' | 'idle'

/** Deadlines of one connection; all times in µs of the driver's clock. */
export class Liveness {
  private readonly createdAt: Micros
  private handshakeDeadline: Micros
  private idleTimeout: Micros
  private lastActivity: Micros
  private sentSinceReceipt = false
  private resting = false

  constructor(
    private readonly perspective: Perspective,
    now: Micros,
    handshakeTimeout: Micros = HANDSHAKE_TIMEOUT
  ) {
    this.createdAt = now
    this.lastActivity = now
    this.handshakeDeadline = now + handshakeTimeout
    this.idleTimeout = this.adjust(INITIAL_IDLE_TIMEOUT)
  }

  /** Microseconds since the connection was made. */
  age(now: Micros): Micros {
    return now - this.createdAt
  }

  onPacketReceived(now: Micros): void {
    this.lastActivity = now
    this.sentSinceReceipt = false
    this.resting = false
  }

  /** Only the first ack-eliciting packet after a receipt counts: a peer that is gone must not be kept by our sending. */
  onAckElicitingSent(now: Micros): void {
    if (this.sentSinceReceipt) return
    this.sentSinceReceipt = true
    this.lastActivity = now
    this.resting = false
  }

  /** The hellos agreed on an idle timeout, in seconds. */
  onIdleTimeoutNegotiated(seconds: number): void {
    this.idleTimeout = this.adjust(seconds * SECOND)
  }

  onHandshakeConfirmed(): void {
    this.handshakeDeadline = Infinity
  }

  /** What has run out by now, if anything. */
  check(now: Micros): LivenessFailure | undefined {
    if (now >= this.handshakeDeadline) return 'handshake'
    if (now >= this.lastActivity + this.idleTimeout) return 'idle'
    return undefined
  }

  /** When {@link check} will next have something to say. */
  nextDeadline(): Micros {
    return Math.min(this.handshakeDeadline, this.lastActivity + this.idleTimeout)
  }

  /** When a keep-alive PING is due, if streams are open and nothing else will provoke an answer. */
  pingTime(): Micros {
    return this.perspective === Perspective.Client ? this.lastActivity + PING_INTERVAL : Infinity
  }

  /** When the connection has been silent for long enough to be at rest; Infinity where {@link onRest} has been told so. */
  restTime(): Micros {
    return this.resting ? Infinity : this.lastActivity + REST_AFTER
  }

  /** The connection was looked at, and is not asked to rest again until something happens. */
  onRest(): void {
    this.resting = true
  }

  private adjust(timeout: Micros): Micros {
    return this.perspective === Perspective.Client
      ? Math.max(timeout - CLIENT_HEAD_START, SECOND)
      : timeout + SERVER_GRACE
  }
}
