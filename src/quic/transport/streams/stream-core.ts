/**
 * The protocol's side of a stream (reliable_quic_stream.cc): frames in, frames out, and the ways in which it can end.
 * The application's side is QuicStream.
 */
import { QuicError, QuicErrorCode, QuicRstStreamErrorCode } from '../../errors.js'
import type { PacketSink, StreamDataSource } from '../packets/packet-sink.js'
import type { QuicFlowController } from './flow-controller.js'
import { SendBuffer } from './send-buffer.js'
import { QuicStreamSequencer, SequencerOutcome } from './sequencer.js'
import type { DataCarrier } from './send-queue.js'
import type { StreamSession } from './stream-session.js'
import { LEVEL_DATA, LEVEL_FIN, LEVEL_URGENT, NOT_SCHEDULED, type ScheduledStream } from './write-scheduler.js'

/** SPDY priority of a stream that nobody gave one (0 is the highest, 7 the lowest). */
export const DEFAULT_STREAM_PRIORITY = 3

/** A packet with frames in it is sent rather than filled up with a shorter piece of a stream than this, bytes. */
const MIN_FRAGMENT = 64

/** The most data in one frame of a carrier, bytes: with its header it has the size of a full HTTP/2 frame. */
const MAX_CARRIED = 16_375

/** What the application has yet to be told, as bits. Those of the SPDY layer are here so that one number holds all. */
export const StreamNews = {
  Data: 1,
  StopSending: 2,
  Reset: 4,
  Writable: 8,
  Close: 16,
  Headers: 32,
  Trailers: 64
} as const

/** State and frames of one stream. Offsets and limits are absolute, in bytes. */
export abstract class QuicStreamCore implements ScheduledStream<QuicStreamCore> {
  /** SPDY priority, 0 (highest) to 7. */
  priority = DEFAULT_STREAM_PRIORITY
  readonly flowController: QuicFlowController

  // Of the write scheduler and the session's queue of news.
  schedulerLevel = NOT_SCHEDULED
  schedulerBefore: QuicStreamCore | undefined
  schedulerAfter: QuicStreamCore | undefined
  newsQueued = false
  /** Whether the stream counts against the limit of open streams. */
  countsAsOpen = true

  protected readonly sequencer: QuicStreamSequencer
  protected readonly sendBuffer = new SendBuffer()
  /** Bits of `StreamNews`. */
  protected news = 0
  /** This side ended its output: with a FIN, or with END_STREAM on the headers stream. */
  protected finQueued = false
  /** The end is told on the headers stream: no STREAM frame with FIN is sent. */
  protected finInHeaders = false
  protected finSent = false
  protected finReceived = false
  protected readClosed = false
  protected writeClosed = false
  protected writerWaits = false
  protected resetCode = 0
  /** Where the last byte received so far ends, gaps or not. */
  protected receivedEnd = 0
  private finAcked = false
  private rstSent = false
  private rstReceived = false
  private closedFlag = false
  /** The headers stream: first to write, never ending, and exempt from the connection's flow control. */
  private readonly isStatic: boolean

  constructor(
    readonly id: number,
    readonly session: StreamSession<QuicStreamCore>
  ) {
    const { traits } = session.connection.version
    this.isStatic = id === traits.headersStreamId
    this.flowController = session.createStreamFlowController(id)
    this.sequencer = new QuicStreamSequencer(id, traits.rejectsOverlap)
  }

  /** Whether both directions are done. */
  get closed(): boolean {
    return this.closedFlag
  }

  /** Whether FIN or RST_STREAM told how much the peer sends. */
  get finalOffsetKnown(): boolean {
    return this.finReceived || this.rstReceived
  }

  get hasNews(): boolean {
    return this.news !== 0
  }

  /** Tells the application what is new. Whatever it throws passes through; news that were not told stay. */
  abstract deliverNews(): void

  // ---- hooks ----

  /** Input became readable. */
  protected onReadable(): void {
    this.addNews(StreamNews.Data)
  }

  /** Some of the input was read. */
  protected onInputTaken(): void {}

  /** Whether the bytes of the stream are all that has to be awaited before the input is complete. */
  protected inputComplete(): boolean {
    return true
  }

  /** All that was written has been sent once, and the end is not told by a FIN. */
  protected onAllSent(): void {}

  /** The end of the output went out. */
  protected onFinSent(): void {}

  // ---- frames ----

  /** A STREAM frame; the buffer is lent. Throws QuicError for violations that end the connection. */
  onStreamFrame(offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void {
    if (fin && this.isStatic) throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, 'FIN on the headers stream')
    const dataEnd = offset + end - start
    this.raiseReceived(dataEnd)
    if (dataEnd > this.receivedEnd) this.receivedEnd = dataEnd
    if (fin) this.noteFin()
    this.afterInput(this.sequencer.onFrame(offset, fin, buffer, start, end))
  }

  /** Data that came on the headers stream and so has no offset: it follows what is there (quic_spdy_session.cc). */
  onCarriedData(fin: boolean, data: Uint8Array): void {
    this.onStreamFrame(this.receivedEnd, fin, data, 0, data.length)
  }

  /** RST_STREAM. Throws QuicError if the final offset violates flow control. */
  onRstStreamFrame(errorCode: number, finalOffset: number): void {
    this.rstReceived = true
    this.raiseReceived(finalOffset)
    if (errorCode === QuicRstStreamErrorCode.STREAM_NO_ERROR) {
      this.stopSending()
      return
    }
    this.resetCode = errorCode
    if (!this.finSent || this.hasUnackedData) this.acknowledgeReset()
    this.news &= ~(StreamNews.Data | StreamNews.Writable | StreamNews.Trailers)
    this.addNews(StreamNews.Reset)
    this.closeBoth()
  }

  /** A limit from the peer: WINDOW_UPDATE, or the window in its hello. */
  onWindowUpdateFrame(limit: number): void {
    if (this.flowController.raiseSendLimit(limit)) this.session.reschedule(this)
  }

  onFrameAcked(offset: number, length: number, fin: boolean): void {
    this.sendBuffer.onAcked(offset, length)
    if (fin) this.finAcked = true
  }

  /** The connection is over; what can still be read is delivered before the close. */
  onConnectionClosed(): void {
    this.sendBuffer.drop()
    this.readClosed = true
    this.writeClosed = true
    this.closedFlag = true
    this.news &= ~StreamNews.Writable
    this.addNews(StreamNews.Close)
  }

  // ---- sending ----

  /** Where the scheduler is to put the stream now; asks for a BLOCKED frame where flow control is in the way. */
  wantedLevel(): number {
    if (this.sendBuffer.unsentBytes > 0) {
      if (this.flowController.sendWindow === 0) {
        this.flowController.reportBlocked()
        return NOT_SCHEDULED
      }
      return this.isStatic ? LEVEL_URGENT : LEVEL_DATA + this.priority
    }
    const finPending = this.finQueued && !this.finInHeaders && !this.finSent && !this.writeClosed
    return finPending ? LEVEL_FIN : NOT_SCHEDULED
  }

  /** The bytes to copy into packets. */
  get dataSource(): StreamDataSource {
    return this.sendBuffer
  }

  /** Whether the connection's flow control concerns the stream. */
  get countsForConnection(): boolean {
    return !this.isStatic
  }

  /**
   * Adds one frame of unsent data to the packet.
   * @param connectionWindow what the connection's flow control allows, bytes
   * @param begun whether the packet holds frames already, so that a mere fragment had better wait for the next
   * @returns how many bytes of data the frame has, -1 if the packet has no room
   */
  writeTo(packet: PacketSink, connectionWindow: number, begun: boolean): number {
    const { sendBuffer } = this
    const offset = sendBuffer.sentOffset
    const unsent = sendBuffer.unsentBytes
    const capacity = packet.streamCapacity(this.id, offset)
    if (capacity < 0 || (capacity < unsent && capacity < (begun ? MIN_FRAGMENT : 1))) return -1
    let length = Math.min(unsent, capacity, this.flowController.sendWindow)
    if (!this.isStatic && length > connectionWindow) length = connectionWindow
    const fin = length === unsent && this.finQueued && !this.finInHeaders
    packet.addStream(this.id, offset, length, fin, sendBuffer)
    sendBuffer.markSent(length)
    this.flowController.addSent(length)
    if (fin) this.finSent = true
    return length
  }

  /** Gives unsent data to the carrier, which sends it and answers for it. @returns how many bytes */
  moveTo(carrier: DataCarrier, connectionWindow: number): number {
    const { sendBuffer } = this
    const offset = sendBuffer.sentOffset
    const unsent = sendBuffer.unsentBytes
    const length = Math.min(unsent, MAX_CARRIED, this.flowController.sendWindow, connectionWindow)
    const fin = length === unsent && this.finQueued && !this.finInHeaders
    carrier.writeData(this.id, sendBuffer, offset, length, fin)
    sendBuffer.markSent(length)
    sendBuffer.onAcked(offset, length)
    this.flowController.addSent(length)
    if (fin) this.finSent = this.finAcked = true
    return length
  }

  /** What follows from a frame that {@link writeTo} added, or a piece that {@link moveTo} gave away. */
  afterWrite(): void {
    const unsent = this.sendBuffer.unsentBytes
    if (this.writerWaits && unsent * 2 <= this.session.highWaterMark) {
      this.writerWaits = false
      if (!this.finQueued) this.addNews(StreamNews.Writable)
    }
    if (this.finSent) this.afterFin()
    else if (unsent === 0) this.onAllSent()
    this.session.reschedule(this)
  }

  /** Whether a lost frame still has to be repeated. */
  needsRetransmission(offset: number, length: number, fin: boolean): boolean {
    return (length > 0 && this.sendBuffer.needs(offset, length)) || (fin && this.owesFin)
  }

  /** Whether the peer has yet to acknowledge something that it needs. */
  get hasUnackedData(): boolean {
    return !this.sendBuffer.allAcked || this.owesFin
  }

  private get owesFin(): boolean {
    return this.finSent && !this.finInHeaders && !this.finAcked && !this.sendBuffer.isDropped
  }

  /** Frees what only traffic needs. */
  releaseMemory(): void {
    this.sequencer.releaseMemory()
  }

  // ---- for subclasses ----

  protected addNews(bits: number): void {
    this.news |= bits
    this.session.onStreamNews(this)
  }

  /** Whether that news is due; it then counts as told. */
  protected takeNews(bit: number): boolean {
    if ((this.news & bit) === 0) return false
    this.news &= ~bit
    return true
  }

  protected takeInput(): Uint8Array | undefined {
    const bytes = this.sequencer.read()
    if (bytes !== undefined) this.afterRead(bytes.length)
    return bytes
  }

  protected takeInputInto(target: Uint8Array): number {
    const length = this.sequencer.readInto(target)
    if (length > 0) this.afterRead(length)
    return length
  }

  private afterRead(length: number): void {
    this.consume(length)
    this.finishReading()
    this.onInputTaken()
  }

  /** Counts input as consumed at both levels, which may open the windows. */
  protected consume(length: number): void {
    if (length === 0) return
    this.flowController.addConsumed(length)
    if (!this.isStatic) this.session.flowController.addConsumed(length)
  }

  /** Closes the input if it is complete, and with it the stream if the output is done. */
  protected finishReading(): void {
    if (this.readClosed || !this.sequencer.atEnd || !this.inputComplete()) return
    this.readClosed = true
    if (this.writeClosed) this.close()
  }

  /** The stream's length became known otherwise than by a STREAM frame. */
  protected setFinalOffset(offset: number): void {
    this.noteFin()
    this.afterInput(this.sequencer.setFinalOffset(offset))
  }

  /** The output has ended: the FIN went out, or the headers that stand for it. */
  protected afterFin(): void {
    if (this.writeClosed) return
    this.finSent = true
    if (this.finReceived) this.session.onStreamDraining(this)
    this.writeClosed = true
    this.onFinSent()
    if (this.readClosed) this.close()
  }

  /** Ends both directions with RST_STREAM; code 0 (response complete) leaves what was sent to be retransmitted. */
  protected abort(errorCode: number): void {
    if (this.closedFlag) return
    this.rstSent = true
    this.session.sendReset(this.id, errorCode, this.sendBuffer.sentOffset)
    if (errorCode !== QuicRstStreamErrorCode.STREAM_NO_ERROR) this.sendBuffer.drop()
    this.news &= ~(StreamNews.Data | StreamNews.Writable | StreamNews.Headers | StreamNews.Trailers)
    this.closeBoth()
  }

  /** This side has nothing to say on the stream: it is one that the server pushes. */
  protected closeWriting(): void {
    this.writeClosed = true
  }

  // ---- closing ----

  /** What is to be credited to the connection's flow control when the stream closes, bytes. */
  settle(): number {
    const { finalOffset } = this.sequencer
    const { highestReceived, receiveLimit, consumed } = this.flowController
    // Trailers can name a length beyond what has arrived; how much of that was sent is unknown, but it obeys the limit.
    const end = finalOffset === Infinity ? highestReceived : Math.min(finalOffset, receiveLimit)
    return end > consumed ? end - consumed : 0
  }

  /** Drops what is unsent or unacknowledged. The peer's flow control learns from RST_STREAM how much it was sent. */
  acknowledgeReset(): void {
    this.rstSent = true
    this.sendBuffer.drop()
    this.session.sendReset(this.id, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, this.sendBuffer.sentOffset)
  }

  private noteFin(): void {
    if (this.finReceived) return
    this.finReceived = true
    if (this.finSent) this.session.onStreamDraining(this)
  }

  private afterInput(outcome: SequencerOutcome): void {
    this.flowController.finalOffset = this.sequencer.finalOffset
    if (outcome === SequencerOutcome.LengthConflict) {
      this.abort(QuicRstStreamErrorCode.MULTIPLE_TERMINATION_OFFSETS)
    } else if (outcome === SequencerOutcome.Readable) {
      if (this.sequencer.isDiscarding) this.consume(this.sequencer.discardReadable())
      else this.onReadable()
      this.finishReading()
    }
  }

  private raiseReceived(offset: number): void {
    const increase = offset - this.flowController.highestReceived
    if (increase <= 0) return
    const connection = this.session.flowController
    const allowed =
      this.flowController.raiseReceived(offset) &&
      (this.isStatic || connection.raiseReceived(connection.highestReceived + increase))
    if (!allowed) {
      throw new QuicError(
        QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA,
        `stream ${this.id}: offset ${offset} violates flow control`
      )
    }
  }

  private stopSending(): void {
    if (this.writeClosed) return
    this.sendBuffer.drop()
    this.writeClosed = true
    this.session.reschedule(this)
    this.addNews(StreamNews.StopSending)
    if (this.readClosed) this.close()
  }

  private closeBoth(): void {
    this.readClosed = true
    this.writeClosed = true
    this.sequencer.release()
    this.close()
  }

  private close(): void {
    if (this.closedFlag) return
    this.closedFlag = true
    if (!this.finSent && !this.rstSent) this.acknowledgeReset()
    this.news &= ~StreamNews.Writable
    this.session.onStreamClosed(this)
    this.addNews(StreamNews.Close)
  }
}
