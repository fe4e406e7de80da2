/**
 * The 64-bit connection id: opaque bytes, kept as two halves so that looking one up costs no string and no BigInt.
 */

const ID_LENGTH = 8

/** A connection id. Immutable; equal ids need not be the same object, compare with {@link ConnectionId.equals}. */
export class ConnectionId {
  private hexText: string | undefined

  private constructor(
    /** The eight bytes as they stand on the wire. */
    readonly bytes: Uint8Array,
    /** Bytes 0–3 as an unsigned little-endian number. */
    readonly low: number,
    /** Bytes 4–7 as an unsigned little-endian number. */
    readonly high: number
  ) {}

  /** Takes the eight bytes at `offset` (copied). */
  static read(bytes: Uint8Array, offset = 0): ConnectionId {
    // Not slice(): on a Buffer that is a view, which would keep the whole datagram alive and change with it.
    const copy = new Uint8Array(ID_LENGTH)
    for (let i = 0; i < ID_LENGTH; i++) copy[i] = bytes[offset + i]!
    return new ConnectionId(copy, readUint32(bytes, offset), readUint32(bytes, offset + 4))
  }

  /** Parses sixteen hex digits, as logs and recordings show them. */
  static fromHex(hex: string): ConnectionId {
    if (!/^[0-9a-f]{16}$/i.test(hex)) throw new TypeError(`a connection id is 16 hex digits, not "${hex}"`)
    return ConnectionId.read(Buffer.from(hex, 'hex'))
  }

  equals(other: ConnectionId): boolean {
    return this.low === other.low && this.high === other.high
  }

  /** Sixteen hex digits in wire order. */
  toString(): string {
    return (this.hexText ??= Buffer.from(this.bytes).toString('hex'))
  }
}

/** Reads an unsigned little-endian 32-bit number. */
function readUint32(b: Uint8Array, i: number): number {
  return (b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24)) >>> 0
}

interface Entry<T> {
  readonly id: ConnectionId
  /** Undefined once it is deleted. */
  value: T | undefined
  next: Entry<T> | undefined
}

/** A map from connection id to `T` whose lookup by halves allocates nothing. Iterates in insertion order of low halves. */
export class ConnectionIdMap<T> {
  private readonly buckets = new Map<number, Entry<T>>()
  private count = 0

  get size(): number {
    return this.count
  }

  get(id: ConnectionId): T | undefined {
    return this.lookup(id.low, id.high)
  }

  /** The value under the id with these halves (see {@link ConnectionId.low}). */
  lookup(low: number, high: number): T | undefined {
    let entry = this.buckets.get(low)
    while (entry !== undefined && entry.id.high !== high) entry = entry.next
    return entry?.value
  }

  set(id: ConnectionId, value: T): void {
    const first = this.buckets.get(id.low)
    for (let entry = first; entry !== undefined; entry = entry.next) {
      if (entry.id.high === id.high) {
        entry.value = value
        return
      }
    }
    this.buckets.set(id.low, { id, value, next: first })
    this.count++
  }

  delete(id: ConnectionId): boolean {
    let before: Entry<T> | undefined
    for (let entry = this.buckets.get(id.low); entry !== undefined; before = entry, entry = entry.next) {
      if (entry.id.high !== id.high) continue
      if (before !== undefined) before.next = entry.next
      else if (entry.next !== undefined) this.buckets.set(id.low, entry.next)
      else this.buckets.delete(id.low)
      this.count--
      // A Map that is made anew as ids come and go leaves its old table linked to the new one, so that whatever a table ever
      // held outlives collections of young objects. Let that be this entry, and not a whole connection.
      entry.value = undefined
      entry.next = undefined
      return true
    }
    return false
  }

  *values(): IterableIterator<T> {
    for (const entry of this.buckets.values()) {
      for (let at: Entry<T> | undefined = entry; at !== undefined; at = at.next) yield at.value!
    }
  }

  *entries(): IterableIterator<[ConnectionId, T]> {
    for (const entry of this.buckets.values()) {
      for (let at: Entry<T> | undefined = entry; at !== undefined; at = at.next) yield [at.id, at.value!]
    }
  }
}
