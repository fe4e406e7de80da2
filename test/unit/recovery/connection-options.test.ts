import { describe, expect, it } from 'vitest'
import type { NegotiatedConfig } from '../../../src/quic/handshake/negotiated-config.js'
import type { SentPacketManagerOptions } from '../../../src/quic/recovery/sent-packet-manager.js'
import { SentFrameKind, type SentFrame } from '../../../src/quic/recovery/sent-frame.js'
import { EncryptionLevel, Perspective } from '../../../src/quic/types.js'
import { MSS } from '../../helpers/congestion-flow.js'
import { MS, RecoveryFixture } from '../../helpers/recovery-fixture.js'

const config: NegotiatedConfig = {
  idleTimeoutSeconds: 30,
  silentClose: true,
  maxStreamsPerConnection: 100,
  peerMaxIncomingStreams: 100,
  peerStreamWindow: 65_536,
  peerConnectionWindow: 65_536,
  initialRtt: undefined,
  omitConnectionId: false,
  connectionOptions: [],
  forceHolBlocking: false
}

/** A server whose client sent these options. */
function server(...options: string[]): RecoveryFixture {
  const f = new RecoveryFixture()
  f.manager.onConfigNegotiated({ ...config, connectionOptions: options })
  return f
}

/** A client that sent these options. */
function client(...options: string[]): RecoveryFixture {
  const asked: Partial<SentPacketManagerOptions> = { perspective: Perspective.Client, sentOptions: options }
  const f = new RecoveryFixture(asked)
  f.manager.onConfigNegotiated(config)
  return f
}

/** Gives a fixture one sample of this round-trip time. */
function measure(f: RecoveryFixture, ms: number): RecoveryFixture {
  f.send()
  f.now += ms * MS
  f.ack([1, 1])
  f.acked.length = 0
  return f
}

describe('mechanism: congestion control by COPT', () => {
  it.each([
    [[], 'cubic'],
    [['TBBR'], 'bbr'],
    [['RENO'], 'reno-packets'],
    [['BYTE'], 'cubic-packets'],
    [['RENO', 'BYTE'], 'reno'],
    // The reference asks for BBR first and lets the others overrule it.
    [['TBBR', 'BYTE'], 'cubic-packets'],
    [['TBBR', 'RENO'], 'reno-packets']
  ])('%j is %s', (options, name) => {
    expect(server(...options).manager.controller.name).toBe(name)
    // A client's own options do not change its own algorithm.
    expect(client(...options).manager.controller.name).toBe('cubic')
  })

  it('an endpoint that is told to use one does', () => {
    for (const congestion of ['cubic', 'reno', 'bbr'] as const) {
      expect(new RecoveryFixture({ congestion }).manager.controller.name).toBe(congestion)
    }
  })

  it.each([
    ['IW03', 3],
    ['IW10', 10],
    ['IW20', 20],
    ['IW50', 50]
  ])('%s sets the window of a server to %i segments', (option, packets) => {
    expect(server(option).manager.congestionWindow).toBe(packets * MSS)
    expect(client(option).manager.congestionWindow).toBe(32 * MSS)
  })

  it('1CON halves what a loss leaves, at both ends', () => {
    for (const [f, share] of [
      [server('1CON'), 0.7],
      [client('1CON'), 0.7],
      [server(), 0.85]
    ] as const) {
      f.sendMany(5, MSS)
      f.now += 50 * MS
      f.ack([5, 5])
      expect(f.manager.congestionWindow).toBe(Math.floor(32 * MSS * share))
    }
  })

  it('NCON makes the connection as hungry as one to five', () => {
    for (const [streams, share] of [
      [0, 0.7],
      [1, 0.7],
      [3, (2 + 0.7) / 3],
      [5, 0.94],
      [80, 0.94]
    ] as const) {
      const f = server('NCON')
      expect(f.manager.emulatesStreams).toBe(true)
      f.manager.setOpenStreams(streams)
      f.sendMany(5, MSS)
      f.now += 50 * MS
      f.ack([5, 5])
      expect(f.manager.congestionWindow / (32 * MSS)).toBeCloseTo(share, 3)
    }
    expect(server().manager.emulatesStreams).toBe(false)
  })
})

describe('mechanism: loss detection and timers by COPT', () => {
  it.each([
    ['server', server],
    ['client', client]
  ])('NTLP: no tail loss probe at the %s, the first timeout resends', (_side, make) => {
    const f = measure(make('NTLP'), 50)
    f.sendMany(3)
    f.timeout()
    expect(f.manager.consecutiveTlpCount).toBe(0)
    expect(f.manager.consecutiveRtoCount).toBe(1)
    expect(f.lost).toEqual([2, 3])
  })

  it('TLPR: the first probe after half a round trip, the second as ever', () => {
    const f = measure(server('TLPR'), 100)
    f.sendMany(3)
    expect(f.timeout()).toBe(50 * MS)
    f.send()
    expect(f.timeout()).toBe(200 * MS)
  })

  it('CONH: handshake data again after two round trips, 25 ms at least', () => {
    const f = new RecoveryFixture({ perspective: Perspective.Client, sentOptions: ['CONH'] })
    f.manager['timer'].handshakeConfirmed = false
    f.send(1350, SentFrameKind.Crypto, EncryptionLevel.None)
    expect(f.timeout()).toBe(200 * MS)
    f.send(1350, SentFrameKind.Crypto, EncryptionLevel.None)
    expect(f.timeout()).toBe(400 * MS)
  })

  it('NRTO: a timeout costs what is lost, not the whole window', () => {
    for (const [option, expected] of [
      ['NRTO', Math.floor(32 * MSS * 0.85)],
      ['xxxx', 2 * MSS]
    ] as const) {
      const f = server(option, 'NTLP')
      f.sendMany(20, MSS)
      f.now += 10 * MS
      f.timeout()
      expect(f.manager.consecutiveRtoCount).toBe(1)
      expect(f.manager.bytesInFlight).toBe(20 * MSS)
      f.sendMany(2, MSS)
      f.now += 50 * MS
      f.ack([22, 22])
      expect(f.manager.congestionWindow).toBe(expected)
    }
  })
})

describe('UNDO', () => {
  /** Lost frames wait until they are sent again. */
  class Waiting extends RecoveryFixture {
    waiting = new Set<number>()

    override onFrameLost(frame: SentFrame): void {
      super.onFrameLost(frame)
      this.waiting.add(frame.offset)
    }

    isWaiting(first: SentFrame): boolean {
      return this.waiting.has(first.offset)
    }

    takeBack(first: SentFrame): boolean {
      return this.waiting.delete(first.offset)
    }
  }

  function fiveSentOneAcked(...options: string[]): Waiting {
    const f = new Waiting()
    f.manager.onConfigNegotiated({ ...config, connectionOptions: options })
    f.now += MS
    f.sendMany(5)
    f.now += 50 * MS
    f.ack([5, 5])
    f.waiting = new Set(f.lost)
    expect(f.lost).toEqual([1, 2])
    return f
  }

  it('takes back losses above what an acknowledgement out of order shows', () => {
    const f = fiveSentOneAcked('UNDO')
    expect(f.manager.bytesInFlight).toBe(2000)
    f.now += MS
    f.ack([5, 5], [1, 1])
    expect([...f.waiting]).toEqual([1])
    expect(f.manager.bytesInFlight).toBe(3000)
    // In flight again, it can be lost again.
    f.sendMany(3)
    f.now += 50 * MS
    f.ack([8, 8], [5, 5], [1, 1])
    expect(f.lost).toContain(2)
  })

  it('leaves them lost without it, and where the data has been sent again', () => {
    const without = fiveSentOneAcked()
    without.ack([5, 5], [1, 1])
    expect(without.manager.bytesInFlight).toBe(2000)
    const resent = fiveSentOneAcked('UNDO')
    resent.waiting.clear()
    resent.ack([5, 5], [1, 1])
    expect(resent.manager.bytesInFlight).toBe(2000)
  })
})

describe('mechanism: loss detection and timers by COPT', () => {
  it('TIME: only time makes a packet lost, 1.25 round trips after it was sent', () => {
    const f = measure(server('TIME'), 100)
    const start = f.now
    for (let i = 0; i < 10; i++, f.now += 10 * MS) f.send()
    f.ack([3, 11])
    expect(f.lost).toEqual([])
    expect(f.manager.nextTimeout()).toBe(start + 125 * MS)
    f.timeout()
    expect(f.lost).toEqual([2])
  })

  it('ATIM: a sixteenth of a round trip at first, and more after every loss that was none', () => {
    const f = measure(server('ATIM'), 96)
    const first = f.now
    f.sendMany(2)
    f.now += 96 * MS
    f.ack([3, 3])
    expect(f.manager.nextTimeout()).toBe(first + 102 * MS)
    f.timeout()
    expect(f.lost).toEqual([2])
    // It arrives a quarter of a round trip after it was called lost: the next may be half a round trip late.
    f.sendMany(2)
    f.now += 24 * MS
    f.ack([2, 3])
    expect(f.manager.stats.packetsRetransmittedSpuriously).toBe(1)
    f.now += 72 * MS
    f.ack([5, 5], [2, 3])
    const { latest } = f.manager.rtt
    expect(f.manager.nextTimeout()).toBe(first + 102 * MS + latest + (latest >> 1))
  })

  it('LFAK: three packets later is not enough, an acknowledgement before and one after it are', () => {
    const one = measure(server('LFAK'), 100)
    one.sendMany(10)
    one.now += 100 * MS
    one.ack([5, 5])
    expect(one.lost).toEqual([])
    one.ack([5, 6])
    expect(one.lost).toEqual([2, 3])
    const byOne = measure(server('LFAK'), 100)
    byOne.sendMany(5)
    byOne.now += 100 * MS
    byOne.ack([3, 3])
    byOne.ack([3, 4])
    expect(byOne.lost).toEqual([])
    byOne.ack([3, 5])
    expect(byOne.lost).toEqual([2])
  })
})

describe('an MTU probe', () => {
  it('counts against the window, and its loss is no congestion', () => {
    const f = measure(server(), 50)
    const window = f.manager.congestionWindow
    f.manager.onPacketSent(f.now, 2, 1450, EncryptionLevel.ForwardSecure, null, false, true)
    expect(f.manager.bytesInFlight).toBe(1450)
    f.sendMany(5)
    f.now += 50 * MS
    f.ack([3, 7])
    expect(f.manager.stats.packetsLost).toBe(1)
    expect(f.manager.bytesInFlight).toBe(0)
    expect(f.manager.congestionWindow).toBeGreaterThanOrEqual(window)
    expect(f.manager.controller.inRecovery).toBe(false)
    expect(f.lost).toEqual([])
  })

  it('alone in flight starts no timer', () => {
    const f = measure(server(), 50)
    f.manager.onPacketSent(f.now, 2, 1450, EncryptionLevel.ForwardSecure, null, false, true)
    expect(f.manager.nextTimeout()).toBe(Infinity)
    f.send()
    expect(f.manager.nextTimeout()).toBeLessThan(Infinity)
  })

  it('tells its size when it arrives', () => {
    const f = measure(server(), 50)
    expect(f.manager.largestAckedLength).toBe(1000)
    f.manager.onPacketSent(f.now, 2, 1450, EncryptionLevel.ForwardSecure, null, false, true)
    f.ack([1, 2])
    expect(f.manager.largestAckedLength).toBe(1450)
  })
})

describe('what the peer knows to be acknowledged', () => {
  it('is what the ACK in an acknowledged packet said', () => {
    const f = server()
    const send = (packetNumber: number, carriedAck: number): void =>
      f.manager.onPacketSent(f.now, packetNumber, 40, EncryptionLevel.ForwardSecure, null, false, false, carriedAck)
    send(1, 10)
    send(2, 30)
    send(3, 20)
    f.ack([1, 1])
    expect(f.manager.largestPeerKnowsAcked).toBe(10)
    f.ack([1, 2])
    expect(f.manager.largestPeerKnowsAcked).toBe(30)
    f.ack([1, 3])
    expect(f.manager.largestPeerKnowsAcked).toBe(30)
  })
})
