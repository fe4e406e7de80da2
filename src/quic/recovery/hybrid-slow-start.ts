/**
 * Leaves slow start when the round-trip time rises, before the queue overflows (HyStart, delay part only;
 * hybrid_slow_start.cc).
 */
import type { Micros } from '../types.js'

/** Below this window, in packets, slow start goes on whatever the delay does. */
const LOW_WINDOW = 16
/** Samples at the start of a round that are compared: the burst's least delay shows in the first few. */
const MIN_SAMPLES = 8
const MIN_THRESHOLD: Micros = 4_000
const MAX_THRESHOLD: Micros = 16_000

/** One connection's search for the end of slow start. A round is one window of packets. */
export class HybridSlowStart {
  private inRound = false
  private found = false
  private lastSent = 0
  private roundEnd = 0
  private sampleCount = 0
  private roundMinRtt: Micros = 0

  onPacketSent(packetNumber: number): void {
    this.lastSent = packetNumber
  }

  /** Ends the round with the last packet of its burst; the next acknowledgement begins another. */
  onPacketAcked(packetNumber: number): void {
    if (this.roundEnd <= packetNumber) this.inRound = false
  }

  restart(): void {
    this.inRound = false
    this.found = false
  }

  /**
   * Takes an RTT sample and tells whether slow start should end now.
   * @param windowPackets the congestion window in full packets
   */
  shouldExit(latestRtt: Micros, minRtt: Micros, windowPackets: number): boolean {
    if (!this.inRound) this.startRound()
    if (this.found) return true
    this.sampleCount++
    if (this.sampleCount <= MIN_SAMPLES && (this.roundMinRtt === 0 || latestRtt < this.roundMinRtt)) {
      this.roundMinRtt = latestRtt
    }
    if (this.sampleCount === MIN_SAMPLES) {
      const threshold = Math.max(Math.min(Math.floor(minRtt / 8), MAX_THRESHOLD), MIN_THRESHOLD)
      this.found = this.roundMinRtt > minRtt + threshold
    }
    return windowPackets >= LOW_WINDOW && this.found
  }

  private startRound(): void {
    this.roundEnd = this.lastSent
    this.roundMinRtt = 0
    this.sampleCount = 0
    this.inRound = true
  }
}
