import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { QuicError } from '../../../src/quic/errors.js'
import type { AckFrame } from '../../../src/quic/wire/frames/frames.js'
import { ClassicFrameCodec } from '../../../src/quic/wire/versions/classic-frame-codec.js'
import { ackOf, FrameLog } from '../../helpers/frame-log.js'
import type { LoggedFrame } from '../../helpers/frame-log.js'

const little = new ClassicFrameCodec({ bigEndian: false })
const big = new ClassicFrameCodec({ bigEndian: true })

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

function parse(bytes: Uint8Array, codec = little): Extract<LoggedFrame, { kind: 'ack' }> {
  const log = new FrameLog()
  codec.decode(bytes, 0, bytes.length, 1, 1, log)
  const frame = log.frames[0]!
  if (frame.kind !== 'ack') throw new Error(`expected an ACK, got ${frame.kind}`)
  return frame
}

function write(ack: AckFrame, space = 1400, codec = little): Buffer | undefined {
  const out = codec.createWriter().reset(Buffer.alloc(1500), 0)
  return codec.writeAck(out, ack, space) ? Buffer.from(out.buffer.subarray(0, out.position)) : undefined
}

/** Ranges, highest first, with at least one missing packet between them. */
const ranges = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 1200 }), fc.integer({ min: 1, max: 70000 })), {
    minLength: 1,
    maxLength: 40
  })
  .map(parts => {
    let at = 0
    const list: [number, number][] = []
    for (const [gap, length] of parts) {
      list.unshift([at + gap, at + gap + length - 1])
      at += gap + length
    }
    return list
  })

describe('ACK in blocks', () => {
  it('of one block', () => {
    const bytes = hex('45 3412 0000 3412 00')
    expect(parse(bytes)).toMatchObject({ largestAcked: 0x1234, ackDelay: 0, ranges: [[1, 0x1234]] })
    expect(write(ackOf(0x1234, 0, [[1, 0x1234]]))).toEqual(bytes)
    expect(write(ackOf(0x1234, 0, [[1, 0x1234]]), 1400, big)).toEqual(hex('45 1234 0000 1234 00'))
  })

  it('of several blocks, with timestamps', () => {
    const frame = '65 3412 0000 04 0100 01 af0e ff 0000 91 ea01 05 0400'
    const ack = parse(hex(`${frame} 02 01 10325476 02 1032`))
    expect(ack.ranges).toEqual([[0x1234, 0x1234], [900, 4658], [10, 499], [1, 4]])
    expect(ack.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)).toBe(4254)
    expect(write(ackOf(0x1234, 0, ack.ranges))).toEqual(hex(`${frame} 00`))
  })

  it('cut anywhere is INVALID_ACK_DATA', () => {
    const bytes = hex('65 3412 0000 04 0100 01 af0e ff 0000 91 ea01 05 0400 02 01 10325476 02 1032')
    for (let end = 1; end < bytes.length; end++) {
      expect(() => parse(bytes.subarray(0, end))).toThrow('QUIC_INVALID_ACK_DATA')
    }
  })

  it('may have an empty first block', () => {
    expect(parse(hex('40 05 0000 00 00'))).toMatchObject({ largestAcked: 5, ranges: [] })
    expect(write(ackOf(5, 0, []))).toEqual(hex('40 05 0000 00 00'))
  })

  it('writes an empty first block if the largest packet is in no range', () => {
    const bytes = write(ackOf(9, 0, [[2, 4]]))!
    expect(parse(bytes)).toMatchObject({ largestAcked: 9, ranges: [[2, 4]] })
  })

  it('joins blocks that touch', () => {
    expect(parse(hex('60 0a 0000 01 02 00 03 00')).ranges).toEqual([[6, 10]])
  })

  it('may not reach below packet 1', () => {
    expect(parse(hex('40 05 0000 05 00')).ranges).toEqual([[1, 5]])
    expect(() => parse(hex('40 05 0000 06 00'))).toThrow('QUIC_INVALID_ACK_DATA')
    expect(() => parse(hex('60 05 0000 01 02 01 04 00'))).toThrow('QUIC_INVALID_ACK_DATA')
    expect(() => parse(hex('60 05 0000 02 01 ff 01 00 01 00'))).toThrow('QUIC_INVALID_ACK_DATA')
  })

  it('says how long ago the largest packet came', () => {
    expect(parse(hex('40 01 ffff 01 00')).ackDelay).toBe(Infinity)
    expect(write(ackOf(1, Infinity, [[1, 1]]))).toEqual(hex('40 01 ffff 01 00'))
    expect(parse(write(ackOf(1, 25007, [[1, 1]]))!).ackDelay).toBe(25000)
  })

  it('chains holes longer than 255', () => {
    const exact = write(ackOf(600, 0, [[600, 600], [1, 344]]))!
    expect(exact).toEqual(hex('65 5802 0000 01 0100 ff 5801 00'))
    const longer = write(ackOf(600, 0, [[600, 600], [1, 343]]))!
    expect(longer).toEqual(hex('65 5802 0000 02 0100 ff 0000 01 5701 00'))
  })

  it('keeps the newest ranges when space runs out, and none if the first does not fit', () => {
    const all: [number, number][] = [[30, 40], [20, 22], [10, 11], [1, 2]]
    const whole = write(ackOf(40, 0, all))!
    for (let space = 0; space <= whole.length; space++) {
      const bytes = write(ackOf(40, 0, all), space)
      if (bytes === undefined) {
        expect(space).toBeLessThan(6)
        continue
      }
      expect(bytes.length).toBeLessThanOrEqual(space)
      const read = parse(bytes).ranges
      expect(read).toEqual(all.slice(0, read.length))
      // One block more would not have fitted.
      if (read.length < all.length) expect(space - bytes.length).toBeLessThan(read.length === 1 ? 3 : 2)
    }
  })

  it('never writes more than 255 blocks', () => {
    const many: [number, number][] = []
    for (let i = 400; i > 0; i--) many.push([2 * i, 2 * i])
    const bytes = write(ackOf(800, 0, many))!
    expect(bytes[5]).toBe(255)
    expect(parse(bytes).ranges).toEqual(many.slice(0, 256))
  })

  it('keeps its ranges through writing and parsing', () => {
    fc.assert(
      fc.property(ranges, fc.integer({ min: 0, max: 4095 }), fc.constantFrom(little, big), (list, delay, codec) => {
        const largest = list[0]![1]
        const bytes = write(ackOf(largest, delay, list), 1400, codec)!
        expect(parse(bytes, codec)).toMatchObject({ largestAcked: largest, ackDelay: delay, ranges: list })
      })
    )
  })

  it('keeps packet numbers of six bytes', () => {
    const list: [number, number][] = [[2 ** 47 - 5, 2 ** 47], [2 ** 47 - 40, 2 ** 47 - 20], [1, 2 ** 47 - 50]]
    expect(parse(write(ackOf(2 ** 47, 0, list))!).ranges).toEqual(list)
  })

  it('of random bytes gives descending ranges of positive numbers or a QuicError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), bytes => {
        bytes[0] = (bytes[0]! & 0x3f) | 0x40
        let read: [number, number][] = []
        try {
          const log = new FrameLog()
          log.onAck = new Proxy(log.onAck, {
            apply: (target, self, args: [AckFrame, number, boolean]) => {
              target.apply(self, args)
              const frame = log.frames.at(-1)!
              if (frame.kind === 'ack') read = frame.ranges
            }
          })
          little.decode(bytes, 0, bytes.length, 1000, 2, log)
        } catch (error) {
          if (!(error instanceof QuicError)) throw error
        }
        let below = Infinity
        for (const [first, last] of read) {
          expect(first).toBeGreaterThanOrEqual(1)
          expect(last).toBeGreaterThanOrEqual(first)
          expect(last).toBeLessThan(below - 1)
          below = first
        }
      }),
      { numRuns: 3000 }
    )
  })
})
