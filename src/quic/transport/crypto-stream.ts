/**
 * The crypto stream: handshake messages as an ordered byte stream, whose frames are retransmitted with the boundaries
 * and at the encryption level of their first sending (quic_crypto_stream.cc; quic_sent_packet_manager.cc retransmits
 * handshake data at its original level).
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { SentFrame } from '../recovery/sent-frame.js'
import type { EncryptionLevel } from '../types.js'
import type { StreamDataSource } from './packets/packet-sink.js'

/** What the peer may have outstanding on a stream before hellos are exchanged (quic_flow_controller, 16 KiB). */
export const DEFAULT_STREAM_WINDOW = 16 * 1024

/** A piece of the stream that travels as one frame. */
export interface CryptoChunk {
  offset: number
  length: number
  level: EncryptionLevel
}

interface Message {
  readonly offset: number
  readonly bytes: Uint8Array
  readonly level: EncryptionLevel
}

/** The sending half. */
export class CryptoSendStream implements StreamDataSource {
  private messages: Message[] = []
  private lost: CryptoChunk[] = []
  /** Chunks sent and not yet acknowledged, by offset: boundaries never change, so the offset names the chunk. */
  private readonly outstanding = new Map<number, CryptoChunk>()
  private writeOffset = 0
  private sendOffset = 0
  private limit = DEFAULT_STREAM_WINDOW

  /** Queues one message to be sent at `level`. */
  write(bytes: Uint8Array, level: EncryptionLevel): void {
    this.messages.push({ offset: this.writeOffset, bytes, level })
    this.writeOffset += bytes.length
  }

  /** Raises the peer's flow-control limit. */
  raiseLimit(limit: number): void {
    if (limit > this.limit) this.limit = limit
  }

  get hasPending(): boolean {
    return this.lost.length > 0 || (this.sendOffset < this.writeOffset && this.sendOffset < this.limit)
  }

  get hasOutstanding(): boolean {
    return this.outstanding.size > 0
  }

  /**
   * The next piece to send, at most `capacity(offset)` bytes of one message. Undefined if nothing is pending; a
   * length of 0 says that the packet at hand has no room for it.
   */
  next(capacity: (offset: number) => number): CryptoChunk | undefined {
    const again = this.lost[0]
    if (again !== undefined) {
      return capacity(again.offset) >= again.length ? again : { ...again, length: 0 }
    }
    const message = this.messages.find((m) => m.offset + m.bytes.length > this.sendOffset)
    if (message === undefined || this.sendOffset >= this.limit) return undefined
    const left = Math.min(message.offset + message.bytes.length, this.limit) - this.sendOffset
    const length = Math.max(0, Math.min(left, capacity(this.sendOffset)))
    return { offset: this.sendOffset, length, level: message.level }
  }

  /** The level at which {@link next} has to be sent; undefined if nothing is pending. */
  get nextLevel(): EncryptionLevel | undefined {
    if (this.lost.length > 0) return this.lost[0]!.level
    if (!this.hasPending) return undefined
    return this.messages.find((m) => m.offset + m.bytes.length > this.sendOffset)!.level
  }

  /** Notes that a chunk from {@link next} went into a packet. */
  onSent(chunk: CryptoChunk): void {
    if (this.lost[0] === chunk) this.lost.shift()
    else this.sendOffset = chunk.offset + chunk.length
    this.outstanding.set(chunk.offset, chunk)
  }

  onAcked(frame: SentFrame): void {
    this.outstanding.delete(frame.offset)
    this.lost = this.lost.filter((chunk) => chunk.offset !== frame.offset)
    if (!this.hasOutstanding && this.lost.length === 0 && this.sendOffset === this.writeOffset) this.messages = []
  }

  onLost(frame: SentFrame): void {
    const chunk = this.outstanding.get(frame.offset)
    if (chunk === undefined || this.lost.includes(chunk)) return
    this.requeue([chunk])
  }

  /** Everything unacknowledged is to be sent again: the peer never saw it (version negotiation). */
  retransmitAll(): void {
    this.requeue([...this.outstanding.values()].filter((chunk) => !this.lost.includes(chunk)))
  }

  /** Forgets what was sent at `level`: the handshake has moved on. */
  abandon(level: EncryptionLevel): void {
    for (const [offset, chunk] of this.outstanding) if (chunk.level === level) this.outstanding.delete(offset)
    this.lost = this.lost.filter((chunk) => chunk.level !== level)
  }

  private requeue(chunks: CryptoChunk[]): void {
    this.lost = [...this.lost, ...chunks].sort((a, b) => a.offset - b.offset)
  }

  copyTo(target: Uint8Array, at: number, offset: number, length: number): void {
    let copied = 0
    for (const message of this.messages) {
      const from = offset + copied - message.offset
      if (from < 0 || from >= message.bytes.length) continue
      const piece = message.bytes.subarray(from, Math.min(message.bytes.length, from + length - copied))
      target.set(piece, at + copied)
      copied += piece.length
      if (copied === length) return
    }
    if (copied < length) throw new QuicError(QuicErrorCode.INTERNAL_ERROR, 'crypto data to send is no longer held')
  }
}
