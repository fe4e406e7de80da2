/**
 * Spreads packets over the round trip instead of sending a window in one burst (pacing_sender.cc). It answers when the
 * next packet may go, and is charged for each that goes; a driver needs no timer for a packet, because whatever
 * is due within the next millisecond may go now.
 */
import type { Micros } from '../types.js'
import type { CongestionController } from './congestion-controller.js'
import { MAX_SEGMENT_SIZE } from './congestion-controller.js'

/** How much too early a packet may go: timers are no finer. At 130 Mbit/s this is a full batch of 16 packets. */
const TIMER_SLACK: Micros = 1_000
/** Packets that leave unpaced after a pause, never more than the window holds. */
const UNPACED_BURST = 10

/** One connection's pacer. It asks `controller` for the rate. */
export class Pacer {
  private burstTokens = UNPACED_BURST
  private idealNext: Micros = 0
  private lastDelayedSend: Micros = 0
  private wasDelayed = false

  /** @param enabled without it, packets go as soon as the window allows */
  constructor(
    private controller: CongestionController,
    private readonly enabled: boolean
  ) {}

  /** Goes on with another algorithm. */
  setController(controller: CongestionController): void {
    this.controller = controller
  }

  /** Loss: no more unpaced packets until the connection has been quiet. */
  onLoss(): void {
    this.burstTokens = 0
  }

  /**
   * Charges one congestion-controlled packet.
   * @param bytesInFlight bytes in flight before it
   * @param bytes its UDP payload
   */
  onPacketSent(now: Micros, bytesInFlight: number, bytes: number): void {
    if (!this.enabled) return
    if (bytesInFlight === 0 && !this.controller.inRecovery) {
      this.burstTokens = Math.min(UNPACED_BURST, Math.floor(this.controller.congestionWindow / MAX_SEGMENT_SIZE))
    }
    if (this.burstTokens > 0) {
      this.burstTokens--
      this.wasDelayed = false
      this.lastDelayedSend = 0
      this.idealNext = 0
      return
    }
    const delay = bytes / this.controller.pacingRate(bytesInFlight + bytes)
    if (!this.wasDelayed) {
      this.idealNext = Math.max(this.idealNext, now) + delay
      return
    }
    // The timer came late: go on without delay until the schedule is caught up, unless the application had nothing.
    this.idealNext += delay
    const applicationLimited = this.lastDelayedSend !== 0 && now > this.lastDelayedSend + delay
    if (this.idealNext <= now && !applicationLimited) {
      this.lastDelayedSend = now
    } else {
      this.wasDelayed = false
      this.lastDelayedSend = 0
    }
  }

  /** How much earlier than it is due, µs, {@link sendTime} lets the next packet go now; 0 if it does not. */
  earliness(now: Micros, bytesInFlight: number): Micros {
    const early = this.idealNext - now
    if (early < 1 || early > TIMER_SLACK || this.burstTokens > 0 || bytesInFlight === 0) return 0
    return this.controller.canSend(bytesInFlight) ? Math.floor(early) : 0
  }

  /** When the next full packet may go: 0 for now, else an absolute time; `Infinity` if the window is used up. */
  sendTime(now: Micros, bytesInFlight: number): Micros {
    if (!this.controller.canSend(bytesInFlight)) return Infinity
    if (!this.enabled || this.burstTokens > 0 || bytesInFlight === 0) return 0
    if (this.idealNext <= now + TIMER_SLACK) return 0
    this.wasDelayed = true
    return Math.ceil(this.idealNext)
  }
}
