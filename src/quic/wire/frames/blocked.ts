/**
 * BLOCKED: the sender has data but no flow-control credit.
 *
 *     0x05 | stream id u32 (0: the connection)
 *
 * Source: quic_framer.cc (ProcessBlockedFrame, AppendBlockedFrame).
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'

/** Bytes of the whole frame. */
export const BLOCKED_LENGTH = 5

/** Parses what follows the type byte. */
export function readBlocked(reader: ByteReader, visitor: FrameVisitor): void {
  visitor.onBlocked(reader.uint32())
}

/** Writes the frame. */
export function writeBlocked(out: ByteWriter, streamId: number): void {
  out.uint8(FrameType.Blocked)
  out.uint32(streamId)
}
