/**
 * What a connection is made with, and what it counts.
 */
import type { ConnectionId } from '../connection-id.js'
import type { AeadProvider } from '../crypto/protection.js'
import type { QuicError } from '../errors.js'
import type { CryptoHandshake, HandshakeHost } from '../handshake/handshake.js'
import type { CongestionAlgorithm } from '../recovery/sent-packet-manager.js'
import type { Micros, PeerAddress, Perspective, QuicHelper } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import type { ConnectionObserver } from './observer.js'
import type { SessionConnection } from './session-connection.js'

/** UDP payload of a client's packets, bytes (quic_protocol.h, kDefaultMaxPacketSize). */
export const DEFAULT_CLIENT_MAX_PACKET = 1350
/** UDP payload of a server's packets until its client has shown that larger ones pass, bytes. */
export const DEFAULT_SERVER_MAX_PACKET = 1000

/** What makes a connection. */
export interface QuicConnectionOptions {
  perspective: Perspective
  connectionId: ConnectionId
  /** The version to begin with. */
  version: QuicVersion
  /** Client: what it offers, preferred first. Server: what it accepts. */
  supportedVersions: readonly QuicVersion[]
  peerAddress: PeerAddress
  helper: QuicHelper
  aeadProvider: AeadProvider
  now: Micros
  /** Called again, for a client, after each stateless reject: what the one before learned has to be there. */
  createHandshake(host: HandshakeHost): CryptoHandshake
  createSession(connection: SessionConnection): ConnectionVisitor
  /** Called when there is something to send and the driver does not know it yet. */
  onWake(): void
  /** Called once, when the connection is over, after its session. */
  onClosed?(error: QuicError, fromPeer: boolean): void
  /** Sees what the connection does. */
  observer?: ConnectionObserver | undefined
  /** UDP payload in bytes; the default is the reference's for the perspective. */
  maxPacketLength?: number
  /** Own receive window of the crypto stream, bytes. */
  cryptoWindow: number
  handshakeTimeout?: Micros
  congestion?: CongestionAlgorithm
  /** Client: the connection options in its hello, which hold for itself as well. */
  connectionOptions?: readonly string[]
  /** IRTT in its own hello, µs: what it assumes itself, until the peer's hello or a sample says otherwise. */
  initialRtt?: Micros | undefined
  /** Look for a larger path MTU, up to this UDP payload in bytes, whether or not the client asks for it. */
  mtuTarget?: number
}

/** Counters for logs and metrics. */
export interface ConnectionStats {
  readonly packetsReceived: number
  readonly bytesReceived: number
  readonly packetsSent: number
  readonly bytesSent: number
  readonly packetsLost: number
  /** Packets whose frames were sent again, for whatever reason, and those of them that arrived after all. */
  readonly packetsRetransmitted: number
  readonly packetsRetransmittedSpuriously: number
  readonly tailLossProbes: number
  readonly retransmissionTimeouts: number
  /** Packets that no key opened when they came. */
  readonly undecryptable: number
  readonly duplicates: number
}
