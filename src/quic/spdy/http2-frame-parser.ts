import { QuicError, QuicErrorCode } from '../errors.js'
import { Perspective } from '../types.js'
import { HTTP2_FRAME_HEADER_SIZE, HTTP2_MAX_PAYLOAD, Http2Flag, Http2FrameType, Http2Setting } from './http2-frames.js'
import type { Http2SettingEntry } from './http2-frames.js'
import { priorityOfWeightByte } from './priority.js'

/**
 * What the parser finds. Byte arrays are views that are valid during the call only. Methods may throw a
 * {@link QuicError}, which passes through {@link Http2FrameParser.push}.
 */
export interface Http2FrameVisitor {
  /**
   * A whole header block, CONTINUATION frames joined.
   * @param fin END_STREAM: no body and no trailers follow
   * @param priority the SPDY priority 0..7 that a client's HEADERS carry; undefined from a server
   */
  onHeaders(streamId: number, block: Uint8Array, fin: boolean, priority: number | undefined): void
  /** A promise, at a client only. */
  onPushPromise(streamId: number, promisedId: number, block: Uint8Array): void
  /**
   * The entries that this protocol knows: HEADER_TABLE_SIZE, at a server ENABLE_PUSH of 0 or 1, and MAX_HEADER_LIST_SIZE,
   * which not every version allows.
   */
  onSettings(entries: readonly Http2SettingEntry[]): void
  /** Body bytes of a stream under forced head-of-line blocking. Without this method DATA frames are an error. */
  onData?(streamId: number, data: Uint8Array, fin: boolean): void
  /** A new SPDY priority 0..7 of a stream, in versions that send one. Without this method PRIORITY is an error. */
  onPriority?(streamId: number, priority: number): void
}

/** Options of an {@link Http2FrameParser}. */
export interface Http2FrameParserOptions {
  /** The most bytes one block may take, headers of its CONTINUATION frames included; 256 KiB unless told. */
  readonly maxBlockSize?: number
}

const DEFAULT_MAX_BLOCK_SIZE = 262_144
const EMPTY = new Uint8Array(0)

/**
 * Cuts the headers stream into frames, from chunks of any size, with the rules of quic_spdy_session.cc: HEADERS from a
 * client carry a priority and from a server do not; RST_STREAM, PING, GOAWAY, WINDOW_UPDATE and unknown frames are
 * errors; ALTSVC and BLOCKED are ignored. It holds one frame and one unfinished block at most. After an error it is
 * void: the connection has to be closed.
 */
export class Http2FrameParser {
  /** A frame's header that came in pieces; there once that has happened. */
  private header: Uint8Array | undefined
  private headerLength = 0
  private payload: Uint8Array = EMPTY
  private payloadLength = 0

  // The frame at hand, known once its header is complete.
  private length = 0
  private type = 0
  private flags = 0
  private streamId = 0

  // The block that CONTINUATION frames go on with; its stream is 0 when there is none.
  private blockStreamId = 0
  private blockPromisedId = 0
  private blockFin = false
  private blockPriority: number | undefined
  private block: Uint8Array = EMPTY
  private blockLength = 0
  private blockCost = 0
  private readonly maxBlockSize: number

  /** @param perspective this endpoint's own side: the frames come from the other */
  constructor(
    private readonly visitor: Http2FrameVisitor,
    private readonly perspective: Perspective,
    options: Http2FrameParserOptions = {}
  ) {
    this.maxBlockSize = options.maxBlockSize ?? DEFAULT_MAX_BLOCK_SIZE
  }

  /** Whether everything pushed so far was whole frames and whole blocks. */
  get idle(): boolean {
    return this.headerLength === 0 && this.blockStreamId === 0
  }

  /** Frees what holds pieces of a frame's header, if there are none. */
  releaseMemory(): void {
    if (this.headerLength === 0) this.header = undefined
  }

  /**
   * Takes the next bytes of the stream and calls the visitor for what they complete.
   * @throws QuicError `QUIC_INVALID_HEADERS_STREAM_DATA` for a frame that is malformed or not allowed
   */
  push(chunk: Uint8Array): void {
    let at = 0
    for (;;) {
      if (this.headerLength < HTTP2_FRAME_HEADER_SIZE) {
        at = this.takeHeader(chunk, at)
        if (this.headerLength < HTTP2_FRAME_HEADER_SIZE) return
      }
      const missing = this.length - this.payloadLength
      const available = Math.min(missing, chunk.length - at)
      if (this.payloadLength === 0 && available === missing) {
        this.finishFrame(chunk.subarray(at, at + available))
      } else {
        if (this.payloadLength === 0) {
          if (available === 0) return
          this.payload = new Uint8Array(this.length)
        }
        this.payload.set(chunk.subarray(at, at + available), this.payloadLength)
        this.payloadLength += available
        if (available < missing) return
        const payload = this.payload
        this.payload = EMPTY
        this.finishFrame(payload)
      }
      at += available
    }
  }

  /** @returns where the chunk goes on behind what belongs to the header */
  private takeHeader(chunk: Uint8Array, at: number): number {
    if (this.headerLength === 0 && chunk.length - at >= HTTP2_FRAME_HEADER_SIZE) {
      this.headerLength = HTTP2_FRAME_HEADER_SIZE
      this.readFrameHeader(chunk, at)
      return at + HTTP2_FRAME_HEADER_SIZE
    }
    const header = (this.header ??= new Uint8Array(HTTP2_FRAME_HEADER_SIZE))
    while (this.headerLength < HTTP2_FRAME_HEADER_SIZE) {
      if (at === chunk.length) return at
      header[this.headerLength++] = chunk[at++]
    }
    this.readFrameHeader(header, 0)
    return at
  }

  private readFrameHeader(h: Uint8Array, at: number): void {
    this.length = (h[at] << 16) | (h[at + 1] << 8) | h[at + 2]
    this.type = h[at + 3]
    this.flags = h[at + 4]
    this.streamId = readStreamId(h, at + 5)
    if (this.length > HTTP2_MAX_PAYLOAD) throw invalid(`frame of ${this.length} bytes`)
    if (this.blockStreamId !== 0) {
      if (this.type !== Http2FrameType.CONTINUATION) throw invalid('a header block is interrupted by another frame')
      if (this.streamId !== this.blockStreamId) throw invalid('CONTINUATION of another stream')
    }
  }

  private finishFrame(payload: Uint8Array): void {
    this.headerLength = 0
    this.payloadLength = 0
    switch (this.type) {
      case Http2FrameType.HEADERS:
        return this.readHeaders(payload)
      case Http2FrameType.CONTINUATION:
        return this.readContinuation(payload)
      case Http2FrameType.PUSH_PROMISE:
        return this.readPushPromise(payload)
      case Http2FrameType.SETTINGS:
        return this.readSettings(payload)
      case Http2FrameType.DATA:
        return this.readData(payload)
      case Http2FrameType.PRIORITY:
        return this.readPriority(payload)
      case Http2FrameType.ALTSVC:
        if (payload.length < 2 || payload.length - 2 < ((payload[0] << 8) | payload[1])) throw invalid('short ALTSVC')
        return
      case Http2FrameType.BLOCKED:
        if (payload.length !== 0) throw invalid('BLOCKED with a payload')
        return
      default:
        throw invalid(`frame type ${this.type} is not allowed here`)
    }
  }

  private readHeaders(payload: Uint8Array): void {
    this.requireStream()
    let from = 0
    let end = payload.length
    if ((this.flags & Http2Flag.PADDED) !== 0) {
      end = unpaddedEnd(payload)
      from = 1
    }
    const prioritized = (this.flags & Http2Flag.PRIORITY) !== 0
    if (prioritized !== (this.perspective === Perspective.Server)) {
      throw invalid(prioritized ? "a server's HEADERS carry a priority" : "a client's HEADERS carry no priority")
    }
    let priority: number | undefined
    if (prioritized) {
      if (end - from < 5) throw invalid('HEADERS end inside the priority')
      priority = priorityOfWeightByte(payload[from + 4])
      from += 5
    }
    const fin = (this.flags & Http2Flag.END_STREAM) !== 0
    this.beginBlock(payload.subarray(from, end), 0, fin, priority)
  }

  private readPushPromise(payload: Uint8Array): void {
    if (this.perspective === Perspective.Server) throw invalid('a client cannot promise')
    this.requireStream()
    let from = 0
    let end = payload.length
    if ((this.flags & Http2Flag.PADDED) !== 0) {
      end = unpaddedEnd(payload)
      from = 1
    }
    if (end - from < 4) throw invalid('PUSH_PROMISE ends inside the promised stream id')
    const promisedId = readStreamId(payload, from)
    if (promisedId === 0) throw invalid('PUSH_PROMISE of stream 0')
    this.beginBlock(payload.subarray(from + 4, end), promisedId, false, undefined)
  }

  private beginBlock(fragment: Uint8Array, promisedId: number, fin: boolean, priority: number | undefined): void {
    if (fragment.length > this.maxBlockSize) throw invalid('header block too large')
    if ((this.flags & Http2Flag.END_HEADERS) !== 0) {
      this.deliver(this.streamId, fragment, promisedId, fin, priority)
      return
    }
    this.blockStreamId = this.streamId
    this.blockPromisedId = promisedId
    this.blockFin = fin
    this.blockPriority = priority
    this.block = fragment.slice()
    this.blockLength = fragment.length
    this.blockCost = fragment.length
  }

  private readContinuation(payload: Uint8Array): void {
    if (this.blockStreamId === 0) throw invalid('CONTINUATION without a header block')
    // Frame headers count too: otherwise empty frames could go on without end.
    this.blockCost += payload.length + HTTP2_FRAME_HEADER_SIZE
    if (this.blockCost > this.maxBlockSize) throw invalid('header block too large')
    const length = this.blockLength + payload.length
    if (length > this.block.length) {
      const larger = new Uint8Array(Math.min(Math.max(length, this.block.length * 2), this.maxBlockSize))
      larger.set(this.block.subarray(0, this.blockLength))
      this.block = larger
    }
    this.block.set(payload, this.blockLength)
    this.blockLength = length
    if ((this.flags & Http2Flag.END_HEADERS) === 0) return

    const block = this.block.subarray(0, length)
    const streamId = this.blockStreamId
    this.block = EMPTY
    this.blockStreamId = 0
    this.deliver(streamId, block, this.blockPromisedId, this.blockFin, this.blockPriority)
  }

  private deliver(
    streamId: number,
    block: Uint8Array,
    promisedId: number,
    fin: boolean,
    priority: number | undefined
  ): void {
    if (promisedId !== 0) this.visitor.onPushPromise(streamId, promisedId, block)
    else this.visitor.onHeaders(streamId, block, fin, priority)
  }

  private readSettings(payload: Uint8Array): void {
    if (this.streamId !== 0) throw invalid('SETTINGS of a stream')
    if ((this.flags & Http2Flag.ACK) !== 0) {
      if (payload.length !== 0) throw invalid('SETTINGS acknowledgement with a payload')
      return
    }
    if (payload.length % 6 !== 0) throw invalid('SETTINGS end inside an entry')
    const entries: Http2SettingEntry[] = []
    for (let at = 0; at < payload.length; at += 6) {
      const id = (payload[at] << 8) | payload[at + 1]
      const value = readUint32(payload, at + 2)
      if (id === Http2Setting.ENABLE_PUSH) {
        if (this.perspective === Perspective.Client) throw invalid('a server cannot set ENABLE_PUSH')
        if (value > 1) throw invalid(`ENABLE_PUSH of ${value}`)
        entries.push([id, value])
      } else if (id === Http2Setting.HEADER_TABLE_SIZE || id === Http2Setting.MAX_HEADER_LIST_SIZE) {
        entries.push([id, value])
      } else if (id >= Http2Setting.MAX_CONCURRENT_STREAMS && id <= Http2Setting.MAX_FRAME_SIZE) {
        throw invalid(`setting ${id} is not allowed here`)
      }
    }
    this.visitor.onSettings(entries)
  }

  private readData(payload: Uint8Array): void {
    if (this.visitor.onData === undefined) throw invalid('DATA on the headers stream')
    this.requireStream()
    if ((this.flags & Http2Flag.PADDED) !== 0) throw invalid('padded DATA')
    this.visitor.onData(this.streamId, payload, (this.flags & Http2Flag.END_STREAM) !== 0)
  }

  private readPriority(payload: Uint8Array): void {
    if (this.visitor.onPriority === undefined) throw invalid('PRIORITY on the headers stream')
    this.requireStream()
    if (payload.length !== 5) throw invalid(`PRIORITY of ${payload.length} bytes`)
    this.visitor.onPriority(this.streamId, priorityOfWeightByte(payload[4]))
  }

  private requireStream(): void {
    if (this.streamId === 0) throw invalid('frame of stream 0')
  }
}

/** Where the content of a padded payload ends; it begins after the pad length octet (RFC 7540 §6.2). */
function unpaddedEnd(payload: Uint8Array): number {
  if (payload.length === 0 || payload[0] > payload.length - 1) throw invalid('padding larger than the frame')
  return payload.length - payload[0]
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
}

function readStreamId(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) & 0x7fff_ffff
}

function invalid(what: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_HEADERS_STREAM_DATA, `headers stream: ${what}`)
}
