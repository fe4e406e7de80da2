import { FIELD_OVERHEAD } from '../header-list.js'
import type { HeaderField } from '../header-list.js'

/** The size both ends start with, in bytes (SETTINGS_HEADER_TABLE_SIZE, RFC 7540 §6.5.2). */
export const DEFAULT_TABLE_SIZE = 4096

const FIRST_CAPACITY = 4

/**
 * The dynamic table of RFC 7541 §2.3.2 as a ring: adding and evicting move nothing. Entries are numbered in the order
 * of insertion, from 0, for ever; the dynamic index of RFC 7541, 0 for the newest here, is counted back from the end.
 */
export class DynamicTable {
  private ring: (HeaderField | undefined)[] = new Array<HeaderField | undefined>(FIRST_CAPACITY).fill(undefined)
  private oldest = 0
  private inserted = 0
  private bytes = 0
  private limit = DEFAULT_TABLE_SIZE

  /** How many entries there are. */
  get count(): number {
    return this.inserted - this.oldest
  }

  /** The entries' size in bytes, as RFC 7541 §4.1 counts. */
  get size(): number {
    return this.bytes
  }

  /** The most that {@link size} may be, in bytes. */
  get maxSize(): number {
    return this.limit
  }

  /** The entry that was added `age` entries before the newest; the caller knows that `age` is below {@link count}. */
  at(age: number): HeaderField {
    return this.ring[(this.inserted - 1 - age) & (this.ring.length - 1)]!
  }

  /** The number of the oldest entry that is still there, if there is one. */
  protected get oldestNumber(): number {
    return this.oldest
  }

  /** How long ago the entry of that number was added: 0 for the newest. */
  ageOf(number: number): number {
    return this.inserted - 1 - number
  }

  /** Changes the limit and evicts what no longer fits. */
  setMaxSize(limit: number): void {
    this.limit = limit
    this.shrinkTo(limit)
  }

  /** Adds an entry and returns its number, or -1 if it is larger than the table, which then is empty (§4.4). */
  add(field: HeaderField): number {
    const size = field[0].length + field[1].length + FIELD_OVERHEAD
    if (size > this.limit) {
      this.shrinkTo(0)
      return -1
    }
    this.shrinkTo(this.limit - size)
    if (this.count === this.ring.length) this.grow()
    const number = this.inserted++
    this.ring[number & (this.ring.length - 1)] = field
    this.bytes += size
    return number
  }

  /** Called for every entry that leaves. */
  protected onEvicted(_number: number, _field: HeaderField): void {}

  private shrinkTo(size: number): void {
    while (this.bytes > size) {
      const number = this.oldest++
      const slot = number & (this.ring.length - 1)
      const field = this.ring[slot]!
      this.ring[slot] = undefined
      this.bytes -= field[0].length + field[1].length + FIELD_OVERHEAD
      this.onEvicted(number, field)
    }
  }

  private grow(): void {
    const old = this.ring
    const ring = new Array<HeaderField | undefined>(old.length * 2).fill(undefined)
    for (let number = this.oldest; number < this.inserted; number++) {
      ring[number & (ring.length - 1)] = old[number & (old.length - 1)]
    }
    this.ring = ring
  }
}

interface NameEntry {
  latest: number
  readonly values: Map<string, number>
}

/** Numbers of entries, by name and value. */
type FieldIndex = Map<string, NameEntry>

/**
 * A {@link DynamicTable} that finds entries by name and value without searching: an encoder's. The index is several times
 * the size of what it finds; it is made when somebody looks for something, and a connection at rest has none.
 */
export class SearchableDynamicTable extends DynamicTable {
  private index: FieldIndex | undefined

  /** Whether there is an index now, for tests of what is kept at rest. */
  get indexed(): boolean {
    return this.index !== undefined
  }

  override add(field: HeaderField): number {
    const number = super.add(field)
    if (number >= 0 && this.index !== undefined) addToIndex(this.index, number, field)
    return number
  }

  /** Lets go of the index; the entries stay. */
  releaseMemory(): void {
    this.index = undefined
  }

  private get names(): FieldIndex {
    if (this.index === undefined) {
      this.index = new Map()
      const end = this.oldestNumber + this.count
      for (let number = this.oldestNumber; number < end; number++) addToIndex(this.index, number, this.at(this.ageOf(number)))
    }
    return this.index
  }

  /** The age of the newest entry equal to the field, or -1. */
  findField(name: string, value: string): number {
    const number = this.names.get(name)?.values.get(value)
    return number === undefined ? -1 : this.ageOf(number)
  }

  /** The age of the newest entry of that name, or -1. */
  findName(name: string): number {
    const entry = this.names.get(name)
    return entry === undefined ? -1 : this.ageOf(entry.latest)
  }

  protected override onEvicted(number: number, field: HeaderField): void {
    const entry = this.index?.get(field[0])
    if (entry === undefined) return
    if (entry.values.get(field[1]) === number) entry.values.delete(field[1])
    // The oldest entry leaves first: when the newest of a name goes, no other of that name is left.
    if (entry.latest === number) this.index!.delete(field[0])
  }
}

/** Numbers must rise: the last one of a name and value is what is found. */
function addToIndex(index: FieldIndex, number: number, field: HeaderField): void {
  let entry = index.get(field[0])
  if (entry === undefined) {
    entry = { latest: number, values: new Map() }
    index.set(field[0], entry)
  }
  entry.latest = number
  entry.values.set(field[1], number)
}
