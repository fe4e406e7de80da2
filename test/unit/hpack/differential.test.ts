import fc from 'fast-check'
// @ts-expect-error the package has no types
import hpackJs from 'hpack.js'
import { describe, expect, it } from 'vitest'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { HpackDecoder } from '../../../src/quic/spdy/hpack/hpack-decoder.js'
import { HpackEncoder } from '../../../src/quic/spdy/hpack/hpack-encoder.js'
import {
  huffmanDecode,
  huffmanDecodedBound,
  huffmanEncode,
  huffmanLength
} from '../../../src/quic/spdy/hpack/huffman.js'
import { staticTable } from '../../../src/quic/spdy/hpack/static-table.js'

interface Context {
  write(data: unknown): void
  read(): Buffer & { name: string; value: string; neverIndex: boolean }
  execute(): void
  updateTableSize(size: number): void
}

const TABLE = { table: { maxSize: 4096 } }

// hpack.js looks values up in plain objects and so mistakes the names of their inherited properties for its own.
const lookable = (text: string): boolean => !(text in {})
const latin1 = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes).toString('latin1')).filter(lookable)
const printable = fc.string({ maxLength: 80 }).filter(lookable)
const field = fc.tuple(
  fc.oneof(fc.constantFrom(...staticTable.map(([name]) => name)), fc.constantFrom('x-one', 'x-two', 'dnt'), printable),
  fc.oneof(fc.constantFrom('', 'GET', '/', '200', 'gzip, deflate', 'same again', 'z'.repeat(700)), printable, latin1)
)
const sequences = fc.array(fc.array(field, { maxLength: 15 }), { minLength: 5, maxLength: 25 })

function readBlock(context: Context): Buffer {
  const parts: Buffer[] = []
  for (let part = context.read(); part !== null; part = context.read()) parts.push(part)
  return Buffer.concat(parts)
}

function readList(context: Context): HeaderList {
  const headers: HeaderList = []
  for (let one = context.read(); one !== null; one = context.read()) headers.push([one.name, one.value])
  return headers
}

describe('HPACK against hpack.js', () => {
  it('hpack.js understands our blocks, over one pair of contexts with table size changes', () => {
    const sizeChanges = fc.array(fc.option(fc.nat({ max: 4096 }), { freq: 1 }), { maxLength: 25 })
    fc.assert(
      fc.property(sequences, sizeChanges, (lists, sizes) => {
        const encoder = new HpackEncoder()
        const decompressor = hpackJs.decompressor.create(TABLE) as Context
        lists.forEach((headers, i) => {
          const size = sizes[i]
          if (size !== null && size !== undefined) encoder.setMaxTableSize(size)
          decompressor.write(Buffer.from(encoder.encode(headers)))
          decompressor.execute()
          expect(readList(decompressor)).toEqual(headers)
        })
      }),
      { numRuns: 60 }
    )
  })

  it('we understand the blocks of hpack.js, over one pair of contexts with table resets and evictions', () => {
    const options = fc.record({ huffman: fc.boolean(), incremental: fc.boolean(), neverIndex: fc.boolean() })
    const step = fc.record({ reset: fc.boolean(), options })
    fc.assert(
      fc.property(sequences, fc.array(step, { minLength: 25, maxLength: 25 }), (lists, steps) => {
        const compressor = hpackJs.compressor.create(TABLE) as Context & { reset(): void }
        const decoder = new HpackDecoder()
        lists.forEach((headers, i) => {
          if (steps[i].reset) compressor.reset()
          compressor.write(headers.map(([name, value]) => ({ name, value, ...steps[i].options })))
          expect(decoder.decode(readBlock(compressor))).toEqual(headers)
        })
      }),
      { numRuns: 60 }
    )
  })

  it('the Huffman codes of every octet are equal', () => {
    for (let octet = 0; octet < 256; octet++) {
      const text = String.fromCharCode(octet)
      const encoder = hpackJs.encoder.create()
      encoder.encodeStr([octet], true)
      const theirs = Buffer.concat(encoder.render().map((part: Uint8Array) => Buffer.from(part)))
      const ours = Buffer.alloc(8)
      const length = huffmanEncode(text, ours, 0)
      expect(length).toBe(huffmanLength(text))
      expect(ours.subarray(0, length).toString('hex')).toBe(theirs.subarray(1).toString('hex'))
    }
  })

  it('Huffman gives every octet string back', () => {
    fc.assert(
      fc.property(latin1, (text) => {
        const coded = Buffer.alloc(huffmanLength(text))
        expect(huffmanEncode(text, coded, 0)).toBe(coded.length)
        const decoded = Buffer.alloc(huffmanDecodedBound(coded.length))
        expect(decoded.toString('latin1', 0, huffmanDecode(coded, 0, coded.length, decoded))).toBe(text)
      })
    )
  })
})
