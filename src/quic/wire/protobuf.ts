/**
 * As much of the protocol buffers encoding as source-address tokens need: integers that are not negative, and byte
 * strings. Fields that a reader does not know are its own business; those of other kinds are passed over.
 */

const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const
const MAX_VARINT_BYTES = 10

/** Builds one message, field by field. */
export class ProtobufWriter {
  private readonly parts: Uint8Array[] = []

  /** @param value an integer from 0 to 2^53 */
  integer(field: number, value: number): this {
    this.parts.push(varint(field * 8 + WireType.Varint), varint(value))
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.parts.push(varint(field * 8 + WireType.Bytes), varint(value.length), value)
    return this
  }

  finish(): Uint8Array {
    return Buffer.concat(this.parts)
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

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80)
  bytes.push(value)
  return Uint8Array.from(bytes)
}
