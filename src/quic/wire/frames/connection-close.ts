/**
 * CONNECTION_CLOSE: the connection is over, now.
 *
 *     0x02 | error u32 | length u16 | reason
 *
 * Source: quic_framer.cc (ProcessConnectionCloseFrame, AppendConnectionCloseFrame).
 */
import { QuicErrorCode } from '../../errors.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'
import { readReason } from './limits.js'

/** Parses what follows the type byte. Unknown error codes become LAST_ERROR. */
export function readConnectionClose(reader: ByteReader, visitor: FrameVisitor): void {
  const errorCode = Math.min(reader.uint32(), QuicErrorCode.LAST_ERROR)
  visitor.onConnectionClose(errorCode, readReason(reader))
}

/** Bytes of the whole frame. */
export function connectionCloseLength(reason: Uint8Array): number {
  return 7 + reason.length
}

/** Writes the frame. */
export function writeConnectionClose(out: ByteWriter, errorCode: number, reason: Uint8Array): void {
  out.uint8(FrameType.ConnectionClose)
  out.uint32(errorCode)
  out.uint16(reason.length)
  out.bytes(reason)
}
