/**
 * Flow control of one stream or of the whole connection, both directions (quic_flow_controller.cc).
 */
import type { Micros } from '../../types.js'

/** What a peer is assumed to allow until its hello says more, and the least that it may allow, bytes. */
export const MINIMUM_FLOW_CONTROL_WINDOW = 16 * 1024
/** How far auto-tuning may raise a stream's receive window, bytes. */
export const MAX_STREAM_WINDOW = 16 * 1024 * 1024
/** How far auto-tuning may raise the connection's receive window, bytes. */
export const MAX_CONNECTION_WINDOW = 24 * 1024 * 1024

/** The id under which WINDOW_UPDATE and BLOCKED speak of the connection. */
export const CONNECTION_LEVEL_ID = 0

/** Where flow controllers put the frames they want sent; each is sent once, with what holds at that time. */
export interface FlowControlFrames {
  queueWindowUpdate(controller: QuicFlowController): void
  queueBlocked(controller: QuicFlowController): void
}

/** What a flow controller wants to know of time: the connection fulfils it. */
export interface FlowControlClock {
  readonly now: Micros
  readonly smoothedRtt: Micros
}

/** Offsets and limits are absolute, in bytes. */
export class QuicFlowController {
  /** Owned by the queue of control frames: a WINDOW_UPDATE, a BLOCKED waits to be sent. */
  updateQueued = false
  blockedQueued = false
  /** The stream's length once known: above it no window is needed. */
  finalOffset = Infinity

  private sent = 0
  private sendLimitOffset: number
  private lastBlockedAt = -1
  private consumedOffset = 0
  private highestOffset = 0
  private receiveLimitOffset: number
  private windowSize: number
  private readonly windowCap: number
  private lastUpdateAt: Micros = -1

  /**
   * @param id the stream, or {@link CONNECTION_LEVEL_ID}
   * @param sendLimit how far this side may send at first
   * @param receiveWindow how much the peer may have outstanding, and so where its first limit stands
   * @param autoTune whether the receive window doubles when updates follow each other within two round trips
   */
  constructor(
    readonly id: number,
    sendLimit: number,
    receiveWindow: number,
    private autoTune: boolean,
    private readonly frames: FlowControlFrames,
    private readonly clock: FlowControlClock
  ) {
    this.sendLimitOffset = sendLimit
    this.receiveLimitOffset = receiveWindow
    this.windowSize = receiveWindow
    this.windowCap = id === CONNECTION_LEVEL_ID ? MAX_CONNECTION_WINDOW : MAX_STREAM_WINDOW
  }

  // ---- sending ----

  /** Bytes that may be sent now. */
  get sendWindow(): number {
    return this.sendLimitOffset - this.sent
  }

  /** Bytes sent so far. */
  get bytesSent(): number {
    return this.sent
  }

  /** Counts bytes sent for the first time; at most {@link sendWindow}. */
  addSent(length: number): void {
    this.sent += length
  }

  /** Takes a limit from the peer; lower ones than known are ignored. @returns whether sending was blocked until now */
  raiseSendLimit(limit: number): boolean {
    if (limit <= this.sendLimitOffset) return false
    const wasBlocked = this.sendWindow === 0
    this.sendLimitOffset = limit
    return wasBlocked
  }

  /** Tells the peer, once for each limit, that there is data to send and no window for it. */
  reportBlocked(): void {
    if (this.sendWindow > 0 || this.lastBlockedAt === this.sendLimitOffset) return
    this.lastBlockedAt = this.sendLimitOffset
    this.frames.queueBlocked(this)
  }

  // ---- receiving ----

  /** Lets the receive window grow from now on. */
  enableAutoTune(): void {
    this.autoTune = true
  }

  /** The limit last given to the peer. */
  get receiveLimit(): number {
    return this.receiveLimitOffset
  }

  /** The size of the window that the next update opens. */
  get receiveWindow(): number {
    return this.windowSize
  }

  /** The highest offset that the peer has used. */
  get highestReceived(): number {
    return this.highestOffset
  }

  /** How far the application has consumed. */
  get consumed(): number {
    return this.consumedOffset
  }

  /** Takes a new highest offset. @returns false if the peer went beyond its limit */
  raiseReceived(offset: number): boolean {
    if (offset > this.highestOffset) this.highestOffset = offset
    return this.highestOffset <= this.receiveLimitOffset
  }

  /** Counts bytes as consumed, which opens the window once less than half of it is left. */
  addConsumed(length: number): void {
    this.consumedOffset += length
    if (this.receiveLimitOffset >= this.finalOffset) return
    const available = this.receiveLimitOffset - this.consumedOffset
    if (available >= this.windowSize / 2) return
    this.tune()
    this.receiveLimitOffset = this.consumedOffset + this.windowSize
    this.frames.queueWindowUpdate(this)
  }

  /** Updates in quick succession mean that the window, not the path, holds the peer up. */
  private tune(): void {
    const { now, smoothedRtt } = this.clock
    const last = this.lastUpdateAt
    this.lastUpdateAt = now
    if (!this.autoTune || last < 0 || now - last >= 2 * smoothedRtt) return
    if (this.windowSize < this.windowCap) this.windowSize = Math.min(2 * this.windowSize, this.windowCap)
  }
}
