/**
 * A connection's streams (quic_session.cc): their ids and limits, connection-level flow control, what is sent in which
 * order, and how the application is told.
 */
import { QuicError, QuicErrorCode, QuicRstStreamErrorCode } from '../errors.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import { SentFrameKind, type SentFrame } from '../recovery/sent-frame.js'
import { EncryptionLevel, Perspective, type Micros } from '../types.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import type { PacketSink } from './packets/packet-sink.js'
import type { SessionConnection } from './session-connection.js'
import { SessionEvents, SessionNews } from './session-events.js'
import { DEFAULT_HIGH_WATER_MARK, type SessionOptions } from './session-options.js'
import { ClosedStreams } from './streams/closed-streams.js'
import {
  CONNECTION_LEVEL_ID,
  MINIMUM_FLOW_CONTROL_WINDOW,
  QuicFlowController
} from './streams/flow-controller.js'
import type { QuicStream } from './streams/quic-stream.js'
import { SendQueue } from './streams/send-queue.js'
import type { QuicStreamCore } from './streams/stream-core.js'
import { StreamIdManager } from './streams/stream-id-manager.js'
import type { StreamSession } from './streams/stream-session.js'
import { StreamTable } from './streams/stream-table.js'
import { StreamUnavailableError, type StreamUnavailableCode } from './streams/stream-unavailable.js'

export { clientSessionDefaults, serverSessionDefaults, type SessionOptions } from './session-options.js'

/** The session of one connection. Its connection calls it through `ConnectionVisitor`. */
export abstract class QuicSession extends SessionEvents implements ConnectionVisitor, StreamSession<QuicStreamCore> {
  readonly highWaterMark: number
  readonly flowController: QuicFlowController
  protected readonly ids: StreamIdManager
  /** The stream that exists from the start and never ends, if the session has one. */
  protected staticStream: QuicStream | undefined

  private readonly openStreams = new StreamTable<QuicStream>()
  protected readonly closedStreams: ClosedStreams
  protected readonly sendQueue: SendQueue<QuicStreamCore>
  private peerStreamWindow = MINIMUM_FLOW_CONTROL_WINDOW
  private goAwaySent = false
  private goAwayReceivedFlag = false
  private closeErrorValue: QuicError | undefined
  private closedByPeerFlag = false
  private writing = false

  constructor(
    connection: SessionConnection,
    protected readonly options: SessionOptions
  ) {
    super(connection)
    this.highWaterMark = options.highWaterMark ?? DEFAULT_HIGH_WATER_MARK
    this.sendQueue = new SendQueue<QuicStreamCore>(this)
    this.flowController = this.createFlowController(
      CONNECTION_LEVEL_ID,
      MINIMUM_FLOW_CONTROL_WINDOW,
      options.connectionWindow
    )
    const { traits } = connection.version
    this.ids = new StreamIdManager(connection.perspective, traits, options.maxIncomingStreams)
    this.closedStreams = new ClosedStreams(this.ids, this.flowController)
  }

  // ---- for the application to override ----

  /**
   * Makes the stream that the peer opened; undefined refuses it. Called while frames are taken in: it is to construct
   * the object and do nothing else.
   */
  protected abstract createIncomingDynamicStream(id: number): QuicStream | undefined

  /** Makes a stream that this side opens, for {@link openOutgoingStream}: `return new MyStream(id, this)`. */
  protected createOutgoingDynamicStream(_id: number): QuicStream {
    throw new Error('this session does not say what its own streams are: override createOutgoingDynamicStream')
  }

  /** Whether incoming streams are refused for now, besides the limit. */
  protected refusesStreams(): boolean {
    return false
  }

  // ---- state ----

  get perspective(): Perspective {
    return this.connection.perspective
  }

  /**
   * The client's Channel ID, a public key of 64 bytes: proven, if this is the server. Undefined if the server did not ask
   * for one or the client has none.
   */
  get channelId(): Uint8Array | undefined {
    return this.connection.describeHandshake().channelId
  }

  get closeError(): QuicError | undefined {
    return this.closeErrorValue
  }

  get closedByPeer(): boolean {
    return this.closedByPeerFlag
  }

  get goAwayReceived(): boolean {
    return this.goAwayReceivedFlag
  }

  get openStreamCount(): number {
    // A client has its answer when a stream closes; a server is done when the client has everything.
    const server = this.perspective === Perspective.Server
    return this.openStreams.size + (server ? this.closedStreams.unackedCount : 0)
  }

  /** Tells the peer, once, that no more streams of it are welcome; existing ones go on. */
  sendGoAway(errorCode: QuicErrorCode, reason: string): void {
    if (this.goAwaySent || this.closeErrorValue !== undefined) return
    this.goAwaySent = true
    this.sendQueue.control.queueGoAway(errorCode, this.ids.largestIncoming, reason)
    this.wake()
  }

  // ---- streams ----

  /** Whether this side may open a stream now. */
  protected get mayOpenStream(): boolean {
    return (
      this.closeErrorValue === undefined &&
      this.connection.connected &&
      this.connection.encryptionEstablished &&
      !this.goAwayReceivedFlag &&
      !this.ids.outgoingFull
    )
  }

  /**
   * Opens the next stream of this side, made by {@link createOutgoingDynamicStream}, which has to make a `T`, or by `make`:
   * `openOutgoingStream((id) => new MyStream(id, this))`. Throws {@link StreamUnavailableError} if the peer's limit is
   * reached, the peer is going away, or the connection is not (or no longer) ready.
   */
  protected openOutgoingStream<T extends QuicStream>(make?: (id: number) => T): T {
    if (!this.mayOpenStream) throw new StreamUnavailableError(this.obstacle())
    const id = this.ids.nextOutgoing
    const stream = make === undefined ? (this.createOutgoingDynamicStream(id) as T) : make(id)
    this.ids.nextOutgoing += 2
    this.activate(stream)
    return stream
  }

  private obstacle(): StreamUnavailableCode {
    if (this.closeErrorValue !== undefined || !this.connection.connected) return 'CLOSED'
    if (this.goAwayReceivedFlag) return 'GOING_AWAY'
    return this.connection.encryptionEstablished ? 'STREAM_LIMIT' : 'NOT_ESTABLISHED'
  }

  /** Adds a stream that was just made. */
  protected activate(stream: QuicStream): void {
    this.openStreams.set(stream)
    this.ids.count(stream.id, 1)
  }

  /**
   * The open stream with that id, made if the peer may open it by naming it; undefined for one that is closed or
   * refused. Throws QuicError: INVALID_STREAM_ID for an id that only this side may open, TOO_MANY_AVAILABLE_STREAMS.
   */
  protected streamForFrame(id: number): QuicStream | undefined {
    const open = this.openStreams.get(id)
    if (open !== undefined) return open
    if (id === this.staticStream?.id) return this.staticStream
    return this.admit(id) ? this.createIncoming(id) : undefined
  }

  /** Whether the peer opens a stream by naming this id: it is neither open nor closed. Marks it as used. */
  protected admit(id: number): boolean {
    if (id === CONNECTION_LEVEL_ID) throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, 'stream 0')
    if (this.ids.isUsed(id)) return false
    if (!this.ids.isIncoming(id)) {
      throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, `stream ${id} was not opened by this side`)
    }
    this.ids.use(id)
    return true
  }

  /** Refuses a stream of the peer's that {@link admit} let in. */
  protected refuse(id: number, errorCode: number = QuicRstStreamErrorCode.REFUSED_STREAM): void {
    this.closedStreams.addRefused(id)
    this.sendReset(id, errorCode, 0)
  }

  /** The peer ended a stream that is closed here, having sent `finalOffset` bytes. */
  protected settleClosedStream(id: number, finalOffset: number): void {
    this.closedStreams.raiseReceived(id, finalOffset)
    if (this.closedStreams.settle(id) && !this.ids.isIncoming(id)) this.addSessionNews(SessionNews.Room)
  }

  private createIncoming(id: number): QuicStream | undefined {
    if (this.ids.incomingFull || this.refusesStreams()) {
      this.refuse(id)
      return undefined
    }
    try {
      const stream = this.createIncomingDynamicStream(id)
      if (stream === undefined) this.refuse(id)
      else this.activate(stream)
      return stream
    } catch (error) {
      if (error instanceof QuicError) throw error
      this.addFactoryError(error)
      this.refuse(id, QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM)
      return undefined
    }
  }

  // ---- frames ----

  onStreamFrame(id: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void {
    const stream = this.streamForFrame(id)
    if (stream !== undefined) stream.onStreamFrame(offset, fin, buffer, start, end)
    else if (fin) this.settleClosedStream(id, offset + end - start)
    else this.closedStreams.raiseReceived(id, offset + end - start)
  }

  onRstStreamFrame(id: number, errorCode: number, finalOffset: number): void {
    const { cryptoStreamId, headersStreamId } = this.connection.version.traits
    if (id === cryptoStreamId || id === headersStreamId) {
      throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, `stream ${id} cannot be reset`)
    }
    // Code 0 only says that no answer is wanted: the stream's data may still come.
    const stopOnly = errorCode === QuicRstStreamErrorCode.STREAM_NO_ERROR
    const stream = stopOnly ? this.streamForFrame(id) : this.openStreams.get(id)
    if (stream !== undefined) {
      stream.onRstStreamFrame(errorCode, finalOffset)
      return
    }
    if (!stopOnly && this.admit(id)) {
      // Opened by its own reset: nothing to tell the application, but the peer waits for our side of it to end.
      this.refuse(id, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT)
    }
    this.settleClosedStream(id, finalOffset)
    if (!stopOnly) this.closedStreams.abandon(id)
  }

  onWindowUpdateFrame(id: number, limit: number): void {
    if (id === CONNECTION_LEVEL_ID) this.flowController.raiseSendLimit(limit)
    else if (id !== this.connection.version.traits.cryptoStreamId) this.streamForFrame(id)?.onWindowUpdateFrame(limit)
  }

  /** Informative only: what the peer waits for is sent when the application reads. */
  onBlockedFrame(_id: number): void {}

  onGoAwayFrame(_errorCode: number, _lastGoodStreamId: number, _reason: string): void {
    if (this.goAwayReceivedFlag) return
    this.goAwayReceivedFlag = true
    this.addSessionNews(SessionNews.GoAway)
  }

  // ---- handshake and end ----

  onVersionNegotiated(): void {
    this.ids.setTraits(this.connection.version.traits)
  }

  onConfigNegotiated(config: NegotiatedConfig): void {
    const { peerStreamWindow, peerConnectionWindow, maxStreamsPerConnection, peerMaxIncomingStreams } = config
    if (peerStreamWindow < MINIMUM_FLOW_CONTROL_WINDOW || peerConnectionWindow < MINIMUM_FLOW_CONTROL_WINDOW) {
      throw new QuicError(
        QuicErrorCode.FLOW_CONTROL_INVALID_WINDOW,
        `windows of ${peerStreamWindow} and ${peerConnectionWindow} bytes, below ${MINIMUM_FLOW_CONTROL_WINDOW}`
      )
    }
    if (this.connection.version.traits.maxIncomingStreamsTag) {
      this.ids.maxOutgoing = peerMaxIncomingStreams ?? maxStreamsPerConnection
    } else {
      this.ids.maxOutgoing = maxStreamsPerConnection
      this.ids.setMaxIncoming(maxStreamsPerConnection)
    }
    this.peerStreamWindow = peerStreamWindow
    this.flowController.raiseSendLimit(peerConnectionWindow)
    this.staticStream?.onWindowUpdateFrame(peerStreamWindow)
    for (const stream of this.openStreams) stream.onWindowUpdateFrame(peerStreamWindow)
    this.addSessionNews(SessionNews.Room)
  }

  onEncryptionEstablished(): void {
    this.addSessionNews(SessionNews.Room)
  }

  /** Nothing changes for streams: data flows from the establishment of encryption on. */
  onHandshakeConfirmed(): void {}

  onConnectionClosed(error: QuicError, fromPeer: boolean): void {
    if (this.closeErrorValue !== undefined) return
    this.closeErrorValue = error
    this.closedByPeerFlag = fromPeer
    this.addSessionNews(SessionNews.Closed)
    for (const stream of this.openStreams) stream.onConnectionClosed()
    this.openStreams.clear()
    this.closedStreams.clear()
    this.sendQueue.clear()
    this.wake()
  }

  // ---- sending ----

  hasFramesToSend(): boolean {
    return (
      this.closeErrorValue === undefined &&
      this.connection.encryptionEstablished &&
      this.sendQueue.hasFrames(this.flowController)
    )
  }

  writeFrames(packet: PacketSink, _now: Micros): void {
    if (packet.level === EncryptionLevel.None || !this.hasFramesToSend()) return
    this.writing = true
    this.sendQueue.writeFrames(packet, this.flowController)
    this.writing = false
    // Buffers that ran low, streams that ended: the application is told at the driver's next turn.
    if (this.hasNews) this.connection.wake()
  }

  repeatWindowUpdate(packet: PacketSink): boolean {
    return packet.addWindowUpdate(CONNECTION_LEVEL_ID, this.flowController.receiveLimit)
  }

  releaseMemory(): void {
    this.staticStream?.releaseMemory()
    this.sendQueue.releaseMemory()
    this.closedStreams.releaseMemory()
    if (this.openStreams.size === 0) this.openStreams.clear()
  }

  hasOpenStreams(): boolean {
    return this.ids.openIncoming + this.ids.openOutgoing > 0
  }

  onFrameAcked(frame: SentFrame): void {
    if (frame.kind !== SentFrameKind.Stream) return
    const stream = this.sendingStream(frame.streamId)
    if (stream === undefined) return
    stream.onFrameAcked(frame.offset, frame.length, frame.fin)
    if (stream.closed) this.closedStreams.release(stream)
  }

  onFrameLost(frame: SentFrame): void {
    if (this.closeErrorValue !== undefined) return
    switch (frame.kind) {
      case SentFrameKind.Stream:
        this.sendQueue.onLost(frame.streamId, frame.offset, frame.length, frame.fin)
        return
      case SentFrameKind.RstStream:
        this.sendReset(frame.streamId, frame.errorCode, frame.offset)
        return
      default:
        this.sendQueue.control.onLost(frame, this.flowControllerOf(frame.streamId))
    }
  }

  isWaiting(first: SentFrame): boolean {
    for (let frame: SentFrame | null = first; frame !== null; frame = frame.next) {
      if (frame.kind !== SentFrameKind.Stream || !this.sendQueue.isLost(frame.streamId, frame.offset)) return false
    }
    return true
  }

  takeBack(first: SentFrame): boolean {
    if (!this.isWaiting(first)) return false
    for (let frame: SentFrame | null = first; frame !== null; frame = frame.next) {
      this.sendQueue.takeBackLost(frame.streamId, frame.offset)
    }
    return true
  }

  sendingStream(id: number): QuicStreamCore | undefined {
    const open = this.openStreams.get(id)
    if (open !== undefined) return open
    return id === this.staticStream?.id ? this.staticStream : this.closedStreams.unackedStream(id)
  }

  private flowControllerOf(id: number): QuicFlowController | undefined {
    if (id === CONNECTION_LEVEL_ID) return this.flowController
    if (id === this.staticStream?.id) return this.staticStream.flowController
    return this.openStreams.get(id)?.flowController
  }

  // ---- for streams ----

  createStreamFlowController(id: number): QuicFlowController {
    return this.createFlowController(id, this.peerStreamWindow, this.options.streamWindow)
  }

  private createFlowController(id: number, sendLimit: number, receiveWindow: number): QuicFlowController {
    return new QuicFlowController(
      id,
      sendLimit,
      receiveWindow,
      this.options.autoTune,
      this.sendQueue.control,
      this.connection
    )
  }

  reschedule(stream: QuicStreamCore): void {
    this.sendQueue.reschedule(stream, this.flowController)
  }

  sendReset(id: number, errorCode: number, finalOffset: number): void {
    if (this.closeErrorValue !== undefined) return
    if (!this.sendQueue.control.queueReset(id, errorCode, finalOffset)) {
      this.connection.close(QuicErrorCode.TOO_MANY_OPEN_STREAMS, 'too many streams had to be reset')
    }
  }

  onStreamDraining(stream: QuicStreamCore): void {
    if (!stream.countsAsOpen) return
    stream.countsAsOpen = false
    this.ids.count(stream.id, -1)
    if (!this.ids.isIncoming(stream.id)) this.addSessionNews(SessionNews.Room)
  }

  onStreamClosed(stream: QuicStreamCore): void {
    this.openStreams.delete(stream.id)
    this.sendQueue.forget(stream)
    this.sendQueue.control.forget(stream.flowController)
    const counted = stream.countsAsOpen
    this.closedStreams.add(stream)
    if (counted && stream.finalOffsetKnown && !this.ids.isIncoming(stream.id)) this.addSessionNews(SessionNews.Room)
  }

  wake(): void {
    if (!this.writing) this.connection.wake()
  }

  wakeIfNeeded(): void {
    if (this.sendQueue.control.pending > 0 || this.hasNews) this.wake()
  }
}
