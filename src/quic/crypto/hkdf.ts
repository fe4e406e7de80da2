/**
 * HKDF with SHA-256 (RFC 5869).
 */
import { nodePrimitives } from './node-primitives.js'
import type { CryptoPrimitives } from './primitives.js'

/** Extract, then expand: `length` bytes (at most 8160) from key material, salt and the parts of the context. */
export function hkdf(
  keyMaterial: Uint8Array,
  salt: Uint8Array,
  info: readonly Uint8Array[],
  length: number,
  primitives: CryptoPrimitives = nodePrimitives
): Uint8Array {
  return primitives.hkdfExpand(primitives.hkdfExtract(salt, keyMaterial), info, length)
}
