/**
 * WINDOW_UPDATE: the peer may send up to an absolute offset.
 *
 *     0x04 | stream id u32 (0: the connection) | limit u64
 *
 * Source: quic_framer.cc (ProcessWindowUpdateFrame, AppendWindowUpdateFrame).
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'
import { readOffset } from './limits.js'

/** Bytes of the whole frame. */
export const WINDOW_UPDATE_LENGTH = 13

/** Parses what follows the type byte. */
export function readWindowUpdate(reader: ByteReader, visitor: FrameVisitor): void {
  const streamId = reader.uint32()
  visitor.onWindowUpdate(streamId, readOffset(reader))
}

/** Writes the frame. */
export function writeWindowUpdate(out: ByteWriter, streamId: number, limit: number): void {
  out.uint8(FrameType.WindowUpdate)
  out.uint32(streamId)
  out.uint(limit, 8)
}
