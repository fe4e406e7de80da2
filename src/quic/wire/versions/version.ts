/**
 * A version is one object: how its packets and frames are written and what its endpoints may do. The transport asks
 * the object and never compares version numbers.
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import type { AckFrame, FrameVisitor } from '../frames/frames.js'
import type { EncryptionLevel, Perspective } from '../../types.js'
import type { PacketOpener, PacketSealer } from '../../crypto/protection.js'

/** A received data packet's header before protection is removed. One object is reused for all packets. */
export interface PacketHeader {
  /** Whether a version tag stands in the header (client to server until negotiated). */
  versionTag: number
  /** Where the 32-byte diversification nonce begins in the datagram, -1 without one. */
  nonceOffset: number
  /** The packet number as written, truncated to `packetNumberLength` bytes. */
  wirePacketNumber: number
  packetNumberLength: number
  /** Where the protected payload begins in the datagram. */
  headerEnd: number
}

/** What a header to be written says. One object is reused for all packets. */
export interface OutgoingHeader {
  connectionId: Uint8Array | undefined
  /** Set while a client must name its version. */
  includeVersion: boolean
  /** 32 bytes on a server's Initial-level packets, else undefined. */
  nonce: Uint8Array | undefined
  packetNumber: number
  packetNumberLength: number
  level: EncryptionLevel
}

/** Writes and parses the unprotected part of data packets. */
export interface HeaderCodec {
  /**
   * Parses `[start, end)` of a datagram that is neither version negotiation nor public reset.
   * @param receiver the side that received it: flag bit 0x04 means different things to client and server
   * @returns false when it is malformed, which before authentication only drops the packet
   */
  parse(buffer: Uint8Array, start: number, end: number, receiver: Perspective, out: PacketHeader): boolean
  /** The header's length in bytes. */
  length(header: OutgoingHeader): number
  /** Writes the header and returns where it ends. `sender` is the side that writes. */
  write(buffer: Uint8Array, start: number, sender: Perspective, header: OutgoingHeader): number
}

/** Writes and parses frames. Sizes are exact; writers assume that there is room. */
export interface FrameCodec {
  /** Parses a whole plaintext payload. Throws QuicError with the code the reference uses for each malformation. */
  decode(
    buffer: Uint8Array,
    start: number,
    end: number,
    packetNumber: number,
    packetNumberLength: number,
    visitor: FrameVisitor
  ): void

  /** Bytes of a STREAM frame before its data; `withLength` false only where the frame ends the packet. */
  streamHeaderLength(streamId: number, offset: number, withLength: boolean): number
  writeStreamHeader(
    out: ByteWriter,
    streamId: number,
    offset: number,
    dataLength: number,
    fin: boolean,
    withLength: boolean
  ): void

  /**
   * Writes an ACK with as many of the newest ranges as fit into `space` bytes and reports no timestamps.
   * @returns false, with nothing written, if not even the first range fits
   */
  writeAck(out: ByteWriter, ack: AckFrame, space: number): boolean

  stopWaitingLength(packetNumberLength: number): number
  writeStopWaiting(out: ByteWriter, leastUnacked: number, packetNumber: number, packetNumberLength: number): void

  readonly rstStreamLength: number
  writeRstStream(out: ByteWriter, streamId: number, errorCode: number, finalOffset: number): void
  readonly windowUpdateLength: number
  writeWindowUpdate(out: ByteWriter, streamId: number, limit: number): void
  readonly blockedLength: number
  writeBlocked(out: ByteWriter, streamId: number): void
  readonly pingLength: number
  writePing(out: ByteWriter): void
  goAwayLength(reason: Uint8Array): number
  writeGoAway(out: ByteWriter, errorCode: number, lastGoodStreamId: number, reason: Uint8Array): void
  connectionCloseLength(reason: Uint8Array): number
  writeConnectionClose(out: ByteWriter, errorCode: number, reason: Uint8Array): void
  /** PADDING that fills `length` (at least 1) bytes to the packet's end. */
  writePadding(out: ByteWriter, length: number): void

  createReader(): ByteReader
  createWriter(): ByteWriter
}

/** What endpoints of a version may and must do, beyond bytes. */
export interface VersionTraits {
  /** STOP_WAITING exists and goes with every ACK (through Q043). */
  readonly stopWaiting: boolean
  /** A server's Initial packets carry a diversification nonce (from Q033). */
  readonly diversification: boolean
  /** Overlapping, not identical, stream data is an error (through Q041): retransmit with the same boundaries. */
  readonly rejectsOverlap: boolean
  /** The stream limit comes from MIDS, with MSPC as fallback (from Q035). */
  readonly maxIncomingStreamsTag: boolean
  /** Server push needs no COPT SPSH (from Q035). */
  readonly pushByDefault: boolean
  /** FHOL is honoured (Q036 only). */
  readonly forcedHolBlocking: boolean
  readonly cryptoStreamId: number
  readonly headersStreamId: number
  readonly firstClientStreamId: number
  readonly firstServerStreamId: number
}

/** One Google QUIC version. */
export interface QuicVersion {
  /** Such as `Q036`. */
  readonly label: string
  readonly number: number
  /** The four ASCII bytes of the label as an unsigned little-endian number. */
  readonly tag: number
  readonly header: HeaderCodec
  readonly frames: FrameCodec
  readonly traits: VersionTraits
  /** Protection at level None. `sender` is the side that seals (some versions mix it into the hash). */
  nullSealer(sender: Perspective): PacketSealer
  nullOpener(sender: Perspective): PacketOpener
}
