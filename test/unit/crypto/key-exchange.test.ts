import { describe, expect, it } from 'vitest'
import { ECDH, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { createKeyExchange, keyExchangeFromPrivate, privateKeyOf } from '../../../src/quic/crypto/key-exchange.js'
import type { KeyExchange, KeyExchangeName } from '../../../src/quic/crypto/key-exchange.js'
import { hasEngine, makeEngine, testedEngines } from '../../helpers/engines.js'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (b: Uint8Array | undefined) => b && Buffer.from(b).toString('hex')
const names: KeyExchangeName[] = ['C255', 'P256']

describe.each(testedEngines.filter(hasEngine))('X25519 with the %s engine', (engine) => {
  const { primitives } = makeEngine(engine).aeadProvider
  // RFC 7748 §6.1
  const [alice, bob] = [
    '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
    '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb'
  ].map((key) => keyExchangeFromPrivate('C255', bytes(key), primitives)) as [KeyExchange, KeyExchange]

  it('agrees with RFC 7748', () => {
    const shared = '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
    expect(hex(alice.publicValue)).toBe('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
    expect(hex(alice.sharedSecret(bob.publicValue))).toBe(shared)
    expect(hex(bob.sharedSecret(alice.publicValue))).toBe(shared)
  })

  it('ignores the highest bit of the peer value (RFC 7748 §5)', () => {
    const set = Uint8Array.from(bob.publicValue)
    set[31]! |= 0x80
    expect(alice.sharedSecret(set)).toEqual(alice.sharedSecret(bob.publicValue))
  })

  it.each([
    ['zero', '00'.repeat(32)],
    ['one', '01' + '00'.repeat(31)],
    ['order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
    ['p', 'ed' + 'ff'.repeat(30) + '7f']
  ])('refuses the point of small order %s', (_name, point) => {
    expect(alice.sharedSecret(bytes(point))).toBeUndefined()
  })
})

describe('P-256', () => {
  const one = keyExchangeFromPrivate('P256', bytes('00'.repeat(31) + '01'))
  const two = keyExchangeFromPrivate('P256', bytes('00'.repeat(31) + '02'))

  it('gives the generator for the private key 1, and keeps leading zeros', () => {
    expect(hex(one.publicValue)).toBe(
      '046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296' +
        '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5'
    )
    expect(privateKeyOf(one)).toHaveLength(32)
    expect(hex(one.sharedSecret(two.publicValue))).toBe(hex(two.publicValue.subarray(1, 33)))
  })

  it('takes nothing but uncompressed points on the curve', () => {
    const point = two.publicValue
    const compressed = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'compressed') as Buffer
    const hybrid = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'hybrid') as Buffer
    const offCurve = Uint8Array.from(point)
    offCurve[64]! ^= 1
    for (const bad of [compressed, hybrid, offCurve, new Uint8Array(65), point.subarray(1), new Uint8Array(0)]) {
      expect(one.sharedSecret(bad)).toBeUndefined()
    }
  })

  it('draws again when the random bytes are out of range', () => {
    const draws = [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(32).fill(7)]
    const key = createKeyExchange('P256', () => draws.shift()!)
    expect(privateKeyOf(key)).toEqual(new Uint8Array(32).fill(7))
  })

  it('gives up on a random source that is broken', () => {
    expect(() => createKeyExchange('P256', (n) => new Uint8Array(n))).toThrow(/random/)
  })
})

const everywhere = testedEngines.filter(hasEngine).flatMap((engine) => names.map((name) => [name, engine] as const))

describe.each(everywhere)('key exchange %s with the %s engine', (name, engine) => {
  const { primitives } = makeEngine(engine).aeadProvider

  it('agrees on both sides, and again from the stored private key', () => {
    const a = createKeyExchange(name, randomBytes, primitives)
    const b = createKeyExchange(name, randomBytes, primitives)
    const secret = a.sharedSecret(b.publicValue)
    expect(secret).toHaveLength(32)
    expect(b.sharedSecret(a.publicValue)).toEqual(secret)
    const restored = keyExchangeFromPrivate(name, privateKeyOf(a), primitives)
    expect(restored.publicValue).toEqual(a.publicValue)
    expect(restored.sharedSecret(b.publicValue)).toEqual(secret)
  })

  it('computes for whoever asks with the same key', () => {
    const stored = createKeyExchange(name, randomBytes)
    const peer = createKeyExchange(name, randomBytes, primitives)
    const secret = peer.sharedSecret(stored.publicValue)
    for (const by of [primitives, undefined, primitives]) expect(stored.sharedSecret(peer.publicValue, by)).toEqual(secret)
  })

  it('depends on the injected bytes alone', () => {
    const random = (n: number) => new Uint8Array(n).fill(9)
    const { publicValue } = createKeyExchange(name, random, primitives)
    expect(createKeyExchange(name, random).publicValue).toEqual(publicValue)
  })

  it('refuses private keys of the wrong length', () => {
    expect(() => keyExchangeFromPrivate(name, new Uint8Array(31), primitives)).toThrow(RangeError)
  })

  it('never throws on what a peer sends', () => {
    const key = createKeyExchange(name, randomBytes, primitives)
    const value = fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      fc.uint8Array({ minLength: 65, maxLength: 65 }).map((b) => Uint8Array.from([4, ...b.subarray(1)]))
    )
    fc.assert(
      fc.property(value, (peer) => {
        const secret = key.sharedSecret(peer)
        expect(secret === undefined || secret.length === 32).toBe(true)
      }),
      { numRuns: 100 }
    )
  })
})

it('refuses to store a private key out of range, or of somebody else', () => {
  expect(() => keyExchangeFromPrivate('P256', new Uint8Array(32))).toThrow(RangeError)
  const foreign: KeyExchange = { name: 'C255', publicValue: new Uint8Array(32), sharedSecret: () => undefined }
  expect(() => privateKeyOf(foreign)).toThrow(TypeError)
})
