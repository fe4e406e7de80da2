/**
 * The seam between the QUIC crypto handshake and the connection that carries it.
 */
import type { ConnectionId } from '../connection-id.js'
import type { AeadProvider, HeaderProtector, PacketOpener, PacketSealer } from '../crypto/protection.js'
import type { EncryptionLevel, PeerAddress, QuicHelper } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'
import type { CachedNetworkParameters } from './cached-network-parameters.js'
import type { LevelKeys } from './level-keys.js'
import type { NegotiatedConfig } from './negotiated-config.js'

/** What a connection offers to its handshake. Nothing here sends at once: packets leave at the next pollTransmit. */
export interface HandshakeHost {
  readonly connectionId: ConnectionId
  /** The version in use now; version negotiation may change it until the first packet from the server. */
  readonly version: QuicVersion
  /** Client: what it offers, preferred first. Server: what it accepts, in the order of its negotiation packets. */
  readonly supportedVersions: readonly QuicVersion[]
  /** Client: the tags of the version negotiation packet that was acted upon, if any (for the downgrade check). */
  readonly receivedVersionTags: readonly number[] | undefined
  readonly peerAddress: PeerAddress
  /** Largest packet, UDP payload in bytes, that this side sends. */
  readonly maxPacketLength: number
  /** UDP payload length of the packet that carried the crypto data being processed. */
  readonly currentDatagramLength: number
  readonly helper: QuicHelper
  readonly aeadProvider: AeadProvider

  /** Queues one whole crypto message at the send level of this moment. */
  sendHandshakeMessage(message: Uint8Array): void
  /** The peer takes this many bytes on its crypto stream, as its hello says of all its streams. */
  raiseCryptoLimit(bytes: number): void
  /** Gives the key that protects packets sent at `level`. */
  setSealer(level: EncryptionLevel, sealer: PacketSealer): void
  /** The level of everything queued or sent from now on (crypto data keeps the level at which it was queued). */
  setSendLevel(level: EncryptionLevel): void
  /** Server: the nonce that its Initial-level headers carry. */
  setDiversificationNonce(nonce: Uint8Array): void

  /** The only key that opens packets from now on. */
  setOpener(level: EncryptionLevel, opener: PacketOpener): void
  /**
   * A second key to try. Once it opens a packet: with `latch` it becomes the only one, else the two swap their order.
   */
  setAlternativeOpener(level: EncryptionLevel, opener: PacketOpener, latch: boolean): void
  /**
   * Client, versions with diversification: like {@link setAlternativeOpener} with latch, for a key that needs the
   * nonce of the first packet that it opens. Derived for each attempt, kept on success.
   * @param headerProtector what uncovers the nonce, where headers are protected
   */
  setDiversifiedOpener(
    level: EncryptionLevel,
    derive: (nonce: Uint8Array) => PacketOpener,
    headerProtector?: HeaderProtector
  ): void
  /** Client: the token (16 bytes) of a stateless reset that ends this connection, from the SHLO. */
  setResetToken(token: Uint8Array): void

  /** Forgets every unacknowledged packet of level None: they are abandoned, not lost. */
  neuterUnencryptedPackets(): void
  /**
   * Client: everything sent at level Initial and not acknowledged was under a key that the server does not have. It is
   * sent again under the key that there is now.
   */
  resendInitialPackets(): void
  /** Client: the handshake begins anew, as does everything that was sent, on a connection with this id. */
  restart(connectionId: ConnectionId): void
  /** The peer's hello has been processed and its limits are known. */
  onConfigNegotiated(config: NegotiatedConfig): void
  /** Application data may be sent (client: initial keys are there; server: SHLO queued). */
  onEncryptionEstablished(): void
  /** Client: SHLO processed. Server: first forward-secure packet received (the connection calls the handshake). */
  onHandshakeConfirmed(): void

  /** For observers: keys are in use. */
  onKeys?(keys: LevelKeys): void
  /** For observers: a whole message came, and is about to be processed. */
  onMessageReceived?(message: { serialize(): Uint8Array }): void
}

/** What `CryptoHandshake.describe` tells, for logs and tools. Undefined where not yet known. */
export interface HandshakeDescription {
  aead: string | undefined
  keyExchange: string | undefined
  /** As sent or received in SNI. */
  serverName: string | undefined
  userAgent: string | undefined
  /** DER certificates, leaf first (client: the peer's; server: its own). */
  certificates: readonly Uint8Array[]
  /** CHLOs sent or received so far. */
  helloCount: number
  /** Why hellos were rejected: for each rejection, sent or received, the protocol's names of its reasons. */
  rejections: readonly (readonly string[])[]
  /** Whether the first hello was a full one, so that data could follow it at once, and what became of that. */
  earlyData: EarlyData
  /** Client: what certificate transparency logs say about the leaf, as the server passed it on; not verified. */
  timestamps: Uint8Array | undefined
  /** The client's Channel ID, a public key of 64 bytes: sent and accepted (client), or proven (server). */
  channelId: Uint8Array | undefined
}

/** See {@link HandshakeDescription.earlyData}. */
export type EarlyData = 'none' | 'offered' | 'accepted' | 'rejected'

/** One side's handshake machine. Every method may throw a QuicError, which ends the connection. */
export interface CryptoHandshake {
  /** Client: sends the first CHLO. Server: prepares to receive one. */
  start(): void
  /** In-order bytes of the crypto stream, and the level at which the packet that completed them was protected. */
  onCryptoData(bytes: Uint8Array, level: EncryptionLevel): void
  /** Server: a packet under forward-secure keys arrived, so the client has the SHLO. */
  onForwardSecurePacket(): void
  /**
   * Server: tells the client what its next connection may begin with (SCUP).
   * @param network what this one has found of the path, for the token; what it found before if missing
   * @returns whether it could: not before the handshake is confirmed
   */
  sendConfigUpdate(network?: CachedNetworkParameters): boolean
  /** Client: the connection goes on in another version, in which everything unacknowledged is sent again. */
  onVersionNegotiated(): void
  /** Client: initial keys are installed. Server: SHLO queued. */
  readonly encryptionEstablished: boolean
  readonly confirmed: boolean
  describe(): HandshakeDescription
}
