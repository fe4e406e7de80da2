/**
 * STREAM: bytes of one stream.
 *
 *     1fdoooss | stream id (ss+1) | offset (0, 2–8) | [length u16] | data
 *
 *     f  the stream ends with this frame      ooo  0: offset 0; k > 0: k+1 bytes (so never one byte)
 *     d  a length stands in the frame; without it the data fills the packet
 *
 * Source: quic_framer.cc (ProcessStreamFrame, AppendStreamFrame, GetMinStreamFrameSize).
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { TruncatedError } from '../bytes.js'
import type { FrameVisitor } from './frames.js'
import { MAX_OFFSET } from './limits.js'

const STREAM_BIT = 0x80
const FIN_BIT = 0x40
const LENGTH_BIT = 0x20

/** Parses what follows the type byte. Throws QuicError EMPTY_STREAM_FRAME_NO_FIN for a frame that says nothing. */
export function readStreamFrame(reader: ByteReader, type: number, visitor: FrameVisitor): void {
  const streamId = reader.uint((type & 3) + 1)
  const offsetCode = (type >>> 2) & 7
  const offset = offsetCode === 0 ? 0 : reader.uint(offsetCode + 1)
  const length = (type & LENGTH_BIT) !== 0 ? reader.uint16() : reader.remaining
  const start = reader.skip(length)
  if (offset + length > MAX_OFFSET) throw new TruncatedError()
  const fin = (type & FIN_BIT) !== 0
  if (length === 0 && !fin) {
    throw new QuicError(QuicErrorCode.EMPTY_STREAM_FRAME_NO_FIN, `empty STREAM frame without FIN on stream ${streamId}`)
  }
  visitor.onStream(streamId, offset, fin, reader.buffer, start, start + length)
}

/** Bytes before the data. */
export function streamHeaderLength(streamId: number, offset: number, withLength: boolean): number {
  return 1 + streamIdLength(streamId) + offsetLength(offset) + (withLength ? 2 : 0)
}

/** Writes everything before the data. `withLength` false only where the data ends the packet. */
export function writeStreamHeader(
  out: ByteWriter,
  streamId: number,
  offset: number,
  dataLength: number,
  fin: boolean,
  withLength: boolean
): void {
  const idLength = streamIdLength(streamId)
  const offsetBytes = offsetLength(offset)
  const offsetCode = offsetBytes === 0 ? 0 : offsetBytes - 1
  out.uint8(STREAM_BIT | (fin ? FIN_BIT : 0) | (withLength ? LENGTH_BIT : 0) | (offsetCode << 2) | (idLength - 1))
  out.uint(streamId, idLength)
  out.uint(offset, offsetBytes)
  if (withLength) out.uint16(dataLength)
}

function streamIdLength(streamId: number): number {
  return streamId < 0x100 ? 1 : streamId < 0x10000 ? 2 : streamId < 0x1000000 ? 3 : 4
}

function offsetLength(offset: number): number {
  if (offset === 0) return 0
  if (offset < 0x10000) return 2
  if (offset < 0x1000000) return 3
  if (offset < 0x1_0000_0000) return 4
  return offset < 0x100_0000_0000 ? 5 : offset < 0x1_0000_0000_0000 ? 6 : 7
}
