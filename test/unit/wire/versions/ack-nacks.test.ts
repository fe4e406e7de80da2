import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { knownVersionByLabel } from '../../../../src/quic/wire/versions/registry.js'
import { ackOf, FrameLog } from '../../../helpers/frame-log.js'
import type { LoggedFrame } from '../../../helpers/frame-log.js'

type Ack = Extract<LoggedFrame, { kind: 'ack' }>
type Ranges = [number, number][]

const { frames } = knownVersionByLabel('Q033')!
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

function parse(frame: Uint8Array): Ack {
  const log = new FrameLog()
  const payload = Buffer.concat([Buffer.alloc(1), frame])
  frames.decode(payload, 0, payload.length, 1, 1, log)
  return log.frames[1] as Ack
}

/** Writes with the hash standing for the number up to which it was asked. */
function write(ranges: Ranges, options: { largest?: number; leastAwaited?: number; space?: number } = {}): Buffer {
  const { largest = ranges[0]?.[1] ?? 0, leastAwaited = 1, space = 1400 } = options
  const out = frames.createWriter().reset(Buffer.alloc(1500), 0)
  const entropy = { leastAwaited, hashUpTo: (packetNumber: number) => packetNumber % 256 }
  return frames.writeAck(out, ackOf(largest, 0, ranges), space, entropy)
    ? Buffer.from(out.buffer.subarray(0, out.position))
    : Buffer.alloc(0)
}

describe('ACK with missing ranges', () => {
  it('of everything', () => {
    const bytes = hex('44 34 3412 0000 00')
    expect(write([[1, 0x1234]])).toEqual(bytes)
    expect(parse(bytes)).toEqual({
      kind: 'ack', largestAcked: 0x1234, ackDelay: 0, ranges: [[1, 0x1234]], entropyHash: 0x34, truncated: false
    })
  })

  it('of one missing packet', () => {
    const bytes = hex('64 bf bfba 0000 00 01 01 00')
    expect(write([[0xbabf, 0xbabf], [1, 0xbabd]])).toEqual(bytes)
    expect(parse(bytes).ranges).toEqual([[0xbabf, 0xbabf], [1, 0xbabd]])
  })

  it('of long gaps, chained', () => {
    const bytes = write([[701, 701], [1, 100]])
    // 600 are missing: 88 above 256 above 256.
    expect(bytes).toEqual(hex('64 bd bd02 0000 00 03 01 57 00 ff 00 ff'))
    expect(parse(bytes).ranges).toEqual([[701, 701], [1, 100]])
  })

  it('of nothing at the beginning or at the end', () => {
    expect(parse(write([[3, 5]])).ranges).toEqual([[3, 5]])
    expect(parse(write([[3, 5]], { largest: 7 }))).toMatchObject({ largestAcked: 7, ranges: [[3, 5]] })
    expect(parse(write([], { largest: 7 }))).toMatchObject({ largestAcked: 7, ranges: [] })
  })

  it('does not miss what nobody waits for', () => {
    expect(parse(write([[30, 40], [20, 25]], { leastAwaited: 20 })).ranges).toEqual([[30, 40], [1, 25]])
    expect(parse(write([[30, 40], [20, 25]], { leastAwaited: 18 })).ranges).toEqual([[30, 40], [20, 25], [1, 17]])
    expect(parse(write([[30, 40]], { leastAwaited: 28 })).ranges).toEqual([[30, 40], [1, 27]])
  })

  it('skips timestamps', () => {
    expect(parse(hex('64 bf bfba 0000 02 01 10325476 02 1032 01 01 00')).ranges).toEqual([
      [0xbabf, 0xbabf], [1, 0xbabd]
    ])
  })

  it('cut anywhere is INVALID_ACK_DATA', () => {
    const bytes = hex('64 bf bfba 0000 02 01 10325476 02 1032 02 01 00 02 03')
    for (let end = 1; end < bytes.length; end++) {
      expect(() => parse(bytes.subarray(0, end))).toThrow('QUIC_INVALID_ACK_DATA')
    }
  })

  it('may not reach below packet 1', () => {
    expect(parse(hex('60 00 05 0000 00 01 01 03')).ranges).toEqual([[5, 5]])
    expect(() => parse(hex('60 00 05 0000 00 01 01 04'))).toThrow('QUIC_INVALID_ACK_DATA')
    expect(() => parse(hex('60 00 05 0000 00 02 01 03 01 00'))).toThrow('QUIC_INVALID_ACK_DATA')
  })

  it('is truncated from the newest on when space runs out', () => {
    const ranges: Ranges = [[40, 41], [30, 35], [20, 22], [1, 10]]
    const whole = write(ranges)
    expect(whole).toHaveLength(7 + 3 * 2)
    // Missing 36–39 is left out: nothing is said of what lies above 35.
    const truncated = write(ranges, { space: whole.length - 1 })
    expect(truncated).toEqual(hex('70 23 23 0000 02 06 06 03 08'))
    expect(parse(truncated)).toMatchObject({
      truncated: true, largestAcked: 35, entropyHash: 35, ranges: [[30, 35], [20, 22], [1, 10]]
    })
    expect(parse(write(ranges, { space: 10 }))).toMatchObject({ largestAcked: 22, ranges: [[20, 22], [1, 10]] })
    expect(write(ranges, { space: 8 })).toHaveLength(0)
  })

  it('cannot be written without its hash', () => {
    const out = frames.createWriter().reset(Buffer.alloc(100), 0)
    expect(() => frames.writeAck(out, ackOf(1, 0, [[1, 1]]), 100)).toThrow(TypeError)
  })

  it('keeps to the truth whatever the space', () => {
    const parts = fc.array(fc.tuple(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 700 })), {
      minLength: 1, maxLength: 60
    })
    fc.assert(
      fc.property(parts, fc.integer({ min: 9, max: 400 }), (list, space) => {
        let at = 0
        const ranges: Ranges = []
        for (const [gap, length] of list) {
          ranges.unshift([at + gap + 1, at + gap + length])
          at += gap + length
        }
        const bytes = write(ranges, { space })
        expect(bytes.length).toBeLessThanOrEqual(space)
        if (bytes.length === 0) return
        const ack = parse(bytes)
        const told = ranges
          .filter(([first]) => first <= ack.largestAcked)
          .map(([first, last]): [number, number] => [first, Math.min(last, ack.largestAcked)])
        expect(ack.ranges).toEqual(told)
        expect(ack.entropyHash).toBe(ack.largestAcked % 256)
        if (!ack.truncated) expect(ack.largestAcked).toBe(at)
      })
    )
  })
})
