import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OffsetRanges } from '../../../src/quic/transport/streams/offset-ranges.js'
import { SendBuffer } from '../../../src/quic/transport/streams/send-buffer.js'

function copy(buffer: SendBuffer, offset: number, length: number): Buffer {
  const target = Buffer.alloc(length + 2, 0xaa)
  buffer.copyTo(target, 1, offset, length)
  expect([target[0], target[length + 1]]).toEqual([0xaa, 0xaa])
  return target.subarray(1, length + 1)
}

describe('SendBuffer', () => {
  it('keeps a reference to large chunks and gathers small ones', () => {
    const buffer = new SendBuffer()
    const large = Buffer.alloc(5000, 1)
    buffer.append(large)
    for (let i = 0; i < 1000; i++) buffer.append(Buffer.from([i & 0xff]))
    expect(buffer.writtenOffset).toBe(6000)
    expect(copy(buffer, 5000, 1000)).toEqual(Buffer.from(Array.from({ length: 1000 }, (_, i) => i & 0xff)))
    large[0] = 9
    expect(copy(buffer, 0, 1)[0]).toBe(9)
  })

  it('frees the acknowledged prefix only', () => {
    const buffer = new SendBuffer()
    for (let i = 0; i < 10; i++) buffer.append(Buffer.alloc(2000, i))
    buffer.markSent(20_000)
    buffer.onAcked(2000, 18_000)
    expect(buffer.heldBytes).toBe(20_000)
    expect(buffer.needs(0, 2000)).toBe(true)
    expect(buffer.needs(2000, 2000)).toBe(false)
    buffer.onAcked(0, 2000)
    expect(buffer.heldBytes).toBe(0)
    expect(buffer.allAcked).toBe(true)
  })

  it('says which chunks it no longer reads', () => {
    const buffer = new SendBuffer()
    for (let i = 0; i < 3; i++) buffer.append(Buffer.alloc(2000, i))
    buffer.markSent(5000)
    buffer.onAcked(2000, 2000)
    expect(buffer.releasedOffset).toBe(0)
    buffer.onAcked(0, 1999)
    expect(buffer.releasedOffset).toBe(0)
    buffer.onAcked(1999, 1)
    expect(buffer.releasedOffset).toBe(4000)
    buffer.markSent(1000)
    buffer.onAcked(4000, 2000)
    expect(buffer.releasedOffset).toBe(6000)
  })

  it('forgets everything when dropped, but not how much was sent', () => {
    const buffer = new SendBuffer()
    buffer.append(Buffer.alloc(5000))
    buffer.markSent(3000)
    buffer.drop()
    expect([buffer.sentOffset, buffer.unsentBytes, buffer.heldBytes]).toEqual([3000, 0, 0])
    expect(buffer.needs(0, 1000)).toBe(false)
    buffer.onAcked(0, 1000)
    buffer.append(Buffer.alloc(10))
    expect([buffer.unsentBytes, buffer.allAcked]).toEqual([0, true])
  })

  it('gives any unacknowledged bytes back, under any writes, sends and acknowledgements', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), size: fc.integer({ min: 1, max: 3000 }) }),
      fc.record({ kind: fc.constant('send' as const), size: fc.integer({ min: 1, max: 1300 }) }),
      fc.record({ kind: fc.constant('ack' as const), size: fc.nat() }),
      fc.record({ kind: fc.constant('copy' as const), size: fc.nat() })
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const buffer = new SendBuffer()
        const all: number[] = []
        const frames: { offset: number; length: number; acked: boolean }[] = []
        for (const { kind, size } of actions) {
          if (kind === 'write') {
            const data = Uint8Array.from({ length: size }, (_, i) => (all.length + i * 7) & 0xff)
            all.push(...data)
            buffer.append(data)
          } else if (kind === 'send') {
            const length = Math.min(size, buffer.unsentBytes)
            if (length === 0) continue
            const offset = buffer.sentOffset
            expect(copy(buffer, offset, length)).toEqual(Buffer.from(all.slice(offset, offset + length)))
            buffer.markSent(length)
            frames.push({ offset, length, acked: false })
          } else if (frames.length > 0) {
            const frame = frames[size % frames.length]!
            expect(buffer.needs(frame.offset, frame.length)).toBe(!frame.acked)
            if (kind === 'ack') {
              buffer.onAcked(frame.offset, frame.length)
              frame.acked = true
            } else if (!frame.acked) {
              const expected = Buffer.from(all.slice(frame.offset, frame.offset + frame.length))
              expect(copy(buffer, frame.offset, frame.length)).toEqual(expected)
            }
          }
        }
        expect(buffer.allAcked).toBe(frames.every((frame) => frame.acked))
        if (buffer.allAcked && buffer.unsentBytes === 0) expect(buffer.heldBytes).toBe(0)
      }),
      { numRuns: 200 }
    )
  })
})

describe('OffsetRanges', () => {
  it('equals a set of numbers', () => {
    const range = fc.tuple(fc.integer({ min: 0, max: 120 }), fc.integer({ min: 0, max: 20 }))
    fc.assert(
      fc.property(fc.array(range, { maxLength: 40 }), range, (added, [from, size]) => {
        const ranges = new OffsetRanges()
        const model = new Set<number>()
        for (const [start, length] of added) {
          ranges.add(start, start + length)
          for (let i = 0; i < length; i++) model.add(start + i)
        }
        let prefix = 0
        while (model.has(prefix)) prefix++
        expect(ranges.prefixEnd).toBe(prefix)
        const runs = [...model].filter((n) => !model.has(n - 1)).length
        expect(ranges.count).toBe(runs)
        for (let i = 0; i < ranges.count; i++) {
          expect(model.has(ranges.startOf(i)) && !model.has(ranges.startOf(i) - 1)).toBe(true)
          expect(model.has(ranges.endOf(i) - 1) && !model.has(ranges.endOf(i))).toBe(true)
        }
        const end = from + size + 1
        let covered = true
        for (let i = from; i < end; i++) covered &&= model.has(i)
        expect(ranges.covers(from, end)).toBe(covered)
      })
    )
  })
})
