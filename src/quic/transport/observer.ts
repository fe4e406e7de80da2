/**
 * The seam for whoever wants to see what a connection does: key logs, qlog, tests. A connection without an observer
 * pays one comparison where it would tell something.
 */
import type { ConnectionId } from '../connection-id.js'
import type { QuicError } from '../errors.js'
import type { LevelKeys } from '../handshake/level-keys.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import { EncryptionLevel, type Micros, type PeerAddress, type Perspective } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'

/** What is known of a connection before it does anything. */
export interface ObservedConnection {
  readonly perspective: Perspective
  readonly connectionId: ConnectionId
  /** The version it begins with. */
  readonly version: QuicVersion
  readonly supportedVersions: readonly QuicVersion[]
  readonly peerAddress: PeerAddress
  readonly now: Micros
}

/**
 * One packet in clear. One object is reused for all packets of a connection, and the bytes are the connection's own:
 * both are lent for the call.
 */
export class ObservedPacket {
  packetNumber = 0
  packetNumberLength = 0
  level: EncryptionLevel = EncryptionLevel.None
  /** The whole packet, bytes of UDP payload. */
  length = 0
  /** Where the frames stand, decrypted: what the version's frame codec decodes. */
  buffer: Uint8Array = new Uint8Array(0)
  payloadStart = 0
  payloadEnd = 0

  constructor(public version: QuicVersion) {}
}

/** Why a datagram that was meant for the connection came to nothing. */
export type PacketDropReason =
  | 'unknown_connection_id'
  | 'header_parse_error'
  | 'unexpected_version'
  | 'duplicate'
  /** No key opened it. It may be tried again when there are new keys. */
  | 'payload_decrypt_error'

/** What recovery knows. Times in µs, 0 for "no sample yet"; sizes in bytes. */
export interface RecoveryMetrics {
  readonly rtt: { readonly latest: Micros; readonly smoothed: Micros; readonly min: Micros; readonly meanDeviation: Micros }
  readonly congestionWindow: number
  readonly bytesInFlight: number
  /** `Infinity` until the first loss, in algorithms that begin like that. */
  readonly controller: { readonly slowStartThreshold: number }
}

/** How far a connection has come. */
export type ObservedState =
  /** Client: data may be sent, under initial keys. Server: the SHLO is queued. */
  | 'encrypted'
  /** Client: the SHLO has come. Server: so has a packet under forward-secure keys. */
  | 'confirmed'

/**
 * All optional. Called from within the connection's doors: an observer must not call the connection, and an error that
 * it throws would be the connection's.
 */
export interface ConnectionObserver {
  /** Built, and about to be protected. */
  onPacketSent?(now: Micros, packet: ObservedPacket): void
  /** Opened; its frames have not been looked at, so they may be malformed. */
  onPacketReceived?(now: Micros, packet: ObservedPacket): void
  /** @param length bytes of UDP payload */
  onPacketDropped?(now: Micros, reason: PacketDropReason, length: number): void
  onPacketLost?(now: Micros, packetNumber: number): void
  /** After every datagram received, every transmit and every timer; there may be nothing new. */
  onMetricsUpdated?(now: Micros, metrics: RecoveryMetrics): void
  onKeys?(now: Micros, keys: LevelKeys): void
  /** One whole message of the handshake. */
  onHandshakeMessage?(now: Micros, sent: boolean, message: Uint8Array): void
  /** Version negotiation chose another version. */
  onVersionChanged?(now: Micros, version: QuicVersion): void
  /** The connection begins anew under another id (a stateless reject), its packet numbers with it. */
  onConnectionIdChanged?(now: Micros, connectionId: ConnectionId): void
  onConfigNegotiated?(now: Micros, config: NegotiatedConfig): void
  onStateChanged?(now: Micros, state: ObservedState): void
  onPeerAddressChanged?(now: Micros, from: PeerAddress, to: PeerAddress): void
  /** @param openStreams whether streams were left open */
  onClosed?(now: Micros, error: QuicError, fromPeer: boolean, openStreams: boolean): void
}

/**
 * Makes the observer of a connection that begins; undefined if nobody wants to see it.
 * @param localAddress undefined as long as there is no socket
 */
export type ObserveConnection = (
  facts: ObservedConnection,
  localAddress: () => PeerAddress | undefined
) => ConnectionObserver | undefined

/** Several observers as one; undefined for none. */
export function combineObservers(observers: readonly ConnectionObserver[]): ConnectionObserver | undefined {
  if (observers.length < 2) return observers[0]
  const combined: Record<string, (...facts: unknown[]) => void> = {}
  for (const name of observerMethods) {
    const concerned = observers.filter((observer) => observer[name] !== undefined)
    if (concerned.length === 0) continue
    combined[name] = (...facts) => {
      for (const observer of concerned) (observer[name] as (...facts: unknown[]) => void)(...facts)
    }
  }
  return combined as ConnectionObserver
}

/** The names of all of them. */
export const observerMethods = [
  'onPacketSent',
  'onPacketReceived',
  'onPacketDropped',
  'onPacketLost',
  'onMetricsUpdated',
  'onKeys',
  'onHandshakeMessage',
  'onVersionChanged',
  'onConnectionIdChanged',
  'onConfigNegotiated',
  'onStateChanged',
  'onPeerAddressChanged',
  'onClosed'
] as const satisfies readonly (keyof ConnectionObserver)[]
