/**
 * Streams by their ids, in open addressing (Knuth, The Art of Computer Programming, volume 3, section 6.4). Not a `Map`:
 * a busy one moves to a new table again and again, and V8 lets each table that it left point to the next. Once a collection
 * has made one of them old, all that come after it, and every stream that they name, outlive the young generation too.
 */

/** What is kept in a table. */
export interface Identified {
  readonly id: number
}

const INITIAL_SLOTS = 16

/** The slots of all tables that hold nothing. Nobody writes into it. */
const NO_SLOTS: undefined[] = [undefined]

/** At most half of the slots are taken, so that each search ends soon. */
export class StreamTable<S extends Identified> implements Iterable<S> {
  private slots: (S | undefined)[] = NO_SLOTS
  private count = 0

  /** How many there are. */
  get size(): number {
    return this.count
  }

  get(id: number): S | undefined {
    return this.slots[this.find(id)]
  }

  /** Adds a stream, in place of one with the same id. */
  set(stream: S): void {
    let at = this.find(stream.id)
    if (this.slots[at] === undefined) {
      if (++this.count * 2 > this.slots.length) {
        this.grow()
        at = this.find(stream.id)
      }
    }
    this.slots[at] = stream
  }

  /** @returns whether it was there */
  delete(id: number): boolean {
    const { slots } = this
    const last = slots.length - 1
    let hole = this.find(id)
    if (slots[hole] === undefined) return false
    this.count--
    // Whatever a search would no longer find across the hole moves into it, and leaves one in turn.
    for (let at = (hole + 1) & last; ; at = (at + 1) & last) {
      const stream = slots[at]
      if (stream === undefined) break
      if (((at - home(stream.id)) & last) < ((at - hole) & last)) continue
      slots[hole] = stream
      hole = at
    }
    slots[hole] = undefined
    return true
  }

  /** Removes all, and frees the slots. */
  clear(): void {
    this.slots = NO_SLOTS
    this.count = 0
  }

  /** By rising id. Those there now, whatever happens to the table meanwhile. */
  [Symbol.iterator](): Iterator<S> {
    const streams = this.slots.filter((stream) => stream !== undefined)
    return streams.sort((a, b) => a.id - b.id).values()
  }

  /** The slot of that id, or the empty one in which it would be. */
  private find(id: number): number {
    const { slots } = this
    const last = slots.length - 1
    let at = home(id) & last
    for (let stream = slots[at]; stream !== undefined && stream.id !== id; stream = slots[at]) at = (at + 1) & last
    return at
  }

  private grow(): void {
    const { slots } = this
    this.slots = new Array<S | undefined>(Math.max(slots.length * 2, INITIAL_SLOTS)).fill(undefined)
    for (const stream of slots) if (stream !== undefined) this.slots[this.find(stream.id)] = stream
  }
}

/** Where a search for an id begins: the ids of one side's streams are all odd or all even, and follow each other. */
function home(id: number): number {
  return id >>> 1
}
