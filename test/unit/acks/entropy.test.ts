import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { packetEntropy, ReceivedEntropy, SentEntropy } from '../../../src/quic/transport/acks/entropy.js'
import { ackOf } from '../../helpers/frame-log.js'

/** Bits of packets 1, 2, … */
const bits = fc.array(fc.boolean(), { minLength: 1, maxLength: 120 })

/** The naive sum over the packets for which `counts` holds. */
function sum(list: readonly boolean[], counts: (packetNumber: number) => boolean): number {
  return list.reduce((hash, bit, i) => (counts(i + 1) ? hash ^ packetEntropy(i + 1, bit) : hash), 0)
}

/** What arrived, as ranges from high to low up to `largest`. */
function rangesOf(arrived: (packetNumber: number) => boolean, largest: number): [number, number][] {
  const ranges: [number, number][] = []
  for (let n = largest; n >= 1; n--) {
    if (!arrived(n)) continue
    if (ranges.at(-1)?.[0] === n + 1) ranges.at(-1)![0] = n
    else ranges.push([n, n])
  }
  return ranges
}

it('a packet counts with its bit at the place of its number', () => {
  expect([1, 7, 8, 9].map(n => packetEntropy(n, true))).toEqual([2, 128, 1, 2])
  expect(packetEntropy(5, false)).toBe(0)
})

describe('mechanism: entropy', () => {
  function sent(list: readonly boolean[]): SentEntropy {
    const entropy = new SentEntropy()
    list.forEach((bit, i) => entropy.record(i + 1, bit))
    return entropy
  }

  it('tells the sum for STOP_WAITING', () => {
    const entropy = sent([true, false, true, true])
    expect([1, 2, 3, 4, 5].map(n => entropy.hashBelow(n))).toEqual([0, 2, 2, 2 ^ 8, 2 ^ 8 ^ 16])
  })

  it('accepts the right hash and no other', () => {
    fc.assert(
      fc.property(bits, fc.func(fc.boolean()), fc.nat(), (list, arrives, pick) => {
        const largest = 1 + (pick % list.length)
        const arrived = (n: number): boolean => n === largest || Boolean(arrives(n))
        const entropy = sent(list)
        const ack = ackOf(largest, 0, rangesOf(arrived, largest))
        const hash = sum(list, n => n <= largest && arrived(n))
        for (let wrong = 0; wrong < 256; wrong++) expect(entropy.matches(ack, wrong)).toBe(wrong === hash)
      }),
      { numRuns: 50 }
    )
  })

  it('forgets, and still knows the rest', () => {
    const list = Array.from({ length: 5000 }, (_, i) => i % 3 === 0 || i % 7 === 0)
    const entropy = sent(list)
    entropy.forgetBelow(4000)
    expect(entropy.hashBelow(4000)).toBe(sum(list, n => n < 4000))
    const arrived = (n: number): boolean => n < 4100 || n > 4200
    const ack = ackOf(5000, 0, rangesOf(arrived, 5000))
    expect(entropy.matches(ack, sum(list, arrived))).toBe(true)
    const tooOld = ackOf(5000, 0, rangesOf(n => n !== 3999, 5000))
    expect(entropy.matches(tooOld, sum(list, n => n !== 3999))).toBe(false)
    entropy.record(5001, true)
    expect(entropy.hashBelow(5002)).toBe(sum([...list, true], () => true))
  })

  it('knows nothing of packets that were not sent, and wants every number', () => {
    const entropy = sent([true, true])
    expect(entropy.matches(ackOf(3, 0, [[1, 3]]), 6)).toBe(false)
    expect(() => entropy.record(4, true)).toThrow(RangeError)
    entropy.forgetBelow(100)
    expect(entropy.hashBelow(3)).toBe(6)
    entropy.record(3, true)
    expect(entropy.matches(ackOf(3, 0, [[1, 3]]), 14)).toBe(true)
  })
})

describe('mechanism: entropy', () => {
  const shuffled = bits.chain(list =>
    fc.tuple(fc.constant(list), fc.shuffledSubarray(list.map((_, i) => i + 1), { minLength: 1 }))
  )

  it('sums what arrives, in any order, up to any number from the first that is missing', () => {
    fc.assert(
      fc.property(shuffled, ([list, order]) => {
        const entropy = new ReceivedEntropy()
        for (const n of order) entropy.record(n, list[n - 1]!)
        const got = new Set(order)
        let missing = 1
        while (got.has(missing)) missing++
        for (let n = missing - 1; n <= list.length; n++) {
          expect(entropy.hashUpTo(n)).toBe(sum(list, m => m <= n && got.has(m)))
        }
      })
    )
  })

  it("takes the peer's sum for what never comes", () => {
    fc.assert(
      fc.property(shuffled, fc.nat(), fc.nat(), ([list, order], pick, split) => {
        const entropy = new ReceivedEntropy()
        const before = order.slice(0, split % order.length)
        const highest = Math.max(1, ...before)
        const least = 1 + (pick % highest)
        for (const n of before) entropy.record(n, list[n - 1]!)
        entropy.onStopWaiting(least, sum(list, n => n < least))
        // What comes late counts no more: the peer's sum has it already.
        const late = order.slice(split % order.length).filter(n => n >= least)
        for (const n of late) entropy.record(n, list[n - 1]!)
        expect(entropy.leastAwaited).toBe(least)
        const got = new Set([...before, ...late])
        expect(entropy.hashUpTo(list.length)).toBe(sum(list, n => n < least || got.has(n)))
      })
    )
  })

  it('agrees with the sender of what it acknowledges', () => {
    fc.assert(
      fc.property(shuffled, ([list, order]) => {
        const sender = new SentEntropy()
        list.forEach((bit, i) => sender.record(i + 1, bit))
        const receiver = new ReceivedEntropy()
        const got = new Set<number>()
        for (const n of order) {
          receiver.record(n, list[n - 1]!)
          got.add(n)
          const largest = Math.max(...got)
          const ack = ackOf(largest, 0, rangesOf(m => got.has(m), largest))
          expect(sender.matches(ack, receiver.hashUpTo(largest))).toBe(true)
        }
      })
    )
  })

  it('ignores what is over, and refuses to remember too much', () => {
    const entropy = new ReceivedEntropy()
    entropy.record(1, true)
    entropy.record(3, true)
    entropy.onStopWaiting(3, 2 ^ 4)
    entropy.record(2, true)
    expect(entropy.hashUpTo(3)).toBe(2 ^ 4 ^ 8)
    entropy.onStopWaiting(2, 99)
    expect(entropy.hashUpTo(3)).toBe(2 ^ 4 ^ 8)
    expect(entropy.leastAwaited).toBe(3)
    expect(() => entropy.record(10_004, true)).toThrow('QUIC_TOO_MANY_OUTSTANDING_RECEIVED_PACKETS')
    entropy.record(10_003, true)
    expect(entropy.hashUpTo(10_003)).toBe(2 ^ 4 ^ 8 ^ 8)
  })
})
