/**
 * MESSAGE (from Q045): a datagram of the application's. Nothing here sends one, but a peer's must parse.
 *
 *     0x20 | data to the packet's end
 *     0x21 | length varint | data
 *
 * Source: quic_framer.cc of later QUICHE (ProcessMessageFrame).
 */
import type { ByteReader } from '../bytes.js'
import { readVarint } from '../varint.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'

/** Parses what follows the type byte. */
export function readMessage(reader: ByteReader, type: number, visitor: FrameVisitor): void {
  const length = type === FrameType.MessageWithLength ? readVarint(reader) : reader.remaining
  const start = reader.skip(length)
  visitor.onMessage(reader.buffer, start, start + length)
}
