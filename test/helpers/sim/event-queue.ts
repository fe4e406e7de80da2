/** A queue of things to happen, earliest first; what was added first comes first among equals. */
export class EventQueue<T> {
  private heap: { at: number; order: number; value: T }[] = []
  private order = 0

  get size(): number {
    return this.heap.length
  }

  /** When the next one happens; `Infinity` if there is none. */
  get nextTime(): number {
    return this.heap[0]?.at ?? Infinity
  }

  add(at: number, value: T): void {
    const { heap } = this
    heap.push({ at, order: this.order++, value })
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!this.before(i, parent)) break
      this.swap(i, parent)
      i = parent
    }
  }

  /** Removes the next one. The queue must not be empty. */
  take(): T {
    const { heap } = this
    const { value } = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return value
    heap[0] = last
    for (let i = 0; ; ) {
      let least = i
      if (2 * i + 1 < heap.length && this.before(2 * i + 1, least)) least = 2 * i + 1
      if (2 * i + 2 < heap.length && this.before(2 * i + 2, least)) least = 2 * i + 2
      if (least === i) return value
      this.swap(i, least)
      i = least
    }
  }

  private before(i: number, j: number): boolean {
    const a = this.heap[i]!
    const b = this.heap[j]!
    return a.at < b.at || (a.at === b.at && a.order < b.order)
  }

  private swap(i: number, j: number): void {
    const kept = this.heap[i]!
    this.heap[i] = this.heap[j]!
    this.heap[j] = kept
  }
}
