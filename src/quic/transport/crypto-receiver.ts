/**
 * The receiving half of the crypto stream: puts handshake bytes into order and grants flow-control credit for them.
 * The stream's own window holds; it does not count at the connection's (quic_session.cc).
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import { QuicStreamSequencer } from './streams/sequencer.js'

/** One a connection. Sizes in bytes. */
export class CryptoReceiver {
  private readonly sequencer: QuicStreamSequencer
  private limit: number
  private announced = 0

  /**
   * @param streamId for error texts
   * @param rejectsOverlap the version's trait
   * @param window what the peer may have outstanding
   */
  constructor(
    streamId: number,
    rejectsOverlap: boolean,
    private readonly window: number
  ) {
    this.sequencer = new QuicStreamSequencer(streamId, rejectsOverlap)
    this.limit = window
  }

  /** Takes the data `buffer[start, end)` of one frame. Throws a QuicError for what may not be. */
  receive(offset: number, buffer: Uint8Array, start: number, end: number): void {
    if (offset + end - start > this.limit) {
      throw new QuicError(QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA, 'more handshake data than was granted')
    }
    this.sequencer.onFrame(offset, false, buffer, start, end)
  }

  /** The next bytes in order; undefined if there are none. */
  read(): Uint8Array | undefined {
    const bytes = this.sequencer.read()
    if (this.limit - this.sequencer.consumed < this.window / 2) this.limit = this.sequencer.consumed + this.window
    return bytes
  }

  /** The limit to be announced to the peer with a WINDOW_UPDATE; 0 if it knows the present one. */
  get windowUpdate(): number {
    return this.limit > this.window && this.limit > this.announced ? this.limit : 0
  }

  onWindowUpdateSent(): void {
    this.announced = this.limit
  }

  onWindowUpdateLost(): void {
    this.announced = 0
  }
}
