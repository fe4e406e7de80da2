/**
 * PATH_CLOSE (through Q038): from the multipath experiment. Nothing here sends it, but a peer's must parse.
 *
 *     0x08 | path id u8
 *
 * Source: quic_framer.cc (ProcessPathCloseFrame).
 */
import type { ByteReader } from '../bytes.js'
import type { FrameVisitor } from './frames.js'

/** Parses what follows the type byte. */
export function readPathClose(reader: ByteReader, visitor: FrameVisitor): void {
  visitor.onPathClose(reader.uint8())
}
