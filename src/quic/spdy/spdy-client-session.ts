/**
 * A client's session (quic_client_session.cc, quic_client_session_base.cc): it opens streams as far as the server's limit
 * lets it, and keeps what the server promises until a request claims it.
 */
import { X509Certificate } from 'node:crypto'
import { certificateMatchesHost, normalizeHost } from '../crypto/certificate-names.js'
import { QuicError, QuicErrorCode, QuicRstStreamErrorCode } from '../errors.js'
import { SessionNews } from '../transport/session-events.js'
import type { SessionConnection } from '../transport/session-connection.js'
import type { QuicStreamCore } from '../transport/streams/stream-core.js'
import type { Micros } from '../types.js'
import type { HeaderList } from './header-list.js'
import { Http2Setting } from './http2-frames.js'
import { PromiseIndex, type PromiseHost, type PushClaim, type PushClaimResult, type PushPromise } from './push/promise-index.js'
import { QuicSpdySession, type PushPolicy, type SpdySessionOptions } from './spdy-session.js'
import { QuicSpdyStream } from './spdy-stream.js'
import { malformedName } from './trailers.js'

/** Promises may wait up to this many times the limit of open pushed streams (kMaxPromisedStreamsMultiplier). */
const MAX_PROMISES_PER_STREAM = 9

/** A connection to a server. */
export class QuicSpdyClientSession extends QuicSpdySession implements PromiseHost {
  private readonly push: PushPolicy
  private readonly promises: PromiseIndex
  private largestPromised = 0
  private settingsSent = false
  private certificate: X509Certificate | undefined

  constructor(connection: SessionConnection, options: SpdySessionOptions) {
    super(connection, options)
    this.push = options.push ?? 'refuse'
    this.promises = new PromiseIndex(this)
  }

  // ---- requests ----

  /** Whether {@link openStream} would succeed now; {@link onCanOpenStream} tells when that may have changed. */
  get canOpenStream(): boolean {
    return this.mayOpenStream
  }

  /**
   * Opens the next stream, made by {@link createOutgoingDynamicStream}, which has to make a `T`, or by `make`. Throws
   * {@link StreamUnavailableError} if the limit is reached, the server is going away, or the connection is not (or no
   * longer) ready.
   */
  openStream<T extends QuicSpdyStream>(make?: (id: number, session: QuicSpdyClientSession) => T): T {
    return this.openOutgoingStream(make && ((id) => make(id, this)))
  }

  /** To override. Makes the stream of a request, for {@link openStream}. */
  protected override createOutgoingDynamicStream(id: number): QuicSpdyStream {
    return new QuicSpdyStream(id, this)
  }

  override onEncryptionEstablished(): void {
    super.onEncryptionEstablished()
    if (this.push !== 'disable' || this.settingsSent) return
    this.settingsSent = true
    this.headersStream.writeSettings([[Http2Setting.ENABLE_PUSH, 0]])
  }

  // ---- pushed responses: for the application ----

  /**
   * Claims the promise that the server made for this request, if there is one: `onResult` is called from the delivery of
   * events, with the stream that carries the response and whose callbacks follow, or with undefined if it cannot answer
   * this request after all (another `vary`, reset, timed out): then the request has to be sent.
   * @returns undefined if nothing of the kind was promised, or another request has claimed it
   */
  claimPush<T extends QuicSpdyStream>(request: HeaderList, onResult: PushClaimResult<T>): PushClaim | undefined {
    return this.promises.claim(request, onResult)
  }

  /** Promises that wait to be claimed, or for the headers of their response. */
  get promiseCount(): number {
    return this.promises.size
  }

  /** To override. Makes the stream of a pushed response: its callbacks begin when a request claims it. */
  protected createPushedStream(id: number): QuicSpdyStream {
    return new QuicSpdyStream(id, this)
  }

  /** To override. The server promised a resource. Called while frames are taken in: claim it later. */
  protected onPushPromise(_promise: PushPromise): void {}

  /**
   * To override. Whether the server may push resources of that host (no port): the name that this connection is for, and
   * those of the certificate that was verified for it.
   */
  isAuthorized(host: string): boolean {
    const { serverName, certificates } = this.connection.describeHandshake()
    if (serverName !== undefined && normalizeHost(serverName) === normalizeHost(host)) return true
    if (certificates.length === 0) return false
    this.certificate ??= new X509Certificate(certificates[0]!)
    return certificateMatchesHost(this.certificate, host)
  }

  // ---- pushed responses: frames ----

  protected override createIncomingDynamicStream(id: number): QuicSpdyStream | undefined {
    if (this.push !== 'accept') return undefined
    const stream = this.createPushedStream(id)
    stream.holdPushed()
    return stream
  }

  override onPromise(streamId: number, promisedId: number, headers: HeaderList, tooLarge: boolean): void {
    if (promisedId <= this.largestPromised || !this.ids.isIncoming(promisedId)) {
      throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, `promised stream ${promisedId} out of order`)
    }
    this.largestPromised = promisedId
    // Packets overtake each other: the promised stream may have come, and gone, before its promise.
    if (this.ids.isUsed(promisedId) && this.promisedStream(promisedId) === undefined) return
    const request = this.promisedStream(streamId)
    if (this.push !== 'accept') {
      this.resetPromised(promisedId, QuicRstStreamErrorCode.REFUSED_STREAM)
    } else if (tooLarge) {
      this.resetPromised(promisedId, QuicRstStreamErrorCode.HEADERS_TOO_LARGE)
    } else if (request === undefined) {
      this.resetPromised(promisedId, QuicRstStreamErrorCode.STREAM_CANCELLED)
    } else if (malformedName(headers) !== undefined) {
      this.resetPromised(promisedId, QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD)
      request.reset(QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD)
    } else {
      const promise = this.promises.add(promisedId, headers)
      if (promise !== undefined) this.onPushPromise(promise)
    }
  }

  override onHeaders(
    streamId: number,
    headers: HeaderList,
    fin: boolean,
    priority: number | undefined,
    tooLarge: boolean
  ): void {
    super.onHeaders(streamId, headers, fin, priority, tooLarge)
    if (!this.ids.isIncoming(streamId) || tooLarge) return
    if (this.promises.has(streamId)) this.promises.onResponse(streamId, headers)
    // The headers stream keeps its order: what was not promised by now never will be.
    else if (streamId > this.largestPromised) this.promisedStream(streamId)?.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
  }

  override onStreamFrame(id: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void {
    super.onStreamFrame(id, offset, fin, buffer, start, end)
    if (this.ids.isIncoming(id)) this.relieve()
  }

  override onCarriedData(streamId: number, data: Uint8Array, fin: boolean): void {
    super.onCarriedData(streamId, data, fin)
    if (this.ids.isIncoming(streamId)) this.relieve()
  }

  /** Responses that nobody asked for must not take the window of those that somebody waits for. */
  private relieve(): void {
    const { flowController, promises } = this
    const limit = flowController.receiveWindow / 2
    while (flowController.highestReceived - flowController.consumed > limit && promises.dropOldest());
  }

  // ---- for the index of promises ----

  get now(): Micros {
    return this.connection.now
  }

  get maxPromises(): number {
    return this.ids.maxIncoming * MAX_PROMISES_PER_STREAM
  }

  promisedStream(streamId: number): QuicSpdyStream | undefined {
    const stream = this.sendingStream(streamId)
    return stream instanceof QuicSpdyStream && !stream.closed ? stream : undefined
  }

  resetPromised(streamId: number, errorCode: number): void {
    const stream = this.promisedStream(streamId)
    if (stream !== undefined) stream.reset(errorCode)
    else if (this.admit(streamId)) this.refuse(streamId, errorCode)
  }

  onClaimSettled(): void {
    this.addSessionNews(SessionNews.Push)
    this.wake()
  }

  protected override onPushNews(): void {
    this.promises.deliver()
  }

  override onStreamClosed(stream: QuicStreamCore): void {
    super.onStreamClosed(stream)
    this.promises.onStreamGone(stream.id)
  }

  protected override refuse(id: number, errorCode?: number): void {
    super.refuse(id, errorCode)
    this.promises.onStreamGone(id)
  }

  override onConnectionClosed(error: QuicError, fromPeer: boolean): void {
    super.onConnectionClosed(error, fromPeer)
    this.promises.clear()
  }

  override nextTimeout(): Micros {
    return this.promises.nextExpiry
  }

  override handleTimeout(now: Micros): void {
    this.promises.expire(now)
  }
}
