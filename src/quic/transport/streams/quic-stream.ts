/**
 * A stream as applications use it: ordered bytes both ways with backpressure. HTTP builds on QuicSpdyStream below it.
 */
import { QuicRstStreamErrorCode } from '../../errors.js'
import { QuicStreamCore, StreamNews } from './stream-core.js'

const NO_BYTES = new Uint8Array(0)

/**
 * A stream of a session, made with `new MyStream(id, session)`. Subclasses override the `on…` methods, which are called
 * from deliverEvents only. They may write, read, reset and close; when one throws, the stream is reset.
 */
export class QuicStream extends QuicStreamCore {
  // ---- to override ----

  /** Readable bytes, or the end of the input, arrived: call {@link read} until it answers undefined. */
  onDataAvailable(): void {}

  /** The peer sent RST_STREAM with a code other than 0: both directions are dead. */
  onReset(_errorCode: number): void {}

  /** The peer sent RST_STREAM with code 0: it wants no more of our data. Receiving goes on. */
  onStopSending(): void {}

  /** {@link write} had answered false, and the buffer fell below the low-water mark (half of the high one). */
  onWritable(): void {}

  /** The last call: both directions are done, or the connection died (`session.closeError` is then set). */
  onClose(): void {}

  // ---- reading ----

  /**
   * The next bytes in order, at most 8 KiB; undefined if there are none now. The array belongs to the caller. Reading
   * is what opens the flow-control window: a reader that stops reading stops the peer.
   */
  read(): Uint8Array | undefined {
    const bytes = this.takeInput()
    if (bytes !== undefined) this.session.wakeIfNeeded()
    return bytes
  }

  /**
   * Copies the next bytes in order into `target`, as many as there are and fit. Does what {@link read} does at less
   * expense, for readers that pass the bytes on and keep no piece.
   * @returns how many bytes that were, 0 if there are none now
   */
  readInto(target: Uint8Array): number {
    const length = this.takeInputInto(target)
    if (length > 0) this.session.wakeIfNeeded()
    return length
  }

  /** Everything that is readable now, as one array; undefined if there is nothing. */
  readAll(): Uint8Array | undefined {
    const total = this.sequencer.readableBytes
    const first = this.read()
    if (first === undefined || first.length === total) return first
    const all = new Uint8Array(total)
    all.set(first)
    for (let at = first.length; at < total; ) {
      const bytes = this.read()!
      all.set(bytes, at)
      at += bytes.length
    }
    return all
  }

  /** Bytes that {@link read} would give now. */
  get readableBytes(): number {
    return this.sequencer.readableBytes
  }

  /** Whether the input has ended and everything of it was read. */
  get readEnded(): boolean {
    return this.sequencer.atEnd && this.inputComplete()
  }

  /** Discards what is there and what comes. It is still credited to flow control, so the peer is not held up. */
  stopReading(): void {
    if (this.readClosed || this.sequencer.isDiscarding) return
    this.news &= ~StreamNews.Data
    this.consume(this.sequencer.startDiscarding())
    this.onReadingStopped()
    this.finishReading()
    this.session.wakeIfNeeded()
  }

  // ---- writing ----

  /**
   * Queues data to be sent and keeps a reference to it: do not modify it before {@link releasedOffset} has passed it. After the peer reset the stream
   * or asked to stop, data is dropped silently. Throws if the stream was ended by this side.
   * @returns false if more than the high-water mark is buffered now: wait for {@link onWritable}
   */
  write(data: Uint8Array, fin = false): boolean {
    if (this.finQueued) throw new Error(`stream ${this.id}: write after end`)
    if (this.writeClosed) return true
    this.sendBuffer.append(data)
    this.finQueued = fin
    this.session.reschedule(this)
    this.session.wake()
    if (this.sendBuffer.unsentBytes <= this.session.highWaterMark) return true
    this.writerWaits = true
    return false
  }

  /** Ends the output. Harmless when it has ended. */
  end(): void {
    if (!this.finQueued && !this.writeClosed) this.write(NO_BYTES, true)
  }

  /**
   * Gives the stream up with RST_STREAM: both directions end, nothing is retransmitted, {@link onClose} follows. A code
   * of 0 would ask the peer to wait for data that does not come, so it is sent as STREAM_CANCELLED.
   */
  reset(errorCode: number): void {
    this.abort(errorCode === 0 ? QuicRstStreamErrorCode.STREAM_CANCELLED : errorCode)
    this.session.wake()
  }

  /** Where the first byte of what was written stands that the stream may yet read: pieces before it are the writer's. */
  get releasedOffset(): number {
    return this.sendBuffer.releasedOffset
  }

  /** Bytes written and not yet sent for the first time. */
  get bufferedBytes(): number {
    return this.sendBuffer.unsentBytes
  }

  /** Whether this side can write no more: it ended the stream, or the stream was reset or stopped. */
  get writeEnded(): boolean {
    return this.finQueued || this.writeClosed
  }

  // ---- for subclasses and the session ----

  /** Input is discarded from now on. */
  protected onReadingStopped(): void {}

  override deliverNews(): void {
    if (this.takeNews(StreamNews.Data)) this.onDataAvailable()
    if (this.takeNews(StreamNews.StopSending)) this.onStopSending()
    if (this.takeNews(StreamNews.Reset)) this.onReset(this.resetCode)
    if (this.takeNews(StreamNews.Writable)) this.onWritable()
    if (this.takeNews(StreamNews.Close)) {
      try {
        this.onClose()
      } finally {
        this.sequencer.release()
      }
    }
  }
}
