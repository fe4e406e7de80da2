import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QuicError, QuicErrorCode } from '../../../src/quic/errors.js'
import { headerListSize } from '../../../src/quic/spdy/header-list.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { SearchableDynamicTable } from '../../../src/quic/spdy/hpack/dynamic-table.js'
import { HpackDecoder } from '../../../src/quic/spdy/hpack/hpack-decoder.js'
import { HpackEncoder } from '../../../src/quic/spdy/hpack/hpack-encoder.js'

const latin1 = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
// Few names and values, so that tables hit; any octets, so that nothing is taken for granted.
const field = fc.tuple(
  fc.oneof(
    fc.constantFrom(':path', ':authority', 'cookie', 'authorization', 'x-a', 'x-b', 'accept', 'set-cookie'),
    latin1
  ),
  fc.oneof(fc.constantFrom('', '/', 'v', 'a longer value that repeats', 'x'.repeat(200)), latin1)
)
const lists = fc.array(fc.array(field, { maxLength: 12 }), { minLength: 1, maxLength: 20 })

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

function encodeHex(encoder: HpackEncoder, headers: HeaderList): string {
  return Buffer.from(encoder.encode(headers)).toString('hex')
}

function failure(work: () => unknown): QuicError {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(QuicError)
    expect((error as QuicError).wireCode).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
    return error as QuicError
  }
  throw new Error('it did not fail')
}

describe('HpackEncoder and HpackDecoder together', () => {
  it('give every list back, whatever the octets, over one long-lived pair with changing table sizes', () => {
    fc.assert(
      fc.property(lists, fc.array(fc.nat({ max: 4096 }), { maxLength: 20 }), (sequence, sizes) => {
        const encoder = new HpackEncoder()
        const decoder = new HpackDecoder()
        sequence.forEach((headers, i) => {
          if (i < sizes.length) encoder.setMaxTableSize(sizes[i])
          expect(decoder.decode(encoder.encode(headers))).toEqual(headers)
          expect(decoder.lastListSize).toBe(headerListSize(headers))
          expect(decoder.tableSize).toBeLessThanOrEqual(encoder.maxTableSize)
        })
      })
    )
  })

  it('stay in step through thousands of evictions', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    for (let i = 0; i < 3000; i++) {
      const headers: HeaderList = [
        [`name-${i % 7}`, `value ${i}`],
        [`name-${i % 7}`, `value ${i - 3}`],
        ['server', 'quicgate']
      ]
      expect(decoder.decode(encoder.encode(headers))).toEqual(headers)
    }
    expect(decoder.tableSize).toBeGreaterThan(3900)
  })

  it('cost one octet for a field that the table holds', () => {
    const encoder = new HpackEncoder()
    const headers: HeaderList = [
      [':method', 'GET'],
      [':authority', 'gateway.example'],
      ['user-agent', 'curl/8.5.0'],
      ['x-request', 'abc']
    ]
    encoder.encode(headers)
    expect(encoder.encode(headers)).toHaveLength(4)
  })
})

describe('HpackEncoder', () => {
  it('marks secrets never-indexed and keeps them out of the table', () => {
    const encoder = new HpackEncoder()
    const secrets: HeaderList = [
      ['authorization', 'Basic Zm9vOmJhcg=='],
      ['proxy-authorization', 'x'],
      ['cookie', 'pin=1234'],
      ['set-cookie', 'session=0123456789abcdef0123456789']
    ]
    for (const secret of secrets) {
      const first = encoder.encode([secret])
      expect(first[0] & 0xf0).toBe(0x10)
      expect(encoder.encode([secret])).toEqual(first)
    }
  })

  it('adds a long cookie, which cannot be guessed piecemeal', () => {
    const encoder = new HpackEncoder()
    const headers: HeaderList = [['cookie', 'session=0123456789abcdef0123456789']]
    encoder.encode(headers)
    expect(encodeHex(encoder, headers)).toBe('be')
  })

  it('keeps paths out of the table', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    decoder.decode(encoder.encode([[':path', '/some/where?q=1']]))
    expect(decoder.tableSize).toBe(0)
  })

  it('does not let one large field push the whole table out', () => {
    const encoder = new HpackEncoder()
    encoder.encode([['x-small', 'kept']])
    encoder.encode([['x-large', 'y'.repeat(3500)]])
    expect(encodeHex(encoder, [['x-small', 'kept']])).toBe('be')
  })

  it('announces the smallest and the last of several size changes, then nothing', () => {
    const encoder = new HpackEncoder()
    encoder.encode([['x-a', 'b']])
    encoder.setMaxTableSize(100)
    encoder.setMaxTableSize(0)
    encoder.setMaxTableSize(4096)
    expect(encodeHex(encoder, [[':method', 'GET']])).toBe('203fe11f82')
    expect(encodeHex(encoder, [[':method', 'GET']])).toBe('82')
  })

  it('adds nothing to a table of size 0', () => {
    const encoder = new HpackEncoder({ maxTableSize: 0 })
    const headers: HeaderList = [['x-a', 'b']]
    expect(encodeHex(encoder, headers)).toMatch(/^20/)
    const again = encoder.encode(headers)
    expect(again[0]).toBe(0)
    expect(encoder.encode(headers)).toEqual(again)
  })

  it('bounds what a peer can make it remember', () => {
    const encoder = new HpackEncoder()
    encoder.setMaxTableSize(0xffff_ffff)
    expect(encoder.maxTableSize).toBe(65_536)
  })

  it('refuses characters that are no octets, and goes on in step with the decoder', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    decoder.decode(encoder.encode([['x-before', 'one']]))
    expect(() => encoder.encode([['x-lost', 'two'], ['x-bad', '\u010a']])).toThrow(RangeError)
    const after: HeaderList = [['x-lost', 'two'], ['x-before', 'one'], ['x-lost', 'two']]
    expect(decoder.decode(encoder.encode(after))).toEqual(after)
    expect(decoder.decode(encoder.encode(after))).toEqual(after)
  })

  it('returns arrays that later blocks do not touch', () => {
    const encoder = new HpackEncoder()
    const first = encoder.encode([['x-a', 'b'.repeat(50)]])
    const copy = first.slice()
    encoder.encode([['x-c', 'd'.repeat(20_000)]])
    encoder.encode([['x-e', 'f']])
    expect(first).toEqual(copy)
  })
})

describe('HpackDecoder', () => {
  it('throws nothing but QuicError for random octets', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (blocks) => {
        const decoder = new HpackDecoder()
        try {
          for (const block of blocks) decoder.decode(block)
        } catch (error) {
          expect(error).toBeInstanceOf(QuicError)
        }
        expect(decoder.tableSize).toBeLessThanOrEqual(4096)
      }),
      { numRuns: 2000 }
    )
  })

  const malformations: [what: string, block: string, reason: RegExp][] = [
    ['index 0', '80', /index 0/],
    ['an index beyond the table', 'be', /beyond/],
    ['a name index beyond the table', '7f 00 01 61', /beyond/],
    ['an integer that ends early', 'ff 80', /inside an integer/],
    ['an integer above 32 bits', 'ff ff ff ff ff 7f', /too large/],
    ['an integer that never ends', 'ff 80 80 80 80 80 80 00', /too large/],
    ['a literal without a value', '40 01 61', /ends inside/],
    ['a string longer than the block', '00 01 61 05 61', /inside a string/],
    ['a size update inside the block', '82 20', /inside the block/],
    ['a size update above the limit', '3f e2 1f', /above the limit/],
    ['three size updates', '20 20 20', /more than two/],
    ['Huffman padding of zeros', '00 01 61 81 18', /Huffman/],
    ['Huffman padding of a whole octet', '00 01 61 82 1f ff', /Huffman/],
    ['EOS in Huffman code', '00 01 61 84 ff ff ff ff', /Huffman/],
    ['a cut Huffman code', '00 01 61 81 fe', /Huffman/]
  ]
  for (const [what, block, reason] of malformations) {
    it(`rejects ${what}`, () => {
      expect(failure(() => new HpackDecoder().decode(hex(block))).details).toMatch(reason)
    })
  }

  it('accepts two size updates at the start and applies both', () => {
    const decoder = new HpackDecoder()
    decoder.decode(hex('40 01 61 01 62'))
    expect(decoder.tableSize).toBe(34)
    expect(decoder.decode(hex('20 3f e1 1f 82'))).toEqual([[':method', 'GET']])
    expect(decoder.tableSize).toBe(0)
  })

  it('empties the table for an entry larger than it (RFC 7541 §4.4)', () => {
    const decoder = new HpackDecoder()
    decoder.decode(hex('3f 09 40 01 61 01 62'))
    expect(decoder.tableSize).toBe(34)
    const large = Buffer.concat([hex('40 01 61 0a'), Buffer.alloc(10, 0x63)])
    expect(decoder.decode(large)).toEqual([['a', 'c'.repeat(10)]])
    expect(decoder.tableSize).toBe(0)
  })

  it('shares the fields it takes from tables, unchangeable', () => {
    const decoder = new HpackDecoder()
    const [added] = decoder.decode(hex('40 01 61 01 62'))
    const [indexed, fixed] = decoder.decode(hex('be 82'))
    expect(indexed).toBe(added)
    expect(Object.isFrozen(indexed)).toBe(true)
    expect(Object.isFrozen(fixed)).toBe(true)
  })

  it('reports a list over the limit, returns its beginning and keeps the table right', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder({ maxHeaderListSize: 100 })
    const headers: HeaderList = [['a', '1'], ['b', '2'], ['c', 'x'.repeat(50)], ['d', '4']]
    expect(decoder.decode(encoder.encode(headers))).toEqual(headers.slice(0, 2))
    expect(decoder.lastListTooLarge).toBe(true)
    expect(decoder.lastListSize).toBe(headerListSize(headers))
    expect(decoder.decode(encoder.encode(headers.slice(2, 3)))).toEqual(headers.slice(2, 3))
    expect(decoder.lastListTooLarge).toBe(false)
  })

  it('bounds a list that repeats one large table entry', () => {
    const decoder = new HpackDecoder()
    const value = Buffer.alloc(4000, 0x61)
    decoder.decode(Buffer.concat([hex('40 01 61 7f a1 1e'), value]))
    const list = decoder.decode(Buffer.alloc(50_000, 0xbe))
    expect(decoder.lastListTooLarge).toBe(true)
    expect(headerListSize(list)).toBeLessThanOrEqual(262_144)
  })

  it('bounds the octets of one field', () => {
    const encoder = new HpackEncoder()
    const fits: HeaderList = [['x', '\u0000'.repeat(32_000)]]
    expect(new HpackDecoder().decode(encoder.encode(fits))).toEqual(fits)
    const block = encoder.encode([['x', '\u0000'.repeat(32_768)]])
    expect(failure(() => new HpackDecoder().decode(block)).details).toMatch(/field too large/)
  })
})

describe('the index of an encoder’s table', () => {
  const fill = (table: SearchableDynamicTable): void => {
    for (let i = 0; i < 200; i++) table.add([`name-${i % 7}`, `value-${i % 11}`])
  }

  it('is let go of at rest, and finds the same when it has been made again', () => {
    const kept = new SearchableDynamicTable()
    const rested = new SearchableDynamicTable()
    kept.findName('')
    fill(kept)
    fill(rested)
    expect([kept.indexed, rested.indexed]).toEqual([true, false])
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 80; i++) {
        const [name, value] = [`name-${i % 8}`, `value-${i % 12}`]
        expect(rested.findField(name, value)).toBe(kept.findField(name, value))
        expect(rested.findName(name)).toBe(kept.findName(name))
      }
      rested.releaseMemory()
      expect(rested.indexed).toBe(false)
      for (const table of [kept, rested]) {
        table.setMaxSize(500)
        table.setMaxSize(4096)
        fill(table)
      }
    }
  })

  it('is not kept by an encoder at rest, whose blocks the decoder still reads', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    const list: HeaderList = [
      ['x-one', 'a'],
      ['x-two', 'b']
    ]
    const first = encoder.encode(list)
    expect(decoder.decode(first)).toEqual(list)
    encoder.releaseMemory()
    const second = encoder.encode(list)
    expect(second.length).toBe(list.length)
    expect(decoder.decode(second)).toEqual(list)
  })
})
