import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ReceivedPacketManager } from '../../../src/quic/transport/acks/received-packet-manager.js'

const NOW = 3_000_000

function receive(manager: ReceivedPacketManager, ...numbers: number[]): void {
  for (const n of numbers) manager.onPacketReceived(NOW, n, true)
}

function reported(manager: ReceivedPacketManager, now = NOW): [number, number][] {
  const ack = manager.buildAck(now)
  return Array.from({ length: ack.rangeCount }, (_, i) => [ack.ranges[2 * i]!, ack.ranges[2 * i + 1]!])
}

describe('what has been received', () => {
  it('is awaited once', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1, 2, 5)
    expect([1, 2, 3, 4, 5, 6].map((n) => m.isAwaiting(n))).toEqual([false, false, true, true, false, true])
    receive(m, 3)
    expect(m.isAwaiting(3)).toBe(false)
  })

  it('is reported highest range first, with the delay since the largest arrived', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1, 2, 5, 6, 9)
    expect(reported(m)).toEqual([
      [9, 9],
      [5, 6],
      [1, 2]
    ])
    m.onPacketReceived(NOW + 500, 4, true)
    const ack = m.buildAck(NOW + 700)
    expect(ack.largestAcked).toBe(9)
    expect(ack.ackDelay).toBe(700)
    expect(m.buildAck(NOW - 1).ackDelay).toBe(0)
  })

  it('has an infinite delay before anything arrived', () => {
    const ack = new ReceivedPacketManager().buildAck(NOW)
    expect(ack).toMatchObject({ largestAcked: 0, ackDelay: Infinity, rangeCount: 0 })
  })

  it('shrinks with STOP_WAITING, below which nothing is awaited', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1, 2, 5, 6, 9)
    expect(m.hasMissing).toBe(true)
    m.onStopWaiting(6, 9)
    expect(reported(m)).toEqual([
      [9, 9],
      [6, 6]
    ])
    expect(m.isAwaiting(3)).toBe(false)
    expect(m.isAwaiting(7)).toBe(true)
    receive(m, 10)
    m.onStopWaiting(10, 10)
    expect(reported(m)).toEqual([[10, 10]])
    expect(m.hasMissing).toBe(false)
  })

  it('rejects a STOP_WAITING that goes back or beyond its packet, and ignores an old one', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1, 2, 3, 4, 5)
    m.onStopWaiting(4, 4)
    m.onStopWaiting(1, 3)
    expect(m.peerLeastUnacked).toBe(4)
    const code = 'QUIC_INVALID_STOP_WAITING_DATA'
    expect(() => m.onStopWaiting(3, 5)).toThrow(expect.objectContaining({ code, details: 'Least unacked too small.' }))
    expect(() => m.onStopWaiting(6, 5)).toThrow(expect.objectContaining({ code, details: 'Least unacked too large.' }))
  })

  it('stays bounded when a peer leaves a gap behind every packet', () => {
    const m = new ReceivedPacketManager()
    for (let n = 1; n < 5_000; n += 2) receive(m, n)
    const ack = m.buildAck(NOW)
    expect(ack.rangeCount).toBe(256)
    expect(ack.ranges[0]).toBe(4_999)
    // What was forgotten is neither reported nor taken a second time.
    expect(m.isAwaiting(1)).toBe(false)
    expect(m.isAwaiting(2)).toBe(false)
    expect(m.isAwaiting(4_998)).toBe(true)
  })

  it('never takes a packet twice, whatever the order and the STOP_WAITINGs', () => {
    const operation = fc.record({ stop: fc.boolean(), n: fc.integer({ min: 1, max: 3_000 }) })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 1_500 }), (steps) => {
        const m = new ReceivedPacketManager()
        const taken = new Set<number>()
        for (const { stop, n } of steps) {
          if (!m.isAwaiting(n)) continue
          expect(taken.has(n)).toBe(false)
          taken.add(n)
          receive(m, n)
          if (stop && n % 7 === 0) m.onStopWaiting(Math.max(m.peerLeastUnacked, n - 50), n)
        }
        for (const [first, last] of reported(m)) for (let i = first; i <= last; i++) expect(taken.has(i)).toBe(true)
      }),
      { numRuns: 50 }
    )
  })
})

describe('when to acknowledge', () => {
  it('every second packet that asks for it, or after 25 ms', () => {
    const m = new ReceivedPacketManager()
    expect(m.nextAckTime()).toBe(Infinity)
    receive(m, 1)
    expect(m.nextAckTime()).toBe(NOW + 25_000)
    expect(m.ackPending).toBe(true)
    receive(m, 2)
    expect(m.nextAckTime()).toBe(0)
    m.onAckSent()
    expect(m.nextAckTime()).toBe(Infinity)
    expect(m.ackPending).toBe(false)
  })

  it('does not restart the timer with what follows', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1)
    m.onPacketReceived(NOW + 10_000, 2, false)
    expect(m.nextAckTime()).toBe(NOW + 25_000)
  })

  it('never for packets that do not ask for it, but at least every 20 packets', () => {
    const m = new ReceivedPacketManager()
    for (let n = 1; n <= 19; n++) m.onPacketReceived(NOW, n, false)
    expect(m.nextAckTime()).toBe(Infinity)
    m.onPacketReceived(NOW, 20, false)
    expect(m.nextAckTime()).toBe(0)
  })

  it('at once for a new gap, and no longer once four packets follow it', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1, 2)
    m.onAckSent()
    for (const n of [4, 5, 6, 7]) {
      receive(m, n)
      expect(m.nextAckTime()).toBe(0)
      m.onAckSent()
    }
    receive(m, 8)
    expect(m.nextAckTime()).toBe(NOW + 25_000)
  })

  it('at once for a packet that fills a gap', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1, 2, 4, 5, 6, 7, 8)
    m.onAckSent()
    receive(m, 9)
    expect(m.nextAckTime()).toBe(NOW + 25_000)
    receive(m, 3)
    expect(m.nextAckTime()).toBe(0)
  })

  it('at once on demand', () => {
    const m = new ReceivedPacketManager()
    receive(m, 1)
    m.ackNow()
    expect(m.nextAckTime()).toBe(0)
  })
})
