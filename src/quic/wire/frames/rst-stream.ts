/**
 * RST_STREAM: one side ends a stream early (error 0: it wants no more data, but what it sent stands).
 *
 *     0x01 | stream id u32 | final offset u64 | error u32
 *
 * The final offset is how many bytes the frame's sender wrote on the stream, for flow control.
 * Source: quic_framer.cc (ProcessRstStreamFrame, AppendRstStreamFrame).
 */
import { QuicRstStreamErrorCode } from '../../errors.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'
import { readOffset } from './limits.js'

/** Bytes of the whole frame. */
export const RST_STREAM_LENGTH = 17

/** Parses what follows the type byte. Unknown error codes become STREAM_LAST_ERROR. */
export function readRstStream(reader: ByteReader, visitor: FrameVisitor): void {
  const streamId = reader.uint32()
  const finalOffset = readOffset(reader)
  const errorCode = Math.min(reader.uint32(), QuicRstStreamErrorCode.STREAM_LAST_ERROR)
  visitor.onRstStream(streamId, errorCode, finalOffset)
}

/** Writes the frame. */
export function writeRstStream(out: ByteWriter, streamId: number, errorCode: number, finalOffset: number): void {
  out.uint8(FrameType.RstStream)
  out.uint32(streamId)
  out.uint(finalOffset, 8)
  out.uint32(errorCode)
}
