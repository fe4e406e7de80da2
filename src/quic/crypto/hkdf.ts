/**
 * HKDF with SHA-256 (RFC 5869), on HMAC because the platform's own HKDF refuses an `info` over 1024 bytes and the key
 * schedule's holds a whole client hello.
 */
import { createHmac } from 'node:crypto'

const HASH_LENGTH = 32
const MAX_OUTPUT = 255 * HASH_LENGTH
const zeroSalt = new Uint8Array(HASH_LENGTH)

/** RFC 5869 §2.2: the 32-byte pseudorandom key. An empty salt stands for 32 zero bytes. */
export function hkdfExtract(salt: Uint8Array, keyMaterial: Uint8Array): Uint8Array {
  return createHmac('sha256', salt.length === 0 ? zeroSalt : salt).update(keyMaterial).digest()
}

/**
 * RFC 5869 §2.3: `length` bytes (at most 8160) of output.
 *
 * @throws RangeError if more is asked for
 */
export function hkdfExpand(pseudorandomKey: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  if (length > MAX_OUTPUT) throw new RangeError(`HKDF gives at most ${MAX_OUTPUT} bytes, not ${length}`)
  const output = new Uint8Array(length)
  const counter = new Uint8Array(1)
  let block: Uint8Array = new Uint8Array(0)
  for (let at = 0; at < length; at += HASH_LENGTH) {
    counter[0]!++
    block = createHmac('sha256', pseudorandomKey).update(block).update(info).update(counter).digest()
    output.set(at + HASH_LENGTH <= length ? block : block.subarray(0, length - at), at)
  }
  return output
}

/** Extract, then expand: `length` bytes (at most 8160) from key material, salt and context. */
export function hkdf(keyMaterial: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  return hkdfExpand(hkdfExtract(salt, keyMaterial), info, length)
}
