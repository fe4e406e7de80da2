import { describe, expect, it } from 'vitest'
import { CubicSender } from '../../../src/quic/recovery/cubic-sender.js'
import { Pacer } from '../../../src/quic/recovery/pacer.js'
import { RttStats } from '../../../src/quic/recovery/rtt-stats.js'

const MSS = 1460

function flow(rttMs: number, enabled = true): { pacer: Pacer; sender: CubicSender; state: { inFlight: number } } {
  const rtt = new RttStats()
  rtt.update(rttMs * 1000, 0)
  const sender = new CubicSender(rtt)
  const state = { inFlight: 0 }
  return { pacer: new Pacer(sender, enabled), sender, state }
}

function sendAll(f: ReturnType<typeof flow>, now: number): number {
  let sent = 0
  for (; f.pacer.sendTime(now, f.state.inFlight) === 0; sent++) {
    f.sender.onPacketSent(now, sent + 1, MSS, f.state.inFlight)
    f.pacer.onPacketSent(now, f.state.inFlight, MSS)
    f.state.inFlight += MSS
  }
  return sent
}

describe('mechanism: pacing', () => {
  it('lets ten packets go at once after a pause, then spreads the rest over half a round trip', () => {
    const f = flow(100)
    let now = 7_000_000
    // 64 segments a round trip: one every 1562 µs. The eleventh goes at once, the twelfth must wait its turn.
    expect(sendAll(f, now)).toBe(11)
    const started = now
    let total = 11
    while (f.state.inFlight < 32 * MSS) {
      const next = f.pacer.sendTime(now, f.state.inFlight)
      expect(next).toBeGreaterThan(now)
      expect(next).toBeLessThan(now + 3_000)
      now = next
      total += sendAll(f, now)
    }
    expect(total).toBe(32)
    expect(now - started).toBeGreaterThan(28_000)
    expect(now - started).toBeLessThan(36_000)
    expect(f.pacer.sendTime(now, f.state.inFlight)).toBe(Infinity)
  })

  it('makes up for a timer that came late', () => {
    const f = flow(100)
    let now = 7_000_000
    sendAll(f, now)
    const next = f.pacer.sendTime(now, f.state.inFlight)
    now = next + 10_000
    // 10 ms at 1562 µs a packet are 6 packets, and 1 ms of slack.
    const sent = sendAll(f, now)
    expect(sent).toBeGreaterThanOrEqual(7)
    expect(sent).toBeLessThanOrEqual(9)
  })

  it('sends what is due within a millisecond together, so that fast paths need few timers', () => {
    const f = flow(4)
    let now = 7_000_000
    sendAll(f, now)
    const next = f.pacer.sendTime(now, f.state.inFlight)
    now = next
    // 64 segments in 4 ms: 16 a millisecond.
    const sent = sendAll(f, now)
    expect(sent).toBeGreaterThanOrEqual(2)
    expect(f.state.inFlight).toBe(32 * MSS)
  })

  it('knows how early each of them is', () => {
    const f = flow(8)
    sendAll(f, 7_000_000)
    const now = f.pacer.sendTime(7_000_000, f.state.inFlight)
    const early: number[] = []
    while (f.pacer.sendTime(now, f.state.inFlight) === 0) {
      early.push(f.pacer.earliness(now, f.state.inFlight))
      f.sender.onPacketSent(now, early.length, MSS, f.state.inFlight)
      f.pacer.onPacketSent(now, f.state.inFlight, MSS)
      f.state.inFlight += MSS
    }
    // 64 segments in 8 ms: one every 125 µs.
    expect(early.length).toBe(9)
    early.forEach((micros, i) => expect(Math.abs(micros - i * 125)).toBeLessThan(4))
    // The window is full, or nothing is under way: no packet is early.
    expect(f.pacer.earliness(now, f.state.inFlight)).toBe(0)
    expect(f.pacer.earliness(now, 0)).toBe(0)
    expect(f.pacer.earliness(now - 5_000, MSS)).toBe(0)
  })

  it('gives no burst after a loss until the connection has been quiet', () => {
    const f = flow(100)
    f.state.inFlight = 5 * MSS
    f.pacer.onLoss()
    expect(sendAll(f, 7_000_000)).toBe(1)
    f.state.inFlight = 0
    expect(sendAll(f, 8_000_000)).toBeGreaterThanOrEqual(10)
  })

  it('when off, sends the whole window', () => {
    expect(sendAll(flow(100, false), 1)).toBe(32)
  })
})
