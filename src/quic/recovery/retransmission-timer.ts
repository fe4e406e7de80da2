/**
 * The one retransmission timer: which of its four purposes comes next, and when (quic_sent_packet_manager.cc,
 * GetRetransmissionMode and the delays below it).
 */
import type { Micros } from '../types.js'
import type { LossDetection } from './loss-detection.js'
import type { RttStats } from './rtt-stats.js'
import type { SentPacketMap } from './sent-packet-map.js'

export const TimeoutMode = {
  /** Handshake data is outstanding: send all of it again. */
  Handshake: 0,
  /** A packet becomes lost by time. */
  Loss: 1,
  /** The tail of a burst may be lost: one packet to provoke an acknowledgement. */
  TailLossProbe: 2,
  /** Nothing helped: the oldest packets again, with backoff. */
  Retransmission: 3
} as const
export type TimeoutMode = (typeof TimeoutMode)[keyof typeof TimeoutMode]

const MIN_HANDSHAKE_DELAY: Micros = 10_000
const CONSERVATIVE_MIN_HANDSHAKE_DELAY: Micros = 25_000
const MIN_TLP_DELAY: Micros = 10_000
const MIN_RTO: Micros = 200_000
const DEFAULT_RTO: Micros = 500_000
const MAX_RTO: Micros = 60_000_000
const MAX_BACKOFF = 10

/** Computes the deadline on demand from what is in flight; keeps the counters that back it off. */
export class RetransmissionTimer {
  handshakeConfirmed = false
  maxTailLossProbes = 2
  /** COPT TLPR: the first probe goes after half a round trip. */
  halfRttFirstProbe = false
  /** COPT CONH: two round trips before handshake data goes again, not one and a half. */
  conservativeHandshake = false
  /** Retransmission timeouts since the last progress. */
  rtoCount = 0
  /** Tail loss probes since the last progress. */
  tlpCount = 0
  /** Handshake timeouts since the last progress. */
  cryptoCount = 0
  private lastSent: Micros = 0
  private lastCryptoSent: Micros = 0

  constructor(
    private readonly rtt: RttStats,
    private readonly map: SentPacketMap,
    private readonly loss: LossDetection
  ) {}

  /** A congestion-controlled packet goes out. */
  onPacketSent(now: Micros, hasCrypto: boolean): void {
    this.lastSent = now
    if (hasCrypto) this.lastCryptoSent = now
  }

  /** Absolute, `Infinity` with nothing in flight but MTU probes, which nobody waits for. */
  deadline(): Micros {
    if (this.map.packetsInFlight === this.map.probesInFlight) return Infinity
    switch (this.mode()) {
      case TimeoutMode.Handshake:
        return this.lastCryptoSent + this.handshakeDelay()
      case TimeoutMode.Loss:
        return this.loss.lossTime
      case TimeoutMode.TailLossProbe:
        return this.lastSent + this.tailLossDelay()
      case TimeoutMode.Retransmission:
        // Not before a probe would have been answered.
        return this.lastSent + Math.max(this.retransmissionDelay(), this.tailLossDelay())
    }
  }

  /** Counts the timeout that just fired and starts its successor from now, should nothing be sent in answer to it. */
  onExpired(now: Micros): TimeoutMode {
    const mode = this.mode()
    switch (mode) {
      case TimeoutMode.Handshake:
        this.cryptoCount++
        this.lastCryptoSent = now
        break
      case TimeoutMode.Loss:
        break
      case TimeoutMode.TailLossProbe:
        this.tlpCount++
        this.lastSent = now
        break
      case TimeoutMode.Retransmission:
        this.rtoCount++
        this.lastSent = now
    }
    return mode
  }

  /** The path has shown that it works. */
  resetBackoff(): void {
    this.rtoCount = 0
    this.tlpCount = 0
    this.cryptoCount = 0
  }

  /** The path is another one. */
  reset(): void {
    this.rtoCount = 0
    this.tlpCount = 0
  }

  private mode(): TimeoutMode {
    if (!this.handshakeConfirmed && this.map.cryptoInFlight > 0) return TimeoutMode.Handshake
    if (this.loss.lossTime !== Infinity) return TimeoutMode.Loss
    return this.tlpCount < this.maxTailLossProbes && this.map.retransmittableInFlight > 0
      ? TimeoutMode.TailLossProbe
      : TimeoutMode.Retransmission
  }

  /** More eager than a probe: handshake messages are acknowledged without delay. */
  private handshakeDelay(): Micros {
    const delay = this.conservativeHandshake
      ? Math.max(CONSERVATIVE_MIN_HANDSHAKE_DELAY, 2 * this.rtt.smoothedOrInitial)
      : Math.max(MIN_HANDSHAKE_DELAY, Math.floor(1.5 * this.rtt.smoothedOrInitial))
    return Math.min(delay * 2 ** Math.min(this.cryptoCount, MAX_BACKOFF), MAX_RTO)
  }

  private tailLossDelay(): Micros {
    const srtt = this.rtt.smoothedOrInitial
    if (this.halfRttFirstProbe && this.tlpCount === 0) return Math.max(MIN_TLP_DELAY, Math.floor(srtt / 2))
    // A single packet is acknowledged with delay, so the peer's ack timer has to be waited out.
    return this.map.packetsInFlight > 1
      ? Math.max(MIN_TLP_DELAY, 2 * srtt)
      : Math.max(2 * srtt, Math.floor(1.5 * srtt) + MIN_RTO / 2)
  }

  private retransmissionDelay(): Micros {
    const base =
      this.rtt.smoothed === 0 ? DEFAULT_RTO : Math.max(this.rtt.smoothed + 4 * this.rtt.meanDeviation, MIN_RTO)
    return Math.min(base * 2 ** Math.min(this.rtoCount, MAX_BACKOFF), MAX_RTO)
  }
}
