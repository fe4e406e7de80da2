/**
 * BBR as the reference had it in 2016 (bbr_sender.cc): a model of the path, its bandwidth and its round-trip time without
 * queues, sets the rate. Loss does not: a packet lost to noise costs nothing, one lost to a full queue shows in the
 * bandwidth.
 *
 * ```
 *   STARTUP ──full bandwidth──▶ DRAIN ──flight ≤ BDP──▶ PROBE_BW ◀─▶ PROBE_RTT
 *   rate ×2.885                 rate ÷2.885             1.25, 0.75, 1 ×6   4 segments, every 10 s, for 200 ms
 * ```
 */
import type { Micros } from '../types.js'
import { BandwidthSampler } from './bandwidth-sampler.js'
import type { CongestionController, ControllerOptions, Flight } from './congestion-controller.js'
import { INITIAL_WINDOW_PACKETS, MAX_SEGMENT_SIZE, MAX_WINDOW_PACKETS } from './congestion-controller.js'
import type { PacketList } from './packet-list.js'
import type { RttStats } from './rtt-stats.js'
import { WindowedMaxFilter } from './windowed-filter.js'

export const BbrMode = { Startup: 'STARTUP', Drain: 'DRAIN', ProbeBandwidth: 'PROBE_BW', ProbeRtt: 'PROBE_RTT' } as const
export type BbrMode = (typeof BbrMode)[keyof typeof BbrMode]

/** Doubles the delivery rate every round: 2/ln 2. */
const HIGH_GAIN = 2.885
const WINDOW_GAIN = 2
const GAIN_CYCLE = [1.25, 0.75, 1, 1, 1, 1, 1, 1] as const
/** A bandwidth sample counts for a whole cycle and two more rounds. */
const BANDWIDTH_ROUNDS = GAIN_CYCLE.length + 2
const MIN_WINDOW = 4 * MAX_SEGMENT_SIZE
const MAX_WINDOW = MAX_WINDOW_PACKETS * MAX_SEGMENT_SIZE
const MIN_RTT_EXPIRY: Micros = 10_000_000
const PROBE_RTT_TIME: Micros = 200_000
const STARTUP_GROWTH = 1.25
const STARTUP_ROUNDS_WITHOUT_GROWTH = 3
/** Sending stops with the packet that fills the window, so this much may be in flight above it. */
const MAX_PACKET = 1452

/** A rate-based congestion controller. It needs the pacer: without one its bursts would measure themselves. */
export class BbrSender implements CongestionController {
  readonly name = 'bbr'
  mode: BbrMode = BbrMode.Startup
  /** Round trips so far. */
  roundCount = 0
  /** Index into the gain cycle. */
  cycleIndex = 0
  /** The round-trip time without queues, µs; 0 before the first sample. */
  minRtt: Micros = 0
  minRttAt: Micros = 0
  atFullBandwidth = false
  lastSampleApplicationLimited = false
  private sampler = new BandwidthSampler()
  private maxBandwidth = new WindowedMaxFilter(BANDWIDTH_ROUNDS)
  private window: number
  private initialWindow: number
  private rate = 0
  private pacingGain = HIGH_GAIN
  private windowGain = HIGH_GAIN
  private lastSent = 0
  private roundEnd = 0
  private cycleStart: Micros = 0
  private roundsWithoutGrowth = 0
  private bandwidthAtLastRound = 0
  private leavingQuiescence = false
  /** When PROBE_RTT may end; 0 while the flight is not yet small enough for it to begin. */
  private probeRttUntil: Micros = 0
  private probeRttRoundPassed = false

  /**
   * @param flight what is in flight after the event that is being reported
   * @param random a random integer from 0 to 255, to begin different connections' cycles at different places
   */
  constructor(
    private readonly rtt: RttStats,
    private readonly flight: Flight,
    private readonly random: () => number,
    initialWindowPackets = INITIAL_WINDOW_PACKETS
  ) {
    this.initialWindow = initialWindowPackets * MAX_SEGMENT_SIZE
    this.window = this.initialWindow
  }

  get congestionWindow(): number {
    return this.mode === BbrMode.ProbeRtt ? MIN_WINDOW : this.window
  }

  get slowStartThreshold(): number {
    return 0
  }

  get inSlowStart(): boolean {
    return this.mode === BbrMode.Startup
  }

  get inRecovery(): boolean {
    return false
  }

  get bandwidthEstimate(): number {
    return this.maxBandwidth.best
  }

  canSend(bytesInFlight: number): boolean {
    return bytesInFlight < this.congestionWindow
  }

  pacingRate(_bytesInFlight: number): number {
    return this.rate > 0 ? this.rate : (HIGH_GAIN * this.initialWindow) / this.currentMinRtt
  }

  /** The initial window is the reference's for all connections: IWxx and the rest concern the TCP-like senders. */
  applyOptions(_options: ControllerOptions): void {}

  /** Nothing: the model finds out anew, within a few round trips. */
  resume(_bandwidth: number, _rtt: Micros): void {}

  /** One connection is one flow to this model. */
  setEmulatedConnections(_count: number): void {}

  /** Nothing: the model already tells how much the path carries. */
  onRetransmissionTimeout(): void {}

  /**
   * Begins anew. (The reference of that release went on with the old path's model; its rate on a slower path would be
   * off by the ratio of the two for ten seconds.)
   */
  onPathChanged(): void {
    this.sampler = new BandwidthSampler()
    this.maxBandwidth = new WindowedMaxFilter(BANDWIDTH_ROUNDS)
    this.window = this.initialWindow
    this.rate = 0
    this.minRtt = 0
    this.atFullBandwidth = false
    this.roundsWithoutGrowth = 0
    this.bandwidthAtLastRound = 0
    this.roundEnd = this.lastSent
    this.enterStartup()
  }

  onApplicationLimited(bytesInFlight: number): void {
    if (bytesInFlight < this.congestionWindow) this.sampler.onApplicationLimited()
  }

  onPacketSent(now: Micros, packetNumber: number, bytes: number, bytesInFlight: number): void {
    this.lastSent = packetNumber
    if (bytesInFlight === 0 && this.sampler.applicationLimited) this.leavingQuiescence = true
    this.sampler.onPacketSent(now, packetNumber, bytes, bytesInFlight)
  }

  onCongestionEvent(
    now: Micros,
    _rttUpdated: boolean,
    priorInFlight: number,
    acked: PacketList,
    lost: PacketList
  ): void {
    const ackedBefore = this.sampler.totalBytesAcked
    let roundStarts = false
    let minRttExpired = false
    for (let i = 0; i < lost.count; i++) this.sampler.onPacketLost(lost.numbers[i]!)
    if (acked.count > 0) {
      roundStarts = this.countRound(acked.numbers[acked.count - 1]!)
      minRttExpired = this.updateModel(now, acked)
    }
    if (this.mode === BbrMode.ProbeBandwidth) this.advanceCycle(now, priorInFlight, lost.count > 0)
    if (roundStarts && !this.atFullBandwidth) this.checkFullBandwidth()
    this.leaveStartupOrDrain(now)
    this.enterOrLeaveProbeRtt(now, roundStarts, minRttExpired)
    if (this.bandwidthEstimate > 0) this.rate = this.pacingGain * this.bandwidthEstimate
    this.updateWindow(this.sampler.totalBytesAcked - ackedBefore)
    this.sampler.removeObsolete(this.flight.leastUnacked)
  }

  private get currentMinRtt(): Micros {
    return this.minRtt > 0 ? this.minRtt : this.rtt.initial
  }

  /** `gain` times what the path holds without a queue, bytes. */
  private targetWindow(gain: number): number {
    const product = gain * Math.floor(this.currentMinRtt * this.bandwidthEstimate)
    return Math.max(Math.floor(product > 0 ? product : gain * this.initialWindow), MIN_WINDOW)
  }

  private countRound(lastAcked: number): boolean {
    if (lastAcked <= this.roundEnd) return false
    this.roundCount++
    this.roundEnd = this.lastSent
    return true
  }

  /** Takes the samples of an acknowledgement. @returns whether the least round-trip time had become too old */
  private updateModel(now: Micros, acked: PacketList): boolean {
    let sampleRtt: Micros = Infinity
    for (let i = 0; i < acked.count; i++) {
      const sample = this.sampler.onPacketAcked(now, acked.numbers[i]!)
      this.lastSampleApplicationLimited = sample.applicationLimited
      if (sample.rtt > 0 && sample.rtt < sampleRtt) sampleRtt = sample.rtt
      if (!sample.applicationLimited || sample.bandwidth > this.bandwidthEstimate) {
        this.maxBandwidth.update(sample.bandwidth, this.roundCount)
      }
    }
    if (sampleRtt === Infinity) return false
    const expired = this.minRtt > 0 && now > this.minRttAt + MIN_RTT_EXPIRY
    if (expired || this.minRtt === 0 || sampleRtt < this.minRtt) {
      this.minRtt = sampleRtt
      this.minRttAt = now
    }
    return expired
  }

  private advanceCycle(now: Micros, priorInFlight: number, hasLosses: boolean): void {
    let advance = now - this.cycleStart > this.currentMinRtt
    // Probing for more means getting as much into flight; until that is done, or losses say that it cannot be, go on.
    if (this.pacingGain > 1 && !hasLosses && priorInFlight < this.targetWindow(this.pacingGain)) advance = false
    // The queue that probing made is gone.
    if (this.pacingGain < 1 && priorInFlight <= this.targetWindow(1)) advance = true
    if (!advance) return
    this.cycleIndex = (this.cycleIndex + 1) % GAIN_CYCLE.length
    this.cycleStart = now
    this.pacingGain = GAIN_CYCLE[this.cycleIndex]!
  }

  private checkFullBandwidth(): void {
    if (this.lastSampleApplicationLimited) return
    if (this.bandwidthEstimate >= this.bandwidthAtLastRound * STARTUP_GROWTH) {
      this.bandwidthAtLastRound = this.bandwidthEstimate
      this.roundsWithoutGrowth = 0
      return
    }
    this.atFullBandwidth = ++this.roundsWithoutGrowth >= STARTUP_ROUNDS_WITHOUT_GROWTH
  }

  private leaveStartupOrDrain(now: Micros): void {
    if (this.mode === BbrMode.Startup && this.atFullBandwidth) {
      this.mode = BbrMode.Drain
      this.pacingGain = 1 / HIGH_GAIN
      this.windowGain = HIGH_GAIN
    }
    if (this.mode === BbrMode.Drain && this.flight.bytesInFlight <= this.targetWindow(1)) {
      this.enterProbeBandwidth(now)
    }
  }

  private enterStartup(): void {
    this.mode = BbrMode.Startup
    this.pacingGain = HIGH_GAIN
    this.windowGain = HIGH_GAIN
  }

  private enterProbeBandwidth(now: Micros): void {
    this.mode = BbrMode.ProbeBandwidth
    this.windowGain = WINDOW_GAIN
    // Anywhere but in the draining phase, which makes sense only after the probing one.
    this.cycleIndex = this.random() % (GAIN_CYCLE.length - 1)
    if (this.cycleIndex >= 1) this.cycleIndex++
    this.cycleStart = now
    this.pacingGain = GAIN_CYCLE[this.cycleIndex]!
  }

  private enterOrLeaveProbeRtt(now: Micros, roundStarts: boolean, minRttExpired: boolean): void {
    if (minRttExpired && !this.leavingQuiescence && this.mode !== BbrMode.ProbeRtt) {
      this.mode = BbrMode.ProbeRtt
      this.pacingGain = 1
      this.probeRttUntil = 0
    }
    this.leavingQuiescence = false
    if (this.mode !== BbrMode.ProbeRtt) return
    this.sampler.onApplicationLimited()
    if (this.probeRttUntil === 0) {
      if (this.flight.bytesInFlight >= MIN_WINDOW + MAX_PACKET) return
      this.probeRttUntil = now + PROBE_RTT_TIME
      this.probeRttRoundPassed = false
      return
    }
    if (roundStarts) this.probeRttRoundPassed = true
    if (now < this.probeRttUntil || !this.probeRttRoundPassed) return
    this.minRttAt = now
    if (this.atFullBandwidth) this.enterProbeBandwidth(now)
    else this.enterStartup()
  }

  /** Moves the window towards its target by what was acknowledged; in startup it never shrinks. */
  private updateWindow(bytesAcked: number): void {
    if (this.mode === BbrMode.ProbeRtt) return
    const target = this.targetWindow(this.windowGain)
    if (this.atFullBandwidth) {
      this.window = Math.min(target, this.window + bytesAcked)
    } else if (this.window < target || this.sampler.totalBytesAcked < this.initialWindow) {
      this.window += bytesAcked
    }
    this.window = Math.min(Math.max(this.window, MIN_WINDOW), MAX_WINDOW)
  }
}
