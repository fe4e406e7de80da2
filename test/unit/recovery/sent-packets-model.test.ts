import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SentFrameKind, SentFramePool } from '../../../src/quic/recovery/sent-frame.js'
import type { SentFrame } from '../../../src/quic/recovery/sent-frame.js'
import { PacketState, SentPacketMap } from '../../../src/quic/recovery/sent-packet-map.js'
import { MS, RecoveryFixture, ackOf, rangesOf } from '../../helpers/recovery-fixture.js'

type Step =
  | { op: 'send'; bytes: number; frames: boolean }
  | { op: 'arrive'; skip: number; take: number }
  | { op: 'ack' }
  | { op: 'wait'; ms: number }
  | { op: 'timeout' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('send' as const),
      bytes: fc.integer({ min: 30, max: 1452 }),
      frames: fc.boolean()
    })
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('arrive' as const), skip: fc.nat(5), take: fc.nat(6) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('ack' as const) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 300 }) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('timeout' as const) }) }
)

describe('SentPacketManager against a naive model', () => {
  it('tells each fate once, frees no frame too early, and counts what is in flight', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), (steps) => {
        const f = new RecoveryFixture()
        const withFrames = new Map<number, number>()
        const arrived = new Set<number>()
        const reported = new Set<number>()
        let cursor = 0
        for (const s of steps) {
          if (s.op === 'send') {
            if (s.frames) withFrames.set(f.send(s.bytes), s.bytes)
            else f.sendAckOnly()
          } else if (s.op === 'arrive') {
            cursor += s.skip
            for (let i = 0; i < s.take && cursor < f.manager.largestSent; i++) arrived.add(++cursor)
            cursor = Math.min(cursor, f.manager.largestSent)
          } else if (s.op === 'ack' && arrived.size > 0) {
            const acked = f.acked.length
            const tracked = f.manager.leastUnacked
            f.manager.onAck(f.now, ackOf(rangesOf(arrived)), f)
            for (const n of f.acked.slice(acked)) expect(arrived.has(n)).toBe(true)
            // Whatever is acknowledged while tracked is reported, unless it was reported before.
            for (const n of arrived) if (n >= tracked && withFrames.has(n)) reported.add(n)
          } else if (s.op === 'wait') {
            f.now += s.ms * MS
          } else if (s.op === 'timeout' && f.manager.nextTimeout() !== Infinity) {
            f.timeout()
          }
          expect(new Set(f.acked).size).toBe(f.acked.length)
          expect(new Set(f.lost).size).toBe(f.lost.length)
          for (const n of f.acked) expect(reported.has(n)).toBe(true)
          let most = 0
          for (const [n, bytes] of withFrames) if (!f.acked.includes(n)) most += bytes
          expect(f.manager.bytesInFlight).toBeGreaterThanOrEqual(0)
          expect(f.manager.bytesInFlight).toBeLessThanOrEqual(most)
          expect(f.manager.leastUnacked).toBeLessThanOrEqual(f.manager.largestSent + 1)
          if (f.manager.bytesInFlight > 0) expect(f.manager.nextTimeout()).toBeLessThan(Infinity)
        }
        // When everything arrives, nothing is left, and every frame was acknowledged or given back.
        f.now += 10 * MS
        for (let i = 0; i < 2; i++) f.send()
        for (let n = 1; n <= f.manager.largestSent; n++) arrived.add(n)
        f.manager.onAck(f.now, ackOf(rangesOf(arrived)), f)
        expect(f.manager.bytesInFlight).toBe(0)
        expect(f.manager.hasRetransmittable).toBe(false)
        expect(f.manager.nextTimeout()).toBe(Infinity)
        for (const n of withFrames.keys()) expect(f.acked.includes(n) || f.lost.includes(n)).toBe(true)
      }),
      { numRuns: 300 }
    )
  })
})

describe('SentPacketMap against a naive model', () => {
  it('keeps its list, its counters and its frames through growth', () => {
    interface Model {
      bytes: number
      frame: SentFrame
      state: PacketState
      requeued: boolean
      crypto: boolean
    }
    const operation = fc.record({
      op: fc.constantFrom('add', 'add', 'add', 'remove', 'lost', 'requeue', 'abandon'),
      pick: fc.nat(1_000_000),
      skip: fc.constantFrom(1, 1, 1, 2, 40)
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 400 }), fc.constantFrom(0, 2 ** 31 - 100, 2 ** 47), (steps, base) => {
        const pool = new SentFramePool()
        const map = new SentPacketMap(pool)
        const model = new Map<number, Model>()
        let next = base
        for (const s of steps) {
          const tracked = [...model.keys()]
          const packetNumber = tracked[s.pick % Math.max(1, tracked.length)]
          if (s.op === 'add') {
            next += s.skip
            const frame = pool.take(SentFrameKind.Stream, 5, 2)
            frame.offset = next
            const crypto = s.pick % 3 === 0
            const bytes = 100 + (s.pick % 1000)
            map.add(next, next * 10, bytes, 2, frame, crypto, true)
            model.set(next, { bytes, frame, state: PacketState.InFlight, requeued: false, crypto })
          } else if (packetNumber !== undefined) {
            const entry = model.get(packetNumber)!
            if (s.op === 'remove') {
              map.remove(packetNumber)
              model.delete(packetNumber)
            } else if (s.op === 'lost' && entry.state === PacketState.InFlight) {
              map.markLost(packetNumber, next)
              entry.state = PacketState.Lost
            } else if (s.op === 'requeue' && map.isRetransmittable(packetNumber)) {
              map.markRequeued(packetNumber)
              entry.requeued = true
            } else if (s.op === 'abandon' && map.frames(packetNumber) !== null) {
              map.abandon(packetNumber)
              model.set(packetNumber, { ...entry, state: PacketState.Idle })
            }
          }
        }
        const walked: number[] = []
        for (let at = map.first; at !== 0; at = map.next(at)) walked.push(at)
        expect(walked).toEqual([...model.keys()])
        expect(map.leastUnacked).toBe(walked[0] ?? map.largestSent + 1)
        const flying = [...model.values()].filter((m) => m.state === PacketState.InFlight)
        expect(map.packetsInFlight).toBe(flying.length)
        expect(map.bytesInFlight).toBe(flying.reduce((sum, m) => sum + m.bytes, 0))
        expect(map.retransmittableInFlight).toBe(flying.filter((m) => !m.requeued).length)
        expect(map.cryptoInFlight).toBe(flying.filter((m) => !m.requeued && m.crypto).length)
        for (const [packetNumber, entry] of model) {
          expect(map.contains(packetNumber)).toBe(true)
          expect(map.sentTime(packetNumber)).toBe(packetNumber * 10)
          expect(map.state(packetNumber)).toBe(entry.state)
          if (entry.state !== PacketState.Idle) expect(map.frames(packetNumber)!.offset).toBe(packetNumber)
        }
        for (let n = Math.max(1, next - 50); n <= next; n++) expect(map.contains(n)).toBe(model.has(n))
      }),
      { numRuns: 200 }
    )
  })

  it('keeps memory flat over a million packets', () => {
    const f = new RecoveryFixture()
    const map = (f.manager as unknown as { map: SentPacketMap }).map
    const frames = new Set<SentFrame>()
    let acked = 0
    f.onFrameAcked = (): void => void acked++
    f.onFrameLost = (): void => {}
    const ranges = new Float64Array([1, 0])
    const frame = { largestAcked: 0, ackDelay: 0, rangeCount: 1, ranges }
    for (let n = 1; n <= 1_000_000; n++) {
      f.now += 20
      f.send()
      // Every 97th packet is lost: acks begin above the newest loss.
      if (n > 40 && n % 2 === 0) {
        frame.largestAcked = n - 30 - ((n - 30) % 97 === 0 ? 1 : 0)
        ranges[1] = frame.largestAcked
        ranges[0] = frame.largestAcked - (frame.largestAcked % 97) + 1
        f.manager.onAck(f.now, frame, f)
      }
      if (n % 1000 === 0) for (let at = map.first; at !== 0; at = map.next(at)) frames.add(map.frames(at)!)
    }
    expect(map.slots).toBeLessThanOrEqual(256)
    expect(frames.size).toBeLessThan(300)
    expect(f.manager.stats.packetsLost).toBeGreaterThan(10_000)
    expect(acked).toBeGreaterThan(980_000)
  })
})
