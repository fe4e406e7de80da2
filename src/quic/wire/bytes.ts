/**
 * Cursors over bytes. Through Q038 integers are little-endian, from Q039 big-endian, in an otherwise equal layout, so
 * both cursors take the byte order once and codecs need not know it.
 */

/** Thrown by {@link ByteReader} when the bytes end early. Codecs turn it into the QUIC error of the frame at hand. */
export class TruncatedError extends Error {
  override readonly name = 'TruncatedError'
  constructor() {
    super('the bytes end before the value does')
  }
}

const TWO_32 = 0x1_0000_0000

const copy = Buffer.prototype.copy

/**
 * Copies `source[start, end)` to `target` from `at` on; there has to be room for it. From Node 22 on it makes no object,
 * as a subarray given to `set` would be one for each packet.
 */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): void {
  copy.call(source, target, at, start, end)
}

/** Reads integers and byte ranges from `buffer[position, end)`. Reusable through {@link reset}: it allocates nothing. */
export class ByteReader {
  buffer: Uint8Array
  position: number
  end: number

  /** @param bigEndian the byte order of {@link uint} and everything above one byte */
  constructor(
    readonly bigEndian: boolean,
    buffer: Uint8Array = new Uint8Array(0),
    position = 0,
    end = buffer.length
  ) {
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  reset(buffer: Uint8Array, position: number, end: number): this {
    this.buffer = buffer
    this.position = position
    this.end = end
    return this
  }

  get remaining(): number {
    return this.end - this.position
  }

  private take(length: number): number {
    const at = this.position
    if (length > this.end - at) throw new TruncatedError()
    this.position = at + length
    return at
  }

  uint8(): number {
    return this.buffer[this.take(1)]!
  }

  uint16(): number {
    const at = this.take(2)
    const b = this.buffer
    return this.bigEndian ? (b[at]! << 8) | b[at + 1]! : b[at]! | (b[at + 1]! << 8)
  }

  uint32(): number {
    const at = this.take(4)
    const b = this.buffer
    return this.bigEndian
      ? ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0
      : (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0
  }

  /** An unsigned integer of 0 to 8 bytes. Above 2^53 the result is rounded: callers bound what they accept. */
  uint(length: number): number {
    const at = this.take(length)
    const b = this.buffer
    let value = 0
    if (this.bigEndian) {
      for (let i = 0; i < length; i++) value = value * 256 + b[at + i]!
    } else {
      for (let i = length - 1; i >= 0; i--) value = value * 256 + b[at + i]!
    }
    return value
  }

  /** A view of the next `length` bytes: valid as long as the buffer is. */
  view(length: number): Uint8Array {
    const at = this.take(length)
    return this.buffer.subarray(at, at + length)
  }

  /** Steps over `length` bytes and returns where they began. */
  skip(length: number): number {
    return this.take(length)
  }
}

/** Writes integers and byte ranges into `buffer` from `position`. Callers make room first: it does not check `end`. */
export class ByteWriter {
  buffer: Uint8Array
  position: number

  constructor(
    readonly bigEndian: boolean,
    buffer: Uint8Array = new Uint8Array(0),
    position = 0
  ) {
    this.buffer = buffer
    this.position = position
  }

  reset(buffer: Uint8Array, position: number): this {
    this.buffer = buffer
    this.position = position
    return this
  }

  uint8(value: number): void {
    this.buffer[this.position++] = value
  }

  uint16(value: number): void {
    const b = this.buffer
    const at = this.position
    if (this.bigEndian) {
      b[at] = value >>> 8
      b[at + 1] = value
    } else {
      b[at] = value
      b[at + 1] = value >>> 8
    }
    this.position = at + 2
  }

  uint32(value: number): void {
    const b = this.buffer
    const at = this.position
    if (this.bigEndian) {
      b[at] = value >>> 24
      b[at + 1] = value >>> 16
      b[at + 2] = value >>> 8
      b[at + 3] = value
    } else {
      b[at] = value
      b[at + 1] = value >>> 8
      b[at + 2] = value >>> 16
      b[at + 3] = value >>> 24
    }
    this.position = at + 4
  }

  /** The low `length` (0 to 8) bytes of an unsigned integer below 2^53. */
  uint(value: number, length: number): void {
    const b = this.buffer
    const at = this.position
    let low = value % TWO_32
    let high = (value - low) / TWO_32
    if (this.bigEndian) {
      for (let i = length - 1; i >= 0; i--) {
        b[at + i] = low
        low = (low >>> 8) | (high << 24)
        high >>>= 8
      }
    } else {
      for (let i = 0; i < length; i++) {
        b[at + i] = low
        low = (low >>> 8) | (high << 24)
        high >>>= 8
      }
    }
    this.position = at + length
  }

  bytes(source: Uint8Array): void {
    this.buffer.set(source, this.position)
    this.position += source.length
  }

  fill(value: number, length: number): void {
    this.buffer.fill(value, this.position, this.position + length)
    this.position += length
  }
}
