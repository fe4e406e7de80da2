/**
 * What decides how much may be under way: the interface that every algorithm stands behind.
 */
import type { Micros } from '../types.js'
import type { PacketList } from './packet-list.js'

/** The segment that windows are counted in, bytes (quic_protocol.h, kDefaultTCPMSS). */
export const MAX_SEGMENT_SIZE = 1460

/**
 * A congestion control algorithm. Window-based ones answer {@link canSend} from the window; the pacer spreads what
 * they allow at {@link pacingRate}. A rate-based algorithm answers the same questions from its model.
 */
export interface CongestionController {
  /** Bytes that may be in flight. */
  readonly congestionWindow: number
  /** Bytes. */
  readonly slowStartThreshold: number
  readonly inSlowStart: boolean
  readonly inRecovery: boolean
  /** A congestion-controlled packet goes out. `bytes` is its UDP payload. */
  onPacketSent(packetNumber: number, bytes: number): void
  /**
   * An acknowledgement or a loss timer changed what is in flight.
   * @param rttUpdated whether there is a new RTT sample
   * @param priorInFlight bytes in flight before it
   * @param acked packets newly acknowledged that were in flight
   * @param lost packets newly found lost
   */
  onCongestionEvent(now: Micros, rttUpdated: boolean, priorInFlight: number, acked: PacketList, lost: PacketList): void
  /** A retransmission timeout turned out to be real. */
  onRetransmissionTimeout(): void
  /** Nothing more to send while the window has room. */
  onApplicationLimited(bytesInFlight: number): void
  /** The path is another one. */
  onPathChanged(): void
  canSend(bytesInFlight: number): boolean
  /** Bytes per microsecond at which packets should leave. */
  pacingRate(bytesInFlight: number): number
  setInitialWindow(packets: number): void
  setEmulatedConnections(count: number): void
}
