/**
 * A stream that carries an HTTP request or response: headers and trailers come on the headers stream, the body as the
 * stream's own bytes (quic_spdy_stream.cc).
 */
import { QuicRstStreamErrorCode } from '../errors.js'
import { QuicStream } from '../transport/streams/quic-stream.js'
import { StreamNews, type QuicStreamCore } from '../transport/streams/stream-core.js'
import type { StreamSession } from '../transport/streams/stream-session.js'
import { Perspective } from '../types.js'
import type { HeaderList } from './header-list.js'
import { FINAL_OFFSET_HEADER, malformedName, parseTrailers, trailersError, type Trailers } from './trailers.js'

/** What a stream needs of a session that has a headers stream. */
export interface SpdyStreamSession extends StreamSession<QuicStreamCore> {
  /** Queues a header block. The priority (SPDY, 0 to 7) goes out if this side is a client. */
  writeHeaders(streamId: number, headers: HeaderList, fin: boolean, priority: number): void
  /** Client: tells the server of a new priority, where the version has a frame for that. */
  writePriority(streamId: number, priority: number): void
}

/** One request and its response. Callbacks come in this order: headers, data, trailers, and onClose as the last. */
export class QuicSpdyStream extends QuicStream {
  declare readonly session: SpdyStreamSession

  private heldHeaders: HeaderList | undefined
  private headersReceived = false
  private headersDelivered = false
  private endedByHeaders = false
  private malformed: string | undefined
  private heldTrailers: HeaderList | undefined
  private trailersDelivered = false
  private trailersToSend: HeaderList | undefined
  private headersSent = false
  /** A pushed response that nobody has claimed: the application does not hear of it yet. */
  private held = false

  constructor(id: number, session: SpdyStreamSession) {
    super(id, session)
  }

  // ---- to override ----

  /**
   * The request's or response's headers. With `fin` there is no body, and {@link onDataAvailable} follows to tell the
   * end. Data that arrived before is held back until now.
   */
  onInitialHeaders(_headers: HeaderList, _fin: boolean): void {}

  /** Trailers, without `:final-offset`, once the body is read to its end. {@link onDataAvailable} follows. */
  onTrailers(_headers: HeaderList): void {}

  /** The first header block has an empty name or one with upper-case letters. Resets the stream unless overridden. */
  onMalformedHeaders(_reason: string): void {
    this.reset(QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD)
  }

  // ---- writing ----

  /**
   * Sends the headers. Client: with a SPDY priority 0 (highest) to 7, by which the response is scheduled. `fin` says
   * that no body follows. Ignored after the peer reset or stopped the stream; throws after this side ended it.
   */
  writeHeaders(headers: HeaderList, fin: boolean, priority?: number): void {
    this.assertNotEnded()
    if (this.writeClosed) return
    if (priority !== undefined) this.setPriority(priority)
    this.headersSent = true
    this.session.writeHeaders(this.id, headers, fin, this.priority)
    if (fin) this.endWithHeaders()
    this.session.wake()
  }

  /**
   * Ends the output with trailers. They leave when the whole body has been sent, so that the length they name is one
   * that flow control has let through.
   */
  writeTrailers(headers: HeaderList): void {
    this.assertNotEnded()
    if (this.writeClosed) return
    this.finQueued = true
    this.finInHeaders = true
    this.trailersToSend = headers
    if (this.sendBuffer.unsentBytes === 0) this.onAllSent()
    this.session.wake()
  }

  protected override onAllSent(): void {
    const trailers = this.trailersToSend
    if (trailers === undefined || this.writeClosed) return
    this.trailersToSend = undefined
    const finalOffset = String(this.sendBuffer.sentOffset)
    this.session.writeHeaders(this.id, [[FINAL_OFFSET_HEADER, finalOffset], ...trailers], true, this.priority)
    this.endWithHeaders()
  }

  private endWithHeaders(): void {
    this.finQueued = true
    this.finInHeaders = true
    this.afterFin()
  }

  private assertNotEnded(): void {
    if (this.finQueued) throw new Error(`stream ${this.id}: headers after end`)
  }

  /**
   * Sets the SPDY priority, 0 (highest) to 7, by which this side writes the stream. A client's server is told too: with
   * the request's headers, or in a PRIORITY frame if those have been written and the version has such frames (from Q043).
   */
  setPriority(priority: number): void {
    this.priority = Math.min(Math.max(Math.trunc(priority), 0), 7)
    this.session.reschedule(this)
    if (this.headersSent && !this.closed && this.session.connection.perspective === Perspective.Client) {
      this.session.writePriority(this.id, this.priority)
      this.session.wake()
    }
  }

  // ---- server push, called by the session ----

  /** Client: the server opened the stream to push a response. Nothing is told before {@link release}. */
  holdPushed(): void {
    this.closeWriting()
    this.held = true
  }

  /** Client: a request claimed the pushed response, and the callbacks begin. */
  release(): void {
    this.held = false
    if (this.hasNews) this.session.onStreamNews(this)
  }

  /** Server: the stream was opened to answer a promised request, which comes as if a client had sent it. */
  beginPushed(headers: HeaderList): void {
    this.onHeaderList(headers, true, false)
  }

  // ---- RST_STREAM with code 0: the response is complete, the rest of the request is not wanted ----

  protected override onFinSent(): void {
    if (this.sequencer.isDiscarding && !this.finalOffsetKnown) this.abort(QuicRstStreamErrorCode.STREAM_NO_ERROR)
  }

  protected override onReadingStopped(): void {
    if (this.finSent && !this.finalOffsetKnown) this.abort(QuicRstStreamErrorCode.STREAM_NO_ERROR)
  }

  // ---- header blocks, called by the session ----

  /**
   * A decoded block for this stream: the first is the headers, the second the trailers.
   * Throws QuicError (INVALID_HEADERS_STREAM_DATA) for trailers that break their rules.
   * @param tooLarge the list went over the limit and is not complete
   */
  onHeaderList(headers: HeaderList, fin: boolean, tooLarge: boolean): void {
    if (this.headersReceived) {
      this.onTrailingHeaders(headers, fin, tooLarge)
      return
    }
    if (tooLarge) {
      if (fin) this.setFinalOffset(0)
      this.abort(QuicRstStreamErrorCode.HEADERS_TOO_LARGE)
      return
    }
    this.headersReceived = true
    this.heldHeaders = headers
    this.malformed = malformedName(headers)
    this.addNews(StreamNews.Headers)
    if (fin) {
      this.endedByHeaders = true
      this.setFinalOffset(0)
    } else if (this.sequencer.readableBytes > 0 || this.sequencer.atEnd) {
      this.addNews(StreamNews.Data)
    }
  }

  private onTrailingHeaders(headers: HeaderList, fin: boolean, tooLarge: boolean): void {
    if (this.finReceived) throw trailersError('after the end of the stream')
    if (!fin) throw trailersError('without END_STREAM')
    if (tooLarge) {
      this.abort(QuicRstStreamErrorCode.HEADERS_TOO_LARGE)
      return
    }
    const { finalOffset, fields }: Trailers = parseTrailers(headers)
    this.heldTrailers = fields
    this.setFinalOffset(finalOffset)
    this.announceTrailers()
  }

  private announceTrailers(): void {
    if (this.heldTrailers !== undefined && this.sequencer.atEnd && !this.closed) this.addNews(StreamNews.Trailers)
  }

  // ---- reading ----

  protected override onReadable(): void {
    if (this.headersReceived) super.onReadable()
  }

  protected override inputComplete(): boolean {
    if (!this.headersDelivered) return false
    return this.heldTrailers === undefined || this.trailersDelivered || this.sequencer.isDiscarding
  }

  protected override onInputTaken(): void {
    if (!this.trailersDelivered && this.heldTrailers !== undefined) this.announceTrailers()
  }

  override deliverNews(): void {
    if (this.held) return
    this.dropNewsOfTheDead()
    if (this.takeNews(StreamNews.Headers)) this.deliverHeaders()
    if (this.takeNews(StreamNews.Data)) this.onDataAvailable()
    if (this.takeNews(StreamNews.Trailers)) this.deliverTrailers()
    super.deliverNews()
  }

  /** A server need not begin with a request that is over: it was reset at once, or its connection is gone. */
  private dropNewsOfTheDead(): void {
    const dead = this.closed && !this.headersDelivered
    if (dead && this.session.connection.perspective === Perspective.Server) {
      this.news &= ~(StreamNews.Headers | StreamNews.Data | StreamNews.Trailers)
    }
  }

  private deliverHeaders(): void {
    const headers = this.heldHeaders!
    this.heldHeaders = undefined
    this.headersDelivered = true
    if (this.malformed === undefined) this.onInitialHeaders(headers, this.endedByHeaders)
    else this.onMalformedHeaders(this.malformed)
    this.finishReading()
  }

  private deliverTrailers(): void {
    this.trailersDelivered = true
    // Told again after the trailers: only now has the input ended. A reset in between takes it back.
    this.news |= StreamNews.Data
    this.onTrailers(this.heldTrailers!)
    this.finishReading()
  }
}
