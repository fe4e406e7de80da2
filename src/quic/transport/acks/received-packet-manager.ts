/**
 * What has been received, and what of it to report (quic_received_packet_manager.cc). When is the
 * {@link AckScheduler}'s decision.
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import type { Micros } from '../../types.js'
import type { AckFrame } from '../../wire/frames/frames.js'
import { AckScheduler, type ReceivedForAck } from './ack-scheduler.js'
import { PacketRangeSet } from './packet-range-set.js'

/** A gap is reported at once only this many packets long: the peer's loss threshold and one more for a lost ack. */
const PACKETS_AFTER_GAP = 4
/** An ACK names at most 256; twice that, so that a hole can be filled long after it left the ACK. */
const MAX_TRACKED_RANGES = 512
const MAX_REPORTED_RANGES = 256

/** Built and written into a packet in one go, so that one frame does for all connections. */
const outgoingAck: AckFrame = {
  largestAcked: 0,
  ackDelay: Infinity,
  rangeCount: 0,
  ranges: new Float64Array(2 * MAX_REPORTED_RANGES)
}

/** The receiving half of one connection's reliability. */
export class ReceivedPacketManager {
  /** Highest packet number received, 0 before the first. */
  largestReceived = 0
  /** The highest STOP_WAITING value: below it the peer waits for nothing. */
  peerLeastUnacked = 0
  /** Decides when an ack is due. */
  readonly schedule = new AckScheduler()
  private readonly received = new PacketRangeSet(MAX_TRACKED_RANGES)
  /** Nothing below is awaited: the peer said so, or too many gaps lie above. */
  private floor = 1
  private largestReceivedAt: Micros = 0
  private largestWithStopWaiting = 0
  private readonly latest: ReceivedForAck = { packetNumber: 0, eliciting: false, fillsGap: false, newGap: false }

  /** Whether the packet is new. To be asked before decryption; duplicates and forgotten numbers are dropped there. */
  isAwaiting(packetNumber: number): boolean {
    return packetNumber > this.largestReceived || (packetNumber >= this.floor && !this.received.contains(packetNumber))
  }

  /** Whether numbers between those received are still awaited. */
  get hasMissing(): boolean {
    return this.received.size > 1 || (this.received.size === 1 && this.received.min > this.floor)
  }

  /**
   * Records a packet that opened and whose frames were processed, and decides about the ack for it.
   * @param ackEliciting whether it held a frame that asks for an ack (§2.9 of the protocol notes)
   */
  onPacketReceived(now: Micros, packetNumber: number, ackEliciting: boolean): void {
    const { latest } = this
    latest.packetNumber = packetNumber
    latest.eliciting = ackEliciting
    latest.fillsGap = packetNumber < this.largestReceived
    this.record(now, packetNumber)
    latest.newGap = this.hasMissing && this.received.newestLength <= PACKETS_AFTER_GAP
    this.schedule.onPacketReceived(now, latest)
  }

  /**
   * Processes a STOP_WAITING frame of the packet with this number. One in an older packet than the last is ignored.
   * @throws QuicError INVALID_STOP_WAITING_DATA if it goes back, or beyond its own packet
   */
  onStopWaiting(leastUnacked: number, packetNumber: number): void {
    if (packetNumber <= this.largestWithStopWaiting) return
    if (leastUnacked < this.peerLeastUnacked) {
      throw new QuicError(QuicErrorCode.INVALID_STOP_WAITING_DATA, 'Least unacked too small.')
    }
    if (leastUnacked > packetNumber) {
      throw new QuicError(QuicErrorCode.INVALID_STOP_WAITING_DATA, 'Least unacked too large.')
    }
    this.largestWithStopWaiting = packetNumber
    this.peerLeastUnacked = leastUnacked
    this.dontWaitBefore(leastUnacked)
  }

  /**
   * Forgets what lies below: the peer waits for none of it. Without STOP_WAITING that is known once an ACK of ours is
   * acknowledged itself (quic_connection.cc, OnAckFrame with no_stop_waiting_frames).
   */
  dontWaitBefore(packetNumber: number): void {
    if (packetNumber <= this.floor) return
    this.floor = packetNumber
    this.received.removeBelow(packetNumber)
  }

  /** Asks for an ack with the next transmit, whatever the counters say. */
  ackNow(): void {
    this.schedule.now()
  }

  /**
   * When an ack must go: 0 for now, else an absolute time; `Infinity` if none is owed. While one is owed, it rides on
   * any packet that goes earlier.
   */
  nextAckTime(): Micros {
    return this.schedule.nextTime
  }

  /** Whether there is anything to acknowledge that has not been, now or by timer. */
  get ackPending(): boolean {
    return this.schedule.pending
  }

  /** The ack to send now, in a frame that the next call reuses, of whatever connection. {@link onAckSent} once it is in a packet. */
  buildAck(now: Micros): AckFrame {
    const frame = outgoingAck
    const { received } = this
    frame.largestAcked = this.largestReceived
    frame.ackDelay = this.largestReceived === 0 ? Infinity : Math.max(0, now - this.largestReceivedAt)
    frame.rangeCount = Math.min(received.size, MAX_REPORTED_RANGES)
    for (let i = 0, from = received.size - 1; i < frame.rangeCount; i++, from--) {
      frame.ranges[2 * i] = received.first(from)
      frame.ranges[2 * i + 1] = received.last(from)
    }
    return frame
  }

  /** An ack went out: counts from zero again. */
  onAckSent(): void {
    this.schedule.onAckSent(this.hasMissing)
  }

  private record(now: Micros, packetNumber: number): void {
    const forgotten = this.received.add(packetNumber)
    if (forgotten >= this.floor) this.floor = forgotten + 1
    if (packetNumber > this.largestReceived) {
      this.largestReceived = packetNumber
      this.largestReceivedAt = now
    }
  }
}
