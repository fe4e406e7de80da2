import { describe, expect, it } from 'vitest'
import { ProportionalRateReduction } from '../../../src/quic/recovery/prr.js'

const MSS = 1460

describe('mechanism: proportional rate reduction', () => {
  it('halves the rate while more is in flight than the window: every second ack lets a packet go', () => {
    const prr = new ProportionalRateReduction()
    const window = 50 * MSS
    let inFlight = 99 * MSS
    prr.onLoss(100 * MSS)
    // The first retransmission always goes.
    expect(prr.canSend(window, inFlight, window)).toBe(true)
    prr.onPacketSent(MSS)
    inFlight += MSS
    expect(prr.canSend(window, inFlight, window)).toBe(false)
    let sent = 1
    for (let acks = 1; acks <= 40; acks++) {
      inFlight -= MSS
      prr.onPacketAcked(MSS)
      if (prr.canSend(window, inFlight, window)) {
        prr.onPacketSent(MSS)
        inFlight += MSS
        sent++
      }
      expect(prr.canSend(window, inFlight, window)).toBe(false)
    }
    expect(sent).toBe(20)
  })

  it('lets one packet more go for each ack when losses left less in flight than the window', () => {
    const prr = new ProportionalRateReduction()
    const window = 5 * MSS
    let inFlight = 2 * MSS
    prr.onLoss(10 * MSS)
    for (let acks = 1; acks <= 3; acks++) {
      inFlight -= MSS
      prr.onPacketAcked(MSS)
      let burst = 0
      while (prr.canSend(window, inFlight, window) && burst < 10) {
        prr.onPacketSent(MSS)
        inFlight += MSS
        burst++
      }
      // Not the whole open window of five at once.
      expect(burst).toBe(2)
    }
  })

  it('always lets one packet go when nothing is in flight', () => {
    const prr = new ProportionalRateReduction()
    prr.onLoss(10 * MSS)
    prr.onPacketSent(20 * MSS)
    expect(prr.canSend(2 * MSS, 0, 2 * MSS)).toBe(true)
    expect(prr.canSend(2 * MSS, 2 * MSS, 2 * MSS)).toBe(false)
  })

  it('forgets an earlier recovery', () => {
    const prr = new ProportionalRateReduction()
    prr.onLoss(10 * MSS)
    prr.onPacketSent(5 * MSS)
    prr.onLoss(10 * MSS)
    expect(prr.canSend(5 * MSS, 9 * MSS, 5 * MSS)).toBe(true)
  })
})
