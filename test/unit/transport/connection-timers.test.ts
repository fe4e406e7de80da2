/** What a connection does because time has passed, and the clocks that tell whether it lives. Times are µs. */
import { describe, expect, it } from 'vitest'
import { QuicError } from '../../../src/quic/errors.js'
import { ConnectionTimers, type TimedConnection, type TimedParts } from '../../../src/quic/transport/connection-timers.js'
import { Liveness } from '../../../src/quic/transport/liveness.js'
import { Perspective } from '../../../src/quic/types.js'

const SECOND = 1_000_000

/** A connection at time 0 whose hellos agreed on half a minute of silence. */
class Timed {
  readonly liveness: Liveness
  readonly sentPackets = {
    hasRetransmittable: false,
    consecutiveRtoCount: 0,
    emulatesStreams: false,
    tooManyOutstanding: false,
    deadline: Infinity,
    timeouts: 0,
    nextTimeout(): number {
      return this.deadline
    },
    onTimeout(): void {
      this.timeouts++
    }
  }
  readonly receiver = { packetsReceived: 0 }
  readonly sender = { pingPending: false, pacingTime: () => Infinity }
  readonly session = { streams: 1, hasOpenStreams: () => this.session.streams > 0, nextTimeout: () => Infinity, handleTimeout: () => {} }
  readonly ends: string[] = []
  readonly timers: ConnectionTimers

  constructor(perspective: Perspective = Perspective.Client) {
    this.liveness = new Liveness(perspective, 0)
    this.liveness.onRest()
    this.liveness.onIdleTimeoutNegotiated(30)
    const connection: TimedConnection = {
      close: (_code, details) => this.ends.push(`told: ${details}`),
      disconnect: (_code, details) => this.ends.push(`silent: ${details}`),
      helloAgain: () => this.ends.push('hello again')
    }
    const { liveness, sentPackets, receiver, sender, session } = this
    const received = { nextAckTime: () => Infinity }
    const path = { onTimeout: () => true }
    const parts = { liveness, sentPackets, receiver, sender, session, received, path, fates: {}, handshake: {} }
    this.timers = new ConnectionTimers(connection, parts as unknown as TimedParts)
  }

  confirmed(): this {
    this.liveness.onHandshakeConfirmed()
    return this
  }

  get next(): number {
    return this.timers.nextTimeout(0)
  }

  /** What ends it at `now`, if anything. */
  endAt(now: number): string | undefined {
    try {
      this.timers.check(now)
    } catch (error) {
      expect(error).toBeInstanceOf(QuicError)
      return (error as QuicError).message
    }
    return undefined
  }
}

describe('mechanism: PING', () => {
  it('is due after 15 s of silence, for clients with open streams alone', () => {
    const client = new Timed().confirmed()
    expect(client.next).toBe(15 * SECOND)
    client.timers.check(15 * SECOND - 1)
    expect(client.sender.pingPending).toBe(false)
    client.timers.check(15 * SECOND)
    expect(client.sender.pingPending).toBe(true)
    // The next one only when this one is sent.
    expect(client.next).toBe(29 * SECOND)
    const idle = new Timed().confirmed()
    idle.session.streams = 0
    expect(idle.next).toBe(29 * SECOND)
    expect(new Timed(Perspective.Server).confirmed().next).toBe(33 * SECOND)
  })

  it('is not needed while something sent will bring an answer', () => {
    const client = new Timed().confirmed()
    client.sentPackets.hasRetransmittable = true
    expect(client.next).toBe(29 * SECOND)
    client.timers.check(16 * SECOND)
    expect(client.sender.pingPending).toBe(false)
  })
})

describe('mechanism: idle timeout', () => {
  it('begins with what was received last, and with the first that was sent after it', () => {
    const { liveness } = new Timed().confirmed()
    liveness.onPacketReceived(2 * SECOND)
    liveness.onAckElicitingSent(5 * SECOND)
    liveness.onAckElicitingSent(9 * SECOND)
    expect(liveness.nextDeadline()).toBe(34 * SECOND)
    expect([liveness.check(34 * SECOND - 1), liveness.check(34 * SECOND)]).toEqual([undefined, 'idle'])
    liveness.onPacketReceived(10 * SECOND)
    liveness.onAckElicitingSent(11 * SECOND)
    expect(liveness.nextDeadline()).toBe(40 * SECOND)
  })

  it('ends clients a second early and servers three seconds late, but no client at once', () => {
    for (const [perspective, seconds, ends] of [
      [Perspective.Client, 30, 29],
      [Perspective.Client, 1, 1],
      [Perspective.Server, 30, 33]
    ] as const) {
      const liveness = new Liveness(perspective, 0)
      liveness.onHandshakeConfirmed()
      expect(liveness.nextDeadline()).toBe((perspective === Perspective.Client ? 4 : 8) * SECOND)
      liveness.onIdleTimeoutNegotiated(seconds)
      expect(liveness.nextDeadline()).toBe(ends * SECOND)
    }
  })
})

describe('mechanism: silent close', () => {
  it('is the peer\'s not being told', () => {
    const [loud, silent] = [new Timed().confirmed(), new Timed().confirmed()]
    silent.timers.silentClose = true
    for (const timed of [loud, silent]) expect(timed.endAt(29 * SECOND)).toBeUndefined()
    expect(loud.ends).toEqual(['told: no recent network activity'])
    expect(silent.ends).toEqual(['silent: no recent network activity'])
  })
})

describe('a handshake that is not done in ten seconds', () => {
  it('tells a peer that never answered from one that did not finish', () => {
    const [silent, slow] = [new Timed(), new Timed()]
    slow.receiver.packetsReceived = 1
    expect(silent.endAt(10 * SECOND - 1)).toBeUndefined()
    expect(silent.endAt(10 * SECOND)).toContain('no answer from the peer')
    expect(slow.endAt(10 * SECOND)).toContain('the handshake was not completed in time')
  })
})

describe('mechanism: 5RTO', () => {
  it('ends the connection when the fifth retransmission timeout in a row comes', () => {
    const asking = new Timed().confirmed()
    asking.timers.closesAfterFiveTimeouts = true
    const other = new Timed().confirmed()
    for (const timed of [asking, other]) {
      timed.sentPackets.deadline = SECOND
      for (const count of [0, 3]) {
        timed.sentPackets.consecutiveRtoCount = count
        expect(timed.endAt(SECOND)).toBeUndefined()
      }
      timed.sentPackets.consecutiveRtoCount = 4
    }
    expect(asking.endAt(SECOND)).toContain('5 consecutive retransmission timeouts')
    expect(other.endAt(SECOND)).toBeUndefined()
    expect([asking.sentPackets.timeouts, other.sentPackets.timeouts]).toEqual([2, 3])
  })

  it('a peer that acknowledges nothing is given up whatever was agreed', () => {
    const timed = new Timed().confirmed()
    timed.sentPackets.tooManyOutstanding = true
    expect(timed.endAt(SECOND)).toContain('the peer acknowledges nothing')
  })
})
