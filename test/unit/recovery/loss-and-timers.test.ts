import { describe, expect, it } from 'vitest'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { MS, RecoveryFixture, ackOf } from '../../helpers/recovery-fixture.js'

/** A fixture with one sample of this round-trip time: smoothed `ms`, deviation `ms / 2`. */
function measured(ms: number, options = {}): RecoveryFixture {
  const f = new RecoveryFixture(options)
  f.send()
  f.now += ms * MS
  f.ack([1, 1])
  f.acked.length = 0
  return f
}

describe('mechanism: loss detection by number, by time and at the end of a burst', () => {
  it('declares a packet lost when one sent three later is acknowledged', () => {
    const f = measured(50)
    f.sendMany(6)
    f.now += 50 * MS
    f.ack([3, 4])
    expect(f.lost).toEqual([])
    f.ack([3, 5])
    expect(f.lost).toEqual([2])
    expect(f.acked).toEqual([3, 4, 5])
    expect(f.manager.bytesInFlight).toBe(2000)
    expect(f.manager.stats.packetsLost).toBe(1)
  })

  it('retires data whose packet was thought lost and arrived after all', () => {
    const f = measured(50)
    f.sendMany(6)
    f.now += 50 * MS
    f.ack([3, 5])
    expect(f.manager.leastUnacked).toBe(2)
    f.ack([2, 5])
    expect(f.acked).toEqual([3, 4, 5, 2])
    expect(f.manager.stats.packetsRetransmittedSpuriously).toBe(1)
    expect(f.manager.leastUnacked).toBe(6)
  })

  it('forgets a lost packet once something sent after it was found lost is acknowledged', () => {
    const f = measured(50)
    f.sendMany(6)
    f.now += 50 * MS
    f.ack([3, 5])
    f.send()
    f.ack([3, 7])
    expect(f.manager.leastUnacked).toBe(2)
    f.ack([3, 8])
    expect(f.manager.leastUnacked).toBe(9)
    f.ack([2, 8])
    expect(f.acked).not.toContain(2)
  })

  it('early retransmit: with nothing later in flight, waits 1.25 round trips from the time of sending', () => {
    const f = measured(40)
    f.sendMany(2)
    const sent = f.now
    f.now += 40 * MS
    f.ack([3, 3])
    expect(f.lost).toEqual([])
    expect(f.manager.nextTimeout()).toBe(sent + 50 * MS)
    f.timeout()
    expect(f.lost).toEqual([2])
    expect(f.manager.stats.lossTimeouts).toBe(1)
    expect(f.manager.bytesInFlight).toBe(0)
    expect(f.manager.nextTimeout()).toBe(Infinity)
  })

  it('early retransmit never waits less than 5 ms', () => {
    const f = measured(1)
    f.sendMany(2)
    const sent = f.now
    f.now += MS
    f.ack([3, 3])
    expect(f.manager.nextTimeout()).toBe(sent + 5 * MS)
  })

  it('declares lost what was sent a round trip before the newest acknowledged', () => {
    const f = measured(50)
    f.send()
    f.now += 51 * MS
    f.sendMany(3)
    f.now += 50 * MS
    f.ack([3, 3])
    expect(f.lost).toEqual([2])
  })

  it('tolerates reordering by less than a round trip and three packets', () => {
    const f = measured(50)
    f.send()
    f.now += 49 * MS
    f.sendMany(3)
    f.ack([3, 4])
    expect(f.lost).toEqual([])
    expect(f.manager.nextTimeout()).toBeGreaterThan(f.now)
  })
})

describe('acknowledgements', () => {
  it('rejects what the reference rejects', () => {
    const f = measured(50)
    f.sendMany(3)
    const thrown = { code: 'QUIC_INVALID_ACK_DATA' }
    expect(() => f.ack([5, 5])).toThrow(expect.objectContaining({ ...thrown, details: 'Largest observed too high.' }))
    f.ack([2, 3])
    expect(() => f.ack([2, 2])).toThrow(expect.objectContaining({ ...thrown, details: 'Largest observed too low.' }))
    const odd = { ...ackOf([[2, 3]]), largestAcked: 4 }
    expect(() => f.manager.onAck(f.now, odd, f)).toThrow(
      expect.objectContaining({ ...thrown, details: 'Last received packet not equal to largest observed.' })
    )
  })

  it('accepts an ack without ranges, and learns nothing from it', () => {
    const f = measured(50)
    f.send()
    const empty = { largestAcked: 2, ackDelay: 0, rangeCount: 0, ranges: new Float64Array(2) }
    expect(f.manager.onAck(f.now, empty, f)).toBe(false)
    expect(f.acked).toEqual([])
    expect(f.manager.bytesInFlight).toBe(1000)
  })

  it('reports each packet once, however often it is acknowledged', () => {
    const f = measured(50)
    f.sendMany(3)
    expect(f.ack([1, 3])).toBe(true)
    expect(f.ack([1, 3])).toBe(false)
    expect(f.acked).toEqual([2, 3])
  })

  it('samples the round trip from packets without frames too, which never count as in flight', () => {
    const f = new RecoveryFixture()
    expect(f.sendAckOnly()).toBe(1)
    expect(f.manager.bytesInFlight).toBe(0)
    expect(f.manager.nextTimeout()).toBe(Infinity)
    expect(f.manager.leastUnacked).toBe(1)
    f.now += 33 * MS
    f.ack([1, 1])
    expect(f.manager.rtt.smoothed).toBe(33 * MS)
    expect(f.manager.leastUnacked).toBe(2)
  })

  it('stops tracking packets without frames once something later is acknowledged', () => {
    const f = measured(50)
    f.sendAckOnly()
    f.sendAckOnly()
    f.send()
    expect(f.manager.leastUnacked).toBe(2)
    f.ack([4, 4])
    expect(f.manager.leastUnacked).toBe(5)
  })

  it('notices that the peer missed STOP_WAITING', () => {
    const f = new RecoveryFixture()
    f.sendMany(3)
    f.ack([1, 3])
    expect(f.manager.stopWaitingOverdue).toBe(false)
    f.send()
    f.ack([1, 4])
    expect(f.manager.stopWaitingOverdue).toBe(true)
    f.manager.onStopWaitingSent()
    expect(f.manager.stopWaitingOverdue).toBe(false)
  })

  it('says when a peer leaves too much unacknowledged', () => {
    const f = measured(50)
    f.send()
    for (let i = 0; i < 9_999; i++) f.sendAckOnly()
    expect(f.manager.tooManyOutstanding).toBe(false)
    f.sendAckOnly()
    expect(f.manager.tooManyOutstanding).toBe(true)
  })
})

describe('mechanism: tail loss probes and retransmission timeouts', () => {
  it('handshake: 1.5 round trips, doubling, and all handshake data again', () => {
    const f = new RecoveryFixture()
    const unconfirmed = new RecoveryFixture()
    const manager = unconfirmed.manager as unknown as { timer: { handshakeConfirmed: boolean } }
    manager.timer.handshakeConfirmed = false
    unconfirmed.send(1350, SentFrameKind.Crypto, EncryptionLevel.None)
    unconfirmed.send(1350, SentFrameKind.Crypto, EncryptionLevel.None)
    expect(unconfirmed.timeout()).toBe(150 * MS)
    expect(unconfirmed.lost).toEqual([1, 2])
    expect(unconfirmed.manager.probesAllowed).toBe(2)
    expect(unconfirmed.manager.bytesInFlight).toBe(0)
    unconfirmed.send(1350, SentFrameKind.Crypto, EncryptionLevel.None)
    expect(unconfirmed.timeout()).toBe(300 * MS)
    unconfirmed.send(1350, SentFrameKind.Crypto, EncryptionLevel.None)
    expect(unconfirmed.timeout()).toBe(600 * MS)
    expect(unconfirmed.lost).toEqual([1, 2, 3, 4])
    // Once confirmed, crypto data is data like other data.
    f.send(1350, SentFrameKind.Crypto)
    expect(f.manager.nextTimeout() - f.now).toBe(250 * MS)
  })

  it('tail loss probe: two round trips with several packets in flight, two at most, new data first', () => {
    const f = measured(200)
    f.sendMany(3)
    expect(f.timeout()).toBe(400 * MS)
    expect(f.lost).toEqual([])
    expect(f.manager.probesAllowed).toBe(1)
    expect(f.manager.probeWantsNewData).toBe(true)
    expect(f.manager.sendTime(f.now)).toBe(0)
    f.send()
    expect(f.manager.takeProbe()).toBe(true)
    expect(f.manager.takeProbe()).toBe(false)
    expect(f.timeout()).toBe(400 * MS)
    expect(f.manager.requeueForProbe(f)).toBe(true)
    expect(f.lost).toEqual([2])
    expect(f.manager.consecutiveTlpCount).toBe(2)
    f.send()
    f.timeout()
    expect(f.manager.consecutiveRtoCount).toBe(1)
  })

  it('tail loss probe of a single packet waits for a delayed ack, and never less than 10 ms', () => {
    const one = measured(100)
    one.send()
    expect(one.timeout()).toBe(250 * MS)
    const fast = measured(1)
    fast.sendMany(2)
    expect(fast.timeout()).toBe(10 * MS)
  })

  it('retransmission timeout: 500 ms without a sample, then srtt + 4·deviation of at least 200 ms, doubling to 60 s', () => {
    const fresh = new RecoveryFixture({ initialRtt: 10 * MS })
    fresh.sendMany(4)
    fresh.timeout()
    fresh.timeout()
    expect(fresh.timeout()).toBe(500 * MS)
    expect(fresh.manager.stats.retransmissionTimeouts).toBe(1)

    const f = measured(100)
    f.sendMany(40)
    f.timeout()
    f.timeout()
    const waits: number[] = []
    for (let i = 0; i < 14; i++) waits.push(f.timeout())
    expect(waits.slice(0, 4)).toEqual([300 * MS, 600 * MS, 1200 * MS, 2400 * MS])
    expect(Math.max(...waits)).toBe(60_000 * MS)
    const quick = measured(2)
    quick.sendMany(4)
    quick.timeout()
    quick.timeout()
    expect(quick.timeout()).toBe(200 * MS)
  })

  it('a retransmission timeout gives back the two oldest packets, each once, and leaves them in flight', () => {
    const f = measured(100)
    f.sendMany(4)
    f.timeout()
    f.timeout()
    f.timeout()
    expect(f.lost).toEqual([2, 3])
    expect(f.manager.probesAllowed).toBe(2)
    expect(f.manager.bytesInFlight).toBe(4000)
    f.timeout()
    expect(f.lost).toEqual([2, 3, 4, 5])
    f.timeout()
    expect(f.lost).toEqual([2, 3, 4, 5])
    // Everything has been given back and nothing was sent in answer: the window must not stay full.
    expect(f.manager.bytesInFlight).toBe(0)
    expect(f.manager.nextTimeout()).toBe(Infinity)
    f.ack([2, 5])
    expect(f.acked).toEqual([2, 3, 4, 5])
  })

  it('a real retransmission timeout cuts the window to two segments with the ack that proves it', () => {
    const f = measured(100)
    f.sendMany(10)
    f.timeout()
    f.timeout()
    f.timeout()
    expect(f.manager.congestionWindow).toBe(32 * 1460)
    const probe = f.send()
    f.now += 100 * MS
    f.ack([probe, probe])
    expect(f.manager.congestionWindow).toBe(2 * 1460)
    expect(f.manager.consecutiveRtoCount).toBe(0)
    expect(f.manager.consecutiveTlpCount).toBe(0)
    // What it found lost on the way is no second sign of congestion, yet is sent again.
    expect(f.lost).toEqual(expect.arrayContaining([2, 3, 4, 5, 6, 7, 8, 9]))
    expect(new Set(f.lost).size).toBe(f.lost.length)
  })

  it('what a retransmission timeout finds lost afterwards is no second sign of congestion', () => {
    const f = measured(100)
    f.sendMany(10)
    f.timeout()
    f.timeout()
    f.timeout()
    f.now += 5 * MS
    // The last packet sent before the timeout arrives: the timeout was spurious, though the others are missing.
    f.ack([11, 11])
    expect(f.lost.length).toBeGreaterThan(5)
    expect(f.manager.congestionWindow).toBeGreaterThanOrEqual(32 * 1460)
  })

  it('a spurious one leaves the window alone and learns the slower round trip', () => {
    const f = measured(100)
    f.sendMany(10)
    f.timeout()
    f.timeout()
    f.timeout()
    f.send()
    f.now += 5 * MS
    f.ack([2, 11])
    expect(f.manager.congestionWindow).toBeGreaterThanOrEqual(32 * 1460)
    expect(f.manager.rtt.smoothed).toBe(f.manager.rtt.latest)
    expect(f.manager.rtt.smoothed).toBeGreaterThan(600 * MS)
    expect(f.manager.stats.packetsRetransmittedSpuriously).toBe(2)
  })

  it('does nothing before its time', () => {
    const f = measured(100)
    f.sendMany(2)
    f.manager.onTimeout(f.manager.nextTimeout() - 1, f)
    expect(f.manager.stats.tailLossProbes).toBe(0)
  })
})

const hello = {
  idleTimeoutSeconds: 30,
  silentClose: true,
  maxStreamsPerConnection: 100,
  peerMaxIncomingStreams: undefined,
  peerStreamWindow: 16_384,
  peerConnectionWindow: 16_384,
  initialRtt: 20 * MS,
  omitConnectionId: false,
  connectionOptions: ['IW10', 'NTLP'],
  forceHolBlocking: false
}

describe('what the connection tells the manager', () => {
  it('abandons unencrypted packets without calling them lost', () => {
    const f = new RecoveryFixture()
    f.send(1350, SentFrameKind.Crypto, EncryptionLevel.None)
    f.send(1350, SentFrameKind.Crypto, EncryptionLevel.Initial)
    f.manager.neuterUnencryptedPackets()
    expect(f.manager.bytesInFlight).toBe(1350)
    f.now += 20 * MS
    f.ack([1, 2])
    expect(f.acked).toEqual([2])
    expect(f.lost).toEqual([])
    expect(f.manager.stats.packetsLost).toBe(0)
  })

  it('takes the initial round trip and window from the hello, the window only as a server', () => {
    const server = new RecoveryFixture()
    server.manager.onConfigNegotiated(hello)
    expect(server.manager.rtt.initial).toBe(20 * MS)
    expect(server.manager.congestionWindow).toBe(10 * 1460)
    server.send()
    server.timeout()
    expect(server.manager.consecutiveRtoCount).toBe(1)
    const client = new RecoveryFixture({ perspective: 0 })
    client.manager.onConfigNegotiated(hello)
    expect(client.manager.congestionWindow).toBe(32 * 1460)
  })

  it.each([
    ['the other side says what to assume', 20, 70, 20],
    ['or else this side', undefined, 70, 70],
    ['which 0 does not', 0, 70, 70],
    ['nor does it on this side', undefined, 0, 100],
    ['nobody has so short a path', 1, 70, 10],
    ['nobody has so long a path', undefined, 4e6, 15_000]
  ])('%s (IRTT)', (_rule, received, own, expected) => {
    const f = new RecoveryFixture({ initialRtt: own * MS })
    f.manager.onConfigNegotiated({ ...hello, initialRtt: received && received * MS })
    expect(f.manager.rtt.initial).toBe(expected * MS)
  })

  it('begins again on another path', () => {
    const f = measured(300)
    f.manager.onPathChanged()
    expect(f.manager.rtt.smoothed).toBe(0)
    expect(f.manager.congestionWindow).toBe(32 * 1460)
  })

  it('stops at the congestion window until an ack or a probe', () => {
    const f = measured(100)
    f.sendMany(47)
    expect(f.manager.sendTime(f.now)).toBe(Infinity)
    f.timeout()
    expect(f.manager.sendTime(f.now)).toBe(0)
    f.send()
    f.manager.takeProbe()
    expect(f.manager.sendTime(f.now)).toBe(Infinity)
    f.ack([2, 30])
    expect(f.manager.sendTime(f.now)).toBe(0)
  })
})
