/**
 * What remains of streams after they are closed: those whose peer has yet to say how much it sent, and those whose data
 * has yet to be acknowledged.
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import type { QuicFlowController } from './flow-controller.js'
import type { QuicStreamCore } from './stream-core.js'
import type { StreamIdManager } from './stream-id-manager.js'
import { StreamTable } from './stream-table.js'

/** A peer that goes on opening streams beyond its limit, without ever ending the refused ones, is not served. */
const MAX_REFUSED_PER_LIMIT = 10

/** Book of closed streams of one session. Its pages are made when first written to: most connections are idle. */
export class ClosedStreams {
  /** Highest offset received on each stream that was closed before the peer's final offset was known. */
  private unsettled: Map<number, number> | undefined
  /** Those of {@link unsettled} that were refused: they do not count as open, but the peer counts their bytes. */
  private refused: Set<number> | undefined
  private readonly unacked = new StreamTable<QuicStreamCore>()

  constructor(
    private readonly ids: StreamIdManager,
    private readonly flowController: QuicFlowController
  ) {}

  /** Takes over a stream that just closed. */
  add(stream: QuicStreamCore): void {
    if (!stream.finalOffsetKnown) {
      this.setUnsettled(stream.id, stream.flowController.highestReceived)
      if (!stream.countsAsOpen) this.ids.count(stream.id, 1)
    } else if (stream.countsAsOpen) {
      this.ids.count(stream.id, -1)
    }
    stream.countsAsOpen = false
    if (stream.hasUnackedData) this.unacked.set(stream)
    const owed = stream.settle()
    if (owed > 0 && stream.countsForConnection) this.flowController.addConsumed(owed)
  }

  /** Notes that a stream was refused. Throws QuicError (TOO_MANY_OPEN_STREAMS) if that happened too often. */
  addRefused(id: number): void {
    const refused = (this.refused ??= new Set())
    if (refused.size >= this.ids.maxIncoming * MAX_REFUSED_PER_LIMIT) {
      throw new QuicError(QuicErrorCode.TOO_MANY_OPEN_STREAMS, 'too many streams beyond the limit')
    }
    refused.add(id)
    this.setUnsettled(id, 0)
  }

  /**
   * Bytes up to `offset` of a closed stream were received, or declared by its final offset: they are credited to the
   * connection's flow control. Throws QuicError if its window was exceeded.
   */
  raiseReceived(id: number, offset: number): void {
    const highest = this.unsettled?.get(id)
    if (highest === undefined || offset <= highest) return
    const increase = offset - highest
    if (!this.flowController.raiseReceived(this.flowController.highestReceived + increase)) {
      throw new QuicError(
        QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA,
        `closed stream ${id}: offset ${offset} violates flow control`
      )
    }
    this.setUnsettled(id, offset)
    this.flowController.addConsumed(increase)
  }

  /** Data of a closed stream that came without an offset. Throws like {@link raiseReceived}. @returns where it ends */
  raiseCarried(id: number, length: number): number {
    const end = (this.unsettled?.get(id) ?? 0) + length
    this.raiseReceived(id, end)
    return end
  }

  /**
   * The peer ended a closed stream: with FIN, RST_STREAM, or in headers.
   * @returns whether the stream stops counting as open by that
   */
  settle(id: number): boolean {
    if (this.unsettled?.delete(id) !== true || this.refused?.delete(id) === true) return false
    this.ids.count(id, -1)
    return true
  }

  /** A closed stream whose data may have to be sent again. */
  unackedStream(id: number): QuicStreamCore | undefined {
    return this.unacked.get(id)
  }

  get unackedCount(): number {
    return this.unacked.size
  }

  /** To be called after an acknowledgement: lets go of a stream that needs nothing any more. */
  release(stream: QuicStreamCore): void {
    if (!stream.hasUnackedData) this.unacked.delete(stream.id)
  }

  /** The peer has no use for the data of a closed stream, but may still wait for its end. */
  abandon(id: number): void {
    const stream = this.unacked.get(id)
    if (stream === undefined) return
    stream.acknowledgeReset()
    this.unacked.delete(id)
  }

  /** Frees pages that nothing stands on. */
  releaseMemory(): void {
    if (this.unsettled?.size === 0) this.unsettled = undefined
    if (this.refused?.size === 0) this.refused = undefined
    if (this.unacked.size === 0) this.unacked.clear()
  }

  clear(): void {
    this.unsettled = undefined
    this.refused = undefined
    this.unacked.clear()
  }

  private setUnsettled(id: number, highest: number): void {
    this.unsettled ??= new Map()
    this.unsettled.set(id, highest)
  }
}
