import { describe, expect, it } from 'vitest'
import { SustainedBandwidthRecorder } from '../../../src/quic/recovery/sustained-bandwidth.js'
import { MSS, Flow } from '../../helpers/congestion-flow.js'

/** A flow whose acknowledgements a recorder sees, with the wall clock at its second. */
function recorded(): { flow: Flow; recorder: SustainedBandwidthRecorder; ack(count: number, rttMs?: number): void } {
  const flow = Flow.of({}, 20)
  const recorder = new SustainedBandwidthRecorder(() => Math.floor(flow.now / 1e6))
  return {
    flow,
    recorder,
    ack: (count, rttMs) => {
      flow.fill()
      flow.ack(count, rttMs)
      recorder.record(flow.now, flow.sender, flow.rtt)
    }
  }
}

describe('sustained bandwidth', () => {
  it('is known after three round trips without loss, and the highest is kept with its time', () => {
    const { flow, recorder, ack } = recorded()
    ack(2, 100)
    for (let i = 0; i < 2; i++) ack(2, 100)
    expect(recorder.bandwidth).toBeUndefined()
    ack(2, 100)
    const expected = Math.floor((flow.sender.congestionWindow / flow.rtt.smoothed) * 1e6)
    expect(recorder.bandwidth).toBe(expected)
    expect(recorder.bandwidth).toBeGreaterThan((20 * MSS * 1000) / 100)
    expect(recorder.inSlowStart).toBe(true)
    expect(recorder.maxBandwidth).toBe(expected)
    expect(recorder.maxBandwidthSeconds).toBe(Math.floor(flow.now / 1e6))
    // A longer path: less bandwidth now, the same maximum.
    const when = recorder.maxBandwidthSeconds
    for (let i = 0; i < 20; i++) ack(1, 900)
    expect(recorder.bandwidth).toBeLessThan(expected)
    expect(recorder.maxBandwidth).toBe(expected)
    expect(recorder.maxBandwidthSeconds).toBe(when)
  })

  it('begins anew after a loss: what recovery estimates does not count', () => {
    const { flow, recorder, ack } = recorded()
    for (let i = 0; i < 8; i++) ack(2, 100)
    const before = recorder.bandwidth!
    flow.fill()
    flow.lose(1)
    ack(1, 100)
    expect(flow.sender.inRecovery).toBe(true)
    expect(recorder.bandwidth).toBe(before)
    for (let left = 0; flow.sender.inRecovery; left++) {
      expect(left).toBeLessThan(60)
      ack(2, 100)
      expect(recorder.bandwidth).toBe(before)
    }
    for (let i = 0; i < 2; i++) ack(2, 100)
    expect(recorder.bandwidth).toBe(before)
    for (let i = 0; i < 2; i++) ack(2, 100)
    expect(recorder.bandwidth).toBeLessThan(before)
    expect(recorder.inSlowStart).toBe(false)
  })
})

describe('resuming', () => {
  it('gives the window that keeps the path busy, from the least window to 200 segments', () => {
    const windowFor = (bandwidth: number, rttMs: number, packets = false): number => {
      const { sender } = Flow.of({ packets })
      sender.resume(bandwidth, rttMs * 1000)
      return sender.congestionWindow
    }
    expect(windowFor(1_000_000, 100)).toBe(100_000)
    expect(windowFor(1_000_000, 100, true)).toBe(68 * MSS)
    expect(windowFor(100_000_000, 100)).toBe(200 * MSS)
    expect(windowFor(1_000, 10)).toBe(2 * MSS)
  })
})
