import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WindowedMaxFilter } from '../../../src/quic/recovery/windowed-filter.js'

/** Best 900 from time 25, second 700 from 75, third 600 from 100, in a window of 99. */
function filled(): WindowedMaxFilter {
  const filter = new WindowedMaxFilter(99)
  for (let i = 0; i < 5; i++) filter.update(1000 - 100 * i, 25 * i)
  return filter
}

function best(filter: WindowedMaxFilter): number[] {
  return [filter.best, filter.secondBest, filter.thirdBest]
}

describe('the windowed maximum', () => {
  it('keeps the best three of a falling series', () => {
    expect(best(new WindowedMaxFilter(99))).toEqual([0, 0, 0])
    expect(best(filled())).toEqual([900, 700, 600])
  })

  it('falls behind a falling series by one window', () => {
    const filter = new WindowedMaxFilter(99)
    const seen = Array.from({ length: 7 }, (_, i) => {
      filter.update(1000 - 100 * i, 25 * i)
      return filter.best
    })
    expect(seen).toEqual([1000, 1000, 1000, 1000, 900, 700, 700])
  })

  it('takes a sample into the place that it deserves', () => {
    const third = filled()
    third.update(650, 101)
    expect(best(third)).toEqual([900, 700, 650])
    const second = filled()
    second.update(750, 101)
    expect(best(second)).toEqual([900, 750, 750])
    const first = filled()
    first.update(950, 101)
    expect(best(first)).toEqual([950, 950, 950])
  })

  it('replaces a best that is too old, and all three if they are', () => {
    const one = filled()
    one.update(500, 25 + 100)
    expect(best(one)).toEqual([700, 600, 500])
    const two = filled()
    two.update(500, 75 + 100)
    expect(best(two)).toEqual([600, 500, 500])
    const all = filled()
    all.update(500, 100 + 100)
    expect(best(all)).toEqual([500, 500, 500])
  })

  it('never claims more than was seen in the window, nor less than the newest sample', () => {
    const step = fc.record({ gap: fc.integer({ min: 0, max: 40 }), sample: fc.integer({ min: 1, max: 1000 }) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 80 }), (steps) => {
        const filter = new WindowedMaxFilter(99)
        const seen: { time: number; sample: number }[] = []
        let time = 0
        for (const { gap, sample } of steps) {
          time += gap
          seen.push({ time, sample })
          filter.update(sample, time)
          const inWindow = seen.filter((s) => time - s.time <= 99).map((s) => s.sample)
          expect(filter.best).toBeLessThanOrEqual(Math.max(...inWindow))
          expect(filter.best).toBeGreaterThanOrEqual(sample)
        }
      })
    )
  })
})
