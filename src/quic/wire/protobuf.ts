/**
 * As much of the protocol buffers encoding as source-address tokens need: integers that are not negative, and byte
 * strings. Fields that a reader does not know are its own business; those of other kinds are passed over.
 */

const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const
const MAX_VARINT_BYTES = 10

/** Most messages of a token are shorter than this, bytes. */
const FIRST_CAPACITY = 96

/** Builds one message, field by field. */
export class ProtobufWriter {
  private buffer = new Uint8Array(FIRST_CAPACITY)
  private length = 0

  /** @param value an integer from 0 to 2^53 */
  integer(field: number, value: number): this {
    this.reserve(2 * MAX_VARINT_BYTES)
    this.varint(field * 8 + WireType.Varint)
    this.varint(value)
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.reserve(2 * MAX_VARINT_BYTES + value.length)
    this.varint(field * 8 + WireType.Bytes)
    this.varint(value.length)
    this.buffer.set(value, this.length)
    this.length += value.length
    return this
  }

  finish(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }

  private reserve(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return
    const larger = new Uint8Array(2 * (this.length + bytes))
    larger.set(this.buffer.subarray(0, this.length))
    this.buffer = larger
  }

  private varint(value: number): void {
    for (; value >= 0x80; value = Math.floor(value / 0x80)) this.buffer[this.length++] = (value % 0x80) | 0x80
    this.buffer[this.length++] = value
  }
}

/** What {@link readProtobuf} calls. Where a field is repeated, the last one counts unless it is a list. */
export interface ProtobufFields {
  /** @param value an integer, rounded above 2^53; negative ones come as the large numbers that they are on the wire */
  onInteger?(field: number, value: number): void
  /** @param value a view */
  onBytes?(field: number, value: Uint8Array): void
}

/** Reads one message. False if it is damaged: the fields before the damage have been told then. */
export function readProtobuf(message: Uint8Array, fields: ProtobufFields): boolean {
  let at = 0
  const next = (): number => {
    let value = 0
    for (let i = 0; i < MAX_VARINT_BYTES && at < message.length; i++) {
      const byte = message[at++]!
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value
    }
    return -1
  }
  while (at < message.length) {
    const key = next()
    const field = Math.floor(key / 8)
    if (field < 1) return false
    switch (key % 8) {
      case WireType.Varint: {
        const value = next()
        if (value < 0) return false
        fields.onInteger?.(field, value)
        break
      }
      case WireType.Bytes: {
        const length = next()
        if (length < 0 || length > message.length - at) return false
        fields.onBytes?.(field, message.subarray(at, (at += length)))
        break
      }
      case WireType.Fixed64:
        at += 8
        break
      case WireType.Fixed32:
        at += 4
        break
      default:
        return false
    }
  }
  return at === message.length
}
