import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QuicError, QuicErrorCode } from '../../../src/quic/errors.js'
import {
  MAX_FRAME_GAPS,
  QuicStreamSequencer,
  SEQUENCER_BLOCK,
  SequencerOutcome
} from '../../../src/quic/transport/streams/sequencer.js'

const content = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 31 + (i >> 8)) & 0xff)

function feed(sequencer: QuicStreamSequencer, start: number, end: number, fin = false): SequencerOutcome {
  const lent = content.slice(start, end)
  const outcome = sequencer.onFrame(start, fin, lent, 0, lent.length)
  lent.fill(0xee)
  return outcome
}

function readAll(sequencer: QuicStreamSequencer): Buffer {
  const parts: Uint8Array[] = []
  for (let bytes = sequencer.read(); bytes !== undefined; bytes = sequencer.read()) parts.push(bytes)
  return Buffer.concat(parts)
}

function codeOf(action: () => unknown): number {
  try {
    action()
  } catch (error) {
    if (error instanceof QuicError) return error.wireCode
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('QuicStreamSequencer', () => {
  it('gives bytes in order whatever the order of frames', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    expect(feed(sequencer, 10, 20)).toBe(SequencerOutcome.Nothing)
    expect(sequencer.read()).toBeUndefined()
    expect(feed(sequencer, 0, 10)).toBe(SequencerOutcome.Readable)
    expect(sequencer.readableBytes).toBe(20)
    expect(readAll(sequencer)).toEqual(Buffer.from(content.subarray(0, 20)))
    expect(feed(sequencer, 20, 30, true)).toBe(SequencerOutcome.Readable)
    expect(sequencer.atEnd).toBe(false)
    readAll(sequencer)
    expect(sequencer.atEnd).toBe(true)
  })

  it('hands on what comes in its turn, and gives the same bytes as without, whatever comes in between', () => {
    const frames = fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 12 })), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(frames, (list) => {
        const plain = new QuicStreamSequencer(1, false)
        const passing = new QuicStreamSequencer(1, false)
        const seen: Uint8Array[] = []
        const expected: Uint8Array[] = []
        for (const [start, length] of list) {
          feed(plain, start, start + length)
          expected.push(readAll(plain))
          const lent = content.slice(start, start + length)
          const data = passing.passOn(start, lent, 0, length)
          if (data === undefined) feed(passing, start, start + length)
          lent.fill(0xee)
          seen.push(data ?? new Uint8Array(0), readAll(passing))
          expect(passing.consumed).toBe(plain.consumed)
        }
        expect(Buffer.concat(seen)).toEqual(Buffer.concat(expected))
      })
    )
    const fresh = new QuicStreamSequencer(1, false)
    expect(fresh.passOn(0, content, 0, 5)).toEqual(content.slice(0, 5))
    expect(fresh.passOn(6, content, 6, 8)).toBeUndefined()
    expect(fresh.bufferedBytes).toBe(0)
  })

  it('ignores duplicates, also of what was consumed', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    feed(sequencer, 0, 100)
    readAll(sequencer)
    expect(feed(sequencer, 0, 100)).toBe(SequencerOutcome.Nothing)
    expect(feed(sequencer, 20, 60)).toBe(SequencerOutcome.Nothing)
    feed(sequencer, 200, 300)
    expect(feed(sequencer, 210, 300)).toBe(SequencerOutcome.Nothing)
    expect(sequencer.readableBytes).toBe(0)
  })

  it.each([
    ['into the front', 50, 150],
    ['into the back', 150, 250],
    ['over a whole range', 50, 450],
    ['from one range to the next', 150, 350]
  ])('closes the connection over data that reaches %s of other data', (_name, start, end) => {
    const sequencer = new QuicStreamSequencer(5, true)
    feed(sequencer, 100, 200)
    feed(sequencer, 300, 400)
    expect(codeOf(() => feed(sequencer, start, end))).toBe(QuicErrorCode.OVERLAPPING_STREAM_DATA)
  })

  it('trims overlaps where the version allows them', () => {
    const sequencer = new QuicStreamSequencer(5, false)
    feed(sequencer, 100, 200)
    feed(sequencer, 300, 400)
    feed(sequencer, 50, 450)
    feed(sequencer, 0, 60)
    expect(readAll(sequencer)).toEqual(Buffer.from(content.subarray(0, 450)))
  })

  it('allows exactly 10000 gaps', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    for (let i = 1; i < MAX_FRAME_GAPS; i++) feed(sequencer, i * 2, i * 2 + 1)
    expect(codeOf(() => feed(sequencer, MAX_FRAME_GAPS * 2, MAX_FRAME_GAPS * 2 + 1))).toBe(
      QuicErrorCode.TOO_MANY_FRAME_GAPS
    )
    // Filling one makes room for another.
    feed(sequencer, 3, 4)
    expect(() => feed(sequencer, MAX_FRAME_GAPS * 2, MAX_FRAME_GAPS * 2 + 1)).not.toThrow()
  })

  it('rejects data 16 MiB beyond what was read, and empty frames without FIN', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    const far = 16 * 1024 * 1024
    expect(codeOf(() => sequencer.onFrame(far, false, content, 0, 1))).toBe(QuicErrorCode.INTERNAL_ERROR)
    expect(sequencer.onFrame(far - 1, false, content, 0, 1)).toBe(SequencerOutcome.Nothing)
    expect(codeOf(() => sequencer.onFrame(3, false, content, 0, 0))).toBe(QuicErrorCode.EMPTY_STREAM_FRAME_NO_FIN)
  })

  it('notices every contradiction about the length', () => {
    const early = new QuicStreamSequencer(5, true)
    feed(early, 0, 100)
    expect(feed(early, 0, 50, true)).toBe(SequencerOutcome.LengthConflict)
    const twice = new QuicStreamSequencer(5, true)
    feed(twice, 0, 100, true)
    expect(feed(twice, 0, 100, true)).toBe(SequencerOutcome.Nothing)
    expect(feed(twice, 200, 200, true)).toBe(SequencerOutcome.LengthConflict)
    expect(feed(twice, 100, 101)).toBe(SequencerOutcome.LengthConflict)
    expect(twice.setFinalOffset(100)).toBe(SequencerOutcome.Nothing)
    expect(twice.setFinalOffset(99)).toBe(SequencerOutcome.LengthConflict)
  })

  it('keeps no more memory than the window, even for the smallest frames', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    const window = 64 * 1024
    for (let at = 1; at < window; at += 2) {
      try {
        feed(sequencer, at, at + 1)
      } catch {
        break
      }
    }
    expect(sequencer.bufferedBytes).toBeLessThanOrEqual(window)
    for (let at = 0; at + 1 < 20_000; at += 2) feed(sequencer, at, at + 1)
    expect(sequencer.bufferedBytes).toBeLessThanOrEqual(window)
  })

  it('allocates only what a short stream needs, and frees what is read', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    feed(sequencer, 0, 300, true)
    expect(sequencer.bufferedBytes).toBe(300)
    readAll(sequencer)
    expect(sequencer.bufferedBytes).toBe(0)
    const long = new QuicStreamSequencer(5, true)
    feed(long, 0, 50_000)
    readAll(long)
    expect(long.bufferedBytes).toBeLessThanOrEqual(SEQUENCER_BLOCK)
  })

  it('frees a block that was read to where data has come, and goes on in the middle of it', () => {
    const sequencer = new QuicStreamSequencer(5, false)
    feed(sequencer, 0, 100)
    readAll(sequencer)
    expect(sequencer.bufferedBytes).toBeGreaterThan(0)
    sequencer.releaseMemory()
    expect(sequencer.bufferedBytes).toBe(0)
    feed(sequencer, 110, 120)
    sequencer.releaseMemory()
    expect(sequencer.bufferedBytes).toBeGreaterThan(0)
    feed(sequencer, 100, 110)
    expect(readAll(sequencer)).toEqual(Buffer.from(content.subarray(100, 120)))
  })

  it('gives the block that was read to whichever stream needs one, and none with something to read', () => {
    const sequencer = new QuicStreamSequencer(5, false)
    feed(sequencer, 0, 100)
    sequencer.recycle()
    const lent = sequencer.read()!
    expect(Buffer.from(lent)).toEqual(Buffer.from(content.subarray(0, 100)))
    sequencer.recycle()
    expect(sequencer.bufferedBytes).toBe(0)
    const other = new QuicStreamSequencer(7, false)
    feed(other, 0, 50)
    expect(other.read()!.buffer).toBe(lent.buffer)
    feed(sequencer, 100, 200)
    const next = sequencer.read()!
    expect(next.buffer).not.toBe(lent.buffer)
    expect(Buffer.from(next)).toEqual(Buffer.from(content.subarray(100, 200)))
  })

  it('discards without keeping', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    feed(sequencer, 0, 1000)
    feed(sequencer, 2000, 3000)
    expect(sequencer.startDiscarding()).toBe(1000)
    expect(sequencer.bufferedBytes).toBe(0)
    expect(feed(sequencer, 1000, 2000)).toBe(SequencerOutcome.Readable)
    expect(sequencer.discardReadable()).toBe(2000)
    expect(sequencer.bufferedBytes).toBe(0)
    feed(sequencer, 3000, 3100, true)
    sequencer.discardReadable()
    expect(sequencer.atEnd).toBe(true)
  })

  it('equals a byte-by-byte model for any order, duplication and interleaved reading', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 39_999 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(cuts, fc.array(fc.nat(), { maxLength: 120 }), fc.boolean(), (points, picks, rejects) => {
        const edges = [0, ...points.sort((x, y) => x - y), 40_000]
        const frames = edges.slice(1).map((end, i) => [edges[i]!, end] as const)
        const order = [...picks.map((n) => n % frames.length), ...frames.keys()]
        const sequencer = new QuicStreamSequencer(5, rejects)
        const have = new Uint8Array(40_000)
        const got: Uint8Array[] = []
        let length = 0
        for (const index of order) {
          const [start, end] = frames[index]!
          const before = inOrder(have)
          have.fill(1, start, end)
          const outcome = feed(sequencer, start, end, end === 40_000)
          expect(outcome === SequencerOutcome.Readable).toBe(inOrder(have) > before)
          expect(sequencer.readableBytes).toBe(inOrder(have) - length)
          if (index % 3 !== 0) continue
          const part = readAll(sequencer)
          got.push(part)
          length += part.length
        }
        got.push(readAll(sequencer))
        expect(Buffer.concat(got).equals(content.subarray(0, 40_000))).toBe(true)
        expect(sequencer.atEnd).toBe(true)
      }),
      { numRuns: 150 }
    )
  })

  it('copies out what read() would give, in turns with it, and leaves alone what read() gave away', () => {
    const step = fc.record({ frame: fc.integer({ min: 1, max: 3000 }), room: fc.integer({ min: -1, max: 20_000 }), late: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), (steps) => {
        const sequencer = new QuicStreamSequencer(5, true)
        const got: Uint8Array[] = []
        let end = 0
        let held: [number, number] | undefined
        const take = (room: number): boolean => {
          if (room < 0) {
            const bytes = sequencer.read()
            // Kept as it is: were its memory used again, the comparison at the end would fail.
            if (bytes !== undefined) got.push(bytes)
            return bytes !== undefined
          }
          const target = new Uint8Array(room)
          const before = sequencer.readableBytes
          const length = sequencer.readInto(target)
          expect(length).toBe(Math.min(before, room))
          got.push(target.subarray(0, length))
          return length > 0
        }
        for (const { frame, room, late } of steps) {
          const next: [number, number] = [end, Math.min(end + frame, content.length)]
          end = next[1]
          if (next[0] === end) break
          if (late && held === undefined) held = next
          else feed(sequencer, ...next)
          if (!late && held !== undefined) {
            feed(sequencer, ...held)
            held = undefined
          }
          take(room)
        }
        if (held !== undefined) feed(sequencer, ...held)
        while (take(-1));
        expect(Buffer.concat(got).equals(content.subarray(0, end))).toBe(true)
      }),
      { numRuns: 200 }
    )
  })

  it('copies out to the end, and nothing once it discards', () => {
    const sequencer = new QuicStreamSequencer(5, true)
    feed(sequencer, 0, 20_000, true)
    const target = new Uint8Array(30_000)
    expect(sequencer.readInto(target)).toBe(20_000)
    expect(target.subarray(0, 20_000)).toEqual(content.subarray(0, 20_000))
    expect([sequencer.atEnd, sequencer.bufferedBytes, sequencer.readInto(target)]).toEqual([true, 0, 0])
    const discarding = new QuicStreamSequencer(5, true)
    feed(discarding, 0, 100)
    discarding.startDiscarding()
    feed(discarding, 100, 200)
    expect(discarding.readInto(target)).toBe(0)
  })

  it('trims any overlap like a byte-by-byte model', () => {
    const frame = fc.tuple(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 200 }))
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 40 }), (frames) => {
        const sequencer = new QuicStreamSequencer(5, false)
        const have = new Uint8Array(800)
        for (const [start, length] of frames) {
          feed(sequencer, start, start + length)
          have.fill(1, start, start + length)
        }
        expect(readAll(sequencer).equals(content.subarray(0, inOrder(have)))).toBe(true)
      })
    )
  })
})

function inOrder(have: Uint8Array): number {
  const gap = have.indexOf(0)
  return gap < 0 ? have.length : gap
}
