/**
 * What decides how much may be under way: the interface that every algorithm stands behind.
 */
import type { Micros } from '../types.js'
import type { PacketList } from './packet-list.js'

/** The segment that windows are counted in, bytes (quic_protocol.h, kDefaultTCPMSS). */
export const MAX_SEGMENT_SIZE = 1460

/** The initial window of the reference, segments (quic_protocol.h, kInitialCongestionWindow). */
export const INITIAL_WINDOW_PACKETS = 32

/** The largest window, segments (quic_protocol.h, kDefaultMaxCongestionWindowPackets). */
export const MAX_WINDOW_PACKETS = 2000

/** The largest window to begin with because an earlier connection had one, segments (tcp_cubic_sender_base.h). */
export const MAX_RESUMPTION_WINDOW_PACKETS = 200

/** What an algorithm may see of the packets under way. */
export interface Flight {
  readonly bytesInFlight: number
  /** The smallest packet number that is still tracked. */
  readonly leastUnacked: number
}

/** Experiments that a client may ask a server for with its connection options (tcp_cubic_sender_base.cc). */
export interface ControllerOptions {
  /** IW03, IW10, IW20, IW50: the first window, segments. */
  initialWindowPackets?: number
  /** MIN1: the window may fall to one segment. */
  minWindowOne?: boolean
  /** MIN4: as MIN1, but four segments may be in flight whatever the window says. */
  minFourInFlight?: boolean
  /** SSLR: the loss that ends slow start costs what was lost, not a share of the window. */
  slowStartLargeReduction?: boolean
  /** NPRR: in recovery the window is used as always, at its own rate. */
  noProportionalReduction?: boolean
  /** RATE: half a window more may be in flight, at three quarters of the rate. */
  rateBasedSending?: boolean
}

/**
 * A congestion control algorithm. Window-based ones answer {@link canSend} from the window; the pacer spreads what
 * they allow at {@link pacingRate}. A rate-based algorithm answers the same questions from its model.
 */
export interface CongestionController {
  /** Such as `cubic`, for logs. */
  readonly name: string
  /** Bytes that may be in flight. */
  readonly congestionWindow: number
  /** Bytes; 0 where the algorithm has none. */
  readonly slowStartThreshold: number
  readonly inSlowStart: boolean
  readonly inRecovery: boolean
  /** What the path seems to carry, bytes per microsecond; 0 before the first RTT sample. */
  readonly bandwidthEstimate: number
  /**
   * A congestion-controlled packet goes out.
   * @param bytes its UDP payload
   * @param bytesInFlight before it
   */
  onPacketSent(now: Micros, packetNumber: number, bytes: number, bytesInFlight: number): void
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
  /**
   * The path is the one of an earlier connection.
   * @param bandwidth what that one found, bytes per second
   * @param rtt its least round-trip time
   */
  resume(bandwidth: number, rtt: Micros): void
  canSend(bytesInFlight: number): boolean
  /** Bytes per microsecond at which packets should leave. */
  pacingRate(bytesInFlight: number): number
  applyOptions(options: ControllerOptions): void
  /** How many TCP connections this one may behave like. */
  setEmulatedConnections(count: number): void
}
