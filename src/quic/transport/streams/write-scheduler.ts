/**
 * Which stream writes next (quic_write_blocked_list.h): the headers stream, then data streams by priority, within a
 * priority in turns of 16000 bytes. Every operation is O(1): streams are links of lists, lists are bits of a mask.
 */

/** How many bytes a stream may write before others of its priority get their turn. */
export const WRITE_TURN = 16000

/** Level of a stream that has nothing to send, or may not. */
export const NOT_SCHEDULED = -1
/** Level of the headers stream. It and {@link LEVEL_FIN} are exempt from the connection's flow control. */
export const LEVEL_URGENT = 0
/** Level of streams of which only an empty frame with FIN is left to send: that is never blocked. */
export const LEVEL_FIN = 1
/** Level of data streams with SPDY priority 0; priority p is this plus p. */
export const LEVEL_DATA = 2

const LEVELS = LEVEL_DATA + 8
const EXEMPT_MASK = (1 << LEVEL_DATA) - 1
const ALL_MASK = (1 << LEVELS) - 1

/** What a stream carries for the scheduler, which alone changes it. */
export interface ScheduledStream<S> {
  schedulerLevel: number
  schedulerBefore: S | undefined
  schedulerAfter: S | undefined
}

/** What a scheduler without streams reads of a level. Nobody writes into it. */
const NO_STREAMS: undefined[] = emptyLevels<undefined>(undefined)
const NO_BYTES: number[] = emptyLevels(0)

/** Ready streams in the order in which they are to write. Its lists are there while something is ready. */
export class WriteScheduler<S extends ScheduledStream<S>> {
  private heads: (S | undefined)[] = NO_STREAMS
  private tails: (S | undefined)[] = NO_STREAMS
  /** Whose turn it is in each level, and what is left of it. */
  private turns: (S | undefined)[] = NO_STREAMS
  private turnBytes = NO_BYTES
  private mask = 0

  /** Whether a stream is ready; with `data` false, one that the connection's flow control does not concern. */
  hasReady(data: boolean): boolean {
    return (this.mask & (data ? ALL_MASK : EXEMPT_MASK)) !== 0
  }

  /** Whether a stream is ready that the connection's flow control concerns. */
  get hasData(): boolean {
    return (this.mask & ~EXEMPT_MASK) !== 0
  }

  /** The headers stream, if it is ready. */
  get urgent(): S | undefined {
    return this.heads[LEVEL_URGENT]
  }

  /** The stream that is to write next, undefined if none is ready. */
  next(data: boolean): S | undefined {
    const mask = this.mask & (data ? ALL_MASK : EXEMPT_MASK)
    return mask === 0 ? undefined : this.heads[31 - Math.clz32(mask & -mask)]
  }

  /** Moves a stream to a level, or out with {@link NOT_SCHEDULED}. A stream in the middle of its turn goes first. */
  place(stream: S, level: number): void {
    if (stream.schedulerLevel === level) return
    this.remove(stream)
    if (level === NOT_SCHEDULED) return
    if (this.heads === NO_STREAMS) this.makeLists()
    if (this.turns[level] === stream && this.turnBytes[level]! > 0) this.pushFront(stream, level)
    else this.pushBack(stream, level)
  }

  /** Counts what the stream that {@link next} named has written; at the end of its turn it goes to the back. */
  onWritten(stream: S, bytes: number): void {
    const level = stream.schedulerLevel
    if (level < LEVEL_DATA) return
    if (this.turns[level] !== stream) {
      this.turns[level] = stream
      this.turnBytes[level] = WRITE_TURN
    }
    this.turnBytes[level]! -= bytes
    if (this.turnBytes[level]! > 0) return
    this.turns[level] = undefined
    if (stream.schedulerAfter === undefined) return
    this.remove(stream)
    this.pushBack(stream, level)
  }

  /** Takes a closed stream out for good. */
  forget(stream: S): void {
    this.remove(stream)
    for (let level = LEVEL_DATA; level < LEVELS; level++) {
      if (this.turns[level] === stream) this.turns[level] = undefined
    }
  }

  /** Frees the lists, and forgets whose turn it was, if nothing is ready. */
  releaseMemory(): void {
    if (this.mask !== 0) return
    this.heads = NO_STREAMS
    this.tails = NO_STREAMS
    this.turns = NO_STREAMS
    this.turnBytes = NO_BYTES
  }

  private makeLists(): void {
    this.heads = emptyLevels<S | undefined>(undefined)
    this.tails = emptyLevels<S | undefined>(undefined)
    this.turns = emptyLevels<S | undefined>(undefined)
    this.turnBytes = emptyLevels(0)
  }

  private remove(stream: S): void {
    const level = stream.schedulerLevel
    if (level === NOT_SCHEDULED) return
    const { schedulerBefore: before, schedulerAfter: after } = stream
    if (before === undefined) this.heads[level] = after
    else before.schedulerAfter = after
    if (after === undefined) this.tails[level] = before
    else after.schedulerBefore = before
    stream.schedulerBefore = undefined
    stream.schedulerAfter = undefined
    stream.schedulerLevel = NOT_SCHEDULED
    if (this.heads[level] === undefined) this.mask &= ~(1 << level)
  }

  private pushBack(stream: S, level: number): void {
    const tail = this.tails[level]
    stream.schedulerLevel = level
    stream.schedulerBefore = tail
    if (tail === undefined) this.heads[level] = stream
    else tail.schedulerAfter = stream
    this.tails[level] = stream
    this.mask |= 1 << level
  }

  private pushFront(stream: S, level: number): void {
    const head = this.heads[level]
    stream.schedulerLevel = level
    stream.schedulerAfter = head
    if (head === undefined) this.tails[level] = stream
    else head.schedulerBefore = stream
    this.heads[level] = stream
    this.mask |= 1 << level
  }
}

function emptyLevels<T>(value: T): T[] {
  return new Array<T>(LEVELS).fill(value)
}
