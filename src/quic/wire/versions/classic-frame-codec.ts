/**
 * The frame codec of all versions: one layout, two byte orders. What else changed between them is an option.
 * Source: quic_framer.cc (ProcessFrameData and the Append… functions).
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import { ByteReader, ByteWriter, TruncatedError } from '../bytes.js'
import { createAckFrame, readAckBlocks, writeAckBlocks } from '../frames/ack-blocks.js'
import { readAckNacks, writeAckNacks } from '../frames/ack-nacks.js'
import { BLOCKED_LENGTH, readBlocked, writeBlocked } from '../frames/blocked.js'
import { connectionCloseLength, readConnectionClose, writeConnectionClose } from '../frames/connection-close.js'
import { cryptoHeaderLength, readCrypto, writeCryptoHeader } from '../frames/crypto.js'
import { FrameType } from '../frames/frames.js'
import type { AckFrame, FrameVisitor } from '../frames/frames.js'
import { goAwayLength, readGoAway, writeGoAway } from '../frames/goaway.js'
import { readMessage } from '../frames/message.js'
import { readPaddingRun, readPaddingToEnd, writePadding } from '../frames/padding.js'
import { readPathClose } from '../frames/path-close.js'
import { PING_LENGTH, writePing } from '../frames/ping.js'
import { readRstStream, RST_STREAM_LENGTH, writeRstStream } from '../frames/rst-stream.js'
import {
  entropyStopWaitingLength,
  readStopWaiting,
  skipStopWaiting,
  stopWaitingLength,
  writeEntropyStopWaiting,
  writeStopWaiting
} from '../frames/stop-waiting.js'
import { readStreamFrame, streamHeaderLength, writeStreamHeader } from '../frames/stream.js'
import { readWindowUpdate, WINDOW_UPDATE_LENGTH, writeWindowUpdate } from '../frames/window-update.js'
import type { AckEntropySource, FrameCodec } from './version.js'

/** How one version's frames differ from its neighbours'. Absent means no, which is Q034–Q036. */
export interface ClassicFrameOptions {
  /** Integers are big-endian (from Q039). */
  bigEndian: boolean
  /** Payloads begin with private flags, ACKs list missing ranges, ACK and STOP_WAITING carry a hash (Q032, Q033). */
  entropy?: boolean
  /** Every byte of padding is a frame (from Q038). */
  singleBytePadding?: boolean
  /** Type 8 is nothing (Q039–Q047); PATH_CLOSE before. */
  noPathClose?: boolean
  /** STOP_WAITING has no meaning any more (from Q044). */
  ignoresStopWaiting?: boolean
  /** Types 0x20 and 0x21 are MESSAGE (from Q045). */
  messages?: boolean
  /** Type 8 is CRYPTO (from Q048). */
  crypto?: boolean
}

/** The stream of handshake data where it has no frame of its own. */
const CRYPTO_STREAM_ID = 1
const ENTROPY_FLAG = 0x01

// What a frame that ends too early is called, by type byte.
const errorOfType: readonly (readonly [code: number, name: string] | undefined)[] = (() => {
  const table: (readonly [number, string] | undefined)[] = []
  table[FrameType.Padding] = [QuicErrorCode.INVALID_FRAME_DATA, 'PADDING']
  table[FrameType.RstStream] = [QuicErrorCode.INVALID_RST_STREAM_DATA, 'RST_STREAM']
  table[FrameType.ConnectionClose] = [QuicErrorCode.INVALID_CONNECTION_CLOSE_DATA, 'CONNECTION_CLOSE']
  table[FrameType.GoAway] = [QuicErrorCode.INVALID_GOAWAY_DATA, 'GOAWAY']
  table[FrameType.WindowUpdate] = [QuicErrorCode.INVALID_WINDOW_UPDATE_DATA, 'WINDOW_UPDATE']
  table[FrameType.Blocked] = [QuicErrorCode.INVALID_BLOCKED_DATA, 'BLOCKED']
  table[FrameType.StopWaiting] = [QuicErrorCode.INVALID_STOP_WAITING_DATA, 'STOP_WAITING']
  table[FrameType.Ping] = [QuicErrorCode.INVALID_FRAME_DATA, 'PING']
  table[FrameType.PathClose] = [QuicErrorCode.INVALID_PATH_CLOSE_DATA, 'PATH_CLOSE']
  for (let type = 0x40; type < 0x80; type++) table[type] = [QuicErrorCode.INVALID_ACK_DATA, 'ACK']
  for (let type = 0x80; type < 0x100; type++) table[type] = [QuicErrorCode.INVALID_STREAM_DATA, 'STREAM']
  return table
})()
const CRYPTO_ERROR = [QuicErrorCode.INVALID_FRAME_DATA, 'CRYPTO'] as const
const MESSAGE_ERROR = [QuicErrorCode.INVALID_FRAME_DATA, 'MESSAGE'] as const

/** Reader and ACK to parse into: what decoding one packet occupies. */
interface DecodeState {
  reader: ByteReader
  ack: AckFrame
}

/** Writes and parses frames. One object serves all connections of a version. */
export class ClassicFrameCodec implements FrameCodec {
  readonly preambleLength: number
  readonly rstStreamLength = RST_STREAM_LENGTH
  readonly windowUpdateLength = WINDOW_UPDATE_LENGTH
  readonly blockedLength = BLOCKED_LENGTH
  readonly pingLength = PING_LENGTH
  readonly streamHeaderLength = streamHeaderLength
  readonly writeStreamHeader = writeStreamHeader
  readonly writeAck: FrameCodec['writeAck']
  readonly stopWaitingLength: FrameCodec['stopWaitingLength']
  readonly writeStopWaiting: FrameCodec['writeStopWaiting']
  readonly cryptoHeaderLength: FrameCodec['cryptoHeaderLength']
  readonly writeCryptoHeader: FrameCodec['writeCryptoHeader']
  readonly writeRstStream = writeRstStream
  readonly writeWindowUpdate = writeWindowUpdate
  readonly writeBlocked = writeBlocked
  readonly writePing = writePing
  readonly goAwayLength = goAwayLength
  readonly writeGoAway = writeGoAway
  readonly connectionCloseLength = connectionCloseLength
  readonly writeConnectionClose = writeConnectionClose
  readonly writePadding = writePadding

  private idle: DecodeState | undefined

  constructor(private readonly options: ClassicFrameOptions) {
    const { entropy = false, crypto = false } = options
    this.preambleLength = entropy ? 1 : 0
    this.writeAck = entropy ? writeEntropyAck : writeAckBlocks
    this.stopWaitingLength = entropy ? entropyStopWaitingLength : stopWaitingLength
    this.writeStopWaiting = entropy ? writeEntropyStopWaiting : writeStopWaiting
    this.cryptoHeaderLength = crypto ? cryptoHeaderLength : cryptoStreamHeaderLength
    this.writeCryptoHeader = crypto ? writeCryptoHeader : writeCryptoStreamHeader
    this.idle = this.createState()
  }

  writePreamble(out: ByteWriter, entropy: boolean): void {
    if (this.preambleLength > 0) out.uint8(entropy ? ENTROPY_FLAG : 0)
  }

  /**
   * Throws QuicError: MISSING_PAYLOAD for no frames, INVALID_PACKET_HEADER for unknown private flags,
   * INVALID_FRAME_DATA for an unknown type, the frame's own INVALID_… code for one that is cut short,
   * EMPTY_STREAM_FRAME_NO_FIN, and what the visitor throws.
   */
  decode(
    buffer: Uint8Array,
    start: number,
    end: number,
    packetNumber: number,
    packetNumberLength: number,
    visitor: FrameVisitor
  ): void {
    const { preambleLength } = this
    if (start + preambleLength >= end) throw new QuicError(QuicErrorCode.MISSING_PAYLOAD, 'packet without frames')
    if (preambleLength > 0) readPrivateFlags(buffer[start]!, visitor)
    // A visitor that gets a key out of a frame may decode packets held back for it: that one needs its own state.
    const state = this.idle ?? this.createState()
    this.idle = undefined
    const reader = state.reader.reset(buffer, start + preambleLength, end)
    let type = 0
    try {
      while (reader.remaining > 0) {
        type = reader.uint8()
        if (type >= 0x80) readStreamFrame(reader, type, visitor)
        else if (type < 0x40) this.decodeRegular(reader, type, packetNumber, packetNumberLength, visitor)
        else if (preambleLength > 0) readAckNacks(reader, type, state.ack, visitor)
        else readAckBlocks(reader, type, state.ack, visitor)
      }
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error
      const [code, name] = this.errorOf(type)
      throw new QuicError(code, `malformed ${name} frame in packet ${packetNumber}`)
    } finally {
      this.idle = state
    }
  }

  /** Parses a frame whose type byte is its whole type. */
  private decodeRegular(
    reader: ByteReader,
    type: number,
    packetNumber: number,
    packetNumberLength: number,
    visitor: FrameVisitor
  ): void {
    const { options } = this
    switch (type) {
      case FrameType.Padding:
        return options.singleBytePadding ? readPaddingRun(reader, visitor) : readPaddingToEnd(reader, visitor)
      case FrameType.RstStream:
        return readRstStream(reader, visitor)
      case FrameType.ConnectionClose:
        return readConnectionClose(reader, visitor)
      case FrameType.GoAway:
        return readGoAway(reader, visitor)
      case FrameType.WindowUpdate:
        return readWindowUpdate(reader, visitor)
      case FrameType.Blocked:
        return readBlocked(reader, visitor)
      case FrameType.StopWaiting:
        if (options.ignoresStopWaiting) return skipStopWaiting(reader, packetNumberLength)
        return readStopWaiting(reader, packetNumber, packetNumberLength, this.preambleLength > 0, visitor)
      case FrameType.Ping:
        return visitor.onPing()
      default:
        return this.decodeRare(reader, type, visitor)
    }
  }

  private decodeRare(reader: ByteReader, type: number, visitor: FrameVisitor): void {
    const { crypto, messages, noPathClose } = this.options
    const message = type === FrameType.Message || type === FrameType.MessageWithLength
    if (type === FrameType.Crypto && crypto) readCrypto(reader, visitor)
    else if (type === FrameType.PathClose && !crypto && !noPathClose) readPathClose(reader, visitor)
    else if (message && messages) readMessage(reader, type, visitor)
    else throw new QuicError(QuicErrorCode.INVALID_FRAME_DATA, `illegal frame type 0x${type.toString(16)}`)
  }

  private errorOf(type: number): readonly [code: number, name: string] {
    if (type === FrameType.Crypto && this.options.crypto) return CRYPTO_ERROR
    return errorOfType[type] ?? MESSAGE_ERROR
  }

  createReader(): ByteReader {
    return new ByteReader(this.options.bigEndian)
  }

  createWriter(): ByteWriter {
    return new ByteWriter(this.options.bigEndian)
  }

  private createState(): DecodeState {
    return { reader: this.createReader(), ack: createAckFrame() }
  }
}

function readPrivateFlags(flags: number, visitor: FrameVisitor): void {
  if ((flags & ~ENTROPY_FLAG) !== 0) {
    throw new QuicError(QuicErrorCode.INVALID_PACKET_HEADER, `illegal private flags 0x${flags.toString(16)}`)
  }
  visitor.onEntropyFlag(flags !== 0)
}

function writeEntropyAck(out: ByteWriter, ack: AckFrame, space: number, entropy?: AckEntropySource): boolean {
  if (entropy === undefined) throw new TypeError('an ACK of this version is written with its entropy')
  return writeAckNacks(out, ack, space, entropy)
}

function cryptoStreamHeaderLength(offset: number, _dataLength: number): number {
  return streamHeaderLength(CRYPTO_STREAM_ID, offset, true)
}

function writeCryptoStreamHeader(out: ByteWriter, offset: number, dataLength: number): void {
  writeStreamHeader(out, CRYPTO_STREAM_ID, offset, dataLength, false, true)
}
