/**
 * A reusable list of packets, number and size each: what one acknowledgement acked, what one pass found lost.
 */

/** Grows, never shrinks, and is cleared instead of made anew. */
export class PacketList {
  count = 0
  /** Packet numbers, in ascending order; only the first {@link count} are valid. */
  numbers = new Float64Array(64)
  /** UDP payload bytes of the packet at the same index. */
  bytes = new Float64Array(64)

  add(packetNumber: number, bytes: number): void {
    if (this.count === this.numbers.length) this.grow()
    this.numbers[this.count] = packetNumber
    this.bytes[this.count++] = bytes
  }

  /** Moves an entry to an index at or before its own, over what is there. */
  move(from: number, to: number): void {
    this.numbers[to] = this.numbers[from]!
    this.bytes[to] = this.bytes[from]!
  }

  clear(): void {
    this.count = 0
  }

  private grow(): void {
    const numbers = new Float64Array(this.numbers.length * 2)
    const bytes = new Float64Array(numbers.length)
    numbers.set(this.numbers)
    bytes.set(this.bytes)
    this.numbers = numbers
    this.bytes = bytes
  }
}
