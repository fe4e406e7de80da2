import { QuicError, QuicErrorCode } from '../../errors.js'
import { FIELD_OVERHEAD } from '../header-list.js'
import type { HeaderField, HeaderList } from '../header-list.js'
import { DEFAULT_TABLE_SIZE, DynamicTable } from './dynamic-table.js'
import { huffmanDecode, huffmanDecodedBound } from './huffman.js'
import { staticTable } from './static-table.js'

/** Options of an {@link HpackDecoder}, all in bytes. */
export interface HpackDecoderOptions {
  /** The largest dynamic table that the peer may ask for: the SETTINGS_HEADER_TABLE_SIZE we announced, else 4096. */
  readonly maxTableSize?: number
  /** The largest uncompressed list that is kept, as RFC 7540 §6.5.2 counts; 256 KiB unless told. */
  readonly maxHeaderListSize?: number
  /** The most octets that one field may take in the block; the reference's 32 KiB unless told. */
  readonly maxFieldSize?: number
}

const DEFAULT_MAX_LIST_SIZE = 262_144
// kMaxDecodeBufferSize of hpack_decoder.cc.
const DEFAULT_MAX_FIELD_SIZE = 32_768
const MAX_SIZE_UPDATES = 2
const MAX_INTEGER = 0xffff_ffff
const NOTHING = Buffer.alloc(0)

// Huffman strings unfold here; decode() never runs twice at once. It grows to 8/5 of the largest field at most.
let scratch = Buffer.alloc(4096)

/**
 * Turns HPACK blocks into header lists (RFC 7541): one context for one direction of one connection. Every block must
 * be decoded, in order, also those of streams nobody wants any more, because each may change the table. After an
 * error the context is void: the connection has to be closed.
 */
export class HpackDecoder {
  /** Whether the list of the last block went over the limit: then only its beginning was returned. */
  lastListTooLarge = false
  /** The uncompressed size of the last block's whole list in bytes. */
  lastListSize = 0

  private readonly table = new DynamicTable()
  private readonly maxTableSize: number
  private readonly maxHeaderListSize: number
  private readonly maxFieldSize: number
  private block: Buffer = NOTHING
  private position = 0
  private fieldStart = 0

  constructor(options: HpackDecoderOptions = {}) {
    this.maxTableSize = options.maxTableSize ?? DEFAULT_TABLE_SIZE
    this.maxHeaderListSize = options.maxHeaderListSize ?? DEFAULT_MAX_LIST_SIZE
    this.maxFieldSize = options.maxFieldSize ?? DEFAULT_MAX_FIELD_SIZE
    if (this.maxTableSize < DEFAULT_TABLE_SIZE) this.table.setMaxSize(this.maxTableSize)
  }

  /** The size of the dynamic table's entries in bytes. */
  get tableSize(): number {
    return this.table.size
  }

  /**
   * Decodes one whole block. The list is the caller's; its fields may be shared with other lists.
   * @throws QuicError `QUIC_INVALID_HEADERS_STREAM_DATA` for whatever breaks RFC 7541 or a limit of one field
   */
  decode(block: Uint8Array): HeaderList {
    this.block = Buffer.from(block.buffer, block.byteOffset, block.length)
    this.position = 0
    this.lastListSize = 0
    const list: HeaderList = []
    try {
      this.readSizeUpdates()
      while (this.position < block.length) {
        this.fieldStart = this.position
        const field = this.readField()
        this.lastListSize += field[0].length + field[1].length + FIELD_OVERHEAD
        if (this.lastListSize <= this.maxHeaderListSize) list.push(field)
      }
    } finally {
      this.block = NOTHING
      this.lastListTooLarge = this.lastListSize > this.maxHeaderListSize
    }
    return list
  }

  private readSizeUpdates(): void {
    for (let updates = 0; this.position < this.block.length; updates++) {
      const first = this.block[this.position]
      if ((first & 0xe0) !== 0x20) return
      if (updates === MAX_SIZE_UPDATES) throw malformed('more than two table size updates')
      const size = this.readInteger(5)
      if (size > this.maxTableSize) throw malformed('table size update above the limit')
      this.table.setMaxSize(size)
    }
  }

  private readField(): HeaderField {
    const first = this.block[this.position]
    if (first >= 0x80) return this.entry(this.readInteger(7))
    if (first >= 0x40) {
      const field = this.readLiteral(6)
      Object.freeze(field)
      this.table.add(field)
      return field
    }
    if (first >= 0x20) throw malformed('table size update inside the block')
    return this.readLiteral(4)
  }

  private readLiteral(prefixBits: number): HeaderField {
    const nameIndex = this.readInteger(prefixBits)
    const name = nameIndex === 0 ? this.readString() : this.entry(nameIndex)[0]
    return [name, this.readString()]
  }

  private entry(index: number): HeaderField {
    if (index === 0) throw malformed('index 0')
    if (index <= staticTable.length) return staticTable[index - 1]
    const age = index - staticTable.length - 1
    if (age >= this.table.count) throw malformed('index beyond the table')
    return this.table.at(age)
  }

  private readString(): string {
    if (this.position >= this.block.length) throw malformed('block ends inside a field')
    const coded = this.block[this.position] >= 0x80
    const length = this.readInteger(7)
    const start = this.position
    const end = start + length
    if (end > this.block.length) throw malformed('block ends inside a string')
    if (end - this.fieldStart > this.maxFieldSize) throw malformed('header field too large')
    this.position = end
    if (!coded) return this.block.toString('latin1', start, end)

    const bound = huffmanDecodedBound(length)
    if (bound > scratch.length) scratch = Buffer.alloc(Math.max(scratch.length * 2, bound))
    const decoded = huffmanDecode(this.block, start, end, scratch)
    if (decoded < 0) throw malformed('bad Huffman code')
    return scratch.toString('latin1', 0, decoded)
  }

  /** An integer whose prefix is the low `prefixBits` bits of the next octet (RFC 7541 §5.1). */
  private readInteger(prefixBits: number): number {
    const full = (1 << prefixBits) - 1
    let value = this.block[this.position++] & full
    if (value < full) return value
    for (let scale = 1; scale <= 0x1000_0000; scale *= 128) {
      if (this.position >= this.block.length) throw malformed('block ends inside an integer')
      const octet = this.block[this.position++]
      value += (octet & 0x7f) * scale
      if (octet < 0x80) {
        if (value > MAX_INTEGER) break
        return value
      }
    }
    throw malformed('integer too large')
  }
}

function malformed(what: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_HEADERS_STREAM_DATA, `HPACK: ${what}`)
}
