/**
 * Decides which packets in flight are lost (general_loss_algorithm.cc, the default "nack" mode).
 */
import type { Micros } from '../types.js'
import type { PacketList } from './packet-list.js'
import type { RttStats } from './rtt-stats.js'
import type { SentPacketMap } from './sent-packet-map.js'
import { PacketState } from './sent-packet-map.js'

/** A packet is lost once one sent this many later is acknowledged (forward acknowledgement). */
export const NACK_THRESHOLD = 3
const MIN_LOSS_DELAY: Micros = 5_000

/** Loss by packet number, by time at the end of a burst, and by age. */
export class LossDetection {
  /** When the next packet becomes lost by time alone; `Infinity` if none waits for that. */
  lossTime: Micros = Infinity

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
    const lossDelay = Math.max(MIN_LOSS_DELAY, maxRtt + Math.floor(maxRtt / 4))
    for (let at = map.first; at !== 0 && at <= largestNewlyAcked; at = map.next(at)) {
      if (map.state(at) !== PacketState.InFlight) continue
      const sentTime = map.sentTime(at)
      if (largestNewlyAcked - at < NACK_THRESHOLD) {
        if (map.isRetransmittable(at) && map.largestSentInFlight <= largestNewlyAcked) {
          // Early retransmit (RFC 5827): nothing later is under way that could bring the threshold.
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
}
