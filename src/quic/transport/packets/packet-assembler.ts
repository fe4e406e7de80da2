/**
 * Builds packets straight into the buffer that goes to the socket: header, frames, padding. Protection follows for the
 * whole batch at once (quic_packet_creator.cc).
 */
import { MAX_BATCH_PACKETS, PacketBatch, type PacketSealer } from '../../crypto/protection.js'
import { SentFrameKind, type SentFrame, type SentFramePool } from '../../recovery/sent-frame.js'
import { EncryptionLevel, type Perspective } from '../../types.js'
import type { ByteWriter } from '../../wire/bytes.js'
import type { AckFrame } from '../../wire/frames/frames.js'
import type {
  AckEntropySource,
  CleartextContext,
  OutgoingHeader,
  QuicVersion
} from '../../wire/versions/version.js'
import type { ObservedPacket } from '../observer.js'
import type { LateSealer } from '../transmit.js'
import type { PacketSink, StreamDataSource } from './packet-sink.js'

const WIDEST_PACKET_NUMBER = 6
const textEncoder = new TextEncoder()
const NO_BYTES = new Uint8Array(0)

/** Begun, filled and sealed in one go, so that one batch does for all connections. */
const openBatch = new PacketBatch()

/** The packet under construction, and the batch of finished ones before it. */
export class PacketAssembler implements PacketSink {
  /** Largest packet, UDP payload in bytes. */
  maxPacketLength: number
  mayCut = true
  /** The frames of the packet under construction that want to know their fate. */
  frames: SentFrame | null = null
  hasCrypto = false

  private readonly header: OutgoingHeader = {
    connectionId: undefined,
    includeVersion: false,
    nonce: undefined,
    packetNumber: 0,
    packetNumberLength: 1,
    level: EncryptionLevel.None
  }
  private readonly batch = openBatch
  private readonly sealers: (PacketSealer | undefined)[] = [undefined, undefined, undefined]
  private writer: ByteWriter
  private lastFrame: SentFrame | null = null
  private packetStart = 0
  private headerEnd = 0
  private preambleEnd = 0
  private payloadStart = 0
  private payloadLimit = 0
  private singleFrameSpace = 0

  constructor(
    private readonly perspective: Perspective,
    private version: QuicVersion,
    maxPacketLength: number,
    private readonly pool: SentFramePool,
    private readonly cleartext: CleartextContext
  ) {
    this.maxPacketLength = maxPacketLength
    this.writer = version.frames.createWriter()
    this.sealers[EncryptionLevel.None] = version.nullSealer(perspective, cleartext)
  }

  /** Goes on in another version (version negotiation), unprotected. */
  setVersion(version: QuicVersion): void {
    this.version = version
    this.writer = version.frames.createWriter()
    this.sealers[EncryptionLevel.None] = version.nullSealer(this.perspective, this.cleartext)
  }

  setSealer(level: EncryptionLevel, sealer: PacketSealer): void {
    this.sealers[level] = sealer
  }

  /** Lets go of all keys but one level's. */
  keepOnlySealer(level: EncryptionLevel): void {
    for (let other = 0; other < this.sealers.length; other++) if (other !== level) this.sealers[other] = undefined
  }

  /**
   * Forgets the last packet: its buffer, which is the engine's, and its frames, which are recovery's or nobody's by now. Keys
   * keep no more than themselves.
   */
  releaseMemory(): void {
    for (const sealer of this.sealers) sealer?.releaseMemory?.()
    this.writer.reset(NO_BYTES, 0)
    this.header.connectionId = undefined
    this.header.nonce = undefined
    this.frames = null
    this.lastFrame = null
  }

  hasSealer(level: EncryptionLevel): boolean {
    return this.sealers[level] !== undefined
  }

  get level(): EncryptionLevel {
    return this.header.level
  }

  get packetNumber(): number {
    return this.header.packetNumber
  }

  get remaining(): number {
    return this.payloadLimit - this.writer.position
  }

  /** Whether nothing has been written into the packet yet. */
  get empty(): boolean {
    return this.writer.position === this.preambleEnd
  }

  /** Whether another packet may join the batch. */
  get batchFull(): boolean {
    return this.batch.count === MAX_BATCH_PACKETS
  }

  /** Begins a batch in `out`, from its first byte. */
  beginBatch(out: Uint8Array): void {
    this.batch.buffer = out
    this.batch.count = 0
  }

  /**
   * Begins a packet at `start` of the batch's buffer. The level must have a sealer.
   * @param neededNumberLength bytes that the packet number needs; the version may use more
   * @param entropy the packet's random bit, in versions that have one
   * @param maxLength the size of the batch's earlier packets, which this one may not exceed; 0 for the first
   */
  beginPacket(
    start: number,
    level: EncryptionLevel,
    packetNumber: number,
    neededNumberLength: number,
    connectionId: Uint8Array | undefined,
    includeVersion: boolean,
    nonce: Uint8Array | undefined,
    entropy: boolean,
    maxLength: number
  ): void {
    const { header, perspective } = this
    const { header: codec, frames } = this.version
    const sealer = this.sealers[level]!
    header.level = level
    header.packetNumber = packetNumber
    header.connectionId = connectionId
    header.includeVersion = includeVersion
    header.nonce = level === EncryptionLevel.Initial ? nonce : undefined
    header.packetNumberLength = codec.packetNumberLength(WIDEST_PACKET_NUMBER, level)
    const overhead = sealer.prefixLength + sealer.suffixLength + frames.preambleLength
    this.singleFrameSpace = this.maxPacketLength - codec.length(header, perspective) - overhead
    header.packetNumberLength = codec.packetNumberLength(neededNumberLength, level)
    this.packetStart = start
    this.headerEnd = codec.write(this.batch.buffer, start, perspective, header)
    this.payloadStart = this.headerEnd + sealer.prefixLength
    this.payloadLimit = start + (maxLength || this.maxPacketLength) - sealer.suffixLength
    this.writer.reset(this.batch.buffer, this.payloadStart)
    if (frames.preambleLength > 0) frames.writePreamble(this.writer, entropy)
    this.preambleEnd = this.writer.position
    this.frames = null
    this.lastFrame = null
    this.hasCrypto = false
  }

  /** Ends the packet and adds it to the batch. @returns its length in bytes, protection included */
  endPacket(): number {
    const { header, writer, batch, packetStart, payloadStart } = this
    const { header: codec, frames } = this.version
    const missing = codec.minPayloadLength(header.packetNumberLength) - (writer.position - payloadStart)
    if (missing > 0) frames.writePadding(writer, missing)
    const payloadEnd = writer.position
    const packetEnd = payloadEnd + this.sealers[header.level]!.suffixLength
    const numberOffset = codec.finish(batch.buffer, this.headerEnd, header, packetEnd)
    batch.add(packetStart, payloadStart, payloadEnd, header.packetNumber, numberOffset)
    return packetEnd - packetStart
  }

  /** Tells of the packet that was ended last, before the batch is sealed. */
  describe(packet: ObservedPacket): void {
    const { header, batch } = this
    packet.packetNumber = header.packetNumber
    packet.packetNumberLength = header.packetNumberLength
    packet.level = header.level
    packet.length = batch.payloadEnd[batch.count - 1]! + this.sealers[header.level]!.suffixLength - this.packetStart
    packet.buffer = batch.buffer
    packet.payloadStart = this.payloadStart
    packet.payloadEnd = batch.payloadEnd[batch.count - 1]!
  }

  /**
   * Protects the batch, or leaves that to another. All of its packets are of the last packet's level.
   * @param later who may be left to do it
   */
  sealBatch(later?: LateSealer): void {
    const { batch } = this
    if (batch.count === 0) return
    const sealer = this.sealers[this.header.level]!
    if (later?.takeSealing(sealer, batch) !== true) sealer.seal(batch)
    batch.count = 0
  }

  // ---- frames that are not retransmitted ----

  /** Adds an ACK with as many ranges as leave room for the STOP_WAITING that goes with it. */
  addAck(ack: AckFrame, entropy: AckEntropySource | undefined): boolean {
    const { frames, traits } = this.version
    const reserved = traits.stopWaiting ? frames.stopWaitingLength(this.header.packetNumberLength) : 0
    return frames.writeAck(this.writer, ack, Math.max(0, this.remaining - reserved), entropy)
  }

  addStopWaiting(leastUnacked: number, entropyHash: number | undefined): boolean {
    const { packetNumber, packetNumberLength } = this.header
    if (this.version.frames.stopWaitingLength(packetNumberLength) > this.remaining) return false
    this.version.frames.writeStopWaiting(this.writer, leastUnacked, packetNumber, packetNumberLength, entropyHash)
    return true
  }

  addConnectionClose(errorCode: number, details: string): void {
    const frames = this.version.frames
    let reason = textEncoder.encode(details)
    const room = this.remaining - frames.connectionCloseLength(reason.subarray(0, 0))
    if (reason.length > room) reason = reason.subarray(0, Math.max(0, room))
    frames.writeConnectionClose(this.writer, errorCode, reason)
  }

  /** Fills the packet to its full length, as every packet with handshake data is. */
  pad(): void {
    if (this.remaining > 0) this.version.frames.writePadding(this.writer, this.remaining)
  }

  // ---- streams ----

  streamCapacity(streamId: number, offset: number): number {
    const space = Math.min(this.remaining, this.singleFrameSpace)
    const capacity = space - this.version.frames.streamHeaderLength(streamId, offset, false)
    return capacity < 0 ? -1 : capacity
  }

  fitsAlone(streamId: number, offset: number, length: number): boolean {
    return this.version.frames.streamHeaderLength(streamId, offset, false) + length <= this.singleFrameSpace
  }

  addStream(streamId: number, offset: number, length: number, fin: boolean, source: StreamDataSource): void {
    this.writeStream(SentFrameKind.Stream, streamId, offset, length, fin, source)
  }

  addStreamAgain(
    streamId: number,
    offset: number,
    length: number,
    fin: boolean,
    source: StreamDataSource
  ): boolean {
    if (this.version.frames.streamHeaderLength(streamId, offset, false) + length > this.remaining) return false
    this.writeStream(SentFrameKind.Stream, streamId, offset, length, fin, source)
    return true
  }

  /** The most handshake bytes at this offset that the packet, and alone any later one, has room for; -1 for none. */
  cryptoCapacity(offset: number): number {
    const { frames, traits } = this.version
    if (!traits.cryptoFrames) return this.streamCapacity(traits.cryptoStreamId, offset)
    const space = Math.min(this.remaining, this.singleFrameSpace)
    return Math.max(-1, space - frames.cryptoHeaderLength(offset, space))
  }

  /** Adds a piece of the handshake; `length` is at most {@link cryptoCapacity}. */
  addCrypto(offset: number, length: number, source: StreamDataSource): void {
    const { frames, traits } = this.version
    this.hasCrypto = true
    if (!traits.cryptoFrames) {
      this.writeStream(SentFrameKind.Crypto, traits.cryptoStreamId, offset, length, false, source)
      return
    }
    const { writer } = this
    frames.writeCryptoHeader(writer, offset, length)
    source.copyTo(writer.buffer, writer.position, offset, length)
    writer.position += length
    const frame = this.remember(SentFrameKind.Crypto, traits.cryptoStreamId)
    frame.offset = offset
    frame.length = length
  }

  private writeStream(
    kind: SentFrameKind,
    streamId: number,
    offset: number,
    length: number,
    fin: boolean,
    source: StreamDataSource
  ): void {
    const codec = this.version.frames
    const writer = this.writer
    // Without a length the data runs to the packet's end, so such a frame is the last one.
    const withLength = codec.streamHeaderLength(streamId, offset, true) + length <= this.remaining
    codec.writeStreamHeader(writer, streamId, offset, length, fin, withLength)
    if (length > 0) source.copyTo(writer.buffer, writer.position, offset, length)
    writer.position += length
    if (!withLength) this.payloadLimit = writer.position
    const frame = this.remember(kind, streamId)
    frame.offset = offset
    frame.length = length
    frame.fin = fin
  }

  // ---- control frames ----

  addRstStream(streamId: number, errorCode: number, finalOffset: number): boolean {
    if (this.version.frames.rstStreamLength > this.remaining) return false
    this.version.frames.writeRstStream(this.writer, streamId, errorCode, finalOffset)
    const frame = this.remember(SentFrameKind.RstStream, streamId)
    frame.offset = finalOffset
    frame.errorCode = errorCode
    return true
  }

  addWindowUpdate(streamId: number, limit: number): boolean {
    if (this.version.frames.windowUpdateLength > this.remaining) return false
    this.version.frames.writeWindowUpdate(this.writer, streamId, limit)
    this.remember(SentFrameKind.WindowUpdate, streamId).offset = limit
    return true
  }

  addBlocked(streamId: number): boolean {
    if (this.version.frames.blockedLength > this.remaining) return false
    this.version.frames.writeBlocked(this.writer, streamId)
    this.remember(SentFrameKind.Blocked, streamId)
    return true
  }

  addGoAway(errorCode: number, lastGoodStreamId: number, reason: string): boolean {
    const bytes = textEncoder.encode(reason)
    if (this.version.frames.goAwayLength(bytes) > this.remaining) return false
    this.version.frames.writeGoAway(this.writer, errorCode, lastGoodStreamId, bytes)
    this.remember(SentFrameKind.GoAway, lastGoodStreamId).errorCode = errorCode
    return true
  }

  addPing(): boolean {
    if (this.version.frames.pingLength > this.remaining) return false
    this.version.frames.writePing(this.writer)
    this.remember(SentFrameKind.Ping, 0)
    return true
  }

  /** Fills the packet with a PING that nobody repeats: it only asks whether a packet of this size passes. */
  fillWithProbe(): void {
    this.version.frames.writePing(this.writer)
    this.pad()
  }

  private remember(kind: SentFrameKind, streamId: number): SentFrame {
    const frame = this.pool.take(kind, streamId, this.header.level)
    if (this.lastFrame === null) this.frames = frame
    else this.lastFrame.next = frame
    this.lastFrame = frame
    return frame
  }
}
