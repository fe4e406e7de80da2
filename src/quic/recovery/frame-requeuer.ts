/**
 * Gives the frames of packets back to those who can send them again. A packet's frames are given back once in its life:
 * after that, they live on in a newer packet.
 */
import type { Micros } from '../types.js'
import type { RecoveryStats } from './recovery-stats.js'
import type { FrameFateListener } from './sent-frame.js'
import type { SentPacketMap } from './sent-packet-map.js'
import { PacketState } from './sent-packet-map.js'

/** Walks one connection's sent packets on behalf of loss detection and timeouts. */
export class FrameRequeuer {
  constructor(
    private readonly map: SentPacketMap,
    private readonly stats: RecoveryStats
  ) {}

  /** Gives back the frames of one packet, unless that has been done or there are none. */
  requeue(packetNumber: number, listener: FrameFateListener): void {
    const { map } = this
    if (!map.isRetransmittable(packetNumber)) return
    this.stats.packetsRetransmitted++
    for (let frame = map.frames(packetNumber); frame !== null; frame = frame.next) listener.onFrameLost(frame)
    map.markRequeued(packetNumber)
  }

  /**
   * Gives back the frames of up to `count` of the oldest packets in flight, which stay in flight: whether they are lost
   * is for loss detection to say.
   * @returns how many there were
   */
  requeueOldest(count: number, listener: FrameFateListener): number {
    const { map } = this
    let requeued = 0
    for (let at = map.first; at !== 0 && requeued < count; at = map.next(at)) {
      if (map.state(at) !== PacketState.InFlight || !map.isRetransmittable(at)) continue
      this.requeue(at, listener)
      requeued++
    }
    return requeued
  }

  /**
   * Gives back all handshake data in flight and takes its packets out of flight without calling that congestion.
   * @returns how many packets there were
   */
  requeueCrypto(now: Micros, listener: FrameFateListener): number {
    const { map } = this
    let requeued = 0
    for (let at = map.first; at !== 0; at = map.next(at)) {
      if (map.state(at) !== PacketState.InFlight || !map.hasCrypto(at) || !map.isRetransmittable(at)) continue
      this.requeue(at, listener)
      map.markLost(at, now)
      requeued++
    }
    return requeued
  }

  /**
   * Undoes losses above `largestNewlyAcked` whose frames have not been sent again (COPT UNDO): an acknowledgement that
   * came out of order shows that it is too early to call them lost.
   */
  undoLosses(largestNewlyAcked: number, listener: FrameFateListener): void {
    const { map } = this
    if (listener.takeBack === undefined) return
    for (let at = map.first; at !== 0; at = map.next(at)) {
      if (map.state(at) !== PacketState.Lost || !map.isRequeued(at)) continue
      const frames = map.frames(at)
      if (at <= largestNewlyAcked) {
        // The reference looks at its oldest pending retransmission alone.
        if (frames !== null && listener.isWaiting?.(frames) === true) return
        continue
      }
      if (frames !== null && listener.takeBack(frames)) {
        this.stats.packetsRetransmitted--
        map.restore(at)
      }
    }
  }

  /** Takes everything out of flight: nothing there is left to resend, and it must not hold the window any longer. */
  abandonFlight(now: Micros): void {
    const { map } = this
    for (let at = map.first; at !== 0; at = map.next(at)) {
      if (map.state(at) === PacketState.InFlight) map.markLost(at, now)
    }
  }
}
