/**
 * The keys at level None from Q050 on: anybody can compute them from the connection id, so they hide nothing, but they
 * make packets look like noise to what stands between the ends (crypto_utils.cc, CreateInitialObfuscators; RFC 9001
 * section 5.2 with another salt).
 */
import { Perspective } from '../types.js'
import { nodePrimitives } from './node-primitives.js'
import type { CryptoPrimitives } from './primitives.js'

const Q050_SALT = Buffer.from('504574efd066fe2f9d945cfcdbd3a7f0d3b56b45', 'hex')
const SECRET_LENGTH = 32
const LABEL_PREFIX = 'tls13 '

/** Keys of AES-128-GCM and its header protection. */
export interface InitialKeys {
  /** 16 bytes. */
  readonly key: Uint8Array
  /** 12 bytes. */
  readonly iv: Uint8Array
  /** 16 bytes. */
  readonly headerKey: Uint8Array
}

/**
 * The keys of one side's packets for Q050.
 *
 * @param connectionId the first destination connection id that the client chose; a later change does not matter
 */
export function deriveInitialKeys(
  sender: Perspective,
  connectionId: Uint8Array,
  primitives: CryptoPrimitives = nodePrimitives
): InitialKeys {
  /** HKDF-Expand-Label of TLS 1.3 (RFC 8446 section 7.1) with an empty context. */
  const expandLabel = (secret: Uint8Array, label: string, length: number): Uint8Array => {
    const name = LABEL_PREFIX + label
    const info = Buffer.from(`\0${String.fromCharCode(length, name.length)}${name}\0`, 'latin1')
    return primitives.hkdfExpand(secret, [info], length)
  }
  const common = primitives.hkdfExtract(Q050_SALT, connectionId)
  const secret = expandLabel(common, sender === Perspective.Client ? 'client in' : 'server in', SECRET_LENGTH)
  return {
    key: expandLabel(secret, 'quic key', 16),
    iv: expandLabel(secret, 'quic iv', 12),
    headerKey: expandLabel(secret, 'quic hp', 16)
  }
}
