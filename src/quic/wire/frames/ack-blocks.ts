/**
 * ACK in blocks (from Q034): which packets arrived, newest first.
 *
 *     01n0llmm | largest acked (ll) | ack delay ufloat16 | [blocks u8] | first block length (mm)
 *              | blocks × { gap u8, block length (mm) } | timestamps
 *     timestamps: count u8 | { delta u8, time u32 } | (count - 1) × { delta u8, ufloat16 }
 *
 *     n  there are blocks after the first          ll, mm  widths of 1, 2, 4 or 6 bytes as codes 0 to 3
 *
 * A block covers packets that arrived, `gap` counts those missing before it. A hole longer than 255 is chained with
 * blocks of length 0. A first block of length 0 is legal: everything the peer had received was given up since.
 * Source: quic_framer.cc (ProcessNewAckFrame, AppendNewAckFrameAndTypeByte, GetNewAckFrameInfo).
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import { TruncatedError } from '../bytes.js'
import { minimalNumberLength, numberLengthCode, numberLengthOfCode } from '../packet-number.js'
import { decodeUfloat16, encodeUfloat16, UFLOAT16_INFINITE } from '../ufloat16.js'
import type { AckFrame, FrameVisitor } from './frames.js'

const ACK_BIT = 0x40
const BLOCKS_BIT = 0x20
const MAX_GAP = 255
const MAX_BLOCKS = 255

/** An ACK to parse into, with room for as many ranges as one frame can hold. */
export function createAckFrame(): AckFrame {
  return { largestAcked: 0, ackDelay: 0, rangeCount: 0, ranges: new Float64Array(2 * (MAX_BLOCKS + 1)) }
}

/**
 * Parses what follows the type byte into `scratch` and reports it. Timestamps are skipped: they serve diagnostics only.
 * A block that would reach below packet 1 is refused like a truncated frame.
 */
export function readAckBlocks(reader: ByteReader, type: number, scratch: AckFrame, visitor: FrameVisitor): void {
  const blockWidth = numberLengthOfCode(type & 3)
  const largest = reader.uint(numberLengthOfCode((type >>> 2) & 3))
  const delay = reader.uint16()
  const blocks = (type & BLOCKS_BIT) !== 0 ? reader.uint8() : 0
  const { ranges } = scratch
  let count = 0
  let first = largest + 1 - reader.uint(blockWidth)
  if (first <= largest) {
    ranges[0] = first
    ranges[1] = largest
    count = 1
  }
  for (let i = 0; i < blocks; i++) {
    const gap = reader.uint8()
    const length = reader.uint(blockWidth)
    const last = first - gap - 1
    first = last + 1 - length
    if (length === 0) continue
    if (gap === 0 && count > 0 && last + 1 === ranges[2 * count - 2]) {
      ranges[2 * count - 2] = first
    } else {
      ranges[2 * count] = first
      ranges[2 * count + 1] = last
      count++
    }
  }
  if (count > 0 && ranges[2 * count - 2]! < 1) throw new TruncatedError()
  skipTimestamps(reader)
  scratch.largestAcked = largest
  scratch.ackDelay = delay === UFLOAT16_INFINITE ? Infinity : decodeUfloat16(delay)
  scratch.rangeCount = count
  visitor.onAck(scratch, -1, false)
}

/** Steps over the timestamps of an ACK, which serve diagnostics only. */
export function skipTimestamps(reader: ByteReader): void {
  const timestamps = reader.uint8()
  if (timestamps > 0) reader.skip(5 + 3 * (timestamps - 1))
}

/**
 * Writes an ACK of `ack`'s newest ranges, as many as `space` bytes and the format's 255 blocks allow.
 *
 * @returns false, with nothing written, if not even the first block fits
 */
export function writeAckBlocks(out: ByteWriter, ack: AckFrame, space: number): boolean {
  const { largestAcked, ranges, rangeCount } = ack
  const largestWidth = minimalNumberLength(largestAcked)
  // What is always there: type, largest, delay and the count of timestamps.
  const fixed = 1 + largestWidth + 2 + 1
  // Blocks hang below the largest packet; if that is no longer in the ranges, the first block is empty.
  const leads = rangeCount > 0 && ranges[1] === largestAcked
  const firstLength = leads ? largestAcked + 1 - ranges[0]! : 0
  let blockWidth = minimalNumberLength(firstLength)
  if (fixed + blockWidth > space) return false

  let below = largestAcked + 1 - firstLength
  let blocks = 0
  let taken = leads ? 1 : 0
  for (let i = taken; i < rangeCount; i++) {
    const start = ranges[2 * i]!
    const last = ranges[2 * i + 1]!
    const width = Math.max(blockWidth, minimalNumberLength(last + 1 - start))
    const needed = blocks + Math.ceil((below - last - 1) / MAX_GAP)
    if (needed > MAX_BLOCKS || fixed + 1 + width + needed * (1 + width) > space) break
    blocks = needed
    blockWidth = width
    below = start
    taken = i + 1
  }

  out.uint8(
    ACK_BIT | (blocks > 0 ? BLOCKS_BIT : 0) | (numberLengthCode(largestWidth) << 2) | numberLengthCode(blockWidth)
  )
  out.uint(largestAcked, largestWidth)
  out.uint16(ack.ackDelay === Infinity ? UFLOAT16_INFINITE : encodeUfloat16(ack.ackDelay))
  if (blocks > 0) out.uint8(blocks)
  out.uint(firstLength, blockWidth)
  below = largestAcked + 1 - firstLength
  for (let i = leads ? 1 : 0; i < taken; i++) {
    const start = ranges[2 * i]!
    const last = ranges[2 * i + 1]!
    let gap = below - last - 1
    for (; gap > MAX_GAP; gap -= MAX_GAP) {
      out.uint8(MAX_GAP)
      out.uint(0, blockWidth)
    }
    out.uint8(gap)
    out.uint(last + 1 - start, blockWidth)
    below = start
  }
  out.uint8(0)
  return true
}
