/**
 * GOAWAY: the sender accepts no new streams; those up to the last good one go on.
 *
 *     0x03 | error u32 | last good stream id u32 | length u16 | reason
 *
 * Source: quic_framer.cc (ProcessGoAwayFrame, AppendGoAwayFrame).
 */
import { QuicErrorCode } from '../../errors.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'
import { readReason } from './limits.js'

/** Parses what follows the type byte. Unknown error codes become LAST_ERROR. */
export function readGoAway(reader: ByteReader, visitor: FrameVisitor): void {
  const errorCode = Math.min(reader.uint32(), QuicErrorCode.LAST_ERROR)
  const lastGoodStreamId = reader.uint32()
  visitor.onGoAway(errorCode, lastGoodStreamId, readReason(reader))
}

/** Bytes of the whole frame. */
export function goAwayLength(reason: Uint8Array): number {
  return 11 + reason.length
}

/** Writes the frame. */
export function writeGoAway(out: ByteWriter, errorCode: number, lastGoodStreamId: number, reason: Uint8Array): void {
  out.uint8(FrameType.GoAway)
  out.uint32(errorCode)
  out.uint32(lastGoodStreamId)
  out.uint16(reason.length)
  out.bytes(reason)
}
