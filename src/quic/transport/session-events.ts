/**
 * How a session tells the application what happened: a queue of streams with news, worked off in deliverEvents. A
 * failure of the application harms its own stream only.
 */
import { QuicError, QuicErrorCode, QuicRstStreamErrorCode } from '../errors.js'
import type { Micros } from '../types.js'
import type { SessionConnection } from './session-connection.js'
import type { QuicStream } from './streams/quic-stream.js'
import type { QuicStreamCore } from './streams/stream-core.js'

/** What concerns the session as a whole, as bits. */
export const SessionNews = { GoAway: 1, Room: 2, Closed: 4, Push: 8 } as const

/** The application's side of a session: the part of QuicSession that calls it. */
export abstract class SessionEvents {
  private readonly queue: QuicStream[] = []
  private readonly factoryErrors: unknown[] = []
  private pending = 0
  private delivering = false

  constructor(readonly connection: SessionConnection) {}

  // ---- for the application to override ----

  /** An overridden method threw something other than a QuicError. The stream, if there is one, is reset after this. */
  protected onApplicationError(_stream: QuicStream | undefined, _error: unknown): void {}

  /** The connection is closed and every stream was told. */
  protected onSessionClosed(): void {}

  /** The peer takes no more streams. */
  protected onGoAway(): void {}

  /** A stream can be opened that the limit, or the handshake, stood in the way of. */
  protected onCanOpenStream(): void {}

  // ---- for the HTTP layer to override ----

  /** Claims of promised resources are decided: `SessionNews`.Push was added. */
  protected onPushNews(): void {}

  /** No timers of its own. */
  nextTimeout(): Micros {
    return Infinity
  }

  /** Nothing to do: {@link nextTimeout} never comes. */
  handleTimeout(_now: Micros): void {}

  // ---- queueing ----

  protected abstract get mayOpenStream(): boolean

  protected get hasNews(): boolean {
    return this.queue.length > 0 || this.pending !== 0 || this.factoryErrors.length > 0
  }

  /** The stream has something to tell. */
  onStreamNews(stream: QuicStreamCore): void {
    if (stream.newsQueued) return
    stream.newsQueued = true
    this.queue.push(stream as QuicStream)
  }

  /** Something of `SessionNews` happened. */
  protected addSessionNews(bit: number): void {
    this.pending |= bit
  }

  /** The application's factory of streams threw. */
  protected addFactoryError(error: unknown): void {
    this.factoryErrors.push(error)
  }

  // ---- delivering ----

  deliverEvents(_now: Micros): void {
    if (this.delivering) return
    this.delivering = true
    try {
      while (this.hasNews) {
        // The queue grows while it is worked off.
        for (let i = 0; i < this.queue.length; i++) this.deliverStreamNews(this.queue[i])
        this.queue.length = 0
        this.deliverSessionNews()
      }
    } finally {
      this.delivering = false
    }
  }

  private deliverStreamNews(stream: QuicStream): void {
    stream.newsQueued = false
    try {
      stream.deliverNews()
    } catch (error) {
      this.handleFailure(stream, error)
      // What came after the call that failed, its close at least, is still to be told.
      if (stream.hasNews) this.onStreamNews(stream)
    }
  }

  private deliverSessionNews(): void {
    while (this.factoryErrors.length > 0) this.handleFailure(undefined, this.factoryErrors.shift())
    try {
      if (this.takeNews(SessionNews.GoAway)) this.onGoAway()
      if (this.takeNews(SessionNews.Push)) this.onPushNews()
      if (this.takeNews(SessionNews.Room) && this.mayOpenStream) this.onCanOpenStream()
      if (this.queue.length === 0 && this.takeNews(SessionNews.Closed)) this.onSessionClosed()
    } catch (error) {
      this.handleFailure(undefined, error)
    }
  }

  private takeNews(bit: number): boolean {
    if ((this.pending & bit) === 0) return false
    this.pending &= ~bit
    return true
  }

  private handleFailure(stream: QuicStream | undefined, error: unknown): void {
    if (error instanceof QuicError) {
      this.connection.close(error.wireCode, error.details)
      return
    }
    try {
      this.onApplicationError(stream, error)
      stream?.reset(QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM)
    } catch {
      this.connection.close(QuicErrorCode.INTERNAL_ERROR, 'the application failed while it handled a failure')
    }
  }
}
