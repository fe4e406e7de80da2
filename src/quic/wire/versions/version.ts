/**
 * A version is one object: how its packets and frames are written and what its endpoints may do. The transport asks
 * the object and never compares version numbers.
 */
import type { ByteReader, ByteWriter } from '../bytes.js'
import type { AckFrame, FrameVisitor } from '../frames/frames.js'
import type { ConnectionId } from '../../connection-id.js'
import type { EncryptionLevel, Perspective } from '../../types.js'
import type {
  AeadProvider,
  HeaderProtector,
  PacketOpener,
  PacketSealer,
  ProtectionStyle
} from '../../crypto/protection.js'

/** {@link PacketHeader.keyLevel} of a packet whose header does not tell which key opens it. */
export const ANY_LEVEL = -1

/** A received data packet's header before protection is removed. One object is reused for all packets. */
export interface PacketHeader {
  /** The version tag in the header, 0 without one (client to server until negotiated; every long header). */
  versionTag: number
  /** The level whose key opens the packet where the header tells ({@link QuicVersion.keySelection}). */
  keyLevel: EncryptionLevel | typeof ANY_LEVEL
  /** Where the 32-byte diversification nonce begins in the datagram, -1 without one. */
  nonceOffset: number
  /** Where the packet number begins in the datagram. */
  packetNumberOffset: number
  /** The packet number as written, truncated to `packetNumberLength` bytes. */
  wirePacketNumber: number
  /** In bytes; 0 as long as header protection hides it, see {@link HeaderCodec.reveal}. */
  packetNumberLength: number
  /** Where the protected payload begins in the datagram. */
  headerEnd: number
  /**
   * Where the packet ends: with the datagram, or earlier where its header says so and another may follow. Set in
   * malformed headers too: to the datagram's end.
   */
  packetEnd: number
}

/** A header to parse into. */
export function createPacketHeader(): PacketHeader {
  return {
    versionTag: 0,
    keyLevel: ANY_LEVEL,
    nonceOffset: -1,
    packetNumberOffset: 0,
    wirePacketNumber: 0,
    packetNumberLength: 0,
    headerEnd: 0,
    packetEnd: 0
  }
}

/** What a header to be written says. One object is reused for all packets. */
export interface OutgoingHeader {
  /** Undefined where the peer asked to leave it out. Long and short headers, which have a rule for it, need it. */
  connectionId: Uint8Array | undefined
  /** Set while a client must name its version. Means nothing to long and short headers, which go by `level`. */
  includeVersion: boolean
  /** 32 bytes on a server's Initial-level packets, else undefined. */
  nonce: Uint8Array | undefined
  packetNumber: number
  /** Bytes that {@link HeaderCodec.packetNumberLength} allows. */
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
  /**
   * Completes what {@link parse} could not read: removes header protection in place, which the key for
   * `out.keyLevel` knows how to. Where headers are not protected it does nothing.
   * @param protector of the opener about to be tried
   * @returns false when the packet is too short to hold what it must
   */
  reveal(
    buffer: Uint8Array,
    start: number,
    receiver: Perspective,
    protector: HeaderProtector | undefined,
    out: PacketHeader
  ): boolean
  /** Undoes {@link reveal}, for another key to be tried. The payload must be as it was. */
  conceal(buffer: Uint8Array, start: number, protector: HeaderProtector | undefined, out: PacketHeader): void
  /**
   * Where the ciphertext begins, in the buffer of the packet that {@link parse} read, of which {@link reveal} has its
   * mask made; -1 where headers are not protected, or in a packet too short for it.
   */
  sampleOffset(receiver: Perspective, out: PacketHeader): number

  /** The bytes to write a packet number in whose value needs at least `needed` (1, 2, 4 or 6). */
  packetNumberLength(needed: number, level: EncryptionLevel): number
  /** The fewest bytes of payload that a packet may have; what is missing is to be padded. */
  minPayloadLength(packetNumberLength: number): number
  /** The header's length in bytes. */
  length(header: OutgoingHeader, sender: Perspective): number
  /** Writes the header and returns where it ends. `sender` is the side that writes. */
  write(buffer: Uint8Array, start: number, sender: Perspective, header: OutgoingHeader): number
  /**
   * Fills in what depends on where the packet, protection included, ends. To be called before sealing.
   * @param headerEnd what {@link write} returned
   * @returns where the packet number begins, for {@link PacketBatch.add}
   */
  finish(buffer: Uint8Array, headerEnd: number, header: OutgoingHeader, packetEnd: number): number
}

/** What an ACK to be written needs to know where versions have entropy (Q032, Q033). */
export interface AckEntropySource {
  /** Below it the peer waits for nothing: such packets are not reported as missing. */
  readonly leastAwaited: number
  /** The hash over all packets received up to a number, 0 to 255. */
  hashUpTo(packetNumber: number): number
}

/** Writes and parses frames. Sizes are exact; writers assume that there is room. */
export interface FrameCodec {
  /** Bytes of a payload before its first frame: 1 for the private flags of Q032 and Q033, else 0. */
  readonly preambleLength: number
  /** Writes them. `entropy` is the packet's random bit. */
  writePreamble(out: ByteWriter, entropy: boolean): void

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
  /** Bytes before the handshake data of a CRYPTO frame; before Q048 of a STREAM frame, with length, of stream 1. */
  cryptoHeaderLength(offset: number, dataLength: number): number
  writeCryptoHeader(out: ByteWriter, offset: number, dataLength: number): void

  /**
   * Writes an ACK with as many ranges as fit into `space` bytes and reports no timestamps. The newest are kept where
   * room is short; with entropy the oldest.
   * @param entropy needed by versions that have it
   * @returns false, with nothing written, if not even the first range fits
   */
  writeAck(out: ByteWriter, ack: AckFrame, space: number, entropy?: AckEntropySource): boolean

  /** Of versions with {@link VersionTraits.stopWaiting}. */
  stopWaitingLength(packetNumberLength: number): number
  /** @param entropyHash over all packets sent below `leastUnacked`, for versions with entropy */
  writeStopWaiting(
    out: ByteWriter,
    leastUnacked: number,
    packetNumber: number,
    packetNumberLength: number,
    entropyHash?: number
  ): void

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
  /** `length` (at least 1) bytes of PADDING; through Q037 they must be the packet's last. */
  writePadding(out: ByteWriter, length: number): void

  createReader(): ByteReader
  createWriter(): ByteWriter
}

/** What endpoints of a version may and must do, beyond bytes. */
export interface VersionTraits {
  /** Every packet has a random bit, whose sum the peer has to prove in its ACKs (Q032, Q033). */
  readonly entropy: boolean
  /** STOP_WAITING exists and goes with every ACK (through Q043). */
  readonly stopWaiting: boolean
  /** The client's COPT NSTP makes both sides do without STOP_WAITING (Q038–Q043). */
  readonly stopWaitingOptional: boolean
  /** An ACK goes out every 20 packets even if none of them asks for one (through Q038). */
  readonly acksAckOnlyPackets: boolean
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
  /** SETTINGS may name the largest header list that the sender takes (from Q039; an error before). */
  readonly headerListSetting: boolean
  /** A client may send HTTP/2 PRIORITY frames on the headers stream (from Q043). */
  readonly priorityFrames: boolean
  /**
   * Long headers until the forward-secure keys, short ones then (from Q044): a client is told apart by its address
   * alone, and names its version by the level, not until an answer.
   */
  readonly longHeaders: boolean
  /** A lost connection is answered by a stateless reset, not a public reset; the SHLO brings its token (from Q044). */
  readonly statelessReset: boolean
  /** The least UDP payload in which a server takes a client's first hello, bytes; 0 for any (from Q046). */
  readonly minClientHelloDatagram: number
  /** MESSAGE frames may come; nothing is ever done with them (from Q045). */
  readonly messageFrames: boolean
  /** Handshake data has its own frame, and offsets that begin at 0 on each level (from Q048). */
  readonly cryptoFrames: boolean
  /** -1 where handshake data is on no stream. */
  readonly cryptoStreamId: number
  readonly headersStreamId: number
  readonly firstClientStreamId: number
  readonly firstServerStreamId: number
}

/** What the protection at level None may depend on; a connection is one. */
export interface CleartextContext {
  /** The first that the client chose. */
  readonly connectionId: ConnectionId
  readonly aeadProvider: AeadProvider
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
  /** How keyed levels protect packets; to be given to the key schedule and the AEAD provider. */
  readonly protection: ProtectionStyle
  /** Whether a receiver tries its keys in turn or goes by `PacketHeader.keyLevel`. */
  readonly keySelection: 'trial' | 'by-type'
  /**
   * Protection at level None. `sender` is the side that seals (some versions mix it into the hash).
   * @param context needed by versions that obfuscate with keys instead of hashing (from Q050)
   * @throws TypeError without it there
   */
  nullSealer(sender: Perspective, context?: CleartextContext): PacketSealer
  nullOpener(sender: Perspective, context?: CleartextContext): PacketOpener
}
