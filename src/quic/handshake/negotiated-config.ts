/**
 * The limits that hold on a connection once both hellos have been processed (quic_config.h, §4.10 of the protocol notes).
 */
import type { CachedNetworkParameters } from './cached-network-parameters.js'

/** See the file comment. */
export interface NegotiatedConfig {
  /** Idle timeout in seconds, the smaller of both proposals. */
  idleTimeoutSeconds: number
  /** Whether an idle connection closes without a packet. */
  silentClose: boolean
  /** Negotiated MSPC. */
  maxStreamsPerConnection: number
  /** The peer's MIDS; undefined if it sent none. */
  peerMaxIncomingStreams: number | undefined
  /** The peer's SFCW: how much this side may send on each stream at first, bytes. */
  peerStreamWindow: number
  /** The peer's CFCW: how much this side may send on the connection at first, bytes. */
  peerConnectionWindow: number
  /** The peer's IRTT in microseconds; undefined if it sent none. */
  initialRtt: number | undefined
  /** The peer's SRBF: the size of its socket's receive buffer, bytes; undefined if it sent none. Nothing depends on it. */
  peerSocketReceiveBuffer?: number | undefined
  /** Whether the peer must not be followed to, or left for, another address (NCMR). */
  disableMigration?: boolean
  /** Whether the peer wants no connection id in packets sent to it (TCID 0). */
  omitConnectionId: boolean
  /** Connection options the peer sent, four-character tags. */
  connectionOptions: readonly string[]
  /** Server: what an earlier connection of the client found of the path, by the token it showed. */
  previousNetwork?: CachedNetworkParameters | undefined
  /** Whether forced head-of-line blocking was asked for. */
  forceHolBlocking: boolean
}
