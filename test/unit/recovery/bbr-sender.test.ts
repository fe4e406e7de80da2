import { describe, expect, it } from 'vitest'
import { BbrMode, BbrSender } from '../../../src/quic/recovery/bbr-sender.js'
import { PacketList } from '../../../src/quic/recovery/packet-list.js'
import { RttStats } from '../../../src/quic/recovery/rtt-stats.js'
import { MSS } from '../../helpers/congestion-flow.js'

const MS = 1000
/** 4 Mbit/s and 64 ms, as the reference's tests have it. */
const RATE = 0.5
const RTT = 64 * MS
const BDP = RATE * RTT
const none = new PacketList()

/** A sender that always has data, paced, on a link of {@link RATE} with an endless queue; time moves by packet. */
class Link {
  now = 1_000_000
  hungry = true
  largestQueue = 0
  readonly rtt = new RttStats()
  readonly flight = { bytesInFlight: 0, leastUnacked: 1 }
  readonly sender: BbrSender
  private sent = 0
  private nextSend = 0
  private linkFree = 0
  private readonly arrivals: { number: number; sentAt: number; at: number }[] = []

  constructor(random = 0) {
    this.sender = new BbrSender(this.rtt, this.flight, () => random, 10)
  }

  /** Lets `ms` milliseconds pass, or fewer if `until` holds. */
  run(ms: number, until: () => boolean = () => false): void {
    const end = this.now + ms * MS
    while (this.now < end && !until()) this.step(end)
  }

  private step(end: number): void {
    const canSend = this.hungry && this.sender.canSend(this.flight.bytesInFlight)
    const sendAt = canSend ? Math.max(this.nextSend, this.now) : Infinity
    const ackAt = this.arrivals[0]?.at ?? Infinity
    this.now = Math.min(sendAt, ackAt, end)
    if (this.now === ackAt) this.ack()
    else if (this.now === sendAt) this.send()
  }

  send(): void {
    const { sender, flight } = this
    sender.onPacketSent(this.now, ++this.sent, MSS, flight.bytesInFlight)
    flight.bytesInFlight += MSS
    this.nextSend = this.now + Math.round(MSS / sender.pacingRate(flight.bytesInFlight))
    this.largestQueue = Math.max(this.largestQueue, (this.linkFree - this.now) * RATE)
    this.linkFree = Math.max(this.linkFree, this.now) + Math.round(MSS / RATE)
    this.arrivals.push({ number: this.sent, sentAt: this.now, at: this.linkFree + RTT - Math.round(MSS / RATE) })
  }

  private ack(): void {
    const { number, sentAt } = this.arrivals.shift()!
    const prior = this.flight.bytesInFlight
    this.flight.bytesInFlight -= MSS
    this.flight.leastUnacked = number + 1
    this.rtt.update(this.now - sentAt, 0)
    const acked = new PacketList()
    acked.add(number, MSS)
    this.sender.onCongestionEvent(this.now, true, prior, acked, none)
  }
}

function inProbeBandwidth(random = 0): Link {
  const link = new Link(random)
  link.run(10_000, () => link.sender.mode === BbrMode.ProbeBandwidth)
  expect(link.sender.mode).toBe(BbrMode.ProbeBandwidth)
  return link
}

describe('mechanism: BBR', () => {
  it('begins with the initial window, paced at 2.885 times that in the assumed round trip', () => {
    const link = new Link()
    expect(link.sender.congestionWindow).toBe(10 * MSS)
    expect(link.sender.inSlowStart).toBe(true)
    expect(link.sender.pacingRate(0)).toBeCloseTo((2.885 * 10 * MSS) / link.rtt.initial)
    expect(link.sender.canSend(10 * MSS - 1)).toBe(true)
    expect(link.sender.canSend(10 * MSS)).toBe(false)
  })

  it('finds the bandwidth of the link, within a hundredth', () => {
    const { sender } = inProbeBandwidth()
    expect(sender.bandwidthEstimate).toBeGreaterThan(0.99 * RATE)
    expect(sender.bandwidthEstimate).toBeLessThan(1.01 * RATE)
    expect(sender.minRtt).toBeLessThan(1.05 * RTT)
  })

  it('fills the queue in startup, and empties it before it probes', () => {
    const link = new Link()
    link.run(10_000, () => link.sender.mode === BbrMode.Drain)
    expect(link.largestQueue).toBeGreaterThan(1.5 * BDP)
    expect(link.sender.pacingRate(0)).toBeLessThan(RATE / 2)
    link.run(10_000, () => link.sender.mode === BbrMode.ProbeBandwidth)
    expect(link.flight.bytesInFlight).toBeLessThanOrEqual(1.05 * BDP)
  })

  it('keeps twice the product of bandwidth and delay as its window, and the round trip short', () => {
    const link = inProbeBandwidth()
    link.run(2_000)
    expect(link.sender.congestionWindow).toBeGreaterThan(1.9 * BDP)
    expect(link.sender.congestionWindow).toBeLessThan(2.2 * BDP)
    expect(link.rtt.smoothed).toBeLessThan(1.3 * RTT)
  })

  it('goes through 1.25, 0.75 and six times 1, and begins anywhere but with 0.75', () => {
    const begins = [0, 1, 2, 3, 4, 5, 6, 7, 255].map((random) => inProbeBandwidth(random).sender.cycleIndex)
    expect(begins).toEqual([0, 2, 3, 4, 5, 6, 7, 0, 4])

    const link = inProbeBandwidth(6)
    const gains: number[] = []
    const seen: number[] = []
    for (let index = link.sender.cycleIndex, i = 0; i < 16; i++) {
      link.run(1_000, () => link.sender.cycleIndex !== index)
      index = link.sender.cycleIndex
      seen.push(index)
      gains.push(link.sender.pacingRate(0) / link.sender.bandwidthEstimate)
    }
    expect(seen.slice(0, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    for (const [i, gain] of gains.entries()) expect(gain).toBeCloseTo([1.25, 0.75, 1, 1, 1, 1, 1, 1][i % 8]!)
  })

  it('looks for the round trip without a queue every ten seconds, with four segments, for 200 ms and a round trip', () => {
    const link = inProbeBandwidth()
    link.run(12_000, () => link.sender.mode === BbrMode.ProbeRtt)
    expect(link.sender.mode).toBe(BbrMode.ProbeRtt)
    expect(link.sender.congestionWindow).toBe(4 * MSS)
    const start = link.now
    link.run(1_000, () => link.sender.mode !== BbrMode.ProbeRtt)
    expect(link.sender.mode).toBe(BbrMode.ProbeBandwidth)
    expect(link.now - start).toBeGreaterThan(200 * MS)
    expect(link.now - start).toBeLessThan(1.5 * (200 * MS + 2 * RTT))
    expect(link.sender.minRttAt).toBeGreaterThanOrEqual(start)
    expect(link.sender.congestionWindow).toBeGreaterThan(BDP)
  })

  it('believes the link is as fast as before when the application has little to say', () => {
    const link = inProbeBandwidth()
    link.run(1_000)
    link.hungry = false
    link.run(500)
    for (let i = 0; i < 20; i++) {
      link.sender.onApplicationLimited(link.flight.bytesInFlight)
      link.send()
      link.run(3_000)
      expect(link.sender.lastSampleApplicationLimited).toBe(true)
    }
    expect(link.sender.bandwidthEstimate).toBeGreaterThan(0.99 * RATE)
  })

  it('does not look for a shorter round trip when it comes out of silence', () => {
    const link = inProbeBandwidth()
    link.hungry = false
    link.run(30_000)
    link.sender.onApplicationLimited(0)
    link.send()
    link.run(200)
    expect(link.sender.mode).toBe(BbrMode.ProbeBandwidth)
  })

  it('is not slowed down by losses, nor by timeouts', () => {
    const link = inProbeBandwidth()
    const { congestionWindow } = link.sender
    const lost = new PacketList()
    lost.add(1, MSS)
    link.sender.onCongestionEvent(link.now, false, link.flight.bytesInFlight, none, lost)
    link.sender.onRetransmissionTimeout()
    expect(link.sender.congestionWindow).toBe(congestionWindow)
    expect(link.sender.inRecovery).toBe(false)
  })

  it('begins anew on another path', () => {
    const link = inProbeBandwidth()
    link.run(1_000)
    link.sender.onPathChanged()
    expect(link.sender.mode).toBe(BbrMode.Startup)
    expect(link.sender.congestionWindow).toBe(10 * MSS)
    expect(link.sender.bandwidthEstimate).toBe(0)
    link.run(10_000, () => link.sender.mode === BbrMode.ProbeBandwidth)
    expect(link.sender.bandwidthEstimate).toBeGreaterThan(0.95 * RATE)
  })
})
