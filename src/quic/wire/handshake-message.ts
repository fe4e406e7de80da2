/**
 * Handshake messages: a tag and a map from tags to byte strings, in one canonical form (crypto_framer.cc,
 * crypto_handshake_message.cc).
 *
 *     tag(4) | entries u16 | 0x0000 | entries × { tag(4), end offset u32 } | values one behind the other
 *
 * Entries ascend by the tag's number; an end offset counts from where the values begin. Everything is little-endian in
 * every version. Both sides hash the canonical form, so this one class writes it for everybody.
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import { describeMessage } from './handshake-describe.js'
import { ENTRY_SIZE, HEADER_SIZE, MAX_HANDSHAKE_ENTRIES } from './handshake-layout.js'
import { messageSize, readUint32, writeUint32 } from './handshake-layout.js'
import { Tag, tagName, tagOf } from './tags.js'

/** The largest message, in bytes, that a {@link HandshakeMessageReader} takes unless told otherwise. */
export const MAX_HANDSHAKE_MESSAGE_SIZE = 16 * 1024

/** Client hellos shorter than this, padding included, are an error (kClientHelloMinimumSize). */
export const MIN_CLIENT_HELLO_SIZE = 1024

const PAD_BYTE = 0x2d
const FIRST_BUFFER_SIZE = 2048
const nothing = new Uint8Array(0)

/** One handshake message. Values that it hands out are its own: do not modify them. */
export class HandshakeMessage {
  /** What the message is, a {@link MessageTag}. */
  readonly tag: number
  /** All values; of a message that was parsed, those that somebody has asked for. */
  private readonly values = new Map<number, Uint8Array>()
  /** What was parsed, as long as nothing has been changed: a hello has two dozen values, and most are never asked for. */
  private raw: Uint8Array | undefined
  /** Bytes of all {@link values} together. */
  private total = 0
  private minimum = 0
  private serialized: Uint8Array | undefined

  /** @param tag a number, or the tag's text such as `CHLO` */
  constructor(tag: number | string) {
    this.tag = typeof tag === 'string' ? tagOf(tag) : tag
  }

  /**
   * Parses bytes that hold exactly one message. The values are views of `bytes`.
   *
   * @throws QuicError CRYPTO_TOO_MANY_ENTRIES, CRYPTO_DUPLICATE_TAG, CRYPTO_TAGS_OUT_OF_ORDER, and
   *   INVALID_CRYPTO_MESSAGE_PARAMETER if the message ends early or something follows it
   */
  static parse(bytes: Uint8Array): HandshakeMessage {
    const size = messageSize(bytes, 0, bytes.length)
    if (!size.complete || size.bytes !== bytes.length) {
      throw new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, 'not exactly one handshake message')
    }
    return HandshakeMessage.fromChecked(bytes)
  }

  /** @internal `bytes` has passed {@link messageSize}, and is the message's own. */
  static fromChecked(bytes: Uint8Array): HandshakeMessage {
    const message = new HandshakeMessage(readUint32(bytes, 0))
    message.raw = bytes
    // The layout leaves a sender no freedom but the reserved bytes, so the raw form is the canonical one if they are 0.
    if (bytes[6] === 0 && bytes[7] === 0) message.serialized = bytes
    return message
  }

  /** Takes all values out of {@link raw}, which is not to be looked at any more. */
  private unfold(): Map<number, Uint8Array> {
    const { raw, values } = this
    if (raw === undefined) return values
    const entries = raw[4]! | (raw[5]! << 8)
    for (let i = 0, at = HEADER_SIZE; i < entries; i++, at += ENTRY_SIZE) this.valueAt(raw, readUint32(raw, at), at)
    this.raw = undefined
    return values
  }

  private put(tag: number, value: Uint8Array): void {
    this.values.set(tag, value)
    this.total += value.length
  }

  private remove(tag: number): boolean {
    const value = this.values.get(tag)
    if (value === undefined) return false
    this.total -= value.length
    return this.values.delete(tag)
  }

  /** The value of the entry at `at`: the same object each time. */
  private valueAt(raw: Uint8Array, tag: number, at: number): Uint8Array {
    let value = this.values.get(tag)
    if (value === undefined) {
      const base = HEADER_SIZE + (raw[4]! | (raw[5]! << 8)) * ENTRY_SIZE
      value = raw.subarray(base + (at === HEADER_SIZE ? 0 : readUint32(raw, at - 4)), base + readUint32(raw, at + 4))
      this.put(tag, value)
    }
    return value
  }

  /** The size, in bytes, to which {@link serialize} pads the message; 0 for no padding. */
  get minimumSize(): number {
    return this.minimum
  }

  set minimumSize(bytes: number) {
    if (bytes === this.minimum) return
    this.minimum = bytes
    this.serialized = undefined
  }

  /** The serialised size in bytes without padding that is still to be added. */
  get size(): number {
    if (this.raw !== undefined) return this.raw.length
    return HEADER_SIZE + this.values.size * ENTRY_SIZE + this.total
  }

  /** The tags of the values in wire order. */
  get tags(): number[] {
    const tags: number[] = []
    for (const tag of this.unfold().keys()) {
      let at = tags.length
      for (; at > 0 && tags[at - 1]! > tag; at--) tags[at] = tags[at - 1]!
      tags[at] = tag
    }
    return tags
  }

  /** Sets a value (kept by reference). */
  set(tag: number, value: Uint8Array): this {
    this.unfold()
    this.remove(tag)
    this.put(tag, value)
    this.serialized = undefined
    return this
  }

  /** Sets all values that another message has (kept by reference). */
  setAll(other: HandshakeMessage): this {
    for (const [tag, value] of other.unfold()) this.set(tag, value)
    return this
  }

  /** Sets a value to the bytes of a text, one byte a character. */
  setText(tag: number, text: string): this {
    return this.set(tag, Buffer.from(text, 'latin1'))
  }

  setUint32(tag: number, value: number): this {
    const bytes = new Uint8Array(4)
    writeUint32(bytes, 0, value)
    return this.set(tag, bytes)
  }

  /** Sets an unsigned integer of 8 bytes; `value` is below 2^53. */
  setUint64(tag: number, value: number): this {
    const high = Math.floor(value / 0x1_0000_0000)
    return this.setUint32List(tag, [value % 0x1_0000_0000, high])
  }

  /** Sets a list of 4-byte numbers, which is also how a list of tags is written. */
  setUint32List(tag: number, list: readonly number[]): this {
    const value = new Uint8Array(list.length * 4)
    for (let i = 0; i < list.length; i++) writeUint32(value, i * 4, list[i]!)
    return this.set(tag, value)
  }

  /** Sets a list of byte strings, each behind its length in 24 bits. */
  setLength24List(tag: number, list: readonly Uint8Array[]): this {
    const value = new Uint8Array(list.reduce((sum, item) => sum + 3 + item.length, 0))
    let at = 0
    for (const item of list) {
      value[at] = item.length
      value[at + 1] = item.length >>> 8
      value[at + 2] = item.length >>> 16
      value.set(item, at + 3)
      at += 3 + item.length
    }
    return this.set(tag, value)
  }

  /** A copy that lacks some values, without padding. */
  without(...tags: readonly number[]): HandshakeMessage {
    const copy = new HandshakeMessage(this.tag)
    for (const [tag, value] of this.unfold()) if (!tags.includes(tag)) copy.put(tag, value)
    return copy
  }

  delete(tag: number): void {
    this.unfold()
    if (this.remove(tag)) this.serialized = undefined
  }

  has(tag: number): boolean {
    return this.raw === undefined ? this.values.has(tag) : findEntry(this.raw, tag) > 0
  }

  get(tag: number): Uint8Array | undefined {
    const { raw } = this
    if (raw === undefined) return this.values.get(tag)
    const at = findEntry(raw, tag)
    return at > 0 ? this.valueAt(raw, tag, at) : undefined
  }

  /** @throws QuicError CRYPTO_MESSAGE_PARAMETER_NOT_FOUND */
  require(tag: number): Uint8Array {
    const value = this.get(tag)
    if (value === undefined) {
      throw new QuicError(QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, `Missing ${tagName(tag)}`)
    }
    return value
  }

  /** A value as text, one character a byte; undefined if absent. */
  text(tag: number): string | undefined {
    const value = this.get(tag)
    return value && Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')
  }

  /** A 4-byte number; undefined if absent. @throws QuicError INVALID_CRYPTO_MESSAGE_PARAMETER if of another size */
  uint32(tag: number): number | undefined {
    const value = this.get(tag)
    if (value === undefined) return undefined
    if (value.length !== 4) throw badValue(tag)
    return readUint32(value, 0)
  }

  /**
   * An 8-byte number; undefined if absent. Above 2^53 it is rounded, which for the times it is used for does no harm.
   *
   * @throws QuicError INVALID_CRYPTO_MESSAGE_PARAMETER if of another size
   */
  uint64(tag: number): number | undefined {
    const value = this.get(tag)
    if (value === undefined) return undefined
    if (value.length !== 8) throw badValue(tag)
    return readUint32(value, 0) + readUint32(value, 4) * 0x1_0000_0000
  }

  /**
   * A list of tags or of 4-byte numbers; undefined if absent.
   *
   * @throws QuicError INVALID_CRYPTO_MESSAGE_PARAMETER if its size is not a multiple of four
   */
  uint32List(tag: number): number[] | undefined {
    const value = this.get(tag)
    if (value === undefined) return undefined
    if (value.length % 4 !== 0) throw badValue(tag)
    const list: number[] = []
    for (let at = 0; at < value.length; at += 4) list.push(readUint32(value, at))
    return list
  }

  /**
   * A list of byte strings, each behind its length in 24 bits, as views; undefined if absent.
   *
   * @throws QuicError INVALID_CRYPTO_MESSAGE_PARAMETER if the lengths do not add up
   */
  length24List(tag: number): Uint8Array[] | undefined {
    const value = this.get(tag)
    if (value === undefined) return undefined
    const list: Uint8Array[] = []
    for (let at = 0; at < value.length; ) {
      if (value.length - at < 3) throw badValue(tag)
      const end = at + 3 + (value[at]! | (value[at + 1]! << 8) | (value[at + 2]! << 16))
      if (end > value.length) throw badValue(tag)
      list.push(value.subarray(at + 3, end))
      at = end
    }
    return list
  }

  /**
   * The canonical bytes: entries sorted, reserved bytes zero, PAD added if the message is below {@link minimumSize}.
   * Of a parsed message these are the bytes as received wherever those are canonical. Do not modify them.
   *
   * @throws Error if more than {@link MAX_HANDSHAKE_ENTRIES} values were set, or padding is needed beside a PAD
   */
  serialize(): Uint8Array {
    if (this.serialized !== undefined) return this.serialized
    const missing = this.minimum - this.size
    this.unfold()
    if (missing > 0) {
      if (this.values.has(Tag.PAD)) throw new Error('a message with a PAD of its own cannot be padded')
      this.put(Tag.PAD, new Uint8Array(Math.max(0, missing - ENTRY_SIZE)).fill(PAD_BYTE))
    }
    this.serialized = this.write()
    if (missing > 0) this.remove(Tag.PAD)
    return this.serialized
  }

  private write(): Uint8Array {
    const tags = this.tags
    if (tags.length > MAX_HANDSHAKE_ENTRIES) throw new Error(`${tags.length} values in one handshake message`)
    const out = new Uint8Array(this.size)
    writeUint32(out, 0, this.tag)
    out[4] = tags.length
    let at = HEADER_SIZE
    const base = HEADER_SIZE + tags.length * ENTRY_SIZE
    let end = base
    for (const tag of tags) {
      const value = this.values.get(tag)!
      out.set(value, end)
      end += value.length
      writeUint32(out, at, tag)
      writeUint32(out, at + 4, end - base)
      at += ENTRY_SIZE
    }
    return out
  }

  /** The message for people, on several lines: tags by name, values in the form their tag suggests. */
  describe(): string {
    return describeMessage(this, HandshakeMessage.parse)
  }
}

/**
 * Cuts a stream of bytes into messages. After it has thrown it must not be used again: the stream is broken.
 */
export class HandshakeMessageReader {
  private buffer: Uint8Array = nothing
  private begin = 0
  private end = 0
  /** The buffer is what {@link push} was given, and not for the reader to write to. */
  private shared = false
  /** Bytes that must be there before looking again makes sense. */
  private needed = HEADER_SIZE

  /** @param limit the largest message in bytes that is taken; bounds what a peer can make us hold */
  constructor(private readonly limit = MAX_HANDSHAKE_MESSAGE_SIZE) {}

  /** Bytes received that do not make a whole message yet. */
  get buffered(): number {
    return this.end - this.begin
  }

  /** Takes the stream's next bytes, which nobody may write to any more: messages are views of them where they can be. */
  push(bytes: Uint8Array): void {
    if (this.end === 0) {
      this.buffer = bytes
      this.end = bytes.length
      this.shared = true
      return
    }
    if (this.shared || this.end + bytes.length > this.buffer.length) {
      const held = this.buffered
      const target =
        this.shared || held + bytes.length > this.buffer.length
          ? new Uint8Array(Math.max(held + bytes.length, this.buffer.length * 2, FIRST_BUFFER_SIZE))
          : this.buffer
      target.set(this.buffer.subarray(this.begin, this.end))
      this.buffer = target
      this.shared = false
      this.begin = 0
      this.end = held
    }
    this.buffer.set(bytes, this.end)
    this.end += bytes.length
  }

  /**
   * The next whole message, undefined if there is none. Nobody else writes to its bytes.
   *
   * @throws QuicError CRYPTO_TOO_MANY_ENTRIES, CRYPTO_DUPLICATE_TAG, CRYPTO_TAGS_OUT_OF_ORDER, and
   *   CRYPTO_INVALID_VALUE_LENGTH for a message above the limit; each as soon as the bytes that prove it are there
   */
  next(): HandshakeMessage | undefined {
    if (this.buffered < this.needed) return undefined
    const size = messageSize(this.buffer, this.begin, this.end)
    if (size.bytes > this.limit) {
      throw new QuicError(QuicErrorCode.CRYPTO_INVALID_VALUE_LENGTH, `handshake message of ${size.bytes} bytes`)
    }
    if (!size.complete) {
      this.needed = size.bytes
      return undefined
    }
    const { begin } = this
    const end = begin + size.bytes
    const bytes = this.shared ? this.buffer.subarray(begin, end) : this.buffer.slice(begin, end)
    this.begin += size.bytes
    this.needed = HEADER_SIZE
    if (this.buffered === 0) {
      // Handshakes are short and connections long: hold nothing between messages.
      this.buffer = nothing
      this.begin = this.end = 0
    }
    return HandshakeMessage.fromChecked(bytes)
  }
}

/** Where the entry of a tag stands; 0 if there is none. Entries ascend by tag. */
function findEntry(raw: Uint8Array, tag: number): number {
  let low = 0
  let high = raw[4]! | (raw[5]! << 8)
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = HEADER_SIZE + middle * ENTRY_SIZE
    const found = readUint32(raw, at)
    if (found === tag) return at
    if (found < tag) low = middle + 1
    else high = middle
  }
  return 0
}

function badValue(tag: number): QuicError {
  return new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, `Bad ${tagName(tag)}`)
}
