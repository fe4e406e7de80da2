/**
 * Proportional rate reduction: how fast to send while recovering from a loss (RFC 6937; prr_sender.cc, the form
 * without a division).
 */
import { MAX_SEGMENT_SIZE } from './congestion-controller.js'

/** Spreads the reduction of the window over one round trip, and never stops altogether. All counts in bytes. */
export class ProportionalRateReduction {
  private sentSinceLoss = 0
  private deliveredSinceLoss = 0
  private acksSinceLoss = 0
  private inFlightBeforeLoss = 0

  onPacketSent(bytes: number): void {
    this.sentSinceLoss += bytes
  }

  /** A new recovery begins. */
  onLoss(priorInFlight: number): void {
    this.sentSinceLoss = 0
    this.deliveredSinceLoss = 0
    this.acksSinceLoss = 0
    this.inFlightBeforeLoss = priorInFlight
  }

  onPacketAcked(bytes: number): void {
    this.deliveredSinceLoss += bytes
    this.acksSinceLoss++
  }

  reset(): void {
    this.onLoss(0)
  }

  /** Whether a packet may go now. */
  canSend(congestionWindow: number, bytesInFlight: number, slowStartThreshold: number): boolean {
    // The first retransmission always goes, and so does one packet when nothing is under way (limited transmit).
    if (this.sentSinceLoss === 0 || bytesInFlight < MAX_SEGMENT_SIZE) return true
    if (congestionWindow > bytesInFlight) {
      // Slow-start reduction bound: one extra segment for each ack, not the whole open window in one burst.
      return this.deliveredSinceLoss + this.acksSinceLoss * MAX_SEGMENT_SIZE > this.sentSinceLoss
    }
    return this.deliveredSinceLoss * slowStartThreshold > this.sentSinceLoss * this.inFlightBeforeLoss
  }
}
