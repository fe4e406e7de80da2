/**
 * From shared secrets to packet keys (crypto_utils.cc, CryptoUtils::DeriveKeys).
 */
import { hkdf } from './hkdf.js'
import type { CryptoPrimitives } from './primitives.js'
import { CLASSIC_PROTECTION, type AeadName, type ProtectionStyle } from './protection.js'

/** Length of the fixed part of a packet's nonce through Q046, bytes. */
export const IV_LENGTH = CLASSIC_PROTECTION.ivLength
/** Length of the diversification nonce, bytes. */
export const DIVERSIFICATION_NONCE_LENGTH = 32
/** What exporters would derive from stands between IVs and header keys. */
const SUBKEY_SECRET_LENGTH = 32

// The terminating zero is part of the first two labels and not of the third.
const INITIAL_LABEL = Buffer.from('QUIC key expansion\0', 'latin1')
const FORWARD_SECURE_LABEL = Buffer.from('QUIC forward secure key expansion\0', 'latin1')
const DIVERSIFICATION_LABEL = Buffer.from('QUIC key diversification', 'latin1')

/** An AEAD's key length in bytes. */
export function aeadKeyLength(aead: AeadName): number {
  return aead === 'AESG' ? 16 : 32
}

/** The keys of one encryption level: keys of 16 (AESG) or 32 (CC20) bytes, IVs of 4 or 12. */
export interface PacketKeys {
  clientKey: Uint8Array
  /** At the initial level of versions with diversification: before it, see {@link diversifyServerKey}. */
  serverKey: Uint8Array
  clientIv: Uint8Array
  serverIv: Uint8Array
  /** As long as the keys; undefined in styles without header protection. */
  clientHeaderKey: Uint8Array | undefined
  /** Never diversified: it is needed to find the nonce. */
  serverHeaderKey: Uint8Array | undefined
}

/** What keys are derived from. All bytes exactly as they were on the wire. */
export interface KeyScheduleInput {
  aead: AeadName
  /** Whether `sharedSecret` comes from the server's ephemeral key; else it comes from the server config's. */
  forwardSecure: boolean
  sharedSecret: Uint8Array
  /** NONC of the hello, followed by the server nonce if there is one. */
  salt: Uint8Array
  /** The 8 bytes of the connection that carried the hello. */
  connectionId: Uint8Array
  /** The accepted full CHLO, padding included. */
  chlo: Uint8Array
  /** The SCFG value that the CHLO names. */
  serverConfig: Uint8Array
  /** DER. */
  leafCertificate: Uint8Array
  /** The version's; {@link CLASSIC_PROTECTION} by default. */
  style?: ProtectionStyle
}

/**
 * Derives the keys of the initial or the forward-secure level.
 *
 * @param primitives who computes them, node:crypto if missing
 */
export function deriveKeys(input: KeyScheduleInput, primitives?: CryptoPrimitives): PacketKeys {
  const label = input.forwardSecure ? FORWARD_SECURE_LABEL : INITIAL_LABEL
  const info = [label, input.connectionId, input.chlo, input.serverConfig, input.leafCertificate]
  return expandKeys(input.sharedSecret, input.salt, info, input.aead, input.style, primitives)
}

/**
 * The part of {@link deriveKeys} behind the inputs: one stream of bytes cut into client key, server key, both IVs, the
 * subkey secret and, where the style has header protection, both header keys (quic_hkdf.cc). What nobody uses of its end
 * is not computed.
 */
export function expandKeys(
  sharedSecret: Uint8Array,
  salt: Uint8Array,
  info: readonly Uint8Array[],
  aead: AeadName,
  style: ProtectionStyle = CLASSIC_PROTECTION,
  primitives?: CryptoPrimitives
): PacketKeys {
  const { ivLength, headerProtection } = style
  const keyLength = aeadKeyLength(aead)
  const headerKeysAt = 2 * (keyLength + ivLength) + SUBKEY_SECRET_LENGTH
  const length = headerProtection ? headerKeysAt + 2 * keyLength : headerKeysAt - SUBKEY_SECRET_LENGTH
  const output = hkdf(sharedSecret, salt, info, length, primitives)
  const cut = (at: number, size: number): Uint8Array => output.subarray(at, at + size)
  return {
    clientKey: cut(0, keyLength),
    serverKey: cut(keyLength, keyLength),
    clientIv: cut(2 * keyLength, ivLength),
    serverIv: cut(2 * keyLength + ivLength, ivLength),
    clientHeaderKey: headerProtection ? cut(headerKeysAt, keyLength) : undefined,
    serverHeaderKey: headerProtection ? cut(headerKeysAt + keyLength, keyLength) : undefined
  }
}

/**
 * The key and IV that really protect the server's initial packets: the derived ones mixed with the nonce (32 bytes) in
 * those packets' headers, so that a replayed hello never meets the same server key twice (quic_decrypter.cc,
 * DiversifyPreliminaryKey). Both come out as long as they went in.
 */
export function diversifyServerKey(
  aead: AeadName,
  serverKey: Uint8Array,
  serverIv: Uint8Array,
  nonce: Uint8Array,
  primitives?: CryptoPrimitives
): { key: Uint8Array; iv: Uint8Array } {
  const keyLength = aeadKeyLength(aead)
  const length = keyLength + serverIv.length
  const output = hkdf(Buffer.concat([serverKey, serverIv]), nonce, [DIVERSIFICATION_LABEL], length, primitives)
  return { key: output.subarray(0, keyLength), iv: output.subarray(keyLength) }
}
