/** When a driver gives its endpoint a turn, how long a turn may be, and which alarms it sets. Times are µs. */
import { describe, expect, it } from 'vitest'
import { RECEIVE_BUDGET, type DatagramSocket } from '../../../src/endpoint/datagram-engine.js'
import { EndpointDriver } from '../../../src/endpoint/driver.js'
import type { EndpointHelper } from '../../../src/endpoint/system.js'
import type { LateSealer, QuicEndpoint, Transmit } from '../../../src/quic/transport/transmit.js'
import type { PeerAddress } from '../../../src/quic/types.js'

const peer: PeerAddress = { family: 4, address: '192.0.2.1', port: 1 }
const MS = 1_000

/** A driver between an endpoint with `toSend` transmits, a socket with `room` for them, and a clock that stands still. */
class Driven {
  now = 5_000_000
  toSend = 0
  room = Infinity
  /** The socket takes everything, and finds at the end of the turn that it cannot send it yet. */
  fullAtFlush = false
  nextTimeout = Infinity
  readonly done: string[] = []
  readonly soon: (() => void)[] = []
  readonly alarms = new Map<number, { ring: () => void; at: number }>()
  alarmsSet = 0
  turns = 0
  failing = false
  /** When the endpoint was told that each datagram arrived. */
  readonly arrivals: number[] = []
  readonly errors: Error[] = []
  /** Who was offered for sealing, poll by poll. */
  readonly sealers: (LateSealer | undefined)[] = []
  readonly driver: EndpointDriver

  constructor(lateSealer?: LateSealer) {
    const endpoint: QuicEndpoint = {
      handleDatagram: () => expect.unreachable(),
      handleDatagrams: (batch) => {
        if (this.failing) throw new Error('of the application')
        for (let i = 0; i < batch.count; i++) {
          this.done.push('in')
          this.arrivals.push(batch.receivedAt[i]!)
        }
      },
      deliverEvents: () => this.done.push('events'),
      handleTimeout: () => this.done.push('timeout'),
      nextTimeout: () => this.nextTimeout,
      handleTooBig: (to, size) => this.done.push(`too big ${to.address} ${size}`),
      pollTransmit: (_now, _out, sealer): Transmit | undefined => {
        this.sealers.push(sealer)
        if (this.toSend === 0) return undefined
        this.toSend--
        return { to: peer, length: 1, segmentSize: 1 }
      }
    }
    const helper: EndpointHelper = {
      now: () => this.now,
      wallSeconds: () => 0,
      randomBytes: (length) => new Uint8Array(length),
      setAlarm: (ring, delayMs) => {
        this.alarms.set(++this.alarmsSet, { ring, at: this.now + delayMs * MS })
        return this.alarmsSet
      },
      cancelAlarm: (alarm) => void this.alarms.delete(alarm as number),
      runSoon: (run) => this.soon.push(run)
    }
    const socket = {
      lateSealer,
      acquireBuffer: () => new Uint8Array(1),
      send: () => {
        this.done.push('out')
        return --this.room > 0
      },
      flush: () => this.room > 0 && !this.fullAtFlush
    } as unknown as DatagramSocket
    this.driver = new EndpointDriver(endpoint, (error) => this.errors.push(error), () => this.turns++, helper)
    this.driver.attach(socket)
    this.runSoon()
    this.done.length = 0
  }

  /** Does what was planned for the end of the running code. */
  runSoon(): void {
    for (const run of this.soon.splice(0)) run()
  }

  /** Lets the clock go on by so much, and alarms ring that are due. */
  wait(us: number): void {
    this.now += us
    for (const [id, { ring, at }] of this.alarms) {
      if (at > this.now) continue
      this.alarms.delete(id)
      ring()
    }
  }

  get sent(): number {
    return this.done.filter((what) => what === 'out').length
  }
}

describe('mechanism: blocked writer', () => {
  it('a full socket is offered nothing more until it has room', () => {
    const driven = new Driven()
    driven.toSend = 10
    driven.room = 3
    driven.driver.wake()
    driven.runSoon()
    expect(driven.sent).toBe(3)
    driven.driver.wake()
    driven.runSoon()
    driven.driver.onDatagram(peer, new Uint8Array(1))
    driven.driver.onBatchEnd()
    expect(driven.sent).toBe(3)
    driven.room = 100
    driven.driver.onWritable()
    driven.runSoon()
    expect([driven.sent, driven.soon.length]).toEqual([10, 0])
  })

  it('so is one that finds itself full at the end of a turn', () => {
    const driven = new Driven()
    driven.toSend = 1
    driven.fullAtFlush = true
    driven.driver.wake()
    driven.runSoon()
    driven.toSend = 1
    driven.driver.wake()
    driven.runSoon()
    expect(driven.sent).toBe(1)
    driven.fullAtFlush = false
    driven.driver.onWritable()
    driven.runSoon()
    expect(driven.sent).toBe(2)
  })

  it('what is due meanwhile is looked at every 50 ms, not all the time', () => {
    const driven = new Driven()
    driven.toSend = 10
    driven.room = 1
    driven.nextTimeout = 0
    driven.driver.wake()
    driven.runSoon()
    for (let i = 0; i < 1_000; i++) driven.wait(MS)
    expect(driven.done.filter((what) => what === 'timeout')).toHaveLength(20)
    expect(driven.sent).toBe(1)
  })
})

describe('a turn', () => {
  it('ends after 64 transmits; the next one comes when others had theirs', () => {
    const driven = new Driven()
    driven.toSend = 100
    driven.driver.wake()
    driven.driver.wake()
    expect(driven.soon).toHaveLength(1)
    driven.runSoon()
    expect([driven.sent, driven.soon.length, driven.turns]).toEqual([64, 1, 2])
    driven.runSoon()
    expect([driven.sent, driven.soon.length, driven.turns]).toEqual([100, 0, 3])
  })

  it('comes once for a batch of datagrams, behind the last of them', () => {
    const driven = new Driven()
    driven.toSend = 1
    for (let i = 0; i < 3; i++) {
      driven.driver.onDatagram(peer, new Uint8Array(1))
      driven.driver.wake()
    }
    expect(driven.soon).toEqual([])
    driven.driver.onBatchEnd()
    expect(driven.done).toEqual(['in', 'in', 'in', 'events', 'out'])
  })

  it('comes after datagrams that are still to be given to the endpoint, also if it was planned before', () => {
    const driven = new Driven()
    driven.driver.wake()
    driven.driver.onDatagram(peer, new Uint8Array(1))
    expect(driven.done).toEqual([])
    driven.runSoon()
    expect(driven.done).toEqual(['in', 'events'])
    driven.nextTimeout = driven.now + MS
    driven.driver.onBatchEnd()
    driven.driver.onDatagram(peer, new Uint8Array(1))
    driven.done.length = 0
    driven.wait(MS)
    expect(driven.done).toEqual(['in', 'timeout', 'events'])
  })

  it('is not waited for by more datagrams than a batch may have', () => {
    const driven = new Driven()
    for (let i = 0; i < RECEIVE_BUDGET + 1; i++) driven.driver.onDatagram(peer, new Uint8Array(1))
    expect(driven.done).toHaveLength(RECEIVE_BUDGET)
    driven.driver.onBatchEnd()
    expect(driven.done).toHaveLength(RECEIVE_BUDGET + 2)
  })

  it('goes on when the endpoint has thrown an error', () => {
    const driven = new Driven()
    driven.failing = true
    driven.driver.onDatagram(peer, new Uint8Array(1))
    expect(() => driven.driver.onBatchEnd()).toThrow('of the application')
    driven.failing = false
    driven.driver.onDatagram(peer, new Uint8Array(1))
    driven.driver.onBatchEnd()
    expect(driven.done).toEqual(['in', 'events'])
  })

  it('comes when the endpoint wants one, by one alarm that need not be exact', () => {
    const driven = new Driven()
    driven.nextTimeout = driven.now + 10 * MS + 1
    driven.driver.wake()
    driven.runSoon()
    expect(driven.alarms.size).toBe(1)
    // A later deadline leaves the alarm as it is, an earlier one takes its place.
    driven.nextTimeout += 50 * MS
    driven.driver.wake()
    driven.runSoon()
    expect(driven.alarmsSet).toBe(1)
    driven.wait(11 * MS)
    expect(driven.done).not.toContain('timeout')
    driven.nextTimeout = driven.now + 2 * MS
    driven.driver.wake()
    driven.runSoon()
    expect(driven.alarms.size).toBe(1)
    driven.wait(2 * MS)
    expect(driven.done).toContain('timeout')
  })

  it('never comes once the driver is stopped', () => {
    const driven = new Driven()
    driven.nextTimeout = driven.now + 10 * MS
    driven.driver.wake()
    driven.runSoon()
    driven.driver.wake()
    driven.driver.stop()
    expect(driven.alarms.size).toBe(0)
    const { turns } = driven
    driven.runSoon()
    driven.driver.wake()
    expect([driven.turns, driven.soon.length]).toEqual([turns, 0])
  })
})

it('an endpoint may leave the sealing to a socket that offers it, and to no other', () => {
  const sealer: LateSealer = { takeSealing: () => true }
  for (const offered of [sealer, undefined]) {
    const driven = new Driven(offered)
    driven.toSend = 2
    driven.driver.wake()
    driven.runSoon()
    expect(driven.sent).toBe(2)
    expect(new Set(driven.sealers)).toEqual(new Set([offered]))
  }
})

describe('a datagram arrived', () => {
  it('when it was handed over, where the system does not tell', () => {
    const driven = new Driven()
    const began = driven.now
    driven.driver.onDatagram(peer, new Uint8Array(1))
    driven.now += 7
    driven.driver.onDatagram(peer, new Uint8Array(1))
    driven.driver.onBatchEnd()
    expect(driven.arrivals.map((at) => at - began)).toEqual([0, 7])
  })

  it('so long before its batch began as the system says', () => {
    const driven = new Driven()
    driven.now += 1_000
    const began = driven.now
    for (const age of [300, 200, 0]) {
      driven.driver.onDatagram(peer, new Uint8Array(1), age)
      driven.now += 10
    }
    driven.driver.onBatchEnd()
    driven.now += 1_000
    driven.driver.onDatagram(peer, new Uint8Array(1), 100)
    driven.driver.onBatchEnd()
    expect(driven.arrivals.map((at) => at - began)).toEqual([-300, -200, 0, 30 + 1_000 - 100])
  })

  it('never before another that came earlier, nor before what the endpoint did since', () => {
    const driven = new Driven()
    const turned = driven.now
    driven.now += 500
    for (const age of [900, 100, 300]) driven.driver.onDatagram(peer, new Uint8Array(1), age)
    driven.driver.onBatchEnd()
    expect(driven.arrivals.map((at) => at - turned)).toEqual([0, 400, 400])
  })

  it('before an alarm that rings late, so that nothing is overdue without need', () => {
    const driven = new Driven()
    driven.nextTimeout = driven.now + MS
    driven.driver.wake()
    driven.runSoon()
    driven.done.length = 0
    driven.wait(100 * MS)
    expect(driven.done).toEqual([])
    driven.driver.onDatagram(peer, new Uint8Array(1), 99 * MS)
    driven.nextTimeout = Infinity
    driven.driver.onBatchEnd()
    driven.runSoon()
    expect(driven.done).toEqual(['in', 'events', 'events'])
    expect(driven.arrivals).toEqual([driven.now - 99 * MS])
  })

  it('and nothing else does, where an alarm rings late: what is due is done', () => {
    const driven = new Driven()
    driven.nextTimeout = driven.now + MS
    driven.driver.wake()
    driven.runSoon()
    driven.wait(100 * MS)
    driven.runSoon()
    expect(driven.done).toContain('timeout')
  })
})

it('what the socket says reaches who has to know', () => {
  const driven = new Driven()
  driven.driver.onTooBig(peer, 1_400)
  expect(driven.done).toEqual(['too big 192.0.2.1 1400'])
  driven.driver.onSocketError(new Error('x'))
  expect(driven.errors.map(({ message }) => message)).toEqual(['x'])
  // In the order in which the socket said it.
  driven.driver.onDatagram(peer, new Uint8Array(1))
  driven.driver.onTooBig(peer, 1_300)
  driven.driver.onDatagram(peer, new Uint8Array(1))
  driven.driver.onSocketError(new Error('y'))
  expect(driven.done.slice(1)).toEqual(['in', 'too big 192.0.2.1 1300', 'in'])
})
