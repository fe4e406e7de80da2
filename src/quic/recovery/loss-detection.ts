/**
 * Decides which packets in flight are lost (general_loss_algorithm.cc).
 */
import type { Micros } from '../types.js'
import type { PacketList } from './packet-list.js'
import type { RttStats } from './rtt-stats.js'
import type { SentPacketMap } from './sent-packet-map.js'
import { PacketState } from './sent-packet-map.js'

/** A packet is lost once one sent this many later is acknowledged (forward acknowledgement). */
export const NACK_THRESHOLD = 3
const MIN_LOSS_DELAY: Micros = 5_000
/** A packet may be late by a quarter of a round trip, or at first by a sixteenth where that adapts. */
const DELAY_SHIFT = 2
const ADAPTIVE_DELAY_SHIFT = 4

/**
 * How losses are told: by packet number (`nack`, the default), by number but only after two acks in order
 * (`lazy-fack`, COPT LFAK), by time alone (`time`, COPT TIME), or by a time that grows with every loss that was none
 * (`adaptive-time`, COPT ATIM).
 */
export type LossMode = 'nack' | 'lazy-fack' | 'time' | 'adaptive-time'

/** Loss by packet number, by time at the end of a burst, and by age. */
export class LossDetection {
  /** When the next packet becomes lost by time alone; `Infinity` if none waits for that. */
  lossTime: Micros = Infinity
  private mode: LossMode = 'nack'
  private delayShift = DELAY_SHIFT
  private largestPreviouslyAcked = 0
  private largestSentOnSpuriousLoss = 0

  /** Starts over with another way. */
  setMode(mode: LossMode): void {
    this.mode = mode
    this.delayShift = mode === 'adaptive-time' ? ADAPTIVE_DELAY_SHIFT : DELAY_SHIFT
    this.lossTime = Infinity
    this.largestPreviouslyAcked = 0
    this.largestSentOnSpuriousLoss = 0
  }

  /**
   * Appends what is lost now to `lost` and sets {@link lossTime}.
   * @param largestNewlyAcked the highest packet of the latest acknowledgement that acknowledged anything new
   * @param largestSentTime when that packet was sent
   */
  detect(
    now: Micros,
    map: SentPacketMap,
    rtt: RttStats,
    largestNewlyAcked: number,
    largestSentTime: Micros,
    lost: PacketList
  ): void {
    this.lossTime = Infinity
    const maxRtt = Math.max(rtt.previousSmoothed, rtt.latest)
    const lossDelay = Math.max(MIN_LOSS_DELAY, maxRtt + (maxRtt >> this.delayShift))
    const byTime = this.mode === 'time' || this.mode === 'adaptive-time'
    const previouslyAcked = this.largestPreviouslyAcked
    this.largestPreviouslyAcked = largestNewlyAcked
    for (let at = map.first; at !== 0 && at <= largestNewlyAcked; at = map.next(at)) {
      if (map.state(at) !== PacketState.InFlight) continue
      const sentTime = map.sentTime(at)
      if (!this.lostByNumber(at, largestNewlyAcked, previouslyAcked)) {
        // Early retransmit (RFC 5827): nothing later is under way that could bring the threshold.
        if (byTime || (map.isRetransmittable(at) && map.largestSentInFlight <= largestNewlyAcked)) {
          if (now < sentTime + lossDelay) {
            this.lossTime = sentTime + lossDelay
            return
          }
        } else if (sentTime + rtt.smoothed >= largestSentTime) {
          // Reordering by up to one round trip is tolerated.
          continue
        }
      }
      lost.add(at, map.bytes(at))
    }
  }

  /**
   * A packet that was called lost arrived, after its data had been sent again.
   * @param lostAt the largest packet sent when it was called lost
   * @param resentAt about when its data was sent again
   * @param largestSent the largest packet sent by now
   */
  onSpuriousLoss(now: Micros, rtt: RttStats, lostAt: number, resentAt: Micros, largestSent: number): void {
    if (this.mode !== 'adaptive-time' || this.delayShift === 0) return
    // What was resent before the last adjustment does not know of it.
    if (lostAt < this.largestSentOnSpuriousLoss) return
    this.largestSentOnSpuriousLoss = largestSent
    const needed = now - resentAt
    const maxRtt = Math.max(rtt.previousSmoothed, rtt.latest)
    let allowed: Micros
    do {
      allowed = maxRtt >> this.delayShift
      this.delayShift--
    } while (allowed < needed && this.delayShift > 0)
  }

  private lostByNumber(packetNumber: number, largestNewlyAcked: number, previouslyAcked: number): boolean {
    if (this.mode === 'nack') return largestNewlyAcked - packetNumber >= NACK_THRESHOLD
    return (
      this.mode === 'lazy-fack' &&
      largestNewlyAcked > previouslyAcked &&
      previouslyAcked > packetNumber &&
      previouslyAcked - packetNumber >= NACK_THRESHOLD - 1
    )
  }
}
