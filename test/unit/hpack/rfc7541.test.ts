import { describe, expect, it } from 'vitest'
import { HpackDecoder } from '../../../src/quic/spdy/hpack/hpack-decoder.js'
import { HpackEncoder } from '../../../src/quic/spdy/hpack/hpack-encoder.js'
import { staticTable } from '../../../src/quic/spdy/hpack/static-table.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'

/** One block of RFC 7541 appendix C: its octets, what they mean, and the table's size afterwards. */
interface Example {
  hex: string
  headers: HeaderList
  tableSize: number
}

const requests: HeaderList[] = [
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com']
  ],
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
    ['cache-control', 'no-cache']
  ],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value']
  ]
]

const responses: HeaderList[] = [
  [
    [':status', '302'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com']
  ],
  [
    [':status', '307'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['location', 'https://www.example.com']
  ],
  [
    [':status', '200'],
    ['cache-control', 'private'],
    ['date', 'Mon, 21 Oct 2013 20:13:22 GMT'],
    ['location', 'https://www.example.com'],
    ['content-encoding', 'gzip'],
    ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1']
  ]
]

const sequences: { name: string; maxTableSize?: number; examples: Example[] }[] = [
  {
    name: 'C.2.1 literal with indexing',
    examples: [
      {
        hex: '400a637573746f6d2d6b65790d637573746f6d2d686561646572',
        headers: [['custom-key', 'custom-header']],
        tableSize: 55
      }
    ]
  },
  {
    name: 'C.2.2 literal without indexing',
    examples: [{ hex: '040c2f73616d706c652f70617468', headers: [[':path', '/sample/path']], tableSize: 0 }]
  },
  {
    name: 'C.2.3 literal never indexed',
    examples: [{ hex: '100870617373776f726406736563726574', headers: [['password', 'secret']], tableSize: 0 }]
  },
  { name: 'C.2.4 indexed', examples: [{ hex: '82', headers: [[':method', 'GET']], tableSize: 0 }] },
  {
    name: 'C.3 requests without Huffman',
    examples: [
      { hex: '828684410f7777772e6578616d706c652e636f6d', headers: requests[0], tableSize: 57 },
      { hex: '828684be58086e6f2d6361636865', headers: requests[1], tableSize: 110 },
      {
        hex: '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
        headers: requests[2],
        tableSize: 164
      }
    ]
  },
  {
    name: 'C.4 requests with Huffman',
    examples: [
      { hex: '828684418cf1e3c2e5f23a6ba0ab90f4ff', headers: requests[0], tableSize: 57 },
      { hex: '828684be5886a8eb10649cbf', headers: requests[1], tableSize: 110 },
      { hex: '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf', headers: requests[2], tableSize: 164 }
    ]
  },
  {
    name: 'C.5 responses without Huffman, 256-byte table',
    maxTableSize: 256,
    examples: [
      {
        hex:
          '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17' +
          '68747470733a2f2f7777772e6578616d706c652e636f6d',
        headers: responses[0],
        tableSize: 222
      },
      { hex: '4803333037c1c0bf', headers: responses[1], tableSize: 222 },
      {
        hex:
          '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153' +
          '444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
        headers: responses[2],
        tableSize: 215
      }
    ]
  },
  {
    name: 'C.6 responses with Huffman, 256-byte table',
    maxTableSize: 256,
    examples: [
      {
        hex:
          '488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9' +
          'ae82ae43d3',
        headers: responses[0],
        tableSize: 222
      },
      { hex: '4883640effc1c0bf', headers: responses[1], tableSize: 222 },
      {
        hex:
          '88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b39' +
          '60d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007',
        headers: responses[2],
        tableSize: 215
      }
    ]
  }
]

describe('HPACK against RFC 7541 appendix C', () => {
  for (const { name, maxTableSize, examples } of sequences) {
    it(`decodes ${name}`, () => {
      const decoder = new HpackDecoder({ maxTableSize })
      for (const { hex, headers, tableSize } of examples) {
        expect(decoder.decode(Buffer.from(hex, 'hex'))).toEqual(headers)
        expect(decoder.tableSize).toBe(tableSize)
      }
    })
  }

  it('encodes C.4 to the octets of the RFC', () => {
    const encoder = new HpackEncoder()
    for (const { hex, headers } of sequences.find(({ name }) => name.startsWith('C.4'))!.examples) {
      expect(Buffer.from(encoder.encode(headers)).toString('hex')).toBe(hex)
    }
  })

  it('encodes C.6 so that a 256-byte decoder gets the same lists, announcing the size once', () => {
    const encoder = new HpackEncoder({ maxTableSize: 256 })
    const decoder = new HpackDecoder()
    const blocks = responses.map((headers) => encoder.encode(headers))
    expect(Buffer.from(blocks[0].subarray(0, 3)).toString('hex')).toBe('3fe101')
    expect(blocks.map((block) => decoder.decode(block))).toEqual(responses)
    expect(decoder.tableSize).toBeLessThanOrEqual(256)
    // Cache-control and date are in the table by now: one octet each.
    expect(blocks[1].length).toBeLessThan(blocks[0].length - 20)
  })

  it('reads integers as C.1 writes them', () => {
    // C.1.2: 1337 with a 5-bit prefix is 1f 9a 0a; here as a table size update.
    const decoder = new HpackDecoder({ maxTableSize: 1337 })
    expect(decoder.decode(Buffer.from('3f9a0a82', 'hex'))).toEqual([[':method', 'GET']])
    expect(() => new HpackDecoder({ maxTableSize: 1336 }).decode(Buffer.from('3f9a0a82', 'hex'))).toThrow(/above/)
  })

  it('knows all 61 static entries', () => {
    const decoder = new HpackDecoder()
    const block = Uint8Array.from({ length: 61 }, (_, i) => 0x81 + i)
    expect(decoder.decode(block)).toEqual(staticTable)
    expect(staticTable).toHaveLength(61)
    expect(staticTable[60]).toEqual(['www-authenticate', ''])
  })
})
