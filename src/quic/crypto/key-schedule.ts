/**
 * From shared secrets to packet keys (crypto_utils.cc, CryptoUtils::DeriveKeys).
 */
import { hkdf } from './hkdf.js'
import { CLASSIC_PROTECTION, type AeadName, type ProtectionStyle } from './protection.js'

/** Length of the fixed part of a packet's nonce through Q046, bytes. */
export const IV_LENGTH = CLASSIC_PROTECTION.ivLength
/** Length of the diversification nonce, bytes. */
export const DIVERSIFICATION_NONCE_LENGTH = 32
const SUBKEY_SECRET_LENGTH = 32

// The terminating zero is part of the first two labels and not of the third.
const INITIAL_LABEL = Buffer.from('QUIC key expansion\0', 'latin1')
const FORWARD_SECURE_LABEL = Buffer.from('QUIC forward secure key expansion\0', 'latin1')
const DIVERSIFICATION_LABEL = Buffer.from('QUIC key diversification', 'latin1')

/** An AEAD's key length in bytes. */
export function aeadKeyLength(aead: AeadName): number {
  return aead === 'AESG' ? 16 : 32
}

/** The keys of one encryption level: keys of 16 (AESG) or 32 (CC20) bytes, IVs of 4 or 12, a subkey secret of 32. */
export interface PacketKeys {
  clientKey: Uint8Array
  /** At the initial level of versions with diversification: before it, see {@link diversifyServerKey}. */
  serverKey: Uint8Array
  clientIv: Uint8Array
  serverIv: Uint8Array
  /** What exporters derive from. */
  subkeySecret: Uint8Array
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

/** Derives the keys of the initial or the forward-secure level. */
export function deriveKeys(input: KeyScheduleInput): PacketKeys {
  const label = input.forwardSecure ? FORWARD_SECURE_LABEL : INITIAL_LABEL
  const info = Buffer.concat([label, input.connectionId, input.chlo, input.serverConfig, input.leafCertificate])
  return expandKeys(input.sharedSecret, input.salt, info, input.aead, input.style)
}

/**
 * The part of {@link deriveKeys} behind the inputs: one stream of bytes cut into client key, server key, both IVs, the
 * subkey secret and, where the style has header protection, both header keys (quic_hkdf.cc).
 */
export function expandKeys(
  sharedSecret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  aead: AeadName,
  style: ProtectionStyle = CLASSIC_PROTECTION
): PacketKeys {
  const { ivLength, headerProtection } = style
  const keyLength = aeadKeyLength(aead)
  const headerKeyLength = headerProtection ? keyLength : 0
  const length = 2 * (keyLength + ivLength + headerKeyLength) + SUBKEY_SECRET_LENGTH
  const output = hkdf(sharedSecret, salt, info, length)
  let at = 0
  const cut = (size: number): Uint8Array => output.subarray(at, (at += size))
  return {
    clientKey: cut(keyLength),
    serverKey: cut(keyLength),
    clientIv: cut(ivLength),
    serverIv: cut(ivLength),
    subkeySecret: cut(SUBKEY_SECRET_LENGTH),
    clientHeaderKey: headerProtection ? cut(keyLength) : undefined,
    serverHeaderKey: headerProtection ? cut(keyLength) : undefined
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
  nonce: Uint8Array
): { key: Uint8Array; iv: Uint8Array } {
  const keyLength = aeadKeyLength(aead)
  const output = hkdf(Buffer.concat([serverKey, serverIv]), nonce, DIVERSIFICATION_LABEL, keyLength + serverIv.length)
  return { key: output.subarray(0, keyLength), iv: output.subarray(keyLength) }
}
