import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QuicError, QuicErrorCode } from '../../../src/quic/errors.js'
import { Http2FrameParser } from '../../../src/quic/spdy/http2-frame-parser.js'
import type { Http2FrameVisitor } from '../../../src/quic/spdy/http2-frame-parser.js'
import { writeHeadersFrames, writePushPromise, writeSettings } from '../../../src/quic/spdy/http2-frames.js'
import type { Http2SettingEntry } from '../../../src/quic/spdy/http2-frames.js'
import { Perspective } from '../../../src/quic/types.js'

type Event =
  | ['headers', number, string, boolean, number | undefined]
  | ['promise', number, number, string]
  | ['settings', readonly Http2SettingEntry[]]
  | ['data', number, string, boolean]
  | ['priority', number, number]

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

class Recorder implements Http2FrameVisitor {
  readonly events: Event[] = []
  onHeaders(streamId: number, block: Uint8Array, fin: boolean, priority: number | undefined): void {
    this.events.push(['headers', streamId, text(block), fin, priority])
  }
  onPushPromise(streamId: number, promisedId: number, block: Uint8Array): void {
    this.events.push(['promise', streamId, promisedId, text(block)])
  }
  onSettings(entries: readonly Http2SettingEntry[]): void {
    this.events.push(['settings', entries])
  }
}

class FullRecorder extends Recorder {
  onData(streamId: number, data: Uint8Array, fin: boolean): void {
    this.events.push(['data', streamId, text(data), fin])
  }
  onPriority(streamId: number, priority: number): void {
    this.events.push(['priority', streamId, priority])
  }
}

function frame(type: number, flags: number, streamId: number, payload: string | Uint8Array = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload
  const header = Buffer.alloc(9)
  header.writeUIntBE(body.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(streamId, 5)
  return Buffer.concat([header, body])
}

/** What a side sees of the bytes, and the code of the error that ended it, if one did. */
function parse(
  perspective: Perspective,
  chunks: Uint8Array[],
  visitor: Recorder = new Recorder(),
  maxBlockSize?: number
): { events: Event[]; error: string | undefined; idle: boolean } {
  const parser = new Http2FrameParser(visitor, perspective, { maxBlockSize })
  let error: string | undefined
  try {
    for (const chunk of chunks) parser.push(chunk)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(QuicError)
    expect((thrown as QuicError).wireCode).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
    error = (thrown as QuicError).details
  }
  return { events: visitor.events, error, idle: parser.idle }
}

const { Client, Server } = Perspective
const block = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7)

describe('writers', () => {
  it("write a client's HEADERS with the priority, octet for octet", () => {
    const bytes = writeHeadersFrames(5, Uint8Array.of(0x82, 0x84), true, 3)
    expect(Buffer.from(bytes).toString('hex')).toBe('000007' + '01' + '25' + '00000005' + '00000000' + '92' + '8284')
  })

  it("write a server's HEADERS without one", () => {
    const bytes = writeHeadersFrames(7, Uint8Array.of(0x88), false, undefined)
    expect(Buffer.from(bytes).toString('hex')).toBe('000001' + '01' + '04' + '00000007' + '88')
  })

  it('write SETTINGS and PUSH_PROMISE octet for octet', () => {
    expect(Buffer.from(writeSettings([[1, 4096], [2, 0]])).toString('hex')).toBe(
      '00000c' + '04' + '00' + '00000000' + '000100001000' + '000200000000'
    )
    expect(Buffer.from(writePushPromise(5, 2, Uint8Array.of(0x82))).toString('hex')).toBe(
      '000005' + '05' + '04' + '00000005' + '00000002' + '82'
    )
  })

  it('begin CONTINUATION exactly where a frame would pass 16383 bytes', () => {
    const largest = 16_383 - 9 - 5
    expect(writeHeadersFrames(5, block(largest), false, 0)).toHaveLength(16_383)
    const split = writeHeadersFrames(5, block(largest + 1), false, 0)
    expect(split).toHaveLength(16_383 + 9 + 1)
    expect(Buffer.from(split.subarray(16_383, 16_392)).toString('hex')).toBe('000001' + '09' + '04' + '00000005')
  })

  it('are understood by the parser at every length around the limits', () => {
    for (const length of [0, 1, 16_369, 16_370, 16_374, 16_375, 32_743, 32_744, 32_749, 100_000]) {
      const sent = block(length)
      const up = parse(Server, [writeHeadersFrames(5, sent, true, 6)])
      expect(up.events).toEqual([['headers', 5, text(sent), true, 6]])
      const down = parse(Client, [writeHeadersFrames(5, sent, false, undefined), writePushPromise(5, 4, sent)])
      expect(down.events).toEqual([
        ['headers', 5, text(sent), false, undefined],
        ['promise', 5, 4, text(sent)]
      ])
    }
  })
})

describe('Http2FrameParser', () => {
  const mixed = Buffer.concat([
    writeSettings([[1, 100]]),
    frame(0x1, 0x20, 5, '\0\0\0\0\xffab'),
    frame(0x9, 0, 5, 'cd'),
    frame(0x9, 0x4, 5, 'e'),
    frame(0xa, 0, 0, '\0\x01ox'),
    frame(0xb, 0, 5),
    frame(0x1, 0x2d, 7, '\x03\0\0\0\0\x00block\0\0\0'),
    frame(0x0, 0, 5, 'body'),
    frame(0x0, 1, 5),
    frame(0x2, 0, 9, '\0\0\0\0\xdb')
  ])
  const expected: Event[] = [
    ['settings', [[1, 100]]],
    ['headers', 5, 'abcde', false, 0],
    ['headers', 7, 'block', true, 7],
    ['data', 5, 'body', false],
    ['data', 5, '', true],
    ['priority', 9, 1]
  ]

  it('finds the same in one chunk, byte by byte and cut anywhere', () => {
    expect(parse(Server, [mixed], new FullRecorder())).toEqual({ events: expected, error: undefined, idle: true })
    const bytes = Array.from(mixed, (byte) => Uint8Array.of(byte))
    expect(parse(Server, bytes, new FullRecorder()).events).toEqual(expected)
    for (let cut = 0; cut <= mixed.length; cut++) {
      expect(parse(Server, [mixed.subarray(0, cut), mixed.subarray(cut)], new FullRecorder()).events).toEqual(expected)
    }
  })

  it('reports nothing but whole frames of bytes that end anywhere', () => {
    for (let cut = 0; cut < mixed.length; cut++) {
      const { events, error } = parse(Server, [mixed.subarray(0, cut)], new FullRecorder())
      expect(error).toBeUndefined()
      expect(events).toEqual(expected.slice(0, events.length))
      expect(events.length).toBeLessThan(expected.length)
    }
  })

  it('does not depend on how random bytes are cut, and throws nothing but QuicError', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.nat(12), fc.nat(255), fc.nat(9), fc.uint8Array({ maxLength: 40 }))
        .map(([type, flags, id, payload]) => new Uint8Array(frame(type, flags, id, payload))),
      fc
        .tuple(fc.uint8Array({ maxLength: 40 }), fc.boolean(), fc.nat(7))
        .map(([content, fin, priority]) => writeHeadersFrames(5, content, fin, priority))
    )
    const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), cuts, fc.constantFrom(Client, Server), (pieces, sizes, side) => {
        const bytes = Buffer.concat(pieces)
        const chunks: Uint8Array[] = []
        for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]) {
          chunks.push(bytes.subarray(at, at + sizes[i % sizes.length]))
        }
        const whole = parse(side, [bytes], new FullRecorder())
        expect(parse(side, chunks, new FullRecorder())).toEqual(whole)
      }),
      { numRuns: 500 }
    )
  })

  it('hands out blocks without a copy when they arrive whole', () => {
    const bytes = writeHeadersFrames(5, block(10), false, 3)
    let seen: Uint8Array | undefined
    const visitor: Http2FrameVisitor = {
      onHeaders: (_id, view) => (seen = view),
      onPushPromise: () => {},
      onSettings: () => {}
    }
    new Http2FrameParser(visitor, Server).push(bytes)
    expect(seen!.buffer).toBe(bytes.buffer)
  })

  const priority = '\0\0\0\0\x92'
  const violations: [what: string, side: Perspective, frames: Buffer[], reason: RegExp][] = [
    ["a client's HEADERS without priority", Server, [frame(1, 4, 5, 'x')], /no priority/],
    ["a server's HEADERS with priority", Client, [frame(1, 0x24, 5, `${priority}x`)], /carry a priority/],
    ['HEADERS of stream 0', Server, [frame(1, 0x24, 0, priority)], /stream 0/],
    ['HEADERS that end inside the priority', Server, [frame(1, 0x24, 5, '\0\0\0\0')], /inside the priority/],
    ['padding larger than the frame', Server, [frame(1, 0x2c, 5, `\x06${priority}`)], /padding/],
    ['padding that eats the priority', Server, [frame(1, 0x2c, 5, `\x01${priority}`)], /inside the priority/],
    ['padding without its length', Client, [frame(1, 0xc, 5)], /padding/],
    ['CONTINUATION out of nowhere', Server, [frame(9, 4, 5)], /without a header block/],
    ['CONTINUATION of another stream', Server, [frame(1, 0x20, 5, priority), frame(9, 4, 7)], /another stream/],
    ['a block interrupted', Server, [frame(1, 0x20, 5, priority), frame(4, 0, 0)], /interrupted/],
    ['a promise at a server', Server, [frame(5, 4, 5, '\0\0\0\x02')], /cannot promise/],
    ['a promise cut short', Client, [frame(5, 4, 5, '\0\0\0')], /promised stream id/],
    ['a promise of stream 0', Client, [frame(5, 4, 5, '\0\0\0\0')], /stream 0/],
    ['DATA', Server, [frame(0, 0, 5, 'x')], /DATA/],
    ['PRIORITY', Server, [frame(2, 0, 5, priority)], /PRIORITY/],
    ['RST_STREAM', Server, [frame(3, 0, 5, '\0\0\0\0')], /type 3/],
    ['PING', Client, [frame(6, 0, 0, '12345678')], /type 6/],
    ['GOAWAY', Client, [frame(7, 0, 0, '12345678')], /type 7/],
    ['WINDOW_UPDATE', Client, [frame(8, 0, 0, '1234')], /type 8/],
    ['an unknown type', Server, [frame(0x42, 0, 0)], /type 66/],
    ['ALTSVC cut short', Client, [frame(0xa, 0, 0, '\0\x05abc')], /ALTSVC/],
    ['BLOCKED with a payload', Client, [frame(0xb, 0, 0, 'x')], /BLOCKED/],
    ['SETTINGS of a stream', Server, [frame(4, 0, 5)], /of a stream/],
    ['SETTINGS of 7 bytes', Server, [frame(4, 0, 0, '1234567')], /inside an entry/],
    ['an acknowledgement with a payload', Server, [frame(4, 1, 0, '123456')], /acknowledgement/],
    ['ENABLE_PUSH at a client', Client, [Buffer.from(writeSettings([[2, 0]]))], /ENABLE_PUSH/],
    ['ENABLE_PUSH of 2', Server, [Buffer.from(writeSettings([[2, 2]]))], /ENABLE_PUSH/],
    ['a frame above 16384 bytes', Server, [frame(1, 0x24, 5, Buffer.alloc(16_385)).subarray(0, 9)], /16385/]
  ]
  for (const [what, side, frames, reason] of violations) {
    it(`rejects ${what}`, () => {
      const { events, error } = parse(side, frames)
      expect(error).toMatch(reason)
      expect(events).toEqual([])
    })
  }

  it('rejects settings 3 to 5 and passes over those it does not know', () => {
    for (const id of [3, 4, 5]) expect(parse(Server, [writeSettings([[id, 1]])]).error).toMatch(`setting ${id}`)
    const known = parse(Server, [writeSettings([[0, 1], [7, 1], [2, 1], [65_535, 0xffff_ffff], [1, 0xffff_ffff]])])
    expect(known.events).toEqual([['settings', [[2, 1], [1, 0xffff_ffff]]]])
    expect(parse(Client, [frame(4, 1, 0)])).toEqual({ events: [], error: undefined, idle: true })
  })

  it('ignores the reserved bit of stream ids', () => {
    expect(parse(Client, [frame(1, 4, 0x8000_0005, 'x')]).events).toEqual([['headers', 5, 'x', false, undefined]])
  })

  it('bounds a block, empty CONTINUATION frames included', () => {
    const start = frame(1, 0x20, 5, priority)
    const more = frame(9, 0, 5, Buffer.alloc(16_000))
    expect(parse(Server, [start, ...new Array<Buffer>(20).fill(more)]).error).toMatch(/block too large/)
    const empty = new Array<Buffer>(40_000).fill(frame(9, 0, 5))
    expect(parse(Server, [start, Buffer.concat(empty)]).error).toMatch(/block too large/)
    expect(parse(Server, [frame(1, 0x24, 5, `${priority}12345`)], new Recorder(), 4).error).toMatch(/block too large/)
  })
})
