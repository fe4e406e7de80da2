/**
 * PADDING: through Q037 a type byte 0x00 after which the rest of the packet means nothing, whatever stands there. From
 * Q038 every zero byte is a frame, and others may follow.
 * Source: quic_framer.cc (ProcessFrameData, ProcessPaddingFrame; a sender fills with zeros in any version).
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'

/** Takes the rest of the packet; the reported length includes the type byte already read. */
export function readPaddingToEnd(reader: ByteReader, visitor: FrameVisitor): void {
  const length = reader.remaining
  reader.skip(length)
  visitor.onPadding(length + 1)
}

/** Takes zero bytes as long as they come and reports them as one; the length includes the type byte already read. */
export function readPaddingRun(reader: ByteReader, visitor: FrameVisitor): void {
  const { buffer, position, end } = reader
  let at = position
  while (at < end && buffer[at] === FrameType.Padding) at++
  reader.position = at
  visitor.onPadding(at - position + 1)
}

/** Writes `length` (at least 1) bytes of padding. */
export function writePadding(out: ByteWriter, length: number): void {
  out.fill(FrameType.Padding, length)
}
