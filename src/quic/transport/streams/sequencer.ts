/**
 * Puts a stream's frames in order (quic_stream_sequencer.cc, quic_stream_sequencer_buffer.cc). Bytes are copied into
 * blocks at their place, so that the memory of a stream that nobody reads is its window however small the frames were.
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import { copyBytes } from '../../wire/bytes.js'
import { MAX_STREAM_WINDOW } from './flow-controller.js'
import { OffsetRanges } from './offset-ranges.js'

/** Size of a block, bytes: also the most that {@link QuicStreamSequencer.read} returns at once. */
export const SEQUENCER_BLOCK = 8192
/** Blocks that were read and wait to be written again, at most. */
const SPARE_BLOCKS = 8
/** Blocks that no stream holds and any may use, at most. */
const MAX_IDLE_BLOCKS = 64
/** More gaps than this in one stream end the connection. */
export const MAX_FRAME_GAPS = 10_000

/** What a frame changed. */
export const SequencerOutcome = {
  /** Nothing that a reader would see: a duplicate, or bytes beyond a gap. */
  Nothing: 0,
  /** There is more to read, or the end is reached. */
  Readable: 1,
  /** The frame contradicts the stream's known length: RST_STREAM with MULTIPLE_TERMINATION_OFFSETS is due. */
  LengthConflict: 2
} as const
export type SequencerOutcome = (typeof SequencerOutcome)[keyof typeof SequencerOutcome]

/** See {@link QuicStreamSequencer.recycle}. */
const idleBlocks: Uint8Array[] = []

/** Reassembles one stream. */
export class QuicStreamSequencer {
  private readonly received = new OffsetRanges()
  /** By their place in the stream; there from the first byte that has to wait for its reader. */
  private blocks: Map<number, Uint8Array> | undefined
  private spare: Uint8Array[] | undefined
  /** The block of which {@link read} gave a part away: its memory is no longer for the sequencer to use again. */
  private lentBlock = -1
  private consumedOffset = 0
  private endOffset = Infinity
  private highest = 0
  private discarding = false

  /**
   * @param streamId for error texts
   * @param rejectsOverlap whether data that partly repeats other data ends the connection (else it is trimmed)
   */
  constructor(
    private readonly streamId: number,
    private readonly rejectsOverlap: boolean
  ) {}

  /** How far the reader has come. */
  get consumed(): number {
    return this.consumedOffset
  }

  /** Bytes that can be read now. */
  get readableBytes(): number {
    return this.discarding ? 0 : this.received.prefixEnd - this.consumedOffset
  }

  /** The stream's length, Infinity until known. */
  get finalOffset(): number {
    return this.endOffset
  }

  /** Whether everything up to the stream's end was read or discarded. */
  get atEnd(): boolean {
    return this.consumedOffset >= this.endOffset
  }

  /** Bytes of memory in use for data. */
  get bufferedBytes(): number {
    let total = 0
    for (const block of this.blocks?.values() ?? []) total += block.length
    return total
  }

  /**
   * Takes the data `buffer[start, end)` that belongs at `offset`; `fin` says that the stream ends behind it. Throws a
   * QuicError for what the reference answers by closing the connection: OVERLAPPING_STREAM_DATA, TOO_MANY_FRAME_GAPS,
   * EMPTY_STREAM_FRAME_NO_FIN, and INTERNAL_ERROR for data 16 MiB beyond what was read.
   */
  onFrame(offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): SequencerOutcome {
    const dataEnd = offset + end - start
    if (dataEnd > this.endOffset) return SequencerOutcome.LengthConflict
    let outcome: SequencerOutcome = SequencerOutcome.Nothing
    if (fin) {
      outcome = this.setFinalOffset(dataEnd)
      if (outcome === SequencerOutcome.LengthConflict || start === end) return outcome
    } else if (start === end) {
      throw this.error(QuicErrorCode.EMPTY_STREAM_FRAME_NO_FIN, 'frame without data and without FIN')
    }
    const before = this.received.prefixEnd
    this.store(offset, dataEnd, buffer, start)
    if (dataEnd > this.highest) this.highest = dataEnd
    if (this.received.prefixEnd > before) outcome = SequencerOutcome.Readable
    return outcome
  }

  /**
   * For readers that take everything at once: hands on the data of a frame that is exactly what they wait for, without
   * storing it.
   * @returns a copy of the data, which counts as read; undefined for any other frame, which is for {@link onFrame} to take
   */
  passOn(offset: number, buffer: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const dataEnd = offset + end - start
    const next = offset === this.consumedOffset && offset === this.highest
    if (!next || start === end || dataEnd > this.endOffset || this.discarding) return undefined
    this.received.add(offset, dataEnd)
    this.highest = this.consumedOffset = dataEnd
    const data = new Uint8Array(end - start)
    copyBytes(data, 0, buffer, start, end)
    return data
  }

  /** Learns the stream's length, from a FIN or from trailers. */
  setFinalOffset(offset: number): SequencerOutcome {
    if (offset === this.endOffset) return SequencerOutcome.Nothing
    if (this.endOffset !== Infinity || offset < this.highest) return SequencerOutcome.LengthConflict
    this.endOffset = offset
    return this.received.prefixEnd === offset ? SequencerOutcome.Readable : SequencerOutcome.Nothing
  }

  private store(offset: number, dataEnd: number, buffer: Uint8Array, start: number): void {
    const { received } = this
    const next = received.firstAbove(offset)
    const gapStart = next > 0 ? received.endOf(next - 1) : 0
    const gapEnd = next < received.count ? received.startOf(next) : Infinity
    if (dataEnd <= gapStart) return
    if (offset < gapStart || dataEnd > gapEnd) {
      if (this.rejectsOverlap) throw this.overlapError(offset, dataEnd, gapStart, gapEnd)
      this.storeTrimmed(offset, dataEnd, buffer, start)
      return
    }
    if (dataEnd > this.consumedOffset + MAX_STREAM_WINDOW) {
      throw this.error(QuicErrorCode.INTERNAL_ERROR, 'data beyond the available range')
    }
    if (gapStart !== offset && gapEnd !== dataEnd && this.gapCount >= MAX_FRAME_GAPS) {
      throw this.error(QuicErrorCode.TOO_MANY_FRAME_GAPS, `more than ${MAX_FRAME_GAPS} gaps`)
    }
    received.add(offset, dataEnd)
    if (!this.discarding) this.copyIn(offset, dataEnd, buffer, start)
  }

  /** Gaps between and before ranges, and the one that goes on for ever behind the last. */
  private get gapCount(): number {
    const { received } = this
    return received.prefixEnd > 0 ? received.count : received.count + 1
  }

  /** Stores those parts of a frame that lie in gaps: what is already there wins. */
  private storeTrimmed(offset: number, dataEnd: number, buffer: Uint8Array, start: number): void {
    let at = offset
    while (at < dataEnd) {
      const next = this.received.firstAbove(at)
      const gapStart = Math.max(at, next > 0 ? this.received.endOf(next - 1) : 0)
      const gapEnd = Math.min(dataEnd, next < this.received.count ? this.received.startOf(next) : Infinity)
      if (gapStart < gapEnd) this.store(gapStart, gapEnd, buffer, start + gapStart - offset)
      at = Math.max(gapEnd, at + 1)
    }
  }

  private copyIn(offset: number, dataEnd: number, buffer: Uint8Array, start: number): void {
    const blocks = (this.blocks ??= new Map())
    while (offset < dataEnd) {
      const index = Math.floor(offset / SEQUENCER_BLOCK)
      const blockStart = index * SEQUENCER_BLOCK
      let block = blocks.get(index)
      if (block === undefined) {
        // A stream whose end is known needs no more room than that: most streams are one short frame with a FIN.
        const size = Math.min(SEQUENCER_BLOCK, this.endOffset - blockStart)
        block = (size === SEQUENCER_BLOCK ? this.spare?.pop() ?? idleBlocks.pop() : undefined) ?? new Uint8Array(size)
        blocks.set(index, block)
      }
      const size = Math.min(dataEnd, blockStart + SEQUENCER_BLOCK) - offset
      copyBytes(block, offset - blockStart, buffer, start, start + size)
      offset += size
      start += size
    }
  }

  /**
   * The next readable bytes in order, up to a block's end; undefined if there are none. The array is the caller's: the
   * sequencer writes nothing into it any more.
   */
  read(): Uint8Array | undefined {
    const readable = this.readableBytes
    if (readable === 0) return undefined
    const index = Math.floor(this.consumedOffset / SEQUENCER_BLOCK)
    const from = this.consumedOffset - index * SEQUENCER_BLOCK
    const size = Math.min(readable, SEQUENCER_BLOCK - from)
    const blocks = this.blocks!
    const block = blocks.get(index)!
    this.consumedOffset += size
    if (from + size === SEQUENCER_BLOCK || this.atEnd) blocks.delete(index)
    else this.lentBlock = index
    return from === 0 && size === block.length ? block : block.subarray(from, from + size)
  }

  /**
   * Copies the next readable bytes in order into `target`, as many as there are and fit. Cheaper than {@link read} for
   * whoever does not keep them: the memory that they stood in is used again.
   * @returns how many bytes that were
   */
  readInto(target: Uint8Array): number {
    let at = 0
    for (let readable = this.readableBytes; readable > 0 && at < target.length; readable = this.readableBytes) {
      const index = Math.floor(this.consumedOffset / SEQUENCER_BLOCK)
      const from = this.consumedOffset - index * SEQUENCER_BLOCK
      const size = Math.min(readable, SEQUENCER_BLOCK - from, target.length - at)
      const blocks = this.blocks!
      const block = blocks.get(index)!
      copyBytes(target, at, block, from, from + size)
      this.consumedOffset += size
      at += size
      if (from + size < SEQUENCER_BLOCK && !this.atEnd) continue
      blocks.delete(index)
      if (block.length === SEQUENCER_BLOCK && index !== this.lentBlock) this.keepSpare(block)
    }
    if (this.atEnd) this.spare = undefined
    return at
  }

  /**
   * What was read is no longer needed by whoever read it. If that is all there is, its block is for any stream to use: one
   * that has something to hold for a moment now and then does not hold a block for good.
   */
  recycle(): void {
    if (this.highest !== this.consumedOffset || this.blocks === undefined) return
    const index = Math.floor(this.consumedOffset / SEQUENCER_BLOCK)
    const block = this.blocks.get(index)
    if (block === undefined) return
    this.blocks.delete(index)
    this.lentBlock = -1
    if (block.length === SEQUENCER_BLOCK && idleBlocks.length < MAX_IDLE_BLOCKS) idleBlocks.push(block)
  }

  private keepSpare(block: Uint8Array): void {
    if (this.spare === undefined) this.spare = [block]
    else if (this.spare.length < SPARE_BLOCKS) this.spare.push(block)
  }

  /** Frees the rest of a block whose bytes were all read: what comes next will have one of its own. */
  releaseMemory(): void {
    this.spare = undefined
    if (this.highest === this.consumedOffset) this.blocks = undefined
  }

  /** From now on what arrives is counted and not kept. @returns how many bytes became consumed by that */
  startDiscarding(): number {
    this.release()
    return this.discardReadable()
  }

  /** While discarding: consumes what is in order. @returns how many bytes that were */
  discardReadable(): number {
    const size = this.received.prefixEnd - this.consumedOffset
    this.consumedOffset += size
    return size
  }

  /** Whether {@link startDiscarding} was called. */
  get isDiscarding(): boolean {
    return this.discarding
  }

  /** Frees all data: nobody will read it. */
  release(): void {
    this.discarding = true
    this.blocks = undefined
    this.spare = undefined
  }

  private overlapError(offset: number, dataEnd: number, gapStart: number, gapEnd: number): QuicError {
    const where = offset < gapStart ? 'beginning' : 'end'
    return this.error(
      QuicErrorCode.OVERLAPPING_STREAM_DATA,
      `the ${where} of [${offset}, ${dataEnd}) overlaps received data around the gap [${gapStart}, ${gapEnd})`
    )
  }

  private error(code: QuicErrorCode, details: string): QuicError {
    return new QuicError(code, `stream ${this.streamId}: ${details}`)
  }
}
