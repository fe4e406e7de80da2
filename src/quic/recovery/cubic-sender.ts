/**
 * Window-based congestion control: slow start with an early exit, proportional rate reduction in recovery, and CUBIC or
 * Reno growth between losses, with windows in bytes or in whole packets (tcp_cubic_sender_base.cc,
 * tcp_cubic_sender_bytes.cc, tcp_cubic_sender_packets.cc).
 */
import type { Micros } from '../types.js'
import type { CongestionController, ControllerOptions } from './congestion-controller.js'
import {
  INITIAL_WINDOW_PACKETS,
  MAX_RESUMPTION_WINDOW_PACKETS,
  MAX_SEGMENT_SIZE,
  MAX_WINDOW_PACKETS
} from './congestion-controller.js'
import { Cubic } from './cubic.js'
import type { WindowCurve } from './cubic-curve.js'
import { HybridSlowStart } from './hybrid-slow-start.js'
import { PacketCubic } from './packet-cubic.js'
import type { PacketList } from './packet-list.js'
import { ProportionalRateReduction } from './prr.js'
import type { RttStats } from './rtt-stats.js'

const MAX_WINDOW = MAX_WINDOW_PACKETS * MAX_SEGMENT_SIZE
/** A window with less room than this counts as used up. */
const MAX_BURST_BYTES = 3 * MAX_SEGMENT_SIZE
const MIN_FOUR_BYTES = 4 * MAX_SEGMENT_SIZE
const RENO_FACTOR = 0.7
const RATE_BASED_EXTRA = 1.5

/** What kind of TCP-like sender to be. */
export interface CubicSenderKind {
  /** Reno growth instead of CUBIC. */
  readonly reno?: boolean
  /** Windows move in whole segments. */
  readonly packets?: boolean
}

/** CUBIC, or Reno, with N emulated connections (default 2). */
export class CubicSender implements CongestionController {
  congestionWindow: number
  slowStartThreshold = MAX_WINDOW
  private readonly reno: boolean
  private readonly packets: boolean
  private readonly cubic: WindowCurve
  private readonly hybridSlowStart = new HybridSlowStart()
  private readonly prr = new ProportionalRateReduction()
  private options: ControllerOptions = {}
  private connections = 2
  private initialWindow: number
  private minWindow = 2 * MAX_SEGMENT_SIZE
  private minSlowStartExitWindow = 2 * MAX_SEGMENT_SIZE
  private largestSent = 0
  private largestAcked = 0
  private largestSentAtCutback = 0
  private ackedPackets = 0
  private cutbackEndedSlowStart = false
  private slowStartPacketsLost = 0
  private slowStartBytesLost = 0

  /** @param initialWindowPackets the first window, in segments of {@link MAX_SEGMENT_SIZE} */
  constructor(
    private readonly rtt: RttStats,
    kind: CubicSenderKind = {},
    initialWindowPackets = INITIAL_WINDOW_PACKETS
  ) {
    this.reno = kind.reno === true
    this.packets = kind.packets === true
    this.cubic = this.packets ? new PacketCubic() : new Cubic()
    this.initialWindow = initialWindowPackets * MAX_SEGMENT_SIZE
    this.congestionWindow = this.initialWindow
  }

  get name(): string {
    return `${this.reno ? 'reno' : 'cubic'}${this.packets ? '-packets' : ''}`
  }

  get inSlowStart(): boolean {
    return this.congestionWindow < this.slowStartThreshold
  }

  get inRecovery(): boolean {
    return this.largestAcked <= this.largestSentAtCutback && this.largestAcked !== 0
  }

  get bandwidthEstimate(): number {
    return this.rtt.smoothed === 0 ? 0 : this.congestionWindow / this.rtt.smoothed
  }

  /** The window that keeps such a path busy, within limits (SetCongestionWindowFromBandwidthAndRtt). */
  resume(bandwidth: number, rtt: Micros): void {
    const window = Math.min(this.wholeUnits((bandwidth * rtt) / 1e6), MAX_RESUMPTION_WINDOW_PACKETS * MAX_SEGMENT_SIZE)
    this.congestionWindow = Math.max(this.minWindow, window)
  }

  /** The initial window is for now only: another path begins with the default again, as in the reference. */
  applyOptions(options: ControllerOptions): void {
    this.options = options
    if (options.initialWindowPackets !== undefined) {
      this.congestionWindow = options.initialWindowPackets * MAX_SEGMENT_SIZE
    }
    if (options.minWindowOne === true || options.minFourInFlight === true) this.minWindow = MAX_SEGMENT_SIZE
  }

  setEmulatedConnections(count: number): void {
    this.connections = Math.max(1, count)
    this.cubic.setEmulatedConnections(this.connections)
  }

  onPacketSent(_now: Micros, packetNumber: number, bytes: number, _bytesInFlight: number): void {
    if (this.inRecovery) this.prr.onPacketSent(bytes)
    this.largestSent = packetNumber
    this.hybridSlowStart.onPacketSent(packetNumber)
  }

  onCongestionEvent(
    now: Micros,
    rttUpdated: boolean,
    priorInFlight: number,
    acked: PacketList,
    lost: PacketList
  ): void {
    if (
      rttUpdated &&
      this.inSlowStart &&
      this.hybridSlowStart.shouldExit(
        this.rtt.latest,
        this.rtt.min,
        Math.floor(this.congestionWindow / MAX_SEGMENT_SIZE)
      )
    ) {
      this.slowStartThreshold = this.congestionWindow
    }
    for (let i = 0; i < lost.count; i++) this.onPacketLost(lost.numbers[i]!, lost.bytes[i]!, priorInFlight)
    for (let i = 0; i < acked.count; i++) this.onPacketAcked(now, acked.numbers[i]!, acked.bytes[i]!, priorInFlight)
  }

  onRetransmissionTimeout(): void {
    this.largestSentAtCutback = 0
    this.hybridSlowStart.restart()
    this.cubic.reset()
    this.slowStartThreshold = this.wholeUnits(this.congestionWindow / 2)
    this.congestionWindow = this.minWindow
  }

  /** Nothing to do at once: growth stops by itself at the next ack that finds the window unused. */
  onApplicationLimited(_bytesInFlight: number): void {}

  onPathChanged(): void {
    this.hybridSlowStart.restart()
    this.prr.reset()
    this.cubic.reset()
    this.largestSent = 0
    this.largestAcked = 0
    this.largestSentAtCutback = 0
    this.cutbackEndedSlowStart = false
    this.ackedPackets = 0
    this.congestionWindow = this.initialWindow
    this.slowStartThreshold = MAX_WINDOW
  }

  canSend(bytesInFlight: number): boolean {
    const { options } = this
    if (this.inRecovery && options.noProportionalReduction !== true) {
      return this.prr.canSend(this.congestionWindow, bytesInFlight, this.slowStartThreshold)
    }
    return (
      this.congestionWindow > bytesInFlight ||
      (options.minFourInFlight === true && bytesInFlight < MIN_FOUR_BYTES) ||
      (options.rateBasedSending === true && this.congestionWindow * RATE_BASED_EXTRA > bytesInFlight)
    )
  }

  /** Faster than the window's own rate, so that pacing never keeps the window from filling. */
  pacingRate(bytesInFlight: number): number {
    const rate = this.congestionWindow / this.rtt.smoothedOrInitial
    const { noProportionalReduction, rateBasedSending } = this.options
    if (rateBasedSending === true && bytesInFlight > this.congestionWindow) return rate * 0.75
    if (this.inSlowStart) return rate * 2
    return noProportionalReduction === true && this.inRecovery ? rate : rate * 1.25
  }

  private onPacketLost(packetNumber: number, bytes: number, priorInFlight: number): void {
    // Losses among packets sent before the last cut belong to the same event (RFC 6582).
    if (packetNumber <= this.largestSentAtCutback) {
      if (this.cutbackEndedSlowStart) this.onMoreSlowStartLoss(bytes)
      return
    }
    this.cutbackEndedSlowStart = this.inSlowStart
    if (this.inSlowStart) this.slowStartPacketsLost++
    this.prr.onLoss(priorInFlight)
    this.congestionWindow = Math.max(this.windowAfterLoss(), this.minWindow)
    this.slowStartThreshold = this.congestionWindow
    this.largestSentAtCutback = this.largestSent
    this.ackedPackets = 0
  }

  private windowAfterLoss(): number {
    const window = this.congestionWindow
    if (this.options.slowStartLargeReduction === true && this.inSlowStart) {
      if (window >= 2 * this.initialWindow) this.minSlowStartExitWindow = this.wholeUnits(window / 2)
      return window - MAX_SEGMENT_SIZE
    }
    if (!this.reno) return this.cubic.windowAfterLoss(window)
    return this.wholeUnits((window * (this.connections - 1 + RENO_FACTOR)) / this.connections)
  }

  /** Under SSLR every further loss of the burst that ended slow start takes its own bytes off the window. */
  private onMoreSlowStartLoss(bytes: number): void {
    const before = this.slowStartBytesLost
    this.slowStartPacketsLost++
    this.slowStartBytesLost += bytes
    if (this.options.slowStartLargeReduction !== true) return
    let cut = bytes
    if (this.packets) {
      const whole = Math.floor(this.slowStartBytesLost / MAX_SEGMENT_SIZE) > Math.floor(before / MAX_SEGMENT_SIZE)
      cut = this.slowStartPacketsLost === 1 || whole ? MAX_SEGMENT_SIZE : 0
    }
    if (cut > 0) this.congestionWindow = Math.max(this.congestionWindow - cut, this.minSlowStartExitWindow)
    this.slowStartThreshold = this.congestionWindow
  }

  private onPacketAcked(now: Micros, packetNumber: number, bytes: number, priorInFlight: number): void {
    this.largestAcked = Math.max(packetNumber, this.largestAcked)
    if (this.inRecovery) {
      this.prr.onPacketAcked(bytes)
      return
    }
    this.grow(now, bytes, priorInFlight)
    if (this.inSlowStart) this.hybridSlowStart.onPacketAcked(packetNumber)
  }

  private grow(now: Micros, acked: number, priorInFlight: number): void {
    if (!this.isWindowLimited(priorInFlight)) {
      this.cubic.onApplicationLimited()
      return
    }
    if (this.congestionWindow >= MAX_WINDOW) return
    if (this.inSlowStart) {
      this.congestionWindow += MAX_SEGMENT_SIZE
    } else if (this.reno) {
      this.ackedPackets++
      if (this.ackedPackets * this.connections >= Math.floor(this.congestionWindow / MAX_SEGMENT_SIZE)) {
        this.congestionWindow += MAX_SEGMENT_SIZE
        this.ackedPackets = 0
      }
    } else {
      const target = this.cubic.windowAfterAck(now, acked, this.congestionWindow, this.rtt.min)
      this.congestionWindow = Math.min(MAX_WINDOW, target)
    }
  }

  /** Whether the sender was close to using its window; a window that nobody fills proves nothing and must not grow. */
  private isWindowLimited(bytesInFlight: number): boolean {
    if (bytesInFlight >= this.congestionWindow) return true
    const available = this.congestionWindow - bytesInFlight
    return (this.inSlowStart && bytesInFlight > this.congestionWindow / 2) || available <= MAX_BURST_BYTES
  }

  /** Rounds a window down to what this sender counts in. */
  private wholeUnits(bytes: number): number {
    return this.packets ? Math.floor(bytes / MAX_SEGMENT_SIZE) * MAX_SEGMENT_SIZE : Math.floor(bytes)
  }
}
