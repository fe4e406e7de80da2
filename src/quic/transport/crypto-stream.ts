/**
 * Handshake messages as an ordered byte stream, whose frames are retransmitted with the boundaries and at the
 * encryption level of their first sending (quic_crypto_stream.cc; quic_sent_packet_manager.cc retransmits handshake
 * data at its original level). Through Q046 it is one stream; from Q050 on each level has offsets of its own.
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { SentFrame } from '../recovery/sent-frame.js'
import { EncryptionLevel } from '../types.js'
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
  sent: number
}

const OFFSET_SPACE = 2 ** 40

/** The sending half, and the source of the bytes that it has somebody send. */
export class CryptoSendStream implements StreamDataSource {
  private messages: Message[] = []
  private lost: CryptoChunk[] = []
  /** Chunks sent and not yet acknowledged. Boundaries never change, so level and offset name the chunk. */
  private outstanding: readonly CryptoChunk[] = []
  private readonly writeOffsets = [0, 0, 0]
  private limit = DEFAULT_STREAM_WINDOW
  private sourceLevel: EncryptionLevel = EncryptionLevel.None

  /** @param perLevel whether every level has offsets of its own, and no flow control */
  constructor(private perLevel: boolean) {}

  /** Queues one message to be sent at `level`. */
  write(bytes: Uint8Array, level: EncryptionLevel): void {
    const space = this.perLevel ? level : EncryptionLevel.None
    this.messages.push({ offset: this.writeOffsets[space]!, bytes, level, sent: 0 })
    this.writeOffsets[space]! += bytes.length
  }

  /** Goes on in a version with the other kind of offsets. Before the first answer all is at one level, from 0 on. */
  setPerLevel(perLevel: boolean): void {
    this.perLevel = perLevel
  }

  /** Raises the peer's flow-control limit. */
  raiseLimit(limit: number): void {
    if (limit > this.limit) this.limit = limit
  }

  get hasPending(): boolean {
    return this.lost.length > 0 || this.nextMessage() !== undefined
  }

  get hasOutstanding(): boolean {
    return this.outstanding.length > 0
  }

  private nextMessage(): Message | undefined {
    // Asked for every packet: no closure, and nothing to go through once all is sent.
    for (const message of this.messages) {
      if (message.sent < message.bytes.length) return this.sendable(message) > 0 ? message : undefined
    }
    return undefined
  }

  private sendable(message: Message): number {
    const left = message.bytes.length - message.sent
    return this.perLevel ? left : Math.min(left, this.limit - message.offset - message.sent)
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
    const message = this.nextMessage()
    if (message === undefined) return undefined
    const offset = message.offset + message.sent
    const length = Math.max(0, Math.min(this.sendable(message), capacity(offset)))
    return { offset, length, level: message.level }
  }

  /** Bytes of the longest piece that is to be sent again or has not been acknowledged. */
  get longestChunk(): number {
    let longest = 0
    for (const { length } of this.outstanding) longest = Math.max(longest, length)
    for (const { length } of this.lost) longest = Math.max(longest, length)
    return longest
  }

  /**
   * Cuts the first piece that is to be sent again in two: no packet is as large any more as it would need.
   * @returns false if there is none, or it is no longer than `length`
   */
  cutFirst(length: number): boolean {
    const chunk = this.lost[0]
    if (chunk === undefined || length <= 0 || length >= chunk.length) return false
    const rest = { ...chunk, offset: chunk.offset + length, length: chunk.length - length }
    this.lost.splice(0, 1, { ...chunk, length }, rest)
    return true
  }

  /** The level at which {@link next} has to be sent; undefined if nothing is pending. */
  get nextLevel(): EncryptionLevel | undefined {
    return (this.lost[0] ?? this.nextMessage())?.level
  }

  /** Notes that a chunk from {@link next} went into a packet. */
  onSent(chunk: CryptoChunk): void {
    if (this.lost[0] === chunk) this.lost.shift()
    else this.nextMessage()!.sent += chunk.length
    this.forget(this.key(chunk))
    this.outstanding = [...this.outstanding, chunk]
  }

  onAcked(frame: SentFrame): void {
    const key = this.key(frame)
    this.forget(key)
    this.lost = this.lost.filter((chunk) => this.key(chunk) !== key)
    const done = !this.hasOutstanding && this.lost.length === 0
    if (done) this.messages = this.messages.filter((message) => message.sent < message.bytes.length)
  }

  onLost(frame: SentFrame): void {
    const key = this.key(frame)
    const chunk = this.outstanding.find((candidate) => this.key(candidate) === key)
    if (chunk === undefined || this.lost.includes(chunk)) return
    this.requeue([chunk])
  }

  /** Everything unacknowledged is to be sent again: the peer never saw it (version negotiation). */
  retransmitAll(): void {
    this.requeue(this.outstanding.filter((chunk) => !this.lost.includes(chunk)))
  }

  /** Forgets what was sent at `level`: the handshake has moved on. */
  abandon(level: EncryptionLevel): void {
    this.outstanding = this.outstanding.filter((chunk) => chunk.level !== level)
    this.lost = this.lost.filter((chunk) => chunk.level !== level)
  }

  private forget(key: number): void {
    if (this.hasOutstanding) this.outstanding = this.outstanding.filter((chunk) => this.key(chunk) !== key)
  }

  private requeue(chunks: CryptoChunk[]): void {
    this.lost = [...this.lost, ...chunks].sort((a, b) => this.key(a) - this.key(b))
  }

  private key(chunk: { readonly offset: number; readonly level: EncryptionLevel }): number {
    return this.perLevel ? chunk.level * OFFSET_SPACE + chunk.offset : chunk.offset
  }

  /** The bytes that chunks of `level` are copied from; to be used before the next call. */
  source(level: EncryptionLevel): StreamDataSource {
    this.sourceLevel = level
    return this
  }

  /** Copies bytes of the level that {@link source} was asked for. */
  copyTo(target: Uint8Array, at: number, offset: number, length: number): void {
    let copied = 0
    for (const message of this.messages) {
      if (this.perLevel && message.level !== this.sourceLevel) continue
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
