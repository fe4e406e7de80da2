/**
 * Stream 3, which carries the header blocks of all streams as HTTP/2 frames (quic_headers_stream.cc).
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { StreamDataSource } from '../transport/packets/packet-sink.js'
import { QuicStream } from '../transport/streams/quic-stream.js'
import type { DataCarrier } from '../transport/streams/send-queue.js'
import { Perspective } from '../types.js'
import type { HeaderList } from './header-list.js'
import { HpackDecoder } from './hpack/hpack-decoder.js'
import { HpackEncoder } from './hpack/hpack-encoder.js'
import { Http2FrameParser, type Http2FrameVisitor } from './http2-frame-parser.js'
import {
  HTTP2_FRAME_HEADER_SIZE,
  Http2Setting,
  writeDataHeader,
  writeHeadersFrames,
  writePriorityFrame,
  writePushPromise,
  writeSettings,
  type Http2SettingEntry
} from './http2-frames.js'
import type { SpdyStreamSession } from './spdy-stream.js'

/** The most that one header list may take uncompressed, bytes as RFC 7540 §6.5.2 counts them, unless told otherwise. */
export const DEFAULT_MAX_HEADER_LIST_SIZE = 64 * 1024

/** What the headers stream finds. Called while frames are taken in; may throw QuicError. */
export interface HeadersStreamVisitor {
  /**
   * A header block of a stream.
   * @param priority the SPDY priority that a client gave; undefined from a server
   * @param tooLarge the list went over the limit and is not complete
   */
  onHeaders(
    streamId: number,
    headers: HeaderList,
    fin: boolean,
    priority: number | undefined,
    tooLarge: boolean
  ): void
  /** A server's promise to push. @param tooLarge as for headers */
  onPromise(streamId: number, promisedId: number, headers: HeaderList, tooLarge: boolean): void
  /** Body bytes of a stream, under forced head-of-line blocking. Lent for the call. */
  onCarriedData(streamId: number, data: Uint8Array, fin: boolean): void
  /** A client changed the SPDY priority of a stream. */
  onPriority(streamId: number, priority: number): void
  /** Whether a client wants pushed responses. */
  onEnablePush(enabled: boolean): void
  /** The largest header list that the peer takes, uncompressed bytes. */
  onMaxHeaderListSize(size: number): void
}

/** The headers stream of one session. Its input never waits for the application. */
export class QuicHeadersStream extends QuicStream implements Http2FrameVisitor, DataCarrier {
  /** Only there where DATA frames are allowed: the parser refuses them otherwise. */
  onData: Http2FrameVisitor['onData']
  /** Only there where PRIORITY frames are allowed. */
  onPriority: Http2FrameVisitor['onPriority']

  private readonly encoder = new HpackEncoder()
  private readonly decoder: HpackDecoder
  private readonly parser: Http2FrameParser
  private readonly isClient: boolean
  private withoutTable = false

  constructor(
    id: number,
    session: SpdyStreamSession,
    private readonly visitor: HeadersStreamVisitor,
    maxHeaderListSize: number
  ) {
    super(id, session)
    const { perspective } = session.connection
    this.isClient = perspective === Perspective.Client
    this.decoder = new HpackDecoder({ maxHeaderListSize })
    this.parser = new Http2FrameParser(this, perspective)
    if (!this.isClient && session.connection.version.traits.priorityFrames) {
      this.onPriority = this.tellPriority
    }
  }

  /** Whether it has anything to send, or had. */
  get hasWritten(): boolean {
    return this.sendBuffer.writtenOffset > 0
  }

  /** Queues a header block. A client's carries the stream's SPDY priority, a server's must not (§5.2). */
  writeHeaders(streamId: number, headers: HeaderList, fin: boolean, priority: number): void {
    const block = this.encoder.encode(headers)
    this.write(writeHeadersFrames(streamId, block, fin, this.isClient ? priority : undefined))
  }

  /** Queues a promise to answer, on the stream `promisedId`, a request that was never made. */
  writePushPromise(streamId: number, promisedId: number, headers: HeaderList): void {
    this.write(writePushPromise(streamId, promisedId, this.encoder.encode(headers)))
  }

  /** Queues a new priority of a stream. */
  writePriority(streamId: number, priority: number): void {
    this.write(writePriorityFrame(streamId, priority))
  }

  /** Queues settings. Some peers close the connection over a SETTINGS frame, so there is none without need. */
  writeSettings(entries: readonly Http2SettingEntry[]): void {
    this.write(writeSettings(entries))
  }

  /** Sends without a dynamic table from the next block on (connection option DHDT). */
  disableDynamicTable(): void {
    this.withoutTable = true
    this.encoder.setMaxTableSize(0)
  }

  override releaseMemory(): void {
    super.releaseMemory()
    this.encoder.releaseMemory()
    this.parser.releaseMemory()
  }

  // ---- forced head-of-line blocking ----

  /** Takes DATA frames from now on. The window grows: it is not what is to hold streams up (quic_spdy_session.cc). */
  allowData(): void {
    this.onData = this.tellData
    this.flowController.enableAutoTune()
  }

  get open(): boolean {
    return this.sendBuffer.unsentBytes === 0 && this.flowController.sendWindow > 0
  }

  writeData(streamId: number, source: StreamDataSource, offset: number, length: number, fin: boolean): void {
    const frame = new Uint8Array(HTTP2_FRAME_HEADER_SIZE + length)
    writeDataHeader(frame, streamId, length, fin)
    if (length > 0) source.copyTo(frame, HTTP2_FRAME_HEADER_SIZE, offset, length)
    this.write(frame)
  }

  reportBlocked(): void {
    this.flowController.reportBlocked()
  }

  // ---- what the parser finds ----

  // These two become methods of a stream that allows them. Closures, one for every connection, would take memory, and keep
  // a closed connection's session until the next collection of old objects.

  private tellData(streamId: number, data: Uint8Array, fin: boolean): void {
    this.visitor.onCarriedData(streamId, data, fin)
  }

  private tellPriority(streamId: number, priority: number): void {
    this.visitor.onPriority(streamId, priority)
  }

  /** Every block has to be decoded in its turn, also those of streams that are closed: the decoder's table needs it. */
  protected override onReadable(): void {
    for (let bytes = this.takeInput(); bytes !== undefined; bytes = this.takeInput()) this.parser.push(bytes)
    this.sequencer.recycle()
  }

  onHeaders(streamId: number, block: Uint8Array, fin: boolean, priority: number | undefined): void {
    const headers = this.decoder.decode(block)
    this.visitor.onHeaders(streamId, headers, fin, priority, this.decoder.lastListTooLarge)
  }

  onPushPromise(streamId: number, promisedId: number, block: Uint8Array): void {
    const headers = this.decoder.decode(block)
    this.visitor.onPromise(streamId, promisedId, headers, this.decoder.lastListTooLarge)
  }

  onSettings(entries: readonly Http2SettingEntry[]): void {
    for (const [id, value] of entries) {
      if (id === Http2Setting.ENABLE_PUSH) this.visitor.onEnablePush(value === 1)
      else if (id === Http2Setting.MAX_HEADER_LIST_SIZE) this.takeMaxHeaderListSize(value)
      else if (!this.withoutTable) this.encoder.setMaxTableSize(value)
    }
  }

  private takeMaxHeaderListSize(size: number): void {
    if (!this.session.connection.version.traits.headerListSetting) {
      throw new QuicError(QuicErrorCode.INVALID_HEADERS_STREAM_DATA, 'headers stream: setting 6 is not allowed here')
    }
    this.visitor.onMaxHeaderListSize(size)
  }
}
