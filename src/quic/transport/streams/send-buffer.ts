/**
 * What a stream has to send and what it may have to send again: the application's chunks under absolute offsets, held
 * until they are acknowledged.
 */
import { copyBytes } from '../../wire/bytes.js'
import type { StreamDataSource } from '../packets/packet-sink.js'
import { OffsetRanges } from './offset-ranges.js'

/** Writes up to this many bytes are gathered into shared chunks, so that many of them do not cost a chunk each. */
const SMALL_WRITE = 1024
const GATHERED_CHUNK = 4096
/** Freed chunks are cut off the front of the list once there are this many of them. */
const COMPACT_AT = 64

/** The sending side's bytes of one stream. */
export class SendBuffer implements StreamDataSource {
  private chunks: Uint8Array[] = []
  private starts: number[] = []
  /** Index of the first chunk that is still held. */
  private first = 0
  /** Chunk that the last copy ended in: new data is sent in order, so the next copy mostly begins there. */
  private cursor = 0
  private readonly acked = new OffsetRanges()
  private written = 0
  private sent = 0
  /** Length in use of the last chunk if that is a gathered one, else -1. */
  private gathered = -1
  private dropped = false

  /** Bytes written by the application so far. */
  get writtenOffset(): number {
    return this.written
  }

  /** Bytes sent at least once. */
  get sentOffset(): number {
    return this.sent
  }

  /** Bytes written and never sent. */
  get unsentBytes(): number {
    return this.written - this.sent
  }

  /** Bytes of memory still referenced for retransmission or first sending. */
  get heldBytes(): number {
    return this.first < this.chunks.length ? this.written - this.starts[this.first] : 0
  }

  /** Where the first chunk that is still referenced begins; the end of what was written if there is none. */
  get releasedOffset(): number {
    return this.first < this.chunks.length ? this.starts[this.first] : this.written
  }

  /** Whether every byte ever sent is acknowledged, or no longer wanted. */
  get allAcked(): boolean {
    return this.dropped || this.acked.prefixEnd >= this.sent
  }

  /** Whether {@link drop} was called. */
  get isDropped(): boolean {
    return this.dropped
  }

  /** Appends data and keeps a reference to it. Small writes in a row are copied together. */
  append(data: Uint8Array): void {
    if (this.dropped || data.length === 0) return
    if (data.length <= SMALL_WRITE && this.gather(data)) return
    this.push(data)
    this.gathered = -1
    this.written += data.length
  }

  private gather(data: Uint8Array): boolean {
    const last = this.chunks.length - 1
    if (last < this.first) return false
    const tail = this.chunks[last]
    if (this.gathered >= 0 && this.gathered + data.length <= tail.length) {
      tail.set(data, this.gathered)
      this.gathered += data.length
    } else if (this.gathered >= 0 || tail.length <= SMALL_WRITE) {
      // A gathered chunk that is full to its end keeps its unused rest out of sight by where the next one starts.
      const chunk = new Uint8Array(GATHERED_CHUNK)
      chunk.set(data)
      this.push(chunk)
      this.gathered = data.length
    } else {
      return false
    }
    this.written += data.length
    return true
  }

  private push(chunk: Uint8Array): void {
    this.chunks.push(chunk)
    this.starts.push(this.written)
  }

  /** Notes that the next `length` unsent bytes went out. */
  markSent(length: number): void {
    this.sent += length
  }

  /** Notes that `[offset, offset + length)` arrived, and frees what the acknowledged prefix covers. */
  onAcked(offset: number, length: number): void {
    if (this.dropped) return
    this.acked.add(offset, offset + length)
    const prefix = this.acked.prefixEnd
    while (this.first < this.chunks.length && this.chunkEnd(this.first) <= prefix) {
      this.chunks[this.first] = EMPTY
      this.first++
    }
    if (this.first === this.chunks.length) {
      this.chunks.length = 0
      this.starts.length = 0
      this.first = 0
      this.cursor = 0
      this.gathered = -1
    } else if (this.first >= COMPACT_AT && this.first * 2 >= this.chunks.length) {
      this.chunks.splice(0, this.first)
      this.starts.splice(0, this.first)
      this.cursor = Math.max(0, this.cursor - this.first)
      this.first = 0
    }
  }

  /** Whether a frame with these bytes has to be sent again when it is lost. */
  needs(offset: number, length: number): boolean {
    return !this.dropped && !this.acked.covers(offset, offset + length)
  }

  /** Forgets all bytes, sent or not: the stream is reset, or the peer wants no more. Offsets stay as they are. */
  drop(): void {
    this.dropped = true
    this.chunks = []
    this.starts = []
    this.first = 0
    this.cursor = 0
    this.gathered = -1
    this.written = this.sent
    this.acked.clear()
  }

  /** Copies bytes that were written and are not yet acknowledged as part of the prefix. */
  copyTo(target: Uint8Array, at: number, offset: number, length: number): void {
    let index = this.find(offset)
    let from = offset - this.starts[index]
    while (length > 0) {
      const chunk = this.chunks[index]
      const available = this.chunkEnd(index) - this.starts[index] - from
      const size = available < length ? available : length
      copyBytes(target, at, chunk, from, from + size)
      at += size
      length -= size
      this.cursor = index
      index++
      from = 0
    }
  }

  /** Index of the chunk that holds the byte at `offset`. */
  private find(offset: number): number {
    for (let near = this.cursor; near <= this.cursor + 1 && near < this.chunks.length; near++) {
      if (near >= this.first && this.starts[near] <= offset && offset < this.chunkEnd(near)) return near
    }
    let low = this.first
    let high = this.chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.starts[middle] <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  private chunkEnd(index: number): number {
    return index + 1 < this.starts.length ? this.starts[index + 1] : this.written
  }
}

const EMPTY = new Uint8Array(0)
