/**
 * The frame codec of Q034–Q039, Q042 and Q043: one layout, two byte orders. What else changed between those versions
 * is an option of the codec.
 * Source: quic_framer.cc (ProcessFrameData and the Append… functions).
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import { ByteReader, ByteWriter, TruncatedError } from '../bytes.js'
import { createAckFrame, readAckBlocks, writeAckBlocks } from '../frames/ack-blocks.js'
import { BLOCKED_LENGTH, readBlocked, writeBlocked } from '../frames/blocked.js'
import { connectionCloseLength, readConnectionClose, writeConnectionClose } from '../frames/connection-close.js'
import { FrameType } from '../frames/frames.js'
import type { AckFrame, FrameVisitor } from '../frames/frames.js'
import { goAwayLength, readGoAway, writeGoAway } from '../frames/goaway.js'
import { readPaddingToEnd, writePadding } from '../frames/padding.js'
import { readPathClose } from '../frames/path-close.js'
import { PING_LENGTH, writePing } from '../frames/ping.js'
import { readRstStream, RST_STREAM_LENGTH, writeRstStream } from '../frames/rst-stream.js'
import { readStopWaiting, stopWaitingLength, writeStopWaiting } from '../frames/stop-waiting.js'
import { readStreamFrame, streamHeaderLength, writeStreamHeader } from '../frames/stream.js'
import { readWindowUpdate, WINDOW_UPDATE_LENGTH, writeWindowUpdate } from '../frames/window-update.js'
import type { FrameCodec } from './version.js'

/** How one version's frames differ from its neighbours'. */
export interface ClassicFrameOptions {
  /** Integers are big-endian (from Q039). */
  bigEndian: boolean
}

// What a frame that ends too early is called, by type byte. Types not listed are illegal.
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

/** Reader and ACK to parse into: what decoding one packet occupies. */
interface DecodeState {
  reader: ByteReader
  ack: AckFrame
}

/** Writes and parses frames. One object serves all connections of a version. */
export class ClassicFrameCodec implements FrameCodec {
  readonly rstStreamLength = RST_STREAM_LENGTH
  readonly windowUpdateLength = WINDOW_UPDATE_LENGTH
  readonly blockedLength = BLOCKED_LENGTH
  readonly pingLength = PING_LENGTH
  readonly streamHeaderLength = streamHeaderLength
  readonly writeStreamHeader = writeStreamHeader
  readonly writeAck = writeAckBlocks
  readonly stopWaitingLength = stopWaitingLength
  readonly writeStopWaiting = writeStopWaiting
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
    this.idle = this.createState()
  }

  /**
   * Throws QuicError: MISSING_PAYLOAD for no bytes, INVALID_FRAME_DATA for an unknown type, the frame's own INVALID_…
   * code for one that is cut short, EMPTY_STREAM_FRAME_NO_FIN, and what the visitor throws.
   */
  decode(
    buffer: Uint8Array,
    start: number,
    end: number,
    packetNumber: number,
    packetNumberLength: number,
    visitor: FrameVisitor
  ): void {
    if (start >= end) throw new QuicError(QuicErrorCode.MISSING_PAYLOAD, 'packet without frames')
    // A visitor that gets a key out of a frame may decode packets held back for it: that one needs its own state.
    const state = this.idle ?? this.createState()
    this.idle = undefined
    const reader = state.reader.reset(buffer, start, end)
    let type = 0
    try {
      while (reader.remaining > 0) {
        type = reader.uint8()
        if (type >= 0x80) readStreamFrame(reader, type, visitor)
        else if (type >= 0x40) readAckBlocks(reader, type, state.ack, visitor)
        else decodeRegular(reader, type, packetNumber, packetNumberLength, visitor)
      }
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error
      const [code, name] = errorOfType[type]!
      throw new QuicError(code, `malformed ${name} frame in packet ${packetNumber}`)
    } finally {
      this.idle = state
    }
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

/** Parses a frame whose type byte is its whole type. */
function decodeRegular(
  reader: ByteReader,
  type: number,
  packetNumber: number,
  packetNumberLength: number,
  visitor: FrameVisitor
): void {
  switch (type) {
    case FrameType.Padding:
      return readPaddingToEnd(reader, visitor)
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
      return readStopWaiting(reader, packetNumber, packetNumberLength, visitor)
    case FrameType.Ping:
      return visitor.onPing()
    case FrameType.PathClose:
      return readPathClose(reader, visitor)
    default:
      throw new QuicError(QuicErrorCode.INVALID_FRAME_DATA, `illegal frame type 0x${type.toString(16)}`)
  }
}
