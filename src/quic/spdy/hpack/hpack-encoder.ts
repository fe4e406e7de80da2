import { FIELD_OVERHEAD } from '../header-list.js'
import type { HeaderField } from '../header-list.js'
import { DEFAULT_TABLE_SIZE, SearchableDynamicTable } from './dynamic-table.js'
import { huffmanEncode, huffmanLength } from './huffman.js'
import { Indexing, staticNames, staticTable } from './static-table.js'

/** Options of an {@link HpackEncoder}. */
export interface HpackEncoderOptions {
  /** The most that the dynamic table may hold, in bytes; a size other than 4096 is announced in the first block. */
  readonly maxTableSize?: number
}

// A peer may allow a table of 4 GB; this much memory a connection is all we put into it.
const MAX_TABLE_SIZE = 65_536
// A cookie below this many octets might be guessed by watching lengths (RFC 7541 §7.1); the bound is nghttp2's.
const SHORT_SECRET = 20
// The first octet of each representation and the bits of its integer (RFC 7541 §6).
const INDEXED = 0x80
const ADDED_LITERAL = 0x40
const SIZE_UPDATE = 0x20
const NEVER_INDEXED_LITERAL = 0x10
const PLAIN_LITERAL = 0x00
const HUFFMAN = 0x80

// Blocks are built here and copied out at their exact size; encode() never runs twice at once.
let scratch = new Uint8Array(8192)

/**
 * Turns header lists into HPACK blocks (RFC 7541): one context for one direction of one connection. Blocks must reach
 * the peer's decoder in the order they were encoded, all of them.
 */
export class HpackEncoder {
  private readonly table = new SearchableDynamicTable()
  /** The lowest table size set since the last block, which the next one announces (§4.2); undefined if none was. */
  private lowestSize: number | undefined
  private position = 0

  constructor(options: HpackEncoderOptions = {}) {
    this.setMaxTableSize(options.maxTableSize ?? DEFAULT_TABLE_SIZE)
  }

  /** The dynamic table's bound in bytes. */
  get maxTableSize(): number {
    return this.table.maxSize
  }

  /** Takes the peer's SETTINGS_HEADER_TABLE_SIZE in bytes (0: no table). The next block announces the change. */
  setMaxTableSize(size: number): void {
    const bounded = Math.min(size, MAX_TABLE_SIZE)
    if (bounded === this.table.maxSize && this.lowestSize === undefined) return
    this.lowestSize = Math.min(this.lowestSize ?? bounded, bounded)
    this.table.setMaxSize(bounded)
  }

  /** Frees what only encoding needs; what the peer's decoder relies on stays. */
  releaseMemory(): void {
    this.table.releaseMemory()
  }

  /**
   * Encodes one block and returns it in a fresh array of its exact size.
   * @throws RangeError if a name or value has a character above U+00FF; the encoder can go on after that
   */
  encode(headers: readonly HeaderField[]): Uint8Array {
    this.position = 0
    let complete = false
    try {
      this.writeSizeUpdates()
      for (let i = 0; i < headers.length; i++) this.writeField(headers[i][0], headers[i][1])
      complete = true
    } finally {
      if (!complete) this.startOver()
    }
    return scratch.slice(0, this.position)
  }

  /** Empties both ends' tables with the next block: the peer never sees the entries that a failed block added. */
  private startOver(): void {
    const size = this.table.maxSize
    this.table.setMaxSize(0)
    this.table.setMaxSize(size)
    this.lowestSize = 0
  }

  private writeSizeUpdates(): void {
    if (this.lowestSize === undefined) return
    this.reserve(16)
    if (this.lowestSize < this.table.maxSize) this.writeInteger(SIZE_UPDATE, 5, this.lowestSize)
    this.writeInteger(SIZE_UPDATE, 5, this.table.maxSize)
    this.lowestSize = undefined
  }

  private writeField(name: string, value: string): void {
    this.reserve(name.length + value.length + 24)
    const known = staticNames.get(name)
    let indexing: Indexing = known === undefined ? Indexing.Add : known.indexing
    if (indexing === Indexing.NeverIfShort) indexing = value.length < SHORT_SECRET ? Indexing.Never : Indexing.Add

    if (known !== undefined && indexing !== Indexing.Never) {
      const index = known.values.get(value)
      if (index !== undefined) return this.writeInteger(INDEXED, 7, index)
    }
    if (indexing === Indexing.Add) {
      const age = this.table.findField(name, value)
      if (age >= 0) return this.writeInteger(INDEXED, 7, staticTable.length + 1 + age)
    }

    let nameIndex = known === undefined ? 0 : known.index
    if (nameIndex === 0) {
      const age = this.table.findName(name)
      if (age >= 0) nameIndex = staticTable.length + 1 + age
    }
    if (indexing === Indexing.Add && this.worthAdding(name, value)) {
      this.writeInteger(ADDED_LITERAL, 6, nameIndex)
      this.table.add([name, value])
    } else {
      this.writeInteger(indexing === Indexing.Never ? NEVER_INDEXED_LITERAL : PLAIN_LITERAL, 4, nameIndex)
    }
    if (nameIndex === 0) this.writeString(name)
    this.writeString(value)
  }

  /** Whether the entry leaves room for others: one that fills the table pushes everything useful out. */
  private worthAdding(name: string, value: string): boolean {
    return (name.length + value.length + FIELD_OVERHEAD) * 4 <= this.table.maxSize * 3
  }

  private writeString(text: string): void {
    const coded = huffmanLength(text)
    if (coded < text.length) {
      this.writeInteger(HUFFMAN, 7, coded)
      this.position = huffmanEncode(text, scratch, this.position)
      return
    }
    this.writeInteger(0, 7, text.length)
    let at = this.position
    for (let i = 0; i < text.length; i++) scratch[at++] = text.charCodeAt(i)
    this.position = at
  }

  /** An integer with a prefix of `bits` bits below the pattern `first` (RFC 7541 §5.1). */
  private writeInteger(first: number, bits: number, value: number): void {
    const full = (1 << bits) - 1
    if (value < full) {
      scratch[this.position++] = first | value
      return
    }
    scratch[this.position++] = first | full
    let rest = value - full
    while (rest >= 128) {
      scratch[this.position++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    scratch[this.position++] = rest
  }

  private reserve(length: number): void {
    if (this.position + length <= scratch.length) return
    const larger = new Uint8Array(Math.max(scratch.length * 2, this.position + length))
    larger.set(scratch.subarray(0, this.position))
    scratch = larger
  }
}
