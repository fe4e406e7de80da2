/**
 * A server's session (quic_server_session_base.cc, quic_simple_server_session.cc): streams are made by the application as
 * clients open them, and as responses are pushed.
 */
import { QuicError, QuicErrorCode, QuicRstStreamErrorCode } from '../errors.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import type { HeaderList } from './header-list.js'
import { LOWEST_PRIORITY } from './priority.js'
import { promisedRequest, type PromisedResource } from './push/promise-headers.js'
import { QuicSpdySession } from './spdy-session.js'
import type { QuicSpdyStream } from './spdy-stream.js'

/** A promise whose stream cannot be opened yet: the client's limit is reached. */
interface QueuedPush {
  readonly id: number
  readonly request: HeaderList
  readonly priority: number
  cancelled: boolean
}

/** One client's connection at a server. */
export abstract class QuicSpdyServerSession extends QuicSpdySession {
  private pushAllowed = false
  private pushWanted = true
  private nextPromised = 0
  /** In the order of their ids. */
  private readonly queuedPushes: QueuedPush[] = []

  /**
   * Makes the stream of a request that begins: `return new MyStream(id, this)`. Called while frames are taken in, so it
   * is to construct and do nothing else; the stream's callbacks follow.
   */
  protected abstract override createIncomingDynamicStream(id: number): QuicSpdyStream

  /**
   * Makes the stream of a response that is pushed: the promised request comes in its callbacks as if the client had sent
   * it. The same kind of stream as for requests of clients, unless overridden.
   */
  protected override createOutgoingDynamicStream(id: number): QuicSpdyStream {
    return this.createIncomingDynamicStream(id)
  }

  // ---- push: for the application ----

  /**
   * Whether this client may be promised something now: the version or its connection option SPSH allows it, no SETTINGS
   * forbid it, it is not going away, and not too many promises wait already.
   */
  get pushEnabled(): boolean {
    return (
      this.pushAllowed &&
      this.pushWanted &&
      !this.goAwayReceived &&
      this.closeError === undefined &&
      this.queuedPushes.length < this.ids.maxOutgoing
    )
  }

  /** Whether the stream answers a promised request. Its response must have status 200 or 3xx; else reset it. */
  isPushed(stream: QuicSpdyStream): boolean {
    return !this.ids.isIncoming(stream.id)
  }

  /**
   * Promises a resource and answers the promised request as soon as the client's limit of streams allows, on a stream
   * that {@link createOutgoingDynamicStream} makes. To be called before the headers of the original response are written,
   * so that the client knows of the promise before it knows that it needs the resource.
   * @param request the stream of the original request; promises are made for requests of clients only
   * @param original the original request's headers, whose fields the promised request repeats
   * @param priority SPDY priority 0 to 7 of the pushed response; the lowest (7) unless given
   * @returns the id of the promised stream; undefined if the client may not be promised anything now
   */
  pushResource(
    request: QuicSpdyStream,
    original: HeaderList,
    resource: PromisedResource,
    priority: number = LOWEST_PRIORITY
  ): number | undefined {
    if (!this.pushEnabled || request.closed || this.isPushed(request)) return undefined
    if (this.nextPromised === 0) this.nextPromised = this.ids.nextOutgoing
    const id = this.nextPromised
    this.nextPromised += 2
    const headers = promisedRequest(original, resource)
    this.headersStream.writePushPromise(request.id, id, headers)
    this.queuedPushes.push({ id, request: headers, priority, cancelled: false })
    this.openPushes()
    this.wake()
    return id
  }

  // ---- push: the protocol ----

  override onConfigNegotiated(config: NegotiatedConfig): void {
    super.onConfigNegotiated(config)
    this.pushAllowed = this.connection.version.traits.pushByDefault || config.connectionOptions.includes('SPSH')
  }

  override onEnablePush(enabled: boolean): void {
    this.pushWanted = enabled
  }

  /** Promised streams are opened in the order of their ids, which cancelled ones have used up as well. */
  private openPushes(): void {
    while (this.queuedPushes.length > 0 && !this.ids.outgoingFull && this.connection.encryptionEstablished) {
      const { id, request, priority, cancelled } = this.queuedPushes.shift()!
      this.ids.nextOutgoing = id + 2
      if (cancelled) continue
      const stream = this.createOutgoingDynamicStream(id)
      this.activate(stream)
      stream.setPriority(priority)
      stream.beginPushed(request)
    }
  }

  /** A place for another pushed stream: a promise was made, so that GOAWAY does not stand in the way. */
  protected override get mayOpenStream(): boolean {
    return this.closeError === undefined && !this.ids.outgoingFull
  }

  protected override onCanOpenStream(): void {
    this.openPushes()
  }

  override onConnectionClosed(error: QuicError, fromPeer: boolean): void {
    super.onConnectionClosed(error, fromPeer)
    this.queuedPushes.length = 0
  }

  /** Frames may name a stream that is promised and not open yet. */
  protected override admit(id: number): boolean {
    return this.isPromised(id) ? false : super.admit(id)
  }

  private isPromised(id: number): boolean {
    return !this.ids.isIncoming(id) && id < this.nextPromised
  }

  override onStreamFrame(id: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void {
    if (!this.ids.isIncoming(id)) {
      throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, `the client sent data on stream ${id}, which is the server's`)
    }
    super.onStreamFrame(id, offset, fin, buffer, start, end)
  }

  override onCarriedData(streamId: number, data: Uint8Array, fin: boolean): void {
    if (!this.ids.isIncoming(streamId)) {
      throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, `the client sent data on stream ${streamId}`)
    }
    super.onCarriedData(streamId, data, fin)
  }

  /** A client that resets a promised stream takes the promise back. */
  override onRstStreamFrame(id: number, errorCode: number, finalOffset: number): void {
    const queued = this.queuedPushes.find((push) => push.id === id)
    if (queued === undefined) {
      super.onRstStreamFrame(id, errorCode, finalOffset)
    } else if (!queued.cancelled) {
      queued.cancelled = true
      this.sendReset(id, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 0)
    }
  }
}
