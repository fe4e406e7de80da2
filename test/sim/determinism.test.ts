import { describe, expect, it } from 'vitest'
import { DeferredSealing } from '../helpers/sim/deferred-sealing.js'
import { Corrupt, Delay, Duplicate, Loss, Reorder } from '../helpers/sim/network.js'
import { makePair } from '../helpers/sim/scenario.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'

function trace(seed: number, sealing?: DeferredSealing): string {
  const path = (): [Delay, Loss, Reorder, Duplicate, Corrupt] => [
    new Delay(20, 8),
    new Loss(0.05),
    new Reorder(0.1, 40),
    new Duplicate(0.1),
    new Corrupt(0.05)
  ]
  const exchanges = Array.from({ length: 10 }, (_, i) => ({ up: 5_000 * i, down: 7_000 * i, seed: i }))
  const { world, client } = makePair({ seed, up: path(), down: path() })
  world.sealing = sealing
  world.run(() => client.connection.encryptionEstablished, 30_000)
  for (const exchange of exchanges) client.session.start(exchange)
  world.run(() => client.session.done)
  return `${world.trace} ${world.now} ${client.datagramsSent} ${client.datagramsReceived}`
}

describe('a simulation', () => {
  it('follows from its seed alone: times and sizes of all datagrams', () => {
    for (const seed of [1, 2, 3]) expect(trace(seed)).toBe(trace(seed))
  })

  it('is the same whether packets are sealed when they are written or when they are sent', () => {
    const sealing = new DeferredSealing()
    expect(trace(1, sealing)).toBe(trace(1))
    expect(sealing.sealed).toBeGreaterThan(100)
  })

  it('is another one under another seed', () => {
    expect(new Set([1, 2, 3, 4, 5].map((seed) => trace(seed))).size).toBe(5)
  })
})

describe('SeededRandom', () => {
  it('gives the same numbers everywhere', () => {
    const random = new SeededRandom(42)
    const first = [random.uint32(), random.uint32(), random.uint32()]
    const again = new SeededRandom(42)
    expect([again.uint32(), again.uint32(), again.uint32()]).toEqual(first)
    expect(Buffer.from(new SeededRandom(42).bytes(7)).toString('hex')).toBe(
      Buffer.from(new SeededRandom(42).bytes(9)).toString('hex').slice(0, 14)
    )
  })

  it('is spread evenly enough for probabilities to mean something', () => {
    const random = new SeededRandom(7)
    let hits = 0
    const buckets = new Array<number>(10).fill(0)
    for (let i = 0; i < 100_000; i++) {
      if (random.chance(0.3)) hits++
      buckets[random.below(10)]!++
    }
    expect(hits / 100_000).toBeCloseTo(0.3, 2)
    for (const count of buckets) expect(count / 100_000).toBeCloseTo(0.1, 2)
    expect(new SeededRandom(7).chance(0)).toBe(false)
  })
})
