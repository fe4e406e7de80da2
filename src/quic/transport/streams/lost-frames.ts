/**
 * Stream frames that were lost and wait to be sent again, with the boundaries they had: a peer through Q041 closes the
 * connection over data that partly overlaps other data (quic_stream_sequencer_buffer.cc).
 */

/** A frame to repeat. Pooled by {@link LostFrameQueue}: valid until it is taken out. */
export class LostFrame {
  streamId = 0
  offset = 0
  length = 0
  fin = false
  next: LostFrame | undefined
}

/** First in, first out; entries are reused. */
export class LostFrameQueue {
  private head: LostFrame | undefined
  private tail: LostFrame | undefined
  private free: LostFrame | undefined

  push(streamId: number, offset: number, length: number, fin: boolean): void {
    const frame = this.free ?? new LostFrame()
    this.free = frame.next
    frame.streamId = streamId
    frame.offset = offset
    frame.length = length
    frame.fin = fin
    frame.next = undefined
    if (this.tail === undefined) this.head = frame
    else this.tail.next = frame
    this.tail = frame
  }

  /** The frame that waits longest. */
  get first(): LostFrame | undefined {
    return this.head
  }

  /** Whether the frame that begins here waits. */
  holds(streamId: number, offset: number): boolean {
    for (let frame = this.head; frame !== undefined; frame = frame.next) {
      if (frame.streamId === streamId && frame.offset === offset) return true
    }
    return false
  }

  /** Takes out the frame that begins here; the others keep their places. */
  remove(streamId: number, offset: number): void {
    let previous: LostFrame | undefined
    for (let frame = this.head; frame !== undefined; previous = frame, frame = frame.next) {
      if (frame.streamId !== streamId || frame.offset !== offset) continue
      if (previous === undefined) {
        this.shift()
        return
      }
      previous.next = frame.next
      if (this.tail === frame) this.tail = previous
      frame.next = this.free
      this.free = frame
      return
    }
  }

  /** The first bytes of {@link first} went on their own: no packet is as large any more as the whole would need. */
  cutFirst(length: number): void {
    this.head!.offset += length
    this.head!.length -= length
  }

  /** Takes {@link first} out. */
  shift(): void {
    const frame = this.head
    if (frame === undefined) return
    this.head = frame.next
    if (this.head === undefined) this.tail = undefined
    frame.next = this.free
    this.free = frame
  }

  /** Leaves the free frames to the garbage collector. */
  releaseMemory(): void {
    this.free = undefined
  }

  clear(): void {
    this.head = undefined
    this.tail = undefined
  }
}
