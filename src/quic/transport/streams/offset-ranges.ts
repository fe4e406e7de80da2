/**
 * Sets of stream offsets as sorted, disjoint ranges: what a sequencer received, what was acknowledged to a send buffer.
 */

/** Of all sets without gaps, which most are for ever. Nobody writes into it. */
const NONE: number[] = []

/** Half-open ranges `[start, end)` of byte offsets. Neighbours that touch are merged. */
export class OffsetRanges {
  /** Where the range that begins at offset 0 ends; 0 if there is none. */
  private prefix = 0
  /** The ranges behind it. */
  private starts = NONE
  private ends = NONE

  /** How many separate ranges there are. */
  get count(): number {
    return this.starts.length + this.prefixCount
  }

  /** Where the range that begins at offset 0 ends; 0 if there is none. */
  get prefixEnd(): number {
    return this.prefix
  }

  private get prefixCount(): number {
    return this.prefix > 0 ? 1 : 0
  }

  startOf(index: number): number {
    const at = index - this.prefixCount
    return at < 0 ? 0 : this.starts[at]
  }

  endOf(index: number): number {
    const at = index - this.prefixCount
    return at < 0 ? this.prefix : this.ends[at]
  }

  /** Index of the first range that begins above `offset`; {@link count} if none does. */
  firstAbove(offset: number): number {
    return this.findAbove(offset) + this.prefixCount
  }

  /** The same among those behind the prefix. */
  private findAbove(offset: number): number {
    const { starts } = this
    let low = 0
    let high = starts.length
    // In-order data looks above the last range: answer that without a search.
    if (high === 0 || starts[high - 1] <= offset) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (starts[middle] > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Whether every offset of `[start, end)` is in the set. */
  covers(start: number, end: number): boolean {
    if (end <= this.prefix) return true
    const index = this.findAbove(start) - 1
    return index >= 0 && this.ends[index] >= end
  }

  /** Adds `[start, end)`; overlaps are allowed, an empty range adds nothing. */
  add(start: number, end: number): void {
    if (end <= start) return
    if (start > this.prefix) this.addBehindGap(start, end)
    else if (end > this.prefix) this.growPrefix(end)
  }

  private growPrefix(end: number): void {
    const { starts, ends } = this
    const reached = starts.length === 0 ? 0 : this.findAbove(end)
    if (reached > 0) {
      if (ends[reached - 1] > end) end = ends[reached - 1]
      starts.splice(0, reached)
      ends.splice(0, reached)
    }
    this.prefix = end
  }

  private addBehindGap(start: number, end: number): void {
    const { starts, ends } = this
    const after = this.findAbove(end)
    let first = this.findAbove(start)
    if (first > 0 && ends[first - 1] >= start) first--
    if (first === after) {
      this.insert(first, start, end)
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

  private insert(at: number, start: number, end: number): void {
    const { starts, ends } = this
    if (starts.length === 0) {
      this.starts = [start]
      this.ends = [end]
    } else if (at === starts.length) {
      starts.push(start)
      ends.push(end)
    } else {
      starts.splice(at, 0, start)
      ends.splice(at, 0, end)
    }
  }

  clear(): void {
    this.prefix = 0
    this.starts = NONE
    this.ends = NONE
  }
}
