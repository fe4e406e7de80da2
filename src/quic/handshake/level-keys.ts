/**
 * The keys of one encryption level, for whoever may see them: they open every packet of the connection.
 */
import type { AeadName } from '../crypto/protection.js'
import type { EncryptionLevel } from '../types.js'

/** What a handshake hands out when it installs keys. Keys and IVs as they protect packets. */
export interface LevelKeys {
  readonly level: EncryptionLevel
  readonly aead: AeadName
  readonly clientKey: Uint8Array
  readonly clientIv: Uint8Array
  /**
   * A server's initial key after diversification. Undefined in what a client tells first: it knows this key only once
   * it has read a packet under it, and then tells of the level again.
   */
  readonly serverKey: Uint8Array | undefined
  readonly serverIv: Uint8Array | undefined
  /** Undefined in versions without header protection. */
  readonly clientHeaderKey?: Uint8Array | undefined
  readonly serverHeaderKey?: Uint8Array | undefined
}
