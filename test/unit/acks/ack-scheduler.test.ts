import { describe, expect, it } from 'vitest'
import { ReceivedPacketManager } from '../../../src/quic/transport/acks/received-packet-manager.js'

const MS = 1000
const MIN_RTT = 40 * MS

/** A receiver that has got 100 packets in order, and acknowledged them. */
class Receiver {
  now = 5_000_000
  readonly manager = new ReceivedPacketManager()
  readonly schedule = this.manager.schedule

  constructor(...options: string[]) {
    this.schedule.applyOptions(options, { min: MIN_RTT })
    for (let n = 1; n <= 100; n++) this.receive(n)
    this.ackSent()
  }

  receive(packetNumber: number, eliciting = true): void {
    this.manager.onPacketReceived(this.now, packetNumber, eliciting)
  }

  ackSent(): void {
    this.manager.onAckSent()
  }

  /** When an ack is due, µs from now; 0 for at once. */
  get due(): number {
    const at = this.manager.nextAckTime()
    return at === 0 || at === Infinity ? at : at - this.now
  }
}

describe('mechanism: ack decimation', () => {
  it.each([
    ['ACKD', MIN_RTT / 4],
    ['AKD2', MIN_RTT / 4],
    ['AKD3', MIN_RTT / 8],
    ['AKD4', MIN_RTT / 8]
  ])('%s: every tenth packet, or %i µs after the first', (option, delay) => {
    const r = new Receiver(option)
    expect(r.due).toBe(Infinity)
    for (let n = 101; n <= 109; n++) {
      r.receive(n)
      expect(r.due).toBe(delay)
    }
    r.receive(110)
    expect(r.due).toBe(0)
    r.ackSent()
    expect(r.due).toBe(Infinity)
  })

  it('never waits longer than without it', () => {
    const manager = new ReceivedPacketManager()
    manager.schedule.applyOptions(['ACKD'], { min: 400 * MS })
    for (let n = 1; n <= 100; n++) manager.onPacketReceived(1, n, true)
    manager.onAckSent()
    manager.onPacketReceived(1, 101, true)
    expect(manager.nextAckTime()).toBe(1 + 25 * MS)
  })

  it('leaves the first hundred packets alone', () => {
    const manager = new ReceivedPacketManager()
    manager.schedule.applyOptions(['ACKD'], { min: MIN_RTT })
    manager.onPacketReceived(1, 1, true)
    expect(manager.nextAckTime()).toBe(1 + 25 * MS)
    manager.onPacketReceived(1, 2, true)
    expect(manager.nextAckTime()).toBe(0)
  })

  it.each(['ACKD', 'AKD3'])('%s: a gap is reported at once, and so is its end', (option) => {
    const r = new Receiver(option)
    r.receive(110)
    expect(r.due).toBe(0)
    r.ackSent()
    r.receive(105)
    expect(r.due).toBe(0)
  })

  it.each(['AKD2', 'AKD4'])('%s: a gap is reported after an eighth of a round trip', (option) => {
    const r = new Receiver(option)
    r.receive(101)
    r.receive(110)
    expect(r.due).toBe(5 * MS)
    // Filling it is no news as long as nobody was told of it.
    for (let n = 102; n <= 108; n++) {
      r.receive(n)
      expect(r.due).toBe(5 * MS)
    }
    r.receive(109)
    expect(r.due).toBe(0)
  })

  it.each(['AKD2', 'AKD4'])('%s: the end of a gap that was reported is told at once', (option) => {
    const r = new Receiver(option)
    r.receive(101)
    r.receive(120)
    for (let n = 102; n <= 109; n++) r.receive(n)
    expect(r.due).toBe(0)
    r.ackSent()
    r.receive(111)
    expect(r.due).toBe(0)
  })

  it('the last of several options holds', () => {
    expect(new Receiver('ACKD', 'AKD4', 'xxxx').due).toBe(Infinity)
    const r = new Receiver('ACKD', 'AKD4')
    r.receive(102)
    expect(r.due).toBe(5 * MS)
  })
})

describe('packets that ask for no ack', () => {
  it('are acknowledged every twenty, where the version says so', () => {
    const r = new Receiver()
    for (let n = 101; n <= 119; n++) r.receive(n, false)
    expect(r.due).toBe(Infinity)
    r.receive(120, false)
    expect(r.due).toBe(0)
  })

  it('are never acknowledged for themselves otherwise', () => {
    const r = new Receiver()
    r.schedule.countsAllPackets = false
    for (let n = 101; n <= 300; n++) r.receive(n, false)
    expect(r.due).toBe(Infinity)
    r.receive(302, false)
    expect(r.due).toBe(Infinity)
    r.receive(301, true)
    expect(r.due).toBe(0)
  })
})

describe('without STOP_WAITING', () => {
  it('forgets what lies below, and reports no more of it', () => {
    const r = new Receiver()
    r.receive(103)
    expect(r.manager.buildAck(r.now).rangeCount).toBe(2)
    r.manager.dontWaitBefore(102)
    expect(r.manager.isAwaiting(101)).toBe(false)
    expect(r.manager.isAwaiting(102)).toBe(true)
    const ack = r.manager.buildAck(r.now)
    expect([ack.rangeCount, ack.ranges[0], ack.ranges[1]]).toEqual([1, 103, 103])
    // It never goes back.
    r.manager.dontWaitBefore(50)
    expect(r.manager.isAwaiting(60)).toBe(false)
  })
})
