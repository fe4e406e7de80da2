/**
 * Sets of stream offsets as sorted, disjoint ranges: what a sequencer received, what was acknowledged to a send buffer.
 */

/** Half-open ranges `[start, end)` of byte offsets. Neighbours that touch are merged. */
export class OffsetRanges {
  private starts: number[] = []
  private ends: number[] = []

  /** How many separate ranges there are. */
  get count(): number {
    return this.starts.length
  }

  /** Where the range that begins at offset 0 ends; 0 if there is none. */
  get prefixEnd(): number {
    return this.starts.length > 0 && this.starts[0] === 0 ? this.ends[0] : 0
  }

  startOf(index: number): number {
    return this.starts[index]
  }

  endOf(index: number): number {
    return this.ends[index]
  }

  /** Index of the first range that begins above `offset`; {@link count} if none does. */
  firstAbove(offset: number): number {
    const starts = this.starts
    let low = 0
    let high = starts.length
    // In-order data looks above the last range: answer that without a search.
    if (high > 0 && starts[high - 1] <= offset) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (starts[middle] > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Whether every offset of `[start, end)` is in the set. */
  covers(start: number, end: number): boolean {
    const index = this.firstAbove(start) - 1
    return index >= 0 && this.ends[index] >= end
  }

  /** Adds `[start, end)`; overlaps are allowed, an empty range adds nothing. */
  add(start: number, end: number): void {
    if (end <= start) return
    const { starts, ends } = this
    const after = this.firstAbove(end)
    let first = this.firstAbove(start)
    if (first > 0 && ends[first - 1] >= start) first--
    if (first === after) {
      if (starts.length === 0) {
        // Most sets are one range for ever: pushing would make room for many.
        this.starts = [start]
        this.ends = [end]
      } else if (first === starts.length) {
        starts.push(start)
        ends.push(end)
      } else {
        starts.splice(first, 0, start)
        ends.splice(first, 0, end)
      }
      return
    }
    if (start < starts[first]) starts[first] = start
    const lastEnd = ends[after - 1]
    ends[first] = lastEnd > end ? lastEnd : end
    if (after - first > 1) {
      starts.splice(first + 1, after - first - 1)
      ends.splice(first + 1, after - first - 1)
    }
  }

  clear(): void {
    this.starts = []
    this.ends = []
  }
}
