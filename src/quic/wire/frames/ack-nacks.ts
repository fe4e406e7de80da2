/**
 * ACK with missing ranges (Q032, Q033): up to where packets arrived, and which of them did not.
 *
 *     01ntllmm | entropy hash u8 | largest observed (ll) | ack delay ufloat16 | [timestamps] |
 *              | [ranges u8 | ranges × { distance (mm), length u8 }]
 *
 *     n  there are missing ranges      t  truncated: no timestamps, and `largest observed` is not the largest
 *     ll, mm  widths of 1, 2, 4 or 6 bytes as codes 0 to 3
 *
 * Ranges go from high to low. The first distance counts from the largest observed packet to the range's last, further
 * ones from the packet before the previous range; `length` is one less than the packets missing. What is longer than
 * 256 is chained at distance 0. A hash over what arrived proves that the sender of the ACK really saw it.
 * Source: quic_framer.cc (ProcessAckFrame, AppendAckFrameAndTypeByte, GetAckFrameInfo).
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import { TruncatedError } from '../bytes.js'
import { minimalNumberLength, numberLengthCode, numberLengthOfCode } from '../packet-number.js'
import { decodeUfloat16, encodeUfloat16, UFLOAT16_INFINITE } from '../ufloat16.js'
import type { AckEntropySource } from '../versions/version.js'
import { skipTimestamps } from './ack-blocks.js'
import type { AckFrame, FrameVisitor } from './frames.js'

const ACK_BIT = 0x40
const RANGES_BIT = 0x20
const TRUNCATED_BIT = 0x10
const MAX_RANGES = 255
const MAX_RANGE_PACKETS = 256

/**
 * Parses what follows the type byte into `scratch` and reports it as ranges of what arrived, from packet 1 on. A range
 * that would reach below packet 1 is refused like a truncated frame.
 */
export function readAckNacks(reader: ByteReader, type: number, scratch: AckFrame, visitor: FrameVisitor): void {
  const truncated = (type & TRUNCATED_BIT) !== 0
  const width = numberLengthOfCode(type & 3)
  const hash = reader.uint8()
  const largest = reader.uint(numberLengthOfCode((type >>> 2) & 3))
  const delay = reader.uint16()
  if (!truncated) skipTimestamps(reader)
  const missingCount = (type & RANGES_BIT) !== 0 ? reader.uint8() : 0
  const { ranges } = scratch
  let count = 0
  let last = largest
  let at = largest
  for (let i = 0; i < missingCount; i++) {
    at -= reader.uint(width)
    const first = at - reader.uint8()
    if (first < 1) throw new TruncatedError()
    if (at < last) {
      ranges[2 * count] = at + 1
      ranges[2 * count + 1] = last
      count++
    }
    at = last = first - 1
  }
  if (last > 0) {
    ranges[2 * count] = 1
    ranges[2 * count + 1] = last
    count++
  }
  scratch.largestAcked = largest
  scratch.ackDelay = delay === UFLOAT16_INFINITE ? Infinity : decodeUfloat16(delay)
  scratch.rangeCount = count
  visitor.onAck(scratch, hash, truncated)
}

/**
 * Walks over what is missing, from high to low, in pieces of at most 256 packets. A gap is cut from its low end, so
 * that its highest piece may be shorter.
 */
class MissingPieces {
  first = 0
  last = 0
  private ack: AckFrame | undefined
  private leastAwaited = 0
  private range = 0

  begin(ack: AckFrame, leastAwaited: number): void {
    this.ack = ack
    this.leastAwaited = leastAwaited
    this.range = 0
    this.first = ack.largestAcked + 1
  }

  /** Steps to the next lower piece; false behind the lowest. */
  next(): boolean {
    const { ranges, rangeCount } = this.ack!
    for (; this.range <= rangeCount; this.range++) {
      const above = this.range === rangeCount ? 1 : ranges[2 * this.range + 1]! + 1
      const low = Math.max(this.leastAwaited, above)
      const high = this.first - 1
      if (high >= low) {
        this.last = high
        this.first = low + Math.floor((high - low) / MAX_RANGE_PACKETS) * MAX_RANGE_PACKETS
        return true
      }
      if (this.range < rangeCount) this.first = ranges[2 * this.range]!
    }
    return false
  }
}

const missing = new MissingPieces()

/**
 * Writes an ACK of `ack`. If its missing ranges need more than `space` bytes or 255 pieces, only the oldest are told
 * and the largest observed packet is lowered to one below the oldest range that is left out.
 *
 * @returns false, with nothing written, if there is no room for even one range where there are ranges
 */
export function writeAckNacks(out: ByteWriter, ack: AckFrame, space: number, entropy: AckEntropySource): boolean {
  const { leastAwaited } = entropy
  let pieces = 0
  let maxDistance = 0
  let from = ack.largestAcked
  missing.begin(ack, leastAwaited)
  while (missing.next()) {
    // The reference takes the distance between two ranges for one more than it is when it chooses the width.
    maxDistance = Math.max(maxDistance, from - missing.last + (pieces > 0 ? 1 : 0))
    pieces++
    from = missing.first - 1
  }
  const largestWidth = minimalNumberLength(ack.largestAcked)
  const width = minimalNumberLength(maxDistance)
  // Type, hash, largest, delay; a count of timestamps and one of ranges.
  const fixed = 4 + largestWidth + 1 + 1
  const room = Math.min(MAX_RANGES, Math.floor((space - fixed) / (width + 1)))
  if (room < (pieces > 0 ? 1 : 0)) return false

  missing.begin(ack, leastAwaited)
  let largest = ack.largestAcked
  const truncated = pieces > room
  if (truncated) {
    for (let skipped = pieces - room; skipped > 0; skipped--) missing.next()
    largest = missing.first - 1
  }
  const told = Math.min(pieces, room)
  out.uint8(
    ACK_BIT |
      (told > 0 ? RANGES_BIT : 0) |
      (truncated ? TRUNCATED_BIT : 0) |
      (numberLengthCode(largestWidth) << 2) |
      numberLengthCode(width)
  )
  out.uint8(entropy.hashUpTo(largest))
  out.uint(largest, largestWidth)
  out.uint16(ack.ackDelay === Infinity ? UFLOAT16_INFINITE : encodeUfloat16(ack.ackDelay))
  if (!truncated) out.uint8(0)
  if (told === 0) return true
  out.uint8(told)
  from = largest
  while (missing.next()) {
    out.uint(from - missing.last, width)
    out.uint8(missing.last - missing.first)
    from = missing.first - 1
  }
  return true
}
