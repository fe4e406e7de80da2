/**
 * Window-based congestion control: slow start with an early exit, proportional rate reduction in recovery, and CUBIC or
 * Reno growth between losses (tcp_cubic_sender_base.cc, tcp_cubic_sender_bytes.cc).
 */
import type { Micros } from '../types.js'
import type { CongestionController } from './congestion-controller.js'
import { MAX_SEGMENT_SIZE } from './congestion-controller.js'
import { Cubic } from './cubic.js'
import { HybridSlowStart } from './hybrid-slow-start.js'
import type { PacketList } from './packet-list.js'
import { ProportionalRateReduction } from './prr.js'
import type { RttStats } from './rtt-stats.js'

/** The initial window of the reference, packets (quic_protocol.h, kInitialCongestionWindow). */
export const INITIAL_WINDOW_PACKETS = 32

const MIN_WINDOW = 2 * MAX_SEGMENT_SIZE
const MAX_WINDOW = 2000 * MAX_SEGMENT_SIZE
/** A window with less room than this counts as used up. */
const MAX_BURST_BYTES = 3 * MAX_SEGMENT_SIZE
const RENO_FACTOR = 0.7

/** CUBIC, or Reno, with windows in bytes and N emulated connections (default 2). */
export class CubicSender implements CongestionController {
  congestionWindow: number
  slowStartThreshold = MAX_WINDOW
  private readonly cubic = new Cubic()
  private readonly hybridSlowStart = new HybridSlowStart()
  private readonly prr = new ProportionalRateReduction()
  private connections = 2
  private initialWindow: number
  private largestSent = 0
  private largestAcked = 0
  private largestSentAtCutback = 0
  private ackedPackets = 0

  /**
   * @param reno Reno growth instead of CUBIC
   * @param initialWindowPackets the first window, in segments of {@link MAX_SEGMENT_SIZE}
   */
  constructor(
    private readonly rtt: RttStats,
    private readonly reno = false,
    initialWindowPackets = INITIAL_WINDOW_PACKETS
  ) {
    this.initialWindow = initialWindowPackets * MAX_SEGMENT_SIZE
    this.congestionWindow = this.initialWindow
  }

  get inSlowStart(): boolean {
    return this.congestionWindow < this.slowStartThreshold
  }

  get inRecovery(): boolean {
    return this.largestAcked <= this.largestSentAtCutback && this.largestAcked !== 0
  }

  setInitialWindow(packets: number): void {
    this.initialWindow = packets * MAX_SEGMENT_SIZE
    this.congestionWindow = this.initialWindow
  }

  setEmulatedConnections(count: number): void {
    this.connections = Math.max(1, count)
    this.cubic.setEmulatedConnections(this.connections)
  }

  onPacketSent(packetNumber: number, bytes: number): void {
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
    for (let i = 0; i < lost.count; i++) this.onPacketLost(lost.numbers[i]!, priorInFlight)
    for (let i = 0; i < acked.count; i++) this.onPacketAcked(now, acked.numbers[i]!, acked.bytes[i]!, priorInFlight)
  }

  onRetransmissionTimeout(): void {
    this.largestSentAtCutback = 0
    this.hybridSlowStart.restart()
    this.cubic.reset()
    this.slowStartThreshold = Math.floor(this.congestionWindow / 2)
    this.congestionWindow = MIN_WINDOW
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
    this.ackedPackets = 0
    this.congestionWindow = this.initialWindow
    this.slowStartThreshold = MAX_WINDOW
  }

  canSend(bytesInFlight: number): boolean {
    return this.inRecovery
      ? this.prr.canSend(this.congestionWindow, bytesInFlight, this.slowStartThreshold)
      : this.congestionWindow > bytesInFlight
  }

  /** Faster than the window's own rate, so that pacing never keeps the window from filling. */
  pacingRate(_bytesInFlight: number): number {
    return (this.congestionWindow / this.rtt.smoothedOrInitial) * (this.inSlowStart ? 2 : 1.25)
  }

  private onPacketLost(packetNumber: number, priorInFlight: number): void {
    // Losses among packets sent before the last cut belong to the same event (RFC 6582).
    if (packetNumber <= this.largestSentAtCutback) return
    this.prr.onLoss(priorInFlight)
    const cut = this.reno
      ? Math.floor((this.congestionWindow * (this.connections - 1 + RENO_FACTOR)) / this.connections)
      : this.cubic.windowAfterLoss(this.congestionWindow)
    this.congestionWindow = Math.max(cut, MIN_WINDOW)
    this.slowStartThreshold = this.congestionWindow
    this.largestSentAtCutback = this.largestSent
    this.ackedPackets = 0
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
}
