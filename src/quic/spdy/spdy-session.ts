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

/**
 * What a client does with server push: `accept` keeps promises for requests to claim, `refuse` (the default) resets every
 * promised stream, `disable` tells the server to promise nothing (SETTINGS ENABLE_PUSH 0, which some servers choke on).
 */
export type PushPolicy = 'accept' | 'refuse' | 'disable'

/** Limits of a session that carries HTTP. */
export interface SpdySessionOptions extends SessionOptions {
  /** Clients only. */
  push?: PushPolicy
  /** The largest header list, uncompressed bytes; a larger one resets its stream. 64 KiB unless told. */
  maxHeaderListSize?: number
}

/** What both sides of an HTTP session share. */
export abstract class QuicSpdySession extends QuicSession implements SpdyStreamSession, HeadersStreamVisitor {
  protected headersStream: QuicHeadersStream
  private readonly maxHeaderListSize: number
  private peerHeaderListLimit = Infinity
  private holBlocking = false

  constructor(
    connection: SessionConnection,
    protected override readonly options: SpdySessionOptions
  ) {
    super(connection, options)
    this.maxHeaderListSize = options.maxHeaderListSize ?? DEFAULT_MAX_HEADER_LIST_SIZE
    this.headersStream = this.createHeadersStream()
    this.staticStream = this.headersStream
  }

  private createHeadersStream(): QuicHeadersStream {
    const { headersStreamId } = this.connection.version.traits
    return new QuicHeadersStream(headersStreamId, this, this, this.maxHeaderListSize)
  }

  /**
   * Versions differ in which stream carries the headers. If it has carried any, they were sent ahead of the server's
   * first word, and the new version must not differ in that.
   *
   * @throws QuicError INVALID_VERSION if it does: requests have numbers that they could not have
   */
  override onVersionNegotiated(): void {
    super.onVersionNegotiated()
    if (this.headersStream.hasWritten) {
      if (this.headersStream.id === this.connection.version.traits.headersStreamId) return
      const details = 'the server no longer speaks the version in which requests were sent; try again'
      throw new QuicError(QuicErrorCode.INVALID_VERSION, details)
    }
    this.headersStream = this.createHeadersStream()
    this.staticStream = this.headersStream
  }

  writeHeaders(streamId: number, headers: HeaderList, fin: boolean, priority: number): void {
    if (this.closeError === undefined) this.headersStream.writeHeaders(streamId, headers, fin, priority)
  }

  writePriority(streamId: number, priority: number): void {
    const supported = this.connection.version.traits.priorityFrames
    if (supported && this.closeError === undefined) this.headersStream.writePriority(streamId, priority)
  }

  /** The largest header list that the peer says it takes, uncompressed bytes; Infinity if it says nothing. */
  get peerMaxHeaderListSize(): number {
    return this.peerHeaderListLimit
  }

  /** Whether bodies go through the headers stream (forced head-of-line blocking). */
  get forcedHolBlocking(): boolean {
    return this.holBlocking
  }

  /** A server is not done before its client has what went through the headers stream. */
  override get openStreamCount(): number {
    const owing = this.holBlocking && this.perspective === Perspective.Server && this.headersStream.hasUnackedData
    return super.openStreamCount + (owing ? 1 : 0)
  }

  override onEncryptionEstablished(): void {
    super.onEncryptionEstablished()
    if (this.perspective !== Perspective.Client) return
    this.applyClientOptions(this.options.connectionOptions ?? [], this.options.forceHolBlocking === true)
  }

  override onConfigNegotiated(config: NegotiatedConfig): void {
    super.onConfigNegotiated(config)
    if (this.perspective !== Perspective.Server) return
    this.applyClientOptions(config.connectionOptions, config.forceHolBlocking)
  }

  /**
   * What the client's hello asks of both sides. It asks before there is any data, and the server has read it before it
   * can read data: both begin at once, so that no body is split between two ways.
   */
  private applyClientOptions(connectionOptions: readonly string[], forceHolBlocking: boolean): void {
    if (connectionOptions.includes('DHDT')) this.headersStream.disableDynamicTable()
    if (!forceHolBlocking || this.holBlocking || !this.connection.version.traits.forcedHolBlocking) return
    this.holBlocking = true
    this.headersStream.allowData()
    this.sendQueue.carryDataOn(this.headersStream)
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

  onCarriedData(streamId: number, data: Uint8Array, fin: boolean): void {
    const stream = this.streamForFrame(streamId)
    if (stream === this.headersStream) {
      throw new QuicError(QuicErrorCode.INVALID_HEADERS_STREAM_DATA, 'DATA of the headers stream itself')
    }
    if (stream !== undefined) {
      stream.onCarriedData(fin, data)
      return
    }
    const end = this.closedStreams.raiseCarried(streamId, data.length)
    if (fin) this.settleClosedStream(streamId, end)
  }

  /** Only the order of writing changes; dependencies between streams are not kept. */
  onPriority(streamId: number, priority: number): void {
    const stream = this.sendingStream(streamId)
    if (stream instanceof QuicSpdyStream) stream.setPriority(priority)
  }

  onMaxHeaderListSize(size: number): void {
    this.peerHeaderListLimit = size
  }

  /** The parser lets it through at servers only. */
  onEnablePush(_enabled: boolean): void {}

  /** The parser lets it through at clients only. */
  onPromise(_streamId: number, _promisedId: number, _headers: HeaderList, _tooLarge: boolean): void {}

  /** A client that takes in no answers must not make the server hoard them. */
  protected override refusesStreams(): boolean {
    return this.headersStream.bufferedBytes > MAX_HEADERS_BACKLOG
  }
}
