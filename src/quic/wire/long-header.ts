/**
 * The headers of Q044 and Q046: long ones until the forward-secure keys, short ones then. Big-endian.
 *
 *     long   type(1) | version(4) | id lengths(1) | connection id(8) | packet number | [diversification nonce(32)]
 *     short  type(1) | [connection id(8), to the server only] | packet number
 *
 * The byte of id lengths says that the one id is the destination's (0x50, to the server) or the source's (0x05, to the
 * client). The type does not tell the key: implementations differ in what they call packets.
 * Source: quic_framer.cc of later QUICHE (AppendIetfPacketHeader, ProcessIetfPacketHeader).
 */
import type { HeaderProtector } from '../crypto/protection.js'
import { EncryptionLevel, Perspective } from '../types.js'
import { ByteReader, ByteWriter } from './bytes.js'
import { LongType, type FirstByte } from './first-byte.js'
import { CONNECTION_ID_LENGTH, NONCE_LENGTH, VERSION_TAG_LENGTH } from './public-header.js'
import { readTag, writeTag } from './tags.js'
import { ANY_LEVEL } from './versions/version.js'
import type { HeaderCodec, OutgoingHeader, PacketHeader } from './versions/version.js'

/** The byte of id lengths in packets to a server, and to a client: 5 stands for 8 bytes. */
const ID_TO_SERVER = 0x50
const ID_TO_CLIENT = 0x05
const LONG_NUMBER_LENGTH = 4
const MAX_SHORT_NUMBER_LENGTH = 4
/** Bytes of a long header before its packet number. */
const LONG_PREFIX_LENGTH = 1 + VERSION_TAG_LENGTH + 1 + CONNECTION_ID_LENGTH

/** Writes and parses the headers of one version. */
export class LongHeaderCodec implements HeaderCodec {
  private readonly reader = new ByteReader(true)
  private readonly writer = new ByteWriter(true)

  /** @param versionTag the four bytes of the label as an unsigned little-endian number */
  constructor(
    private readonly versionTag: number,
    private readonly firstByte: FirstByte
  ) {}

  parse(buffer: Uint8Array, start: number, end: number, receiver: Perspective, out: PacketHeader): boolean {
    out.packetEnd = end
    if (start >= end) return false
    out.keyLevel = ANY_LEVEL
    out.nonceOffset = -1
    return (buffer[start]! & 0x80) !== 0
      ? this.parseLong(buffer, start, end, receiver, out)
      : this.parseShort(buffer, start, end, receiver, out)
  }

  private parseLong(
    buffer: Uint8Array,
    start: number,
    end: number,
    receiver: Perspective,
    out: PacketHeader
  ): boolean {
    const type = this.firstByte.longType(buffer[start]!)
    if (type < 0 || start + LONG_PREFIX_LENGTH > end) return false
    const ids = receiver === Perspective.Server ? ID_TO_SERVER : ID_TO_CLIENT
    if (buffer[start + 1 + VERSION_TAG_LENGTH] !== ids) return false
    out.versionTag = readTag(buffer, start + 1)
    const length = this.firstByte.longNumberLength(buffer[start]!)
    if (!this.parseNumber(buffer, start + LONG_PREFIX_LENGTH, end, length, out)) return false
    if (type === LongType.ZeroRtt && receiver === Perspective.Client) {
      out.nonceOffset = out.headerEnd
      out.headerEnd += NONCE_LENGTH
    }
    return out.headerEnd <= end
  }

  private parseShort(
    buffer: Uint8Array,
    start: number,
    end: number,
    receiver: Perspective,
    out: PacketHeader
  ): boolean {
    const length = this.firstByte.shortNumberLength(buffer[start]!)
    out.versionTag = 0
    const id = receiver === Perspective.Server ? CONNECTION_ID_LENGTH : 0
    return length > 0 && this.parseNumber(buffer, start + 1 + id, end, length, out)
  }

  private parseNumber(buffer: Uint8Array, at: number, end: number, length: number, out: PacketHeader): boolean {
    if (at + length > end) return false
    out.wirePacketNumber = this.reader.reset(buffer, at, end).uint(length)
    out.packetNumberOffset = at
    out.packetNumberLength = length
    out.headerEnd = at + length
    return true
  }

  /** Nothing is hidden. */
  reveal(
    _buffer: Uint8Array,
    _start: number,
    _receiver: Perspective,
    _protector: HeaderProtector | undefined,
    _out: PacketHeader
  ): boolean {
    return true
  }

  conceal(_buffer: Uint8Array, _start: number, _protector: HeaderProtector | undefined, _out: PacketHeader): void {}

  sampleOffset(): number {
    return -1
  }

  packetNumberLength(needed: number, level: EncryptionLevel): number {
    return isLong(level) ? LONG_NUMBER_LENGTH : Math.min(needed, MAX_SHORT_NUMBER_LENGTH)
  }

  minPayloadLength(_packetNumberLength: number): number {
    return 0
  }

  length(header: OutgoingHeader, sender: Perspective): number {
    const { level, nonce, packetNumberLength } = header
    if (isLong(level)) return LONG_PREFIX_LENGTH + packetNumberLength + (nonce === undefined ? 0 : NONCE_LENGTH)
    return 1 + (sender === Perspective.Client ? CONNECTION_ID_LENGTH : 0) + packetNumberLength
  }

  write(buffer: Uint8Array, start: number, sender: Perspective, header: OutgoingHeader): number {
    const { level, nonce, packetNumber, packetNumberLength } = header
    const connectionId = header.connectionId!
    const out = this.writer.reset(buffer, start)
    if (isLong(level)) {
      out.uint8(this.firstByte.writeLong(level, sender, packetNumber, packetNumberLength))
      writeTag(buffer, out.position, this.versionTag)
      out.position += VERSION_TAG_LENGTH
      out.uint8(sender === Perspective.Client ? ID_TO_SERVER : ID_TO_CLIENT)
      out.bytes(connectionId)
      out.uint(packetNumber, packetNumberLength)
      if (nonce !== undefined) out.bytes(nonce)
    } else {
      out.uint8(this.firstByte.writeShort(packetNumberLength))
      if (sender === Perspective.Client) out.bytes(connectionId)
      out.uint(packetNumber, packetNumberLength)
    }
    return out.position
  }

  finish(_buffer: Uint8Array, headerEnd: number, header: OutgoingHeader, _packetEnd: number): number {
    const behind = isLong(header.level) && header.nonce !== undefined ? NONCE_LENGTH : 0
    return headerEnd - behind - header.packetNumberLength
  }
}

/** Every packet below the forward-secure level has a long header, every other a short one. */
export function isLong(level: EncryptionLevel): boolean {
  return level !== EncryptionLevel.ForwardSecure
}
