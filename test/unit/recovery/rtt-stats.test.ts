import { describe, expect, it } from 'vitest'
import { RttStats } from '../../../src/quic/recovery/rtt-stats.js'

describe('RttStats', () => {
  it('assumes 100 ms until the first sample, which it then takes whole', () => {
    const rtt = new RttStats()
    expect(rtt.smoothedOrInitial).toBe(100_000)
    expect(rtt.smoothed).toBe(0)
    rtt.update(60_000, 10_000)
    expect(rtt.latest).toBe(50_000)
    expect(rtt.smoothed).toBe(50_000)
    expect(rtt.meanDeviation).toBe(25_000)
    expect(rtt.smoothedOrInitial).toBe(50_000)
  })

  it('smooths by an eighth and the deviation by a quarter', () => {
    const rtt = new RttStats()
    rtt.update(100_000, 0)
    rtt.update(200_000, 0)
    expect(rtt.previousSmoothed).toBe(100_000)
    expect(rtt.smoothed).toBe(112_500)
    expect(rtt.meanDeviation).toBe(0.75 * 50_000 + 0.25 * 100_000)
  })

  it('keeps the least raw sample, and ignores a delay larger than the sample', () => {
    const rtt = new RttStats()
    rtt.update(200_000, 150_000)
    expect(rtt.min).toBe(200_000)
    rtt.update(10_000, 50_000)
    expect(rtt.latest).toBe(10_000)
    expect(rtt.min).toBe(10_000)
  })

  it('takes no zero, negative or infinite sample, and does not mind an infinite delay', () => {
    const rtt = new RttStats()
    for (const bad of [0, -5, Infinity, NaN]) rtt.update(bad, 0)
    expect(rtt.smoothed).toBe(0)
    rtt.update(30_000, Infinity)
    expect(rtt.smoothed).toBe(30_000)
  })

  it('believes the slower of smoothed and latest after a spurious timeout', () => {
    const rtt = new RttStats()
    rtt.update(10_000, 0)
    rtt.update(90_000, 0)
    rtt.expireSmoothed()
    expect(rtt.smoothed).toBe(90_000)
    expect(rtt.meanDeviation).toBe(70_000)
  })

  it('clamps the assumption a peer asks for', () => {
    const rtt = new RttStats()
    rtt.setInitial(1)
    expect(rtt.initial).toBe(10_000)
    rtt.setInitial(1e9)
    expect(rtt.initial).toBe(15_000_000)
  })

  it('forgets the path on reset', () => {
    const rtt = new RttStats()
    rtt.update(5_000, 0)
    rtt.reset()
    expect([rtt.smoothed, rtt.min, rtt.latest, rtt.meanDeviation, rtt.initial]).toEqual([0, 0, 0, 0, 100_000])
  })
})
