import { describe, expect, it } from 'vitest'
import { Cubic } from '../../../src/quic/recovery/cubic.js'
import { PacketList } from '../../../src/quic/recovery/packet-list.js'
import { Flow, MSS } from '../../helpers/congestion-flow.js'

const none = new PacketList()

function list(...numbers: number[]): PacketList {
  const packets = new PacketList()
  for (const n of numbers) packets.add(n, MSS)
  return packets
}

describe('mechanism: CUBIC and Reno', () => {
  it('begins with 32 segments and adds one for each ack in slow start', () => {
    const flow = Flow.of()
    expect(flow.sender.congestionWindow).toBe(32 * MSS)
    expect(flow.fill()).toBe(32)
    expect(flow.sender.canSend(flow.inFlight)).toBe(false)
    flow.ack(2)
    expect(flow.sender.congestionWindow).toBe(34 * MSS)
    expect(flow.fill()).toBe(4)
  })

  it('does not grow a window that is not used', () => {
    const flow = Flow.of()
    flow.sender.onPacketSent(flow.now, 1, MSS, 0)
    flow.inFlight = MSS
    flow.ack(1)
    expect(flow.sender.congestionWindow).toBe(32 * MSS)
  })

  it('cuts to 0.85 once for all losses of one window, and reduces proportionally', () => {
    const flow = Flow.of()
    flow.fill()
    flow.ack(2)
    flow.fill()
    const before = flow.sender.congestionWindow
    flow.lose(1)
    const cut = flow.sender.congestionWindow
    expect(cut).toBe(Math.floor(before * 0.85))
    expect(flow.sender.slowStartThreshold).toBe(cut)
    expect(flow.sender.inRecovery).toBe(true)
    flow.lose(3)
    expect(flow.sender.congestionWindow).toBe(cut)

    // In recovery about 0.85 packets go for each that arrives; one always goes at first.
    expect(flow.fill()).toBeGreaterThanOrEqual(1)
    let sent = 0
    for (let i = 0; i < 20; i++) {
      flow.ack(1, 1)
      sent += flow.fill()
    }
    expect(flow.sender.inRecovery).toBe(true)
    expect(flow.sender.congestionWindow).toBe(cut)
    expect(sent).toBeGreaterThanOrEqual(16)
    expect(sent).toBeLessThanOrEqual(22)
  })

  it('leaves recovery with the first ack for something sent after the cut', () => {
    const flow = Flow.of()
    flow.fill()
    flow.ack(1)
    flow.lose(1)
    const lastBefore = flow.sent
    flow.fill()
    flow.ack(lastBefore - flow.acked)
    expect(flow.sender.inRecovery).toBe(true)
    flow.fill()
    flow.ack(1)
    expect(flow.sender.inRecovery).toBe(false)
  })

  it('never falls below two segments nor rises above 2000', () => {
    const flow = Flow.of({}, 2)
    flow.fill()
    flow.lose(1)
    expect(flow.sender.congestionWindow).toBe(2 * MSS)
    const big = Flow.of({}, 1999)
    for (let i = 0; i < 3; i++) {
      big.fill()
      big.ack(100, 1)
    }
    expect(big.sender.congestionWindow).toBe(2000 * MSS)
  })

  it('restarts from two segments after a real retransmission timeout', () => {
    const flow = Flow.of()
    flow.fill()
    flow.sender.onRetransmissionTimeout()
    expect(flow.sender.congestionWindow).toBe(2 * MSS)
    expect(flow.sender.slowStartThreshold).toBe(16 * MSS)
    expect(flow.sender.inSlowStart).toBe(true)
  })

  it('leaves slow start when the delay of a round has risen by an eighth', () => {
    const flow = Flow.of()
    flow.fill()
    for (let i = 0; i < 32; i++) flow.ack(1, 60)
    flow.fill()
    expect(flow.sender.inSlowStart).toBe(true)
    flow.ack(1, 60)
    // 60/8 = 7.5 ms more is the threshold; 8 samples of a new round decide.
    for (let i = 0; i < 70 && flow.sender.inSlowStart; i++) {
      flow.fill()
      flow.ack(1, 69)
    }
    expect(flow.sender.inSlowStart).toBe(false)
    expect(flow.sender.slowStartThreshold).toBeLessThan(200 * MSS)
  })

  it('stays in slow start when the delay rises by less than the threshold', () => {
    const flow = Flow.of()
    flow.fill()
    for (let i = 0; i < 32; i++) flow.ack(1, 60)
    for (let i = 0; i < 70; i++) {
      flow.fill()
      flow.ack(1, 66)
    }
    expect(flow.sender.inSlowStart).toBe(true)
  })

  it('as Reno, grows half a segment of each of two emulated connections a window', () => {
    const flow = Flow.of({ reno: true })
    flow.fill()
    flow.ack(1)
    flow.lose(1)
    const cut = flow.sender.congestionWindow
    expect(cut).toBe(Math.floor((33 * MSS * 1.7) / 2))
    // Everything sent before the cut is acknowledged: recovery ends with the next.
    flow.fill()
    flow.ack(flow.sent - flow.acked)
    flow.fill()
    flow.ack(1)
    expect(flow.sender.inRecovery).toBe(false)
    const packets = Math.floor(cut / MSS)
    for (let i = 0; i < Math.ceil(packets / 2); i++) {
      flow.fill()
      flow.ack(1)
    }
    expect(flow.sender.congestionWindow).toBe(cut + MSS)
  })

  it('paces at twice the window a round trip in slow start and 1.25 times after it', () => {
    const flow = Flow.of()
    flow.rtt.update(100_000, 0)
    expect(flow.sender.pacingRate(0)).toBeCloseTo((2 * 32 * MSS) / 100_000)
    flow.fill()
    flow.lose(1)
    expect(flow.sender.pacingRate(0)).toBeCloseTo((1.25 * flow.sender.congestionWindow) / 100_000)
  })

  it('begins again on another path', () => {
    const flow = Flow.of()
    flow.fill()
    flow.ack(1)
    flow.lose(1)
    flow.sender.onPathChanged()
    expect(flow.sender.congestionWindow).toBe(32 * MSS)
    expect(flow.sender.inRecovery).toBe(false)
    expect(flow.sender.inSlowStart).toBe(true)
    flow.sender.onCongestionEvent(flow.now, false, 0, list(1), none)
    expect(flow.sender.inRecovery).toBe(false)
  })
})

describe('mechanism: CUBIC and Reno', () => {
  it('emulates two connections: beta 0.85, alpha 3·4·0.15/1.85', () => {
    const cubic = new Cubic()
    expect(cubic.beta).toBeCloseTo(0.85)
    expect(cubic.alpha).toBeCloseTo(0.97297, 4)
    cubic.setEmulatedConnections(1)
    expect(cubic.beta).toBeCloseTo(0.7)
    expect(cubic.alpha).toBeCloseTo(0.52941, 4)
  })

  it('remembers less than the window when a loss comes before the old maximum was reached', () => {
    const cubic = new Cubic()
    expect(cubic.windowAfterLoss(2_000_000)).toBe(1_700_000)
    let window = cubic.windowAfterLoss(1_800_000)
    expect(window).toBe(1_530_000)
    // 0.85 of 1.8 MB is the window itself: growth begins at the flat part, not with a climb back to 1.8 MB.
    let now = 1_000_000
    for (let i = 0; i < 5; i++) window = cubic.windowAfterAck((now += 100_000), window, window, 100_000)
    expect(window).toBeLessThan(1_530_000 + 10 * MSS)
  })

  it('starts at its origin when the window is at the remembered maximum', () => {
    const cubic = new Cubic()
    cubic.windowAfterLoss(100_000)
    expect(cubic.windowAfterLoss(85_000)).toBe(72_250)
    // The remembered maximum is 0.85·85000 = 72250, the window itself: the epoch starts at its origin and grows at once.
    const first = cubic.windowAfterAck(1_000_000, 14_600, 72_250, 10_000)
    expect(first).toBeGreaterThan(72_250)
    expect(first).toBeLessThanOrEqual(72_250 + 7_300)
  })

  it('follows W(t) = origin + 0.4·(t − K)³ in the convex part', () => {
    const cubic = new Cubic()
    const rtt = 100_000
    let window = cubic.windowAfterAck(1_000_000, 0, 100 * MSS, rtt)
    const start = 1_000_000
    let now = start
    // Far from the origin the acked-bytes limit does not bind: ack a whole window every round trip.
    for (let i = 0; i < 100; i++) {
      now += rtt
      window = cubic.windowAfterAck(now, window, window, rtt)
    }
    const seconds = (now + rtt - start) / 1e6
    const expected = 100 + 0.4 * (410 / 1024 / 0.4) * seconds ** 3
    expect(window / MSS).toBeGreaterThan(expected * 0.97)
    expect(window / MSS).toBeLessThan(expected * 1.03)
  })

  it('approaches the old maximum from below, waits around it, and then leaves it behind', () => {
    const cubic = new Cubic()
    const max = 1500 * MSS
    let window = cubic.windowAfterLoss(max)
    const rtt = 100_000
    let now = 10_000_000
    const k = Math.cbrt(((max - window) / MSS) * (1024 / 410))
    let at80 = 0
    for (let t = 0; t < 3 * k; t += 0.1) {
      now += rtt
      window = cubic.windowAfterAck(now, window, window, rtt)
      if (at80 === 0 && t >= 0.8 * k) at80 = window
    }
    expect(at80 / max).toBeGreaterThan(0.97)
    expect(at80 / max).toBeLessThanOrEqual(1.03)
    expect(window).toBeGreaterThan(max * 1.1)
  })

  it('updates at most every 30 ms while the window stays', () => {
    const cubic = new Cubic()
    const first = cubic.windowAfterAck(1_000_000, MSS, 50 * MSS, 100_000)
    expect(cubic.windowAfterAck(1_020_000, MSS, 50 * MSS, 100_000)).toBe(first)
    expect(cubic.windowAfterAck(1_031_000, 20 * MSS, 50 * MSS, 100_000)).toBeGreaterThan(first)
  })

  it('does not count idle time as time for growth', () => {
    const idle = new Cubic()
    idle.windowAfterAck(1_000_000, MSS, 50 * MSS, 50_000)
    idle.onApplicationLimited()
    const window = idle.windowAfterAck(100_000_000, MSS, 50 * MSS, 50_000)
    expect(window).toBeLessThanOrEqual(50 * MSS + MSS)
  })
})
