import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PacketRangeSet } from '../../../src/quic/transport/acks/packet-range-set.js'

function ranges(set: PacketRangeSet): [number, number][] {
  return Array.from({ length: set.size }, (_, i) => [set.first(i), set.last(i)])
}

describe('PacketRangeSet', () => {
  it('joins neighbours into one range', () => {
    const set = new PacketRangeSet(8)
    for (const n of [5, 1, 3, 7, 2, 6]) set.add(n)
    expect(ranges(set)).toEqual([
      [1, 3],
      [5, 7]
    ])
    expect(set.newestLength).toBe(3)
    set.add(4)
    expect(ranges(set)).toEqual([[1, 7]])
  })

  it('agrees with a Set under any order of additions and removals', () => {
    const operation = fc.record({ add: fc.boolean(), n: fc.integer({ min: 1, max: 60 }) })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (steps) => {
        const set = new PacketRangeSet(64)
        const model = new Set<number>()
        for (const { add, n } of steps) {
          if (add || n > 20) {
            expect(set.add(n)).toBe(0)
            model.add(n)
          } else {
            set.removeBelow(n)
            for (const m of model) if (m < n) model.delete(m)
          }
          for (let i = 0; i <= 61; i++) expect(set.contains(i)).toBe(model.has(i))
        }
        expect(set.min).toBe(model.size > 0 ? Math.min(...model) : 0)
        expect(set.max).toBe(model.size > 0 ? Math.max(...model) : 0)
        for (let i = 1; i < set.size; i++) expect(set.first(i)).toBeGreaterThan(set.last(i - 1) + 1)
      })
    )
  })

  it('forgets the lowest range when there are too many, and says up to where', () => {
    const set = new PacketRangeSet(3)
    for (const n of [10, 20, 30]) expect(set.add(n)).toBe(0)
    expect(set.add(40)).toBe(10)
    expect(ranges(set).map(([a]) => a)).toEqual([20, 30, 40])
    expect(set.add(25)).toBe(20)
    expect(ranges(set).map(([a]) => a)).toEqual([25, 30, 40])
    expect(set.add(5)).toBe(5)
    expect(set.contains(5)).toBe(false)
    expect(set.add(31)).toBe(0)
  })
})
