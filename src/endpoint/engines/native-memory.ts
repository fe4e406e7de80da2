/**
 * The memory through which all native sockets of a thread receive and send. It is in use only while a handler or a turn
 * runs, and those never overlap, so thousands of sockets need no more of it than one.
 */
import type { PacketBatch } from '../../quic/crypto/protection.js'
import type { Micros, PeerAddress } from '../../quic/types.js'
import { TRANSMIT_BUFFER_SIZE } from '../../quic/transport/transmit.js'
import { ADDRESS_WORDS, MAX_TRANSMITS, MESSAGE_WORDS, MIN_SLOT, TRANSMIT_WORDS } from './native-addon.js'
import type { NativeSealer } from './native-aead.js'
import { SealingList } from './native-sealings.js'

/** The most messages that are received in one call. */
export const RECEIVE_SLOTS = 32
// A bit more than needed: slots that all begin at the same place of a cache would throw each other out.
export const RECEIVE_SLOT = MIN_SLOT + 1344
/** With so much gathered, bytes, it is sent before the turn ends: more would leave the processor's cache meanwhile. */
const GATHER_LIMIT = 128 * 1024

/** Where messages are received to. */
export class ReceivePool {
  readonly bytes = new Uint8Array(RECEIVE_SLOTS * RECEIVE_SLOT)
  readonly messages = new Int32Array(RECEIVE_SLOTS * MESSAGE_WORDS)
  /** The last view of each datagram of each slot: what is received is much alike from one time to the next. */
  private readonly views: Uint8Array[][] = Array.from({ length: RECEIVE_SLOTS }, () => [])

  /** The `n`th datagram of a slot: `length` bytes at `offset` of the slot. */
  view(slot: number, n: number, offset: number, length: number): Uint8Array {
    const views = this.views[slot]!
    const start = slot * RECEIVE_SLOT + offset
    const last = views[n]
    if (last !== undefined && last.length === length && last.byteOffset === start) return last
    return (views[n] = this.bytes.subarray(start, start + length))
  }
}

/** Transmits on their way to one call: where they stand in a buffer, and whom they are for. */
export class TransmitList {
  readonly words: Int32Array
  readonly peers: PeerAddress[] = []
  count = 0
  /** Together, bytes. */
  length = 0

  constructor(capacity: number) {
    this.words = new Int32Array(capacity * TRANSMIT_WORDS)
  }

  /** @param delay in how many µs they are due */
  add(to: PeerAddress, record: Int32Array, start: number, length: number, segmentSize: number, delay: Micros): void {
    const { words } = this
    const at = this.count * TRANSMIT_WORDS
    words[at] = start
    words[at + 1] = start + length
    words[at + 2] = segmentSize
    for (let i = 0; i < ADDRESS_WORDS; i++) words[at + 3 + i] = record[i]!
    words[at + 3 + ADDRESS_WORDS] = delay
    this.peers[this.count++] = to
    this.length += length
  }

  clear(): void {
    this.count = 0
    this.length = 0
  }

  /** What has not been sent of the transmits from the `first` on, with the bytes that it needs. */
  rest(bytes: Uint8Array, first: number): PendingTransmits {
    const list = new TransmitList(Math.max(this.count - first, 1))
    const parts: Uint8Array[] = []
    for (let i = first; i < this.count; i++) {
      const at = i * TRANSMIT_WORDS
      const part = bytes.subarray(this.words[at], this.words[at + 1])
      const record = this.words.subarray(at + 3, at + TRANSMIT_WORDS)
      // By the time that there is room for it, it is due.
      list.add(this.peers[i]!, record, list.length, part.length, this.words[at + 2]!, 0)
      parts.push(part)
    }
    return { list, bytes: new Uint8Array(Buffer.concat(parts)) }
  }
}

/** Transmits that wait for room, with memory of their own. */
export interface PendingTransmits {
  readonly list: TransmitList
  readonly bytes: Uint8Array
}

/**
 * Buffers for the transmits that a turn gathers. Packets in them may wait to be sealed, and only {@link list} as a whole
 * may then be sent. Whatever else happens to a buffer whose packets wait, it is sealed or wiped before.
 */
export class SendArena {
  readonly bytes = new Uint8Array(MAX_TRANSMITS * TRANSMIT_BUFFER_SIZE)
  readonly list = new TransmitList(MAX_TRANSMITS)
  /** What is to be sealed before the list is sent. */
  readonly sealings = new SealingList()
  /** Sends what is gathered; whoever gathers. */
  private gatherer: { flush(): boolean } | undefined
  private readonly buffers = Array.from({ length: MAX_TRANSMITS }, (_, i) =>
    this.bytes.subarray(i * TRANSMIT_BUFFER_SIZE, (i + 1) * TRANSMIT_BUFFER_SIZE)
  )

  /** The next buffer, for `gatherer`. What another one has gathered is sent first. */
  acquire(gatherer: { flush(): boolean }): Uint8Array {
    if (this.gatherer !== gatherer) {
      this.settle()
      this.gatherer = gatherer
    }
    this.sealNoted()
    return this.buffers[this.list.count]!
  }

  /** Whether it is the buffer that {@link acquire} gave to this gatherer last. */
  isCurrent(gatherer: { flush(): boolean }, buffer: Uint8Array): boolean {
    return this.gatherer === gatherer && buffer === this.buffers[this.list.count]
  }

  /** What this gatherer has gathered; undefined if there is nothing. */
  gatheredBy(gatherer: { flush(): boolean }): TransmitList | undefined {
    return this.gatherer === gatherer && this.list.count > 0 ? this.list : undefined
  }

  /** Notes that a batch, which fills the current buffer, is to be sealed once it is sent. */
  note(sealer: NativeSealer, batch: PacketBatch): void {
    const { sealings } = this
    // Somebody wrote the buffer anew instead of sending it: of what stood there nothing may be left.
    if (sealings.noted) batch.buffer.fill(0, batch.payloadEnd[batch.count - 1]! + sealer.suffixLength)
    sealings.note(sealer.key, sealer.keyId, batch, this.list.count * TRANSMIT_BUFFER_SIZE)
  }

  /** Sends what is gathered, and seals what is not: nothing in the arena waits any more. */
  settle(): void {
    this.sealNoted()
    if (this.list.count > 0) this.gatherer!.flush()
  }

  /** Seals what is noted of the current buffer here and now: it takes another way than through the list, or none. */
  private sealNoted(): void {
    this.sealings.sealNoted(this.bytes)
  }

  /** The list is sent. */
  clear(): void {
    this.sealNoted()
    this.list.clear()
    this.sealings.clear()
  }

  /** The list will not be sent. */
  drop(): void {
    this.bytes.fill(0, 0, this.list.count * TRANSMIT_BUFFER_SIZE)
    this.clear()
  }

  /** Takes what was written to the current buffer. @returns whether it is time to send */
  take(to: PeerAddress, record: Int32Array, length: number, segmentSize: number, delay: Micros): boolean {
    this.sealings.takeNoted()
    this.list.add(to, record, this.list.count * TRANSMIT_BUFFER_SIZE, length, segmentSize, delay)
    return this.list.count === MAX_TRANSMITS || this.list.length >= GATHER_LIMIT
  }
}
