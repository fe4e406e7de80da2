import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ClientNonces, StrikeRegister } from '../../../src/quic/handshake/server/strike-register.js'
import { RejectReason, Tag } from '../../../src/quic/wire/tags.js'
import { seededRandom } from '../../helpers/handshake-fixture.js'
import { recordedMessages } from '../../helpers/recorded-handshake.js'

const now = 1_800_000_000
const random = seededRandom('strike registers')

describe('mechanism: strike register', () => {
  const make = (o: { window?: number; max?: number; hasPredecessor?: boolean } = {}): StrikeRegister =>
    new StrikeRegister({
      wallSeconds: now,
      windowSeconds: o.window ?? 600,
      maxEntries: o.max,
      hasPredecessor: o.hasPredecessor ?? false
    })

  it('accepts a nonce once, and only within its window', () => {
    const register = make()
    const value = random(20)
    expect(register.insert(now, value, now)).toBeUndefined()
    expect(register.insert(now, value, now)).toBe('used')
    expect(register.insert(now, value, now + 600)).toBe('used')
    expect(register.insert(now + 1, value, now)).toBeUndefined()
    for (const [seconds, good] of [[now - 600, true], [now - 601, false], [now + 600, true], [now + 601, false]] as const) {
      expect(register.insert(seconds, random(20), now)).toBe(good ? undefined : 'time')
    }
  })

  it('begins by refusing everything that a predecessor may have accepted', () => {
    const register = make({ window: 100, hasPredecessor: true })
    expect(register.insert(now, random(20), now)).toBe('time')
    expect(register.insert(now + 100, random(20), now + 100)).toBe('time')
    expect(register.insert(now + 101, random(20), now + 101)).toBeUndefined()
    // Below the horizon, though within the window.
    expect(register.insert(now + 100, random(20), now + 101)).toBe('time')
  })

  it('makes room by refusing what is as old as what it forgot, and what would stay for long', () => {
    const register = make({ max: 3 })
    const first = random(20)
    expect(register.insert(now - 10, first, now)).toBeUndefined()
    expect(register.insert(now - 9, random(20), now)).toBeUndefined()
    expect(register.insert(now - 8, random(20), now)).toBeUndefined()
    expect(register.insert(now, random(20), now)).toBeUndefined()
    expect(register.size).toBe(3)
    expect(register.insert(now - 10, first, now)).toBe('time')
    expect(register.insert(now - 10, random(20), now)).toBe('time')
    // The horizon is 9 seconds ago now, so nothing is accepted from further ahead than that.
    expect(register.insert(now + 10, random(20), now)).toBe('time')
  })

  it('never accepts a nonce twice and never grows beyond its bound, whatever comes in whatever order', () => {
    const nonce = fc.record({ age: fc.integer({ min: -15, max: 15 }), value: fc.nat(9), step: fc.nat(2) })
    fc.assert(
      fc.property(fc.array(nonce, { maxLength: 200 }), fc.integer({ min: 2, max: 12 }), (nonces, max) => {
        const register = make({ window: 10, max })
        const accepted = new Set<string>()
        let at = now
        for (const { age, value, step } of nonces) {
          at += step
          const seconds = at - age
          if (register.insert(seconds, Uint8Array.of(value), at) === undefined) {
            expect(accepted.has(`${seconds} ${value}`)).toBe(false)
            accepted.add(`${seconds} ${value}`)
            expect(Math.abs(age)).toBeLessThanOrEqual(10)
          }
          expect(register.size).toBeLessThanOrEqual(max)
        }
      }),
      { numRuns: 300 }
    )
  })
})

describe('client nonces', () => {
  const orbit = random(8)
  const nonce = (seconds: number, of: Uint8Array = orbit): Uint8Array => {
    const time = Buffer.alloc(4)
    time.writeUInt32BE(seconds)
    return Buffer.concat([time, of, random(20)])
  }

  it('are good once, for the orbit of their config, about now', () => {
    const nonces = new ClientNonces(now)
    const fresh = { orbit, fresh: true }
    const one = nonce(now)
    expect(nonces.use(one, fresh, now)).toBeUndefined()
    expect(nonces.use(one, fresh, now)).toBe(RejectReason.CLIENT_NONCE_NOT_UNIQUE_FAILURE)
    expect(nonces.use(nonce(now, random(8)), fresh, now)).toBe(RejectReason.CLIENT_NONCE_INVALID_ORBIT_FAILURE)
    expect(nonces.use(nonce(now - 601), fresh, now)).toBe(RejectReason.CLIENT_NONCE_INVALID_TIME_FAILURE)
    expect(nonces.use(nonce(now + 601), fresh, now)).toBe(RejectReason.CLIENT_NONCE_INVALID_TIME_FAILURE)
  })

  it('of a client that turns the bytes of the time around are good once too', () => {
    const hello = recordedMessages('lsquic-4.9.3-q046-zerortt', 1)[0]!.message
    const recorded = hello.require(Tag.NONC)
    const made = Buffer.from(recorded).readUInt32LE(0)
    const nonces = new ClientNonces(made)
    const config = { orbit: recorded.subarray(4, 12), fresh: true }
    expect(nonces.use(recorded, config, made + 601)).toBe(RejectReason.CLIENT_NONCE_INVALID_TIME_FAILURE)
    expect(nonces.use(recorded, config, made + 1)).toBeUndefined()
    expect(nonces.use(recorded, config, made + 2)).toBe(RejectReason.CLIENT_NONCE_NOT_UNIQUE_FAILURE)
  })

  it('are not good a second time at the moment that their time names backwards', () => {
    const [made, backwards] = [0x6b00016b, 0x6b01006b]
    const one = nonce(made)
    const nonces = new ClientNonces(made)
    expect(nonces.use(one, { orbit, fresh: true }, made)).toBeUndefined()
    expect(nonces.use(one, { orbit, fresh: true }, backwards)).toBe(RejectReason.CLIENT_NONCE_INVALID_TIME_FAILURE)
  })

  it('for a config of an earlier process wait until what that one accepted has run out, unless told otherwise', () => {
    const old = { orbit, fresh: false }
    const careful = new ClientNonces(now, { windowSeconds: 60 })
    expect(careful.use(nonce(now + 50), old, now + 50)).toBe(RejectReason.CLIENT_NONCE_INVALID_TIME_FAILURE)
    expect(careful.use(nonce(now + 61), old, now + 61)).toBeUndefined()
    const trusting = new ClientNonces(now, { windowSeconds: 60, trustAfterRestart: true })
    expect(trusting.use(nonce(now + 50), old, now + 50)).toBeUndefined()
  })

  it('are forgotten with their config', () => {
    const nonces = new ClientNonces(now)
    const one = nonce(now)
    expect(nonces.use(one, { orbit, fresh: true }, now)).toBeUndefined()
    nonces.retain([{ orbit, fresh: true }])
    expect(nonces.use(one, { orbit, fresh: true }, now)).toBe(RejectReason.CLIENT_NONCE_NOT_UNIQUE_FAILURE)
    nonces.retain([])
    expect(nonces.use(one, { orbit, fresh: true }, now)).toBeUndefined()
  })
})
