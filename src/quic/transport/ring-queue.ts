/**
 * First in, first out, in memory that is used again: an array whose elements are shifted away and pushed anew would leave
 * garbage behind in every turn of a busy endpoint.
 */

const INITIAL_CAPACITY = 16

/** A queue that makes nothing once it has grown to what it has to hold at most. */
export class RingQueue<T> {
  private slots: (T | undefined)[] = new Array<T | undefined>(INITIAL_CAPACITY).fill(undefined)
  private head = 0
  private count = 0

  get length(): number {
    return this.count
  }

  /** The one that {@link shift} would take. */
  get first(): T | undefined {
    return this.slots[this.head]
  }

  push(item: T): void {
    if (this.count === this.slots.length) this.grow()
    this.slots[(this.head + this.count) & (this.slots.length - 1)] = item
    this.count++
  }

  shift(): T | undefined {
    if (this.count === 0) return undefined
    const item = this.slots[this.head]
    this.slots[this.head] = undefined
    this.head = (this.head + 1) & (this.slots.length - 1)
    this.count--
    return item
  }

  private grow(): void {
    const { slots, head } = this
    this.slots = [...slots.slice(head), ...slots.slice(0, head), ...new Array<T | undefined>(slots.length).fill(undefined)]
    this.head = 0
  }
}
