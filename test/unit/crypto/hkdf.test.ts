import { describe, expect, it } from 'vitest'
import { hkdfSync } from 'node:crypto'
import fc from 'fast-check'
import { hkdf } from '../../../src/quic/crypto/hkdf.js'
import { hasEngine, makeEngine, testedEngines } from '../../helpers/engines.js'

const bytes = (hex: string) => Buffer.from(hex, 'hex')
const range = (from: number, to: number) => Uint8Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** RFC 5869, appendix A: the cases with SHA-256. */
const vectors = [
  {
    name: 'A.1 basic',
    ikm: new Uint8Array(22).fill(0x0b),
    salt: range(0x00, 0x0c),
    info: range(0xf0, 0xf9),
    prk: '077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5',
    okm: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'
  },
  {
    name: 'A.2 longer inputs and outputs',
    ikm: range(0x00, 0x4f),
    salt: range(0x60, 0xaf),
    info: range(0xb0, 0xff),
    prk: '06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244',
    okm:
      'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09' +
      'da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87'
  },
  {
    name: 'A.3 empty salt and info',
    ikm: new Uint8Array(22).fill(0x0b),
    salt: new Uint8Array(0),
    info: new Uint8Array(0),
    prk: '19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04',
    okm: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8'
  }
]

describe.each(testedEngines.filter(hasEngine))('HKDF with the %s engine', (name) => {
  const { primitives } = makeEngine(name).aeadProvider

  it.each(vectors)('gives the output of RFC 5869 $name', ({ ikm, salt, info, prk, okm }) => {
    expect(new Uint8Array(primitives.hkdfExtract(salt, ikm))).toEqual(new Uint8Array(bytes(prk)))
    expect(Buffer.from(hkdf(ikm, salt, [info], okm.length / 2, primitives)).toString('hex')).toBe(okm)
  })

  it('agrees with the platform for any length', () => {
    const input = fc.uint8Array({ maxLength: 80 })
    fc.assert(
      fc.property(input, input, input, fc.integer({ min: 1, max: 200 }), (ikm, salt, info, length) => {
        const expected = new Uint8Array(hkdfSync('sha256', ikm, salt, info, length))
        expect(hkdf(ikm, salt, [info], length, primitives)).toEqual(expected)
      }),
      { numRuns: 50 }
    )
  })

  it('takes an info over 1024 bytes, which the platform refuses', () => {
    const info = new Uint8Array(4000)
    expect(() => hkdfSync('sha256', 'k', 's', info, 32)).toThrow()
    expect(hkdf(range(1, 32), range(1, 32), [info], 100, primitives)).toHaveLength(100)
  })

  it('takes the context in parts, empty ones too', () => {
    const input = fc.uint8Array({ maxLength: 60 })
    fc.assert(
      fc.property(input, input, fc.array(input, { maxLength: 16 }), fc.integer({ min: 1, max: 300 }), (ikm, salt, parts, length) => {
        const expected = new Uint8Array(hkdfSync('sha256', ikm, salt, Buffer.concat(parts), length))
        expect(hkdf(ikm, salt, parts, length, primitives)).toEqual(expected)
      }),
      { numRuns: 50 }
    )
  })

  // OpenSSL's own HKDF fails at that from 3.5 on.
  it('gives nothing if asked for nothing', () => {
    expect(primitives.hkdfExpand(new Uint8Array(32), [range(1, 3)], 0)).toHaveLength(0)
  })

  it('refuses to give more than there is', () => {
    expect(primitives.hkdfExpand(new Uint8Array(32), [], 8160)).toHaveLength(8160)
    expect(() => primitives.hkdfExpand(new Uint8Array(32), [], 8161)).toThrow(RangeError)
  })
})
