/**
 * Goes through sent packets along with a received acknowledgement (quic_sent_packet_manager.cc,
 * HandleAckForSentPackets; quic_connection.cc, ValidateAckFrame).
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { Micros } from '../types.js'
import type { AckFrame } from '../wire/frames/frames.js'
import type { LossDetection } from './loss-detection.js'
import { PacketList } from './packet-list.js'
import type { RecoveryStats } from './recovery-stats.js'
import type { RttStats } from './rtt-stats.js'
import type { FrameFateListener } from './sent-frame.js'
import type { SentPacketMap } from './sent-packet-map.js'
import { PacketState } from './sent-packet-map.js'

/**
 * Checks what an acknowledgement claims.
 * @param largestAcked what the one before it claimed
 * @throws QuicError INVALID_ACK_DATA where the reference closes
 */
export function validateAck(ack: AckFrame, largestSent: number, largestAcked: number): void {
  if (ack.largestAcked > largestSent) throw invalidAck('Largest observed too high.')
  if (ack.largestAcked < largestAcked) throw invalidAck('Largest observed too low.')
  if (ack.rangeCount > 0 && ack.ranges[1] !== ack.largestAcked) {
    throw invalidAck('Last received packet not equal to largest observed.')
  }
}

function invalidAck(details: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_ACK_DATA, details)
}

/** Filled and emptied while one acknowledgement is processed, so that one list does for all connections. */
const newlyAcked = new PacketList()

/** Takes acknowledged packets out of a connection's map, and keeps what is learned from them. */
export class AckWalk {
  /** Packets that the acknowledgement at hand took out of flight; void after it. */
  readonly acked = newlyAcked
  /** The highest packet of the latest acknowledgement that acknowledged anything new. */
  largestNewlyAcked = 0
  /** When that packet was sent. */
  largestNewlyAckedSentTime: Micros = 0
  /** The largest packet that an ACK of ours acknowledged which itself is acknowledged. */
  largestPeerKnowsAcked = 0
  /** UDP payload of the largest packet that arrived, bytes. */
  largestAckedLength = 0

  constructor(
    private readonly map: SentPacketMap,
    private readonly rtt: RttStats,
    private readonly loss: LossDetection,
    private readonly stats: RecoveryStats
  ) {}

  /** @returns whether the acknowledgement, which must be valid, acknowledged anything new */
  take(now: Micros, ack: AckFrame, listener: FrameFateListener): boolean {
    const { map } = this
    const { ranges, largestAcked } = ack
    this.acked.clear()
    let range = ack.rangeCount - 1
    let newest = 0
    let newestSentTime: Micros = 0
    let next = 0
    let inFlight = false
    for (let at = map.first; at !== 0 && at <= largestAcked; at = next) {
      next = map.next(at)
      while (range >= 0 && ranges[2 * range + 1]! < at) range--
      if (range < 0 || at < ranges[2 * range]!) {
        if (this.isObsolete(at, largestAcked)) map.remove(at)
        continue
      }
      const state = map.state(at)
      // A lost packet that arrived late counts as the newest only where no packet in flight does.
      if (state === PacketState.InFlight || !inFlight) {
        newest = at
        newestSentTime = map.sentTime(at)
      }
      if (state === PacketState.InFlight) {
        inFlight = true
        this.acked.add(at, map.bytes(at))
      }
      this.onArrived(now, at, listener)
      map.remove(at)
    }
    if (newest === 0) return false
    this.largestNewlyAcked = newest
    this.largestNewlyAckedSentTime = newestSentTime
    return true
  }

  private onArrived(now: Micros, packetNumber: number, listener: FrameFateListener): void {
    const { map } = this
    if (map.isRequeued(packetNumber)) this.onSpuriousRetransmission(now, packetNumber)
    this.stats.packetsAcked++
    const carriedAck = map.carriedAck(packetNumber)
    if (carriedAck > this.largestPeerKnowsAcked) this.largestPeerKnowsAcked = carriedAck
    const length = map.bytes(packetNumber)
    if (length > this.largestAckedLength) this.largestAckedLength = length
    for (let frame = map.frames(packetNumber); frame !== null; frame = frame.next) listener.onFrameAcked(frame)
  }

  private onSpuriousRetransmission(now: Micros, packetNumber: number): void {
    const { map } = this
    this.stats.packetsRetransmittedSpuriously++
    // Only losses by number or time teach: handshake data is resent on a timer of its own.
    if (map.state(packetNumber) !== PacketState.Lost || map.hasCrypto(packetNumber)) return
    const lostAt = map.lostSince(packetNumber)
    this.loss.onSpuriousLoss(now, this.rtt, lostAt, map.lostTime(packetNumber), map.largestSent)
  }

  /** Whether a packet at or below the largest acked, itself not acked, is of no more use. */
  private isObsolete(packetNumber: number, largestAcked: number): boolean {
    const state = this.map.state(packetNumber)
    return (
      state === PacketState.Idle || (state === PacketState.Lost && this.map.lostSince(packetNumber) < largestAcked)
    )
  }
}
