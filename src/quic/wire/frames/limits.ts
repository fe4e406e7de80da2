/**
 * What every frame codec has in common: the bound on offsets, reading them, and reading the words of a peer.
 */
import type { ByteReader } from '../bytes.js'
import { TruncatedError } from '../bytes.js'

/** The highest offset that is kept: numbers above 2^53 - 1 have no exact value here, and no peer gets there. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER

/** Reads a 64-bit offset. Above {@link MAX_OFFSET} it is refused just like a frame that ends too early. */
export function readOffset(reader: ByteReader): number {
  const offset = reader.uint(8)
  if (offset > MAX_OFFSET) throw new TruncatedError()
  return offset
}

/** Reads a 16-bit length and that many bytes of text. */
export function readReason(reader: ByteReader): string {
  const length = reader.uint16()
  const start = reader.skip(length)
  const { buffer } = reader
  return Buffer.from(buffer.buffer, buffer.byteOffset + start, length).toString('utf8')
}
