/**
 * CRYPTO (from Q048): bytes of the handshake, with offsets that begin at 0 on each encryption level.
 *
 *     0x08 | offset varint | length varint | data
 *
 * Source: quic_framer.cc of later QUICHE (ProcessCryptoFrame, AppendCryptoFrame).
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import { TruncatedError } from '../bytes.js'
import { readVarint, varintLength, writeVarint } from '../varint.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'
import { MAX_OFFSET } from './limits.js'

/** Parses what follows the type byte. */
export function readCrypto(reader: ByteReader, visitor: FrameVisitor): void {
  const offset = readVarint(reader)
  const length = readVarint(reader)
  const start = reader.skip(length)
  if (offset + length > MAX_OFFSET) throw new TruncatedError()
  visitor.onCrypto(offset, reader.buffer, start, start + length)
}

/** Bytes before the data. */
export function cryptoHeaderLength(offset: number, dataLength: number): number {
  return 1 + varintLength(offset) + varintLength(dataLength)
}

/** Writes everything before the data. */
export function writeCryptoHeader(out: ByteWriter, offset: number, dataLength: number): void {
  out.uint8(FrameType.Crypto)
  writeVarint(out, offset)
  writeVarint(out, dataLength)
}
