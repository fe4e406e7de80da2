/**
 * The headers of Q050: as those of Q046, with connection ids behind their lengths, a length of the packet, and a mask
 * over the packet number. Big-endian.
 *
 *     long   11tt00pp | version(4) | length(1), destination id | length(1), source id | [Initial: token length varint,
 *            token] | length varint | packet number(1–4) | [diversification nonce(32)]
 *     short  010000pp | [connection id(8), to the server only] | packet number(1–4)
 *
 * `length` counts from the packet number to the packet's end. The low four (long) or five (short) bits of the first
 * byte and the packet number are masked; where the sample for the mask begins does not depend on the packet number's
 * width, which the mask hides. The type tells the key.
 * Source: quic_framer.cc of later QUICHE (AppendIetfPacketHeader, RemoveHeaderProtection); RFC 9001 section 5.4.
 */
import { HEADER_SAMPLE_DISTANCE, HEADER_SAMPLE_LENGTH, maskedBits } from '../crypto/protection.js'
import type { HeaderProtector } from '../crypto/protection.js'
import { EncryptionLevel, Perspective } from '../types.js'
import { ByteReader, ByteWriter } from './bytes.js'
import { LongType, q046FirstByte } from './first-byte.js'
import { isLong } from './long-header.js'
import { CONNECTION_ID_LENGTH, NONCE_LENGTH, VERSION_TAG_LENGTH } from './public-header.js'
import { readTag, writeTag } from './tags.js'
import type { HeaderCodec, OutgoingHeader, PacketHeader } from './versions/version.js'

/** Senders spend two bytes on the length, to fill it in at the end. */
const LENGTH_FIELD = 2
const TWO_BYTE_VARINT = 0x40
const LONG_NUMBER_LENGTH = 4
const MAX_NUMBER_LENGTH = 4

/** Writes and parses the headers of one version. */
export class ProtectedHeaderCodec implements HeaderCodec {
  private readonly reader = new ByteReader(true)
  private readonly writer = new ByteWriter(true)
  private varintEnd = 0

  /** @param versionTag the four bytes of the label as an unsigned little-endian number */
  constructor(private readonly versionTag: number) {}

  /**
   * Reads what is not masked. Connection ids must be the server's 8 bytes and none for the client. The packet number
   * is left to {@link reveal}.
   */
  parse(buffer: Uint8Array, start: number, end: number, receiver: Perspective, out: PacketHeader): boolean {
    out.packetEnd = end
    if (start >= end) return false
    out.nonceOffset = -1
    out.wirePacketNumber = 0
    out.packetNumberLength = 0
    if ((buffer[start]! & 0x80) !== 0) return this.parseLong(buffer, start, end, receiver, out)
    if (q046FirstByte.shortNumberLength(buffer[start]!) === 0) return false
    out.versionTag = 0
    out.keyLevel = EncryptionLevel.ForwardSecure
    out.packetNumberOffset = start + 1 + (receiver === Perspective.Server ? CONNECTION_ID_LENGTH : 0)
    out.headerEnd = out.packetNumberOffset
    return out.packetNumberOffset < end
  }

  private parseLong(
    buffer: Uint8Array,
    start: number,
    end: number,
    receiver: Perspective,
    out: PacketHeader
  ): boolean {
    const type = q046FirstByte.longType(buffer[start]!)
    // Handshake packets belong to TLS: there is no such level here.
    if (type !== LongType.Initial && type !== LongType.ZeroRtt) return false
    let at = start + 1 + VERSION_TAG_LENGTH
    if (at + 2 + CONNECTION_ID_LENGTH > end) return false
    out.versionTag = readTag(buffer, start + 1)
    const destination = receiver === Perspective.Server ? CONNECTION_ID_LENGTH : 0
    if (buffer[at] !== destination || buffer[at + 1 + destination] !== CONNECTION_ID_LENGTH - destination) return false
    at += 2 + CONNECTION_ID_LENGTH
    if (type === LongType.Initial) {
      const tokenLength = this.varint(buffer, at, end)
      if (tokenLength < 0 || tokenLength > end - this.varintEnd) return false
      at = this.varintEnd + tokenLength
    }
    const length = this.varint(buffer, at, end)
    if (length <= 0 || length > end - this.varintEnd) return false
    out.keyLevel = type === LongType.Initial ? EncryptionLevel.None : EncryptionLevel.Initial
    out.packetNumberOffset = this.varintEnd
    out.headerEnd = this.varintEnd
    out.packetEnd = this.varintEnd + length
    return true
  }

  /** An integer at `at`, or -1 if it is cut short; it ends at `varintEnd`. No exception: this is what forgers reach. */
  private varint(buffer: Uint8Array, at: number, end: number): number {
    if (at >= end) return -1
    const first = buffer[at]!
    const length = 1 << (first >>> 6)
    if (at + length > end) return -1
    this.varintEnd = at + length
    return (first & 0x3f) * 2 ** (8 * (length - 1)) + this.reader.reset(buffer, at + 1, end).uint(length - 1)
  }

  sampleOffset(receiver: Perspective, out: PacketHeader): number {
    const nonce = receiver === Perspective.Client && out.keyLevel === EncryptionLevel.Initial ? NONCE_LENGTH : 0
    const sample = out.packetNumberOffset + HEADER_SAMPLE_DISTANCE + nonce
    return sample + HEADER_SAMPLE_LENGTH > out.packetEnd ? -1 : sample
  }

  reveal(
    buffer: Uint8Array,
    start: number,
    receiver: Perspective,
    protector: HeaderProtector | undefined,
    out: PacketHeader
  ): boolean {
    const at = out.packetNumberOffset
    const sample = this.sampleOffset(receiver, out)
    if (protector === undefined || sample < 0) return false
    const nonce = sample - HEADER_SAMPLE_DISTANCE - at
    const mask = protector.mask(buffer, sample)
    buffer[start]! ^= mask[0]! & maskedBits(buffer[start]!)
    const length = (buffer[start]! & 3) + 1
    for (let i = 0; i < length; i++) buffer[at + i]! ^= mask[1 + i]!
    out.wirePacketNumber = this.reader.reset(buffer, at, at + length).uint(length)
    out.packetNumberLength = length
    out.nonceOffset = nonce > 0 ? at + length : -1
    out.headerEnd = at + length + nonce
    return true
  }

  conceal(buffer: Uint8Array, start: number, protector: HeaderProtector | undefined, out: PacketHeader): void {
    if (protector === undefined || out.packetNumberLength === 0) return
    const at = out.packetNumberOffset
    const sample = at + HEADER_SAMPLE_DISTANCE + (out.nonceOffset < 0 ? 0 : NONCE_LENGTH)
    const mask = protector.mask(buffer, sample)
    buffer[start]! ^= mask[0]! & maskedBits(buffer[start]!)
    for (let i = 0; i < out.packetNumberLength; i++) buffer[at + i]! ^= mask[1 + i]!
    out.packetNumberLength = 0
    out.nonceOffset = -1
    out.headerEnd = at
  }

  packetNumberLength(needed: number, level: EncryptionLevel): number {
    return isLong(level) ? LONG_NUMBER_LENGTH : Math.min(needed, MAX_NUMBER_LENGTH)
  }

  /** So much that the sample lies in the packet: it may reach over the tag, which is as long as the sample. */
  minPayloadLength(packetNumberLength: number): number {
    return HEADER_SAMPLE_DISTANCE - packetNumberLength
  }

  length(header: OutgoingHeader, sender: Perspective): number {
    const { level, nonce, packetNumberLength } = header
    if (!isLong(level)) return 1 + (sender === Perspective.Client ? CONNECTION_ID_LENGTH : 0) + packetNumberLength
    const token = level === EncryptionLevel.None ? 1 : 0
    const behind = packetNumberLength + (nonce === undefined ? 0 : NONCE_LENGTH)
    return 1 + VERSION_TAG_LENGTH + 2 + CONNECTION_ID_LENGTH + token + LENGTH_FIELD + behind
  }

  write(buffer: Uint8Array, start: number, sender: Perspective, header: OutgoingHeader): number {
    const { level, nonce, packetNumber, packetNumberLength } = header
    const out = this.writer.reset(buffer, start)
    if (isLong(level)) {
      out.uint8(q046FirstByte.writeLong(level, sender, packetNumber, packetNumberLength))
      writeTag(buffer, out.position, this.versionTag)
      out.position += VERSION_TAG_LENGTH
      this.writeIds(out, sender, header.connectionId!)
      // An empty token.
      if (level === EncryptionLevel.None) out.uint8(0)
      out.position += LENGTH_FIELD
      out.uint(packetNumber, packetNumberLength)
      if (nonce !== undefined) out.bytes(nonce)
    } else {
      out.uint8(q046FirstByte.writeShort(packetNumberLength))
      if (sender === Perspective.Client) out.bytes(header.connectionId!)
      out.uint(packetNumber, packetNumberLength)
    }
    return out.position
  }

  private writeIds(out: ByteWriter, sender: Perspective, connectionId: Uint8Array): void {
    if (sender === Perspective.Server) out.uint8(0)
    out.uint8(CONNECTION_ID_LENGTH)
    out.bytes(connectionId)
    if (sender === Perspective.Client) out.uint8(0)
  }

  finish(buffer: Uint8Array, headerEnd: number, header: OutgoingHeader, packetEnd: number): number {
    const { level, nonce, packetNumberLength } = header
    if (!isLong(level)) return headerEnd - packetNumberLength
    const numberOffset = headerEnd - (nonce === undefined ? 0 : NONCE_LENGTH) - packetNumberLength
    const length = packetEnd - numberOffset
    buffer[numberOffset - 2] = TWO_BYTE_VARINT | (length >>> 8)
    buffer[numberOffset - 1] = length
    return numberOffset
  }
}
