import { describe, expect, it } from 'vitest'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { nodePrimitives } from '../../../src/quic/crypto/node-primitives.js'
import type { GcmBox } from '../../../src/quic/crypto/primitives.js'
import { addon, hasEngine, makeEngine, testedEngines } from '../../helpers/engines.js'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (b: Uint8Array | undefined) => b && Buffer.from(b).toString('hex')
const sized = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const upTo = (maxLength: number) => fc.uint8Array({ maxLength })

describe.each(testedEngines.filter(hasEngine))('boxes of the %s engine', (name) => {
  const { primitives } = makeEngine(name).aeadProvider
  const key = bytes('feffe9928665731c6d6a8f9467308308')

  it('are AES-128-GCM with a tag cut to 12 bytes', () => {
    // The GCM specification, test case 3: the tag there is 4d5c2af327cd64a62cf35abd2ba6fab4.
    const nonce = 'cafebabefacedbaddecaf888'
    const plaintext =
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255'
    const ciphertext =
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985'
    const box = primitives.gcmBox(key)
    const sealed = box.seal(bytes(nonce), bytes(plaintext))
    expect(hex(sealed)).toBe(`${nonce}${ciphertext}4d5c2af327cd64a62cf35abd`)
    expect(hex(box.open(sealed))).toBe(plaintext)
  })

  it('open only whole, unchanged and with their own key', () => {
    const box = primitives.gcmBox(key)
    for (const length of [0, 1, 16, 100]) {
      const plaintext = randomBytes(length)
      const sealed = box.seal(randomBytes(12), plaintext)
      expect(hex(box.open(sealed))).toBe(hex(plaintext))
      expect(primitives.gcmBox(randomBytes(16)).open(sealed)).toBeUndefined()
      for (let at = 0; at < sealed.length; at++) {
        const changed = Uint8Array.from(sealed)
        changed[at]! ^= 1
        expect(box.open(changed)).toBeUndefined()
        expect(box.open(sealed.subarray(0, at))).toBeUndefined()
      }
      // What failed leaves nothing behind.
      expect(hex(box.open(sealed))).toBe(hex(plaintext))
    }
  })

  it('refuses keys and nonces of the wrong length, and more of HKDF than there is', () => {
    expect(() => primitives.gcmBox(new Uint8Array(32))).toThrow(RangeError)
    expect(() => primitives.gcmBox(key).seal(new Uint8Array(11), key)).toThrow(RangeError)
    expect(() => primitives.x25519(new Uint8Array(33))).toThrow(RangeError)
    expect(() => primitives.hkdfExpand(key, [], 8161)).toThrow(RangeError)
  })
})

describe.skipIf(addon === undefined)('both engines', () => {
  const native = makeEngine('native').aeadProvider.primitives

  it('agree on secrets, or that there is none', () => {
    const low = fc.constantFrom('00', '01', 'ec', 'ed', 'ee').map((first) => bytes(first + 'ff'.repeat(30) + '7f'))
    fc.assert(
      fc.property(sized(32), fc.oneof(sized(32), low, upTo(40)), (privateKey, peer) => {
        const [a, b] = [nodePrimitives.x25519(privateKey), native.x25519(privateKey)]
        expect(hex(b.publicValue)).toBe(hex(a.publicValue))
        expect(hex(b.sharedSecret(peer))).toBe(hex(a.sharedSecret(peer)))
        expect(hex(b.sharedSecret(a.publicValue))).toBe(hex(a.sharedSecret(a.publicValue)))
      }),
      { numRuns: 100 }
    )
  })

  it('agree on what HKDF gives, for keys, salts and contexts of any length', () => {
    const parts = fc.array(upTo(2000), { maxLength: 6 })
    fc.assert(
      fc.property(upTo(200), upTo(200), parts, fc.nat(400), (salt, material, info, length) => {
        const key = nodePrimitives.hkdfExtract(salt, material)
        expect(hex(native.hkdfExtract(salt, material))).toBe(hex(key))
        expect(hex(native.hkdfExpand(key, info, length))).toBe(hex(nodePrimitives.hkdfExpand(key, info, length)))
        expect(hex(native.hkdfExpand(salt, info, length))).toBe(hex(nodePrimitives.hkdfExpand(salt, info, length)))
      }),
      { numRuns: 100 }
    )
  })

  it('open each other\'s boxes, and nothing else', () => {
    fc.assert(
      fc.property(sized(16), sized(12), upTo(300), upTo(80), (key, nonce, plaintext, junk) => {
        const [a, b] = [nodePrimitives.gcmBox(key), native.gcmBox(key)] as [GcmBox, GcmBox]
        const sealed = a.seal(nonce, plaintext)
        expect(hex(b.seal(nonce, plaintext))).toBe(hex(sealed))
        expect(hex(b.open(sealed))).toBe(hex(plaintext))
        expect([a.open(junk), b.open(junk)]).toEqual([undefined, undefined])
      }),
      { numRuns: 100 }
    )
  })

  it('answer whatever else is handed over with an exception', () => {
    const detached = new Uint8Array(32)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    const odd = fc.oneof(fc.anything(), upTo(70), fc.constantFrom(detached, new Uint16Array(16), new Array(17).fill(detached)))
    const key = new addon!.X25519Key(randomBytes(32))
    const box = new addon!.GcmBox(randomBytes(16))
    const targets = [
      (a: never, b: never) => key.derive(a, b),
      (a: never) => key.publicValue(a),
      (a: never, b: never, c: never) => box.seal(a, b, c),
      (a: never, b: never) => box.open(a, b),
      (a: never, b: never, c: never) => addon!.hkdfExtract(a, b, c),
      (a: never, b: never, c: never) => addon!.hkdfExpand(a, b, c),
      (a: never) => new addon!.X25519Key(a),
      (a: never) => new addon!.GcmBox(a)
    ]
    fc.assert(
      fc.property(fc.constantFrom(...targets), fc.array(odd, { maxLength: 4 }), (target, args) => {
        try {
          ;(target as (...args: unknown[]) => unknown)(...args)
        } catch (error) {
          expect(error instanceof TypeError || error instanceof RangeError).toBe(true)
        }
      }),
      { numRuns: 500 }
    )
    const out = new Uint8Array(32)
    expect(() => addon!.hkdfExtract(new Uint8Array(31), out, out)).toThrow(RangeError)
    expect(() => addon!.hkdfExpand(new Uint8Array(8161), out, [])).toThrow(RangeError)
    expect(() => addon!.hkdfExpand(out, out, new Array(17).fill(out))).toThrow(RangeError)
    expect(() => addon!.hkdfExpand(out, out, [out, undefined as never])).toThrow(TypeError)
    expect(() => key.derive(out, new Uint8Array(31))).toThrow(RangeError)
    expect(() => box.seal(new Uint8Array(12), out, new Uint8Array(55))).toThrow(RangeError)
    expect(() => box.open(new Uint8Array(23), new Uint8Array(0))).toThrow(RangeError)
    expect(() => addon!.X25519Key.prototype.derive.call(box, out, out)).toThrow(TypeError)
    expect(() => (addon!.GcmBox as unknown as (key: Uint8Array) => void)(new Uint8Array(16))).toThrow(TypeError)
  })

  it('read the parts of a context after whatever its getters did', () => {
    const out = new Uint8Array(32)
    const part = new Uint8Array(1 << 16)
    const parts = [part, part]
    Object.defineProperty(parts, 1, {
      get() {
        structuredClone(part.buffer, { transfer: [part.buffer] })
        return out
      }
    })
    addon!.hkdfExpand(out, new Uint8Array(32), parts)
    expect(hex(out)).toBe(hex(nodePrimitives.hkdfExpand(new Uint8Array(32), [new Uint8Array(32)], 32)))
    const throwing = Object.defineProperty([out], 0, { get: () => { throw new SyntaxError('no') } })
    expect(() => addon!.hkdfExpand(out, out, throwing as Uint8Array[])).toThrow(SyntaxError)
  })
})
