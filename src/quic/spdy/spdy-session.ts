/**
 * A session whose streams carry HTTP: it owns the headers stream and hands out what comes on it (quic_spdy_session.cc).
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import type { SessionConnection } from '../transport/session-connection.js'
import { QuicSession, type SessionOptions } from '../transport/session.js'
import { Perspective } from '../types.js'
import type { HeaderList } from './header-list.js'
import { DEFAULT_MAX_HEADER_LIST_SIZE, QuicHeadersStream, type HeadersStreamVisitor } from './headers-stream.js'
import { QuicSpdyStream, type SpdyStreamSession } from './spdy-stream.js'

/** While this much of the headers stream cannot be sent, the peer gets no new streams, bytes. */
const MAX_HEADERS_BACKLOG = 256 * 1024

/** Limits of a session that carries HTTP. */
export interface SpdySessionOptions extends SessionOptions {
  /** The largest header list, uncompressed bytes; a larger one resets its stream. 64 KiB unless told. */
  maxHeaderListSize?: number
}

/** What both sides of an HTTP session share. */
export abstract class QuicSpdySession extends QuicSession implements SpdyStreamSession, HeadersStreamVisitor {
  protected headersStream: QuicHeadersStream
  private readonly maxHeaderListSize: number

  constructor(connection: SessionConnection, options: SpdySessionOptions) {
    super(connection, options)
    this.maxHeaderListSize = options.maxHeaderListSize ?? DEFAULT_MAX_HEADER_LIST_SIZE
    this.headersStream = this.createHeadersStream()
    this.staticStream = this.headersStream
  }

  private createHeadersStream(): QuicHeadersStream {
    const { headersStreamId } = this.connection.version.traits
    return new QuicHeadersStream(headersStreamId, this, this, this.maxHeaderListSize)
  }

  /** Versions differ in which stream carries the headers. It has carried nothing yet. */
  override onVersionNegotiated(): void {
    super.onVersionNegotiated()
    this.headersStream = this.createHeadersStream()
    this.staticStream = this.headersStream
  }

  writeHeaders(streamId: number, headers: HeaderList, fin: boolean, priority: number): void {
    if (this.closeError === undefined) this.headersStream.writeHeaders(streamId, headers, fin, priority)
  }

  override onConfigNegotiated(config: NegotiatedConfig): void {
    super.onConfigNegotiated(config)
    if (this.perspective === Perspective.Server && config.connectionOptions.includes('DHDT')) {
      this.headersStream.disableDynamicTable()
    }
  }

  onHeaders(
    streamId: number,
    headers: HeaderList,
    fin: boolean,
    priority: number | undefined,
    tooLarge: boolean
  ): void {
    const stream = this.streamForFrame(streamId)
    if (stream instanceof QuicSpdyStream) {
      if (priority !== undefined) stream.setPriority(priority)
      stream.onHeaderList(headers, fin, tooLarge)
    } else if (stream !== undefined) {
      throw new QuicError(QuicErrorCode.INVALID_HEADERS_STREAM_DATA, `headers for stream ${streamId}`)
    } else if (fin) {
      // Trailers may name bytes that were never sent; those that were are counted as they come.
      this.settleClosedStream(streamId, 0)
    }
  }

  /** A push is refused: nobody would read it. The block was decoded, which is all that the promise needs. */
  onPromise(_streamId: number, promisedId: number, _headers: HeaderList): void {
    if (promisedId <= this.ids.largestIncoming || !this.admit(promisedId)) {
      throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, `promised stream ${promisedId} out of order`)
    }
    this.refuse(promisedId)
  }

  /** A client that takes in no answers must not make the server hoard them. */
  protected override refusesStreams(): boolean {
    return this.headersStream.bufferedBytes > MAX_HEADERS_BACKLOG
  }
}
