/**
 * What a sent packet remembers: not its bytes, but its retransmittable frames, each with what is needed to decide what
 * to do when it is acknowledged or lost.
 */
import type { EncryptionLevel } from '../types.js'

export const SentFrameKind = {
  /** Bytes of a stream, the headers stream included. */
  Stream: 0,
  /** Bytes of the crypto stream: retransmitted at the level they were first sent at. */
  Crypto: 1,
  RstStream: 2,
  WindowUpdate: 3,
  Blocked: 4,
  GoAway: 5,
  Ping: 6
} as const
export type SentFrameKind = (typeof SentFrameKind)[keyof typeof SentFrameKind]

/** One retransmittable frame of one sent packet. Frames of a packet form a list through `next`. Pooled: do not keep one. */
export class SentFrame {
  kind: SentFrameKind = SentFrameKind.Ping
  streamId = 0
  /** STREAM and CRYPTO: where the data begins. RST_STREAM: the final offset. WINDOW_UPDATE: the limit. */
  offset = 0
  length = 0
  fin = false
  /** RST_STREAM and GOAWAY. */
  errorCode = 0
  level: EncryptionLevel = 0
  next: SentFrame | null = null
}

/** A free list, so that frames cost no allocation in steady state. One pool a connection. */
export class SentFramePool {
  private free: SentFrame | null = null

  take(kind: SentFrameKind, streamId: number, level: EncryptionLevel): SentFrame {
    const frame = this.free ?? new SentFrame()
    this.free = frame.next
    frame.kind = kind
    frame.streamId = streamId
    frame.level = level
    frame.offset = 0
    frame.length = 0
    frame.fin = false
    frame.errorCode = 0
    frame.next = null
    return frame
  }

  /** Leaves the free frames to the garbage collector. */
  releaseMemory(): void {
    this.free = null
  }

  /** Gives a whole list back. */
  release(first: SentFrame | null): void {
    while (first !== null) {
      const next = first.next
      first.next = this.free
      this.free = first
      first = next
    }
  }
}

/**
 * Learns the fate of sent frames. One frame may be reported lost and later acknowledged (a spurious loss), and the
 * same data may be acknowledged twice (original and retransmission): listeners must take both in their stride.
 */
export interface FrameFateListener {
  onFrameAcked(frame: SentFrame): void
  /** The frame is to be sent again, if what it says still matters. */
  onFrameLost(frame: SentFrame): void
  /** Whether all frames of the list that begins here were reported lost and wait to be sent again. */
  isWaiting?(first: SentFrame): boolean
  /**
   * Undoes {@link onFrameLost} for a whole list, all of whose frames still wait: they count as under way again.
   * @returns false, with nothing changed, if one of them has been sent again, or cannot be taken back
   */
  takeBack?(first: SentFrame): boolean
}
