import { describe, expect, it } from 'vitest'
import { Flow, MSS } from '../../helpers/congestion-flow.js'

/** A flow of one emulated connection that has grown from 10 segments to twice as many, its window full. */
function grown(kind = {}, acks = 5, bytes = MSS): Flow {
  const flow = Flow.of(kind, 10)
  flow.sender.applyOptions({ slowStartLargeReduction: true })
  flow.sender.setEmulatedConnections(1)
  for (let i = 0; i < acks; i++) {
    flow.fill(bytes)
    flow.ack(2, 60, bytes)
  }
  flow.fill(bytes)
  return flow
}

describe.each([
  ['bytes', {}],
  ['packets', { packets: true }]
])('SSLR with windows in %s', (_name, kind) => {
  it('takes one segment for the loss that ends slow start, and one for each loss after it', () => {
    const flow = grown(kind, 4)
    let window = 18
    expect(flow.sender.congestionWindow).toBe(window * MSS)
    flow.lose(1)
    expect(flow.sender.congestionWindow).toBe((window -= 1) * MSS)
    flow.lose(5)
    expect(flow.sender.congestionWindow).toBe((window -= 5) * MSS)
    flow.lose(10)
    // Below half of the peak: the initial window was never doubled.
    expect(flow.sender.congestionWindow).toBe((window - 10) * MSS)
  })

  it('takes half a segment for each packet of that size', () => {
    const flow = grown(kind, 10, MSS / 2)
    expect(flow.sender.congestionWindow).toBe(30 * MSS)
    flow.lose(1, MSS / 2)
    flow.lose(10, MSS / 2)
    expect(flow.sender.congestionWindow).toBe((30 - 1 - 5) * MSS)
  })

  it('never takes more than half of a window that had doubled', () => {
    const flow = grown(kind, 5)
    flow.lose(1)
    expect(flow.sender.congestionWindow).toBe(19 * MSS)
    flow.lose(10)
    expect(flow.sender.congestionWindow).toBe(10 * MSS)
    flow.lose(5)
    expect(flow.sender.congestionWindow).toBe(10 * MSS)
  })
})

describe('NPRR', () => {
  it('sends the whole reduced window in recovery, at its own rate', () => {
    const flow = Flow.of({}, 10)
    flow.rtt.update(100_000, 0)
    flow.sender.setEmulatedConnections(1)
    flow.sender.applyOptions({ noProportionalReduction: true })
    flow.fill()
    flow.lose(9)
    flow.ack(1, 100)
    expect(flow.sender.inRecovery).toBe(true)
    expect(flow.sender.congestionWindow).toBe(7 * MSS)
    expect(flow.sender.pacingRate(0)).toBeCloseTo((7 * MSS) / 100_000)
    expect(flow.fill()).toBe(7)
    expect(flow.sender.pacingRate(7 * MSS)).toBeCloseTo((7 * MSS) / 100_000)
  })
})

describe('RATE', () => {
  it('sends half a window more, at three quarters of the rate', () => {
    const flow = Flow.of({}, 10)
    flow.rtt.update(60_000, 0)
    flow.sender.setEmulatedConnections(1)
    flow.sender.applyOptions({ rateBasedSending: true })
    flow.lose(1)
    const { sender } = flow
    const rate = (7 * MSS) / 60_000
    expect(sender.congestionWindow).toBe(7 * MSS)
    expect(sender.pacingRate(MSS)).toBeCloseTo(1.25 * rate)
    for (const packets of [8, 9, 10]) {
      expect(sender.canSend(packets * MSS)).toBe(true)
      expect(sender.pacingRate(packets * MSS)).toBeCloseTo(0.75 * rate)
    }
    expect(sender.canSend(11 * MSS)).toBe(false)
  })
})

describe('the least window', () => {
  it('is one segment with MIN1', () => {
    const { sender } = Flow.of({})
    sender.applyOptions({ minWindowOne: true })
    sender.onRetransmissionTimeout()
    expect(sender.congestionWindow).toBe(MSS)
    expect(sender.canSend(MSS)).toBe(false)
  })

  it('is one segment with MIN4, but four may be in flight', () => {
    const { sender } = Flow.of({})
    sender.applyOptions({ minFourInFlight: true })
    sender.onRetransmissionTimeout()
    expect(sender.congestionWindow).toBe(MSS)
    expect(sender.canSend(4 * MSS - 1)).toBe(true)
    expect(sender.canSend(4 * MSS)).toBe(false)
  })
})

describe('windows in packets', () => {
  it('cut Reno and CUBIC to whole segments', () => {
    for (const reno of [false, true]) {
      const flow = Flow.of({ reno, packets: true }, 10)
      flow.sender.setEmulatedConnections(2)
      for (let i = 0; i < 5; i++) {
        flow.fill()
        flow.ack(2)
      }
      flow.fill()
      expect(flow.sender.congestionWindow).toBe(20 * MSS)
      flow.lose(1)
      expect(flow.sender.congestionWindow).toBe(17 * MSS)
      // Nothing grows until what was out at the loss is acknowledged.
      for (let i = 0; i < 9; i++) {
        flow.fill()
        flow.ack(2)
      }
      expect(flow.sender.inRecovery).toBe(true)
      expect(flow.sender.congestionWindow).toBe(17 * MSS)
    }
  })

  it('grow by half as much as they have acknowledged at most, in CUBIC', () => {
    const flow = Flow.of({ packets: true }, 10)
    flow.fill()
    flow.lose(1)
    flow.ack(9)
    for (let round = 0; round < 300; round++) {
      const count = flow.fill()
      const before = flow.sender.congestionWindow
      flow.ack(count, 100)
      const growth = (flow.sender.congestionWindow - before) / MSS
      expect(growth).toBeLessThanOrEqual(count / 2 + 1)
      expect(Number.isInteger(flow.sender.congestionWindow / MSS)).toBe(true)
    }
    expect(flow.sender.congestionWindow).toBeGreaterThan(100 * MSS)
  })

  it('restart from half a window, in whole segments, after a timeout', () => {
    const flow = Flow.of({ packets: true }, 11)
    flow.sender.onRetransmissionTimeout()
    expect(flow.sender.slowStartThreshold).toBe(5 * MSS)
    expect(flow.sender.congestionWindow).toBe(2 * MSS)
  })
})
