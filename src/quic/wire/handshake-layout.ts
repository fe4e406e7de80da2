/**
 * The layout of handshake messages, see handshake-message.ts, and the check of everything that it can get wrong.
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import { tagName } from './tags.js'

/** The most entries that a message may have. */
export const MAX_HANDSHAKE_ENTRIES = 128
/** Bytes before the entries. */
export const HEADER_SIZE = 8
/** Bytes of an entry: tag and end offset. */
export const ENTRY_SIZE = 8

/**
 * How long the message at `begin` is, as far as can be told from `[begin, end)`: if not `complete`, `bytes` is how many
 * are needed to know more.
 *
 * @throws QuicError CRYPTO_TOO_MANY_ENTRIES, CRYPTO_DUPLICATE_TAG, CRYPTO_TAGS_OUT_OF_ORDER
 */
export function messageSize(b: Uint8Array, begin: number, end: number): { complete: boolean; bytes: number } {
  const available = end - begin
  if (available < HEADER_SIZE) return { complete: false, bytes: HEADER_SIZE }
  const entries = b[begin + 4]! | (b[begin + 5]! << 8)
  if (entries > MAX_HANDSHAKE_ENTRIES) {
    throw new QuicError(QuicErrorCode.CRYPTO_TOO_MANY_ENTRIES, `${entries} entries`)
  }
  const base = HEADER_SIZE + entries * ENTRY_SIZE
  if (available < base) return { complete: false, bytes: base }
  let lastTag = -1
  let lastOffset = 0
  for (let at = begin + HEADER_SIZE; at < begin + base; at += ENTRY_SIZE) {
    const tag = readUint32(b, at)
    if (tag === lastTag) throw new QuicError(QuicErrorCode.CRYPTO_DUPLICATE_TAG, `Duplicate tag ${tagName(tag)}`)
    if (tag < lastTag) throw new QuicError(QuicErrorCode.CRYPTO_TAGS_OUT_OF_ORDER, `Tag ${tagName(tag)} out of order`)
    const offset = readUint32(b, at + 4)
    if (offset < lastOffset) {
      throw new QuicError(QuicErrorCode.CRYPTO_TAGS_OUT_OF_ORDER, `End offset: ${offset} vs ${lastOffset}`)
    }
    lastTag = tag
    lastOffset = offset
  }
  return { complete: available >= base + lastOffset, bytes: base + lastOffset }
}

/** An unsigned little-endian 32-bit number. */
export function readUint32(b: Uint8Array, i: number): number {
  return (b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24)) >>> 0
}

/** Writes an unsigned little-endian 32-bit number. */
export function writeUint32(b: Uint8Array, i: number, value: number): void {
  b[i] = value
  b[i + 1] = value >>> 8
  b[i + 2] = value >>> 16
  b[i + 3] = value >>> 24
}
