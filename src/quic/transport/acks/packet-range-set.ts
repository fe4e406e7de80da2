/**
 * A bounded set of packet numbers as ranges. Numbers mostly arrive in order, so the newest range is looked at first.
 */

/** Ranges that there is room for at first: most connections never have more gaps than that. */
const FIRST_CAPACITY = 4

/** Ranges are inclusive, disjoint, never adjacent, and stand in ascending order: range i is `[first(i), last(i)]`. */
export class PacketRangeSet {
  private count = 0
  /** An array of numbers: a typed one of so few takes three times its memory. */
  private bounds: number[]

  /** @param maxRanges when one more is needed, the lowest range is forgotten */
  constructor(readonly maxRanges: number) {
    this.bounds = zeroes(2 * Math.min(maxRanges, FIRST_CAPACITY))
  }

  /** Number of ranges. */
  get size(): number {
    return this.count
  }

  /** Smallest member, 0 if empty. */
  get min(): number {
    return this.count > 0 ? this.bounds[0]! : 0
  }

  /** Largest member, 0 if empty. */
  get max(): number {
    return this.count > 0 ? this.bounds[2 * this.count - 1]! : 0
  }

  /** Number of members in the newest range, 0 if empty. */
  get newestLength(): number {
    return this.count > 0 ? this.bounds[2 * this.count - 1]! - this.bounds[2 * this.count - 2]! + 1 : 0
  }

  first(index: number): number {
    return this.bounds[2 * index]!
  }

  last(index: number): number {
    return this.bounds[2 * index + 1]!
  }

  contains(packetNumber: number): boolean {
    const index = this.rangeAtOrBelow(packetNumber)
    return index >= 0 && packetNumber <= this.bounds[2 * index + 1]!
  }

  /**
   * Adds one packet number.
   * @returns the highest number that was forgotten to stay within {@link maxRanges}, 0 if nothing was (a number that
   * itself would be the lowest of too many ranges is not added, and returned)
   */
  add(packetNumber: number): number {
    const { bounds } = this
    const index = this.rangeAtOrBelow(packetNumber)
    if (index >= 0 && packetNumber <= bounds[2 * index + 1]!) return 0
    const extendsLower = index >= 0 && bounds[2 * index + 1] === packetNumber - 1
    const extendsUpper = index + 1 < this.count && bounds[2 * index + 2] === packetNumber + 1
    if (extendsLower && extendsUpper) {
      bounds[2 * index + 1] = bounds[2 * index + 3]!
      moveDown(bounds, 2 * index + 2, 2 * index + 4, 2 * this.count)
      this.count--
    } else if (extendsLower) {
      bounds[2 * index + 1] = packetNumber
    } else if (extendsUpper) {
      bounds[2 * index + 2] = packetNumber
    } else {
      return this.insert(index + 1, packetNumber)
    }
    return 0
  }

  /** Removes every member below `packetNumber`. */
  removeBelow(packetNumber: number): void {
    let drop = 0
    while (drop < this.count && this.bounds[2 * drop + 1]! < packetNumber) drop++
    if (drop > 0) {
      moveDown(this.bounds, 0, 2 * drop, 2 * this.count)
      this.count -= drop
    }
    if (this.count > 0 && this.bounds[0]! < packetNumber) this.bounds[0] = packetNumber
  }

  private insert(index: number, packetNumber: number): number {
    let forgotten = 0
    if (this.count === this.maxRanges) {
      if (index === 0) return packetNumber
      forgotten = this.bounds[1]!
      moveDown(this.bounds, 0, 2, 2 * this.count)
      this.count--
      index--
    } else if (2 * this.count === this.bounds.length) {
      this.grow()
    }
    const { bounds } = this
    for (let at = 2 * this.count - 1; at >= 2 * index; at--) bounds[at + 2] = bounds[at]!
    bounds[2 * index] = packetNumber
    bounds[2 * index + 1] = packetNumber
    this.count++
    return forgotten
  }

  private grow(): void {
    this.bounds = this.bounds.concat(zeroes(2 * Math.min(this.count, this.maxRanges - this.count)))
  }

  /** Index of the highest range that begins at or below the number, -1 if none does. */
  private rangeAtOrBelow(packetNumber: number): number {
    const { bounds } = this
    if (this.count > 0 && bounds[2 * this.count - 2]! <= packetNumber) return this.count - 1
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (bounds[2 * middle]! <= packetNumber) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

function zeroes(length: number): number[] {
  return new Array<number>(length).fill(0)
}

/** Copies `[from, end)` to where it begins at `to`, which is lower. Arrays' own copyWithin looks up every property. */
function moveDown(bounds: number[], to: number, from: number, end: number): void {
  while (from < end) bounds[to++] = bounds[from++]!
}
