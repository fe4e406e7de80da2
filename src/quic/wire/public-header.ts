/**
 * The public header of Q032–Q043.
 *
 *     flags(1) | [connection id(8)] | [version(4)] | [diversification nonce(32)] | packet number(1, 2, 4, 6)
 *
 *     flag 0x01  client: a version tag follows; server: this is a version negotiation packet
 *          0x02  public reset
 *          0x04  server, Q033+: the nonce follows. Clients set it too, from the days when it was half of 0x08
 *          0x08  an 8-byte connection id follows
 *          0x30  width of the packet number: 1, 2, 4 or 6 bytes
 *          0x40  multipath, never negotiated: refused
 *          0x80  reserved
 *
 * Source: quic_framer.cc (ProcessPublicHeader, AppendPacketHeader).
 */
import type { HeaderProtector } from '../crypto/protection.js'
import { Perspective, type EncryptionLevel } from '../types.js'
import { ByteReader, ByteWriter } from './bytes.js'
import { numberLengthCode, numberLengthOfCode } from './packet-number.js'
import { readTag } from './tags.js'
import { ANY_LEVEL } from './versions/version.js'
import type { HeaderCodec, OutgoingHeader, PacketHeader } from './versions/version.js'

/** Bits of the first byte. */
export const PublicFlag = {
  Version: 0x01,
  Reset: 0x02,
  Nonce: 0x04,
  ConnectionId: 0x08,
  Multipath: 0x40,
  Reserved: 0x80
} as const

/** Bytes of a connection id. */
export const CONNECTION_ID_LENGTH = 8
/** Bytes of a diversification nonce. */
export const NONCE_LENGTH = 32
/** Bytes of a version tag. */
export const VERSION_TAG_LENGTH = 4

/** How a version's public header differs from its neighbours'. */
export interface PublicHeaderOptions {
  /** The four bytes of the label as an unsigned little-endian number. */
  versionTag: number
  /** Packet numbers are big-endian (from Q039). Connection ids and version tags keep their bytes in any version. */
  bigEndian: boolean
  /** Flag 0x04 announces a nonce (from Q033); before, a server set it with every connection id. */
  diversification: boolean
}

/** Writes and parses the public header of one version. */
export class PublicHeaderCodec implements HeaderCodec {
  private readonly reader: ByteReader
  private readonly writer: ByteWriter
  private readonly labelWriter = new ByteWriter(false)

  constructor(private readonly options: PublicHeaderOptions) {
    this.reader = new ByteReader(options.bigEndian)
    this.writer = new ByteWriter(options.bigEndian)
  }

  /**
   * Parses the header of a data packet. `out.versionTag` is 0 without a version. Multipath and reserved bits make it
   * malformed: nobody can have negotiated them.
   */
  parse(buffer: Uint8Array, start: number, end: number, receiver: Perspective, out: PacketHeader): boolean {
    out.packetEnd = end
    if (start >= end) return false
    const flags = buffer[start]!
    if ((flags & (PublicFlag.Reserved | PublicFlag.Multipath | PublicFlag.Reset)) !== 0) return false
    let at = start + 1
    if ((flags & PublicFlag.ConnectionId) !== 0) at += CONNECTION_ID_LENGTH
    out.versionTag = 0
    if ((flags & PublicFlag.Version) !== 0) {
      if (receiver === Perspective.Client || at + VERSION_TAG_LENGTH > end) return false
      out.versionTag = readTag(buffer, at)
      at += VERSION_TAG_LENGTH
    }
    out.nonceOffset = -1
    if (receiver === Perspective.Client && (flags & PublicFlag.Nonce) !== 0 && this.options.diversification) {
      out.nonceOffset = at
      at += NONCE_LENGTH
    }
    const length = numberLengthOfCode((flags >>> 4) & 3)
    if (at + length > end) return false
    out.wirePacketNumber = this.reader.reset(buffer, at, end).uint(length)
    out.packetNumberLength = length
    out.packetNumberOffset = at
    out.headerEnd = at + length
    out.keyLevel = ANY_LEVEL
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

  packetNumberLength(needed: number, _level: EncryptionLevel): number {
    return needed
  }

  minPayloadLength(_packetNumberLength: number): number {
    return 0
  }

  length(header: OutgoingHeader, _sender: Perspective): number {
    return (
      1 +
      (header.connectionId === undefined ? 0 : CONNECTION_ID_LENGTH) +
      (header.includeVersion ? VERSION_TAG_LENGTH : 0) +
      (header.nonce === undefined ? 0 : NONCE_LENGTH) +
      header.packetNumberLength
    )
  }

  write(buffer: Uint8Array, start: number, sender: Perspective, header: OutgoingHeader): number {
    const { connectionId, includeVersion, nonce, packetNumberLength } = header
    let flags = numberLengthCode(packetNumberLength) << 4
    if (includeVersion) flags |= PublicFlag.Version
    if (nonce !== undefined) flags |= PublicFlag.Nonce
    if (connectionId !== undefined) {
      flags |= PublicFlag.ConnectionId
      if (sender === Perspective.Client || !this.options.diversification) flags |= PublicFlag.Nonce
    }
    const out = this.writer.reset(buffer, start)
    out.uint8(flags)
    if (connectionId !== undefined) out.bytes(connectionId)
    if (includeVersion) {
      this.labelWriter.reset(buffer, out.position).uint32(this.options.versionTag)
      out.position += VERSION_TAG_LENGTH
    }
    if (nonce !== undefined) out.bytes(nonce)
    out.uint(header.packetNumber, packetNumberLength)
    return out.position
  }

  finish(_buffer: Uint8Array, headerEnd: number, header: OutgoingHeader, _packetEnd: number): number {
    return headerEnd - header.packetNumberLength
  }
}
