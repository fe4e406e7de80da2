/**
 * Integers of 1, 2, 4 or 8 bytes whose first two bits tell the length (RFC 9000 section 16), big-endian in any version.
 */
import type { ByteReader, ByteWriter } from './bytes.js'
import { TruncatedError } from './bytes.js'

const MAX_ONE_BYTE = 0x3f
const MAX_TWO_BYTES = 0x3fff
const MAX_FOUR_BYTES = 0x3fff_ffff

/** Reads one from a big-endian reader. Above 2^53 - 1 it is refused like a value that is cut short. */
export function readVarint(reader: ByteReader): number {
  const first = reader.uint8()
  const length = 1 << (first >>> 6)
  const value = (first & MAX_ONE_BYTE) * 2 ** (8 * (length - 1)) + reader.uint(length - 1)
  if (value > Number.MAX_SAFE_INTEGER) throw new TruncatedError()
  return value
}

/** The fewest bytes that hold `value`. */
export function varintLength(value: number): number {
  return value <= MAX_ONE_BYTE ? 1 : value <= MAX_TWO_BYTES ? 2 : value <= MAX_FOUR_BYTES ? 4 : 8
}

/** Writes an integer below 2^53 into a big-endian writer, in as few bytes as possible. */
export function writeVarint(out: ByteWriter, value: number): void {
  const at = out.position
  const length = varintLength(value)
  out.uint(value, length)
  out.buffer[at]! |= (31 - Math.clz32(length)) << 6
}
