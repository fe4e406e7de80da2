import { describe, expect, it } from 'vitest'
import { BandwidthSampler, type BandwidthSample } from '../../../src/quic/recovery/bandwidth-sampler.js'

const SIZE = 1280
const MS = 1000

/** Sends packets of one size, acknowledges them, and keeps the clock. Rates in bytes a microsecond. */
class Sampling {
  now = 1_000_000
  inFlight = 0
  readonly sampler = new BandwidthSampler()

  send(packetNumber: number): void {
    this.sampler.onPacketSent(this.now, packetNumber, SIZE, this.inFlight)
    this.inFlight += SIZE
  }

  sample(packetNumber: number): BandwidthSample {
    this.inFlight -= SIZE
    return { ...this.sampler.onPacketAcked(this.now, packetNumber) }
  }

  /** Acknowledges a packet that was not sent while the application had nothing to say. */
  ack(packetNumber: number): number {
    const sample = this.sample(packetNumber)
    expect(sample.applicationLimited).toBe(false)
    return sample.bandwidth
  }

  lose(packetNumber: number): void {
    this.inFlight -= SIZE
    this.sampler.onPacketLost(packetNumber)
  }

  /** 1 to 20 sent at this distance, then acknowledged while 21 to 40 are sent. */
  send40Ack20(gap: number): void {
    for (let i = 1; i <= 20; i++, this.now += gap) this.send(i)
    for (let i = 1; i <= 20; i++, this.now += gap) {
      this.ack(i)
      this.send(i + 20)
    }
  }
}

describe('the bandwidth sampler', () => {
  it('measures one packet at a time', () => {
    const s = new Sampling()
    let gap = 10 * MS
    for (let i = 1; i < 25; i++) {
      if (i >= 20) gap *= 2
      s.send(i)
      s.now += gap
      expect(s.ack(i)).toBeCloseTo(SIZE / gap, 9)
    }
    expect(s.sampler.trackedCount).toBe(0)
  })

  it('measures a paced flow at its rate', () => {
    const s = new Sampling()
    s.send40Ack20(MS)
    for (let i = 21; i <= 40; i++, s.now += MS) expect(s.ack(i)).toBeCloseTo(SIZE / MS, 9)
    expect(s.sampler.trackedCount).toBe(0)
  })

  it('measures what arrives, where half is lost', () => {
    const s = new Sampling()
    for (let i = 1; i <= 20; i++, s.now += MS) s.send(i)
    for (let i = 1; i <= 20; i++, s.now += MS) {
      if (i % 2 === 0) s.ack(i)
      else s.lose(i)
      s.send(i + 20)
    }
    for (let i = 21; i <= 40; i++, s.now += MS) {
      if (i % 2 === 0) expect(s.ack(i)).toBeCloseTo((0.5 * SIZE) / MS, 9)
      else s.lose(i)
    }
    expect(s.sampler.trackedCount).toBe(0)
  })

  it('does not believe acknowledgements that come all at once', () => {
    const s = new Sampling()
    s.send40Ack20(MS)
    s.now += 15 * MS
    let last = 0
    for (let i = 21; i <= 40; i++, s.now += 20) last = s.ack(i)
    expect(last).toBeCloseTo(SIZE / MS, 9)
  })

  it('measures the same when acknowledgements come in reverse', () => {
    const s = new Sampling()
    s.send40Ack20(MS)
    for (let i = 0; i < 20; i++, s.now += MS) {
      expect(s.ack(40 - i)).toBeCloseTo(SIZE / MS, 9)
      s.send(41 + i)
    }
    for (let i = 41; i <= 60; i++, s.now += MS) expect(s.ack(i)).toBeCloseTo(SIZE / MS, 9)
  })

  it('marks what was sent while the application had nothing to say', () => {
    const s = new Sampling()
    s.send40Ack20(MS)
    s.sampler.onApplicationLimited()
    for (let i = 21; i <= 40; i++, s.now += MS) expect(s.ack(i)).toBeCloseTo(SIZE / MS, 9)
    s.now += 1000 * MS
    for (let i = 41; i <= 60; i++, s.now += MS) s.send(i)
    for (let i = 41; i <= 60; i++, s.now += MS) {
      const sample = s.sample(i)
      expect(sample.applicationLimited).toBe(true)
      expect(sample.bandwidth).toBeLessThan((0.7 * SIZE) / MS)
      s.send(i + 20)
    }
    for (let i = 61; i <= 80; i++, s.now += MS) expect(s.ack(i)).toBeCloseTo(SIZE / MS, 9)
  })

  it('comes within a tenth of the truth in the first round trip', () => {
    const s = new Sampling()
    for (let i = 1; i <= 10; i++, s.now += MS) s.send(i)
    s.now += 790 * MS
    let last = 0
    for (let i = 1; i <= 10; i++, s.now += MS) {
      const rate = s.ack(i)
      expect(rate).toBeGreaterThan(last)
      last = rate
    }
    const real = (10 * SIZE) / (800 * MS)
    expect(last).toBeLessThan(real)
    expect(last).toBeGreaterThan(0.9 * real)
  })

  it('forgets what will not be acknowledged, and knows nothing of what it did not see', () => {
    const s = new Sampling()
    for (let i = 1; i <= 5; i++) s.send(i)
    s.now += 100 * MS
    expect(s.sampler.trackedCount).toBe(5)
    s.sampler.removeObsolete(4)
    expect(s.sampler.trackedCount).toBe(2)
    expect(s.sample(3)).toEqual({ bandwidth: 0, rtt: 0, applicationLimited: false })
    s.sampler.onPacketLost(4)
    expect(s.sampler.trackedCount).toBe(1)
    expect(s.sample(5).rtt).toBe(100 * MS)
    expect(s.sample(999).rtt).toBe(0)
  })

  it('keeps every packet of a flight of thousands, wherever their numbers begin', () => {
    const s = new Sampling()
    const first = 1_000_000
    for (let i = 0; i < 5_000; i++, s.now += 10) s.send(first + i)
    expect(s.sampler.trackedCount).toBe(5_000)
    for (let i = 0; i < 5_000; i++, s.now += 10) expect(s.sample(first + i).rtt).toBe(50_000)
  })
})
