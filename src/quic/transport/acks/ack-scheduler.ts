/**
 * When to acknowledge (quic_connection.cc, MaybeQueueAck). The default is TCP's way: every second packet, or after 25 ms.
 * A client may ask both sides to do it less often (COPT ACKD, AKD2, AKD3, AKD4).
 */
import type { Micros } from '../../types.js'

const ACK_DELAY: Micros = 25_000
const ELICITING_BEFORE_ACK = 2
/** An ack at least this often, whatever the packets hold, so that the peer can forget what it sent. */
const PACKETS_BEFORE_ACK = 20
/** Slow start needs its acks: packets up to this number are acknowledged the default way. */
const FIRST_DECIMATED = 101
const ELICITING_BEFORE_DECIMATED_ACK = 10
const QUARTER = 0.25
const EIGHTH = 0.125

/** Measures the path for decimation. */
export interface MeasuredRtt {
  /** The least round-trip time, µs; 0 before the first sample. */
  readonly min: Micros
}

/** What the scheduler has to know about a received packet. */
export interface ReceivedForAck {
  packetNumber: number
  /** It holds a frame that asks for an ack. */
  eliciting: boolean
  /** It was reported missing, or would have been. */
  fillsGap: boolean
  /** There are gaps, and the newest one is new. */
  newGap: boolean
}

/** The decision for one connection; it forgets with each ack that is sent. */
export class AckScheduler {
  /** Packets that ask for no ack get one every 20 all the same (through Q038). */
  countsAllPackets = true
  private rtt: MeasuredRtt | undefined
  private rttShare = 0
  /** Decimation that waits with gaps as well. */
  private patient = false
  private packets = 0
  private eliciting = 0
  private queued = false
  private time: Micros = Infinity
  private lastAckHadMissing = false

  /**
   * Takes the client's connection options.
   * @param rtt of the connection
   */
  applyOptions(options: readonly string[], rtt: MeasuredRtt): void {
    if (options.includes('ACKD')) this.decimate(rtt, QUARTER, false)
    if (options.includes('AKD2')) this.decimate(rtt, QUARTER, true)
    if (options.includes('AKD3')) this.decimate(rtt, EIGHTH, false)
    if (options.includes('AKD4')) this.decimate(rtt, EIGHTH, true)
  }

  private decimate(rtt: MeasuredRtt, share: number, patient: boolean): void {
    this.rtt = rtt
    this.rttShare = share
    this.patient = patient
  }

  /** 0 for now, else an absolute time; `Infinity` if no ack is owed. */
  get nextTime(): Micros {
    return this.queued ? 0 : this.time
  }

  /** Whether one is owed, now or by timer. */
  get pending(): boolean {
    return this.queued || this.time !== Infinity
  }

  /** Asks for one with the next transmit, whatever the counters say. */
  now(): void {
    this.queued = true
  }

  onPacketReceived(now: Micros, packet: ReceivedForAck): void {
    this.packets++
    if (this.countsAllPackets && this.packets >= PACKETS_BEFORE_ACK) this.queued = true
    // The patient way goes by the timer, but ends at once what an ack before had to report as missing.
    if (packet.fillsGap && packet.eliciting && (!this.patient || this.lastAckHadMissing)) this.queued = true
    if (!packet.eliciting || this.queued) return
    this.eliciting++
    if (this.rtt !== undefined && packet.packetNumber >= FIRST_DECIMATED) {
      this.count(ELICITING_BEFORE_DECIMATED_ACK, now + Math.min(ACK_DELAY, Math.floor(this.rtt.min * this.rttShare)))
    } else {
      this.count(ELICITING_BEFORE_ACK, now + ACK_DELAY)
    }
    if (!packet.newGap) return
    if (this.patient) this.time = Math.min(this.time, now + Math.floor(this.rtt!.min * EIGHTH))
    else this.queued = true
  }

  private count(limit: number, time: Micros): void {
    if (this.eliciting >= limit) this.queued = true
    else if (this.time === Infinity) this.time = time
  }

  /**
   * An ack went out: counts from zero again.
   * @param hadMissing whether it reported gaps
   */
  onAckSent(hadMissing: boolean): void {
    this.queued = false
    this.time = Infinity
    this.packets = 0
    this.eliciting = 0
    this.lastAckHadMissing = hadMissing
  }
}
