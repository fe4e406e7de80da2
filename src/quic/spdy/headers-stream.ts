/**
 * Stream 3, which carries the header blocks of all streams as HTTP/2 frames (quic_headers_stream.cc).
 */
import { QuicStream } from '../transport/streams/quic-stream.js'
import { Perspective } from '../types.js'
import type { HeaderList } from './header-list.js'
import { HpackDecoder } from './hpack/hpack-decoder.js'
import { HpackEncoder } from './hpack/hpack-encoder.js'
import { Http2FrameParser, type Http2FrameVisitor } from './http2-frame-parser.js'
import { Http2Setting, writeHeadersFrames, type Http2SettingEntry } from './http2-frames.js'
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
  /** A server's promise to push. */
  onPromise(streamId: number, promisedId: number, headers: HeaderList): void
}

/** The headers stream of one session. Its input never waits for the application. */
export class QuicHeadersStream extends QuicStream implements Http2FrameVisitor {
  private readonly encoder = new HpackEncoder()
  private readonly decoder: HpackDecoder
  private readonly parser: Http2FrameParser
  private readonly isClient: boolean

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
  }

  /** Queues a header block. A client's carries the stream's SPDY priority, a server's must not (§5.2). */
  writeHeaders(streamId: number, headers: HeaderList, fin: boolean, priority: number): void {
    const block = this.encoder.encode(headers)
    this.write(writeHeadersFrames(streamId, block, fin, this.isClient ? priority : undefined))
  }

  /** Sends without a dynamic table from the next block on (connection option DHDT). */
  disableDynamicTable(): void {
    this.encoder.setMaxTableSize(0)
  }

  /** Every block has to be decoded in its turn, also those of streams that are closed: the decoder's table needs it. */
  protected override onReadable(): void {
    for (let bytes = this.takeInput(); bytes !== undefined; bytes = this.takeInput()) this.parser.push(bytes)
  }

  onHeaders(streamId: number, block: Uint8Array, fin: boolean, priority: number | undefined): void {
    const headers = this.decoder.decode(block)
    this.visitor.onHeaders(streamId, headers, fin, priority, this.decoder.lastListTooLarge)
  }

  onPushPromise(streamId: number, promisedId: number, block: Uint8Array): void {
    this.visitor.onPromise(streamId, promisedId, this.decoder.decode(block))
  }

  onSettings(entries: readonly Http2SettingEntry[]): void {
    for (const [id, value] of entries) {
      if (id === Http2Setting.HEADER_TABLE_SIZE) this.encoder.setMaxTableSize(value)
    }
  }
}
