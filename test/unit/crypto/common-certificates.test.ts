import { describe, expect, it } from 'vitest'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { certificateHash, compressChain, decompressChain } from '../../../src/quic/crypto/cert-compressor.js'
import {
  CommonCertificateSet,
  CommonCertificateSets,
  MAX_COMMON_SETS,
  commonNameOf
} from '../../../src/quic/crypto/common-certificates.js'
import { QuicError } from '../../../src/quic/errors.js'
import { CertifiedChain } from '../../../src/quic/handshake/server/certified-chain.js'

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')

describe('a common certificate set', () => {
  it('is named by the FNV-1a hash over length and bytes of each certificate, in order of their bytes', () => {
    // 01000000 61 | 02000000 6262, by hand: the basis, then xor and multiply for each byte.
    const set = new CommonCertificateSet([bytes('bb'), bytes('a')])
    let hash = 0xcbf29ce484222325n
    for (const byte of Buffer.from('0100000061020000006262', 'hex')) {
      hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
    }
    expect(Buffer.from(set.hash).readBigUInt64LE()).toBe(hash)
    expect(set.certificates.map(hex)).toEqual(['61', '6262'])
  })

  it('is the same whatever the order, and whoever is named twice', () => {
    const any = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(any, (certificates) => {
        const set = new CommonCertificateSet(certificates)
        const again = new CommonCertificateSet([...certificates].reverse().concat(certificates))
        expect(hex(again.hash)).toBe(hex(set.hash))
        for (const certificate of certificates) {
          expect(hex(set.certificates[set.indexOf(certificate)]!)).toBe(hex(certificate))
        }
        expect(set.indexOf(new Uint8Array(41))).toBe(-1)
      }),
      { numRuns: 60 }
    )
  })

  it('has a certificate, and there are only so many sets', () => {
    expect(() => new CommonCertificateSet([])).toThrow(RangeError)
    const set = new CommonCertificateSet([bytes('a')])
    expect(() => new CommonCertificateSets(new Array<CommonCertificateSet>(MAX_COMMON_SETS + 1).fill(set))).toThrow(RangeError)
  })
})

describe('sets that both ends have', () => {
  const [one, two, three] = ['one', 'two', 'three'].map((name) => new CommonCertificateSet([bytes(name), bytes('all')])) as [
    CommonCertificateSet,
    CommonCertificateSet,
    CommonCertificateSet
  ]
  const sets = new CommonCertificateSets([one, two])

  it('are those announced that are here, in the order announced', () => {
    const announced = (...list: CommonCertificateSet[]): Uint8Array => Buffer.concat(list.map(({ hash }) => hash))
    expect(sets.shared(announced(two, three, one, two))).toEqual([two, one])
    expect(sets.shared(announced(three))).toEqual([])
    expect(sets.shared(undefined)).toEqual([])
    expect(sets.shared(announced(one, two).subarray(1))).toEqual([])
    expect(hex(sets.hashes)).toBe(hex(announced(one, two)))
    // What Chromium 56 announces: data of its own.
    expect(sets.shared(Buffer.from('01e8816092921ae87eed8086a2158291', 'hex'))).toEqual([])
  })

  it('name a certificate by the first set that has it', () => {
    expect(commonNameOf(bytes('all'), [two, one])).toEqual({ setHash: two.hash, index: two.indexOf(bytes('all')) })
    expect(commonNameOf(bytes('one'), [two, one])).toEqual({ setHash: one.hash, index: 1 })
    expect(commonNameOf(bytes('three'), [two, one])).toBeUndefined()
  })
})

describe('chains with common certificates', () => {
  const common = Array.from({ length: 5 }, () => randomBytes(900))
  const set = new CommonCertificateSet(common)
  const sets = new CommonCertificateSets([set])

  it('only name them: type, hash of the set, index', () => {
    const crt = compressChain([common[3]!], () => commonNameOf(common[3]!, [set]))
    const index = Buffer.alloc(4)
    index.writeUInt32LE(set.indexOf(common[3]!))
    expect(hex(crt)).toBe(`03${hex(set.hash)}${hex(index)}00`)
    expect(decompressChain(crt, [], sets).map(hex)).toEqual([hex(common[3]!)])
  })

  it('come back whole from any mixture of sent, cached and common certificates', () => {
    const link = fc.tuple(fc.constantFrom('sent', 'cached', 'common'), fc.nat(4), fc.uint8Array({ minLength: 1, maxLength: 900 }))
    fc.assert(
      fc.property(fc.array(link, { maxLength: 6 }), (links) => {
        const chain = links.map(([kind, at, own]) => (kind === 'common' ? common[at]! : own))
        const crt = compressChain(chain, (i) => {
          const [kind] = links[i]!
          return kind === 'cached' ? 'cached' : kind === 'common' ? commonNameOf(chain[i]!, [set]) : undefined
        })
        const cached = chain.filter((_, i) => links[i]![0] === 'cached')
        expect(decompressChain(crt, cached, sets).map(hex)).toEqual(chain.map(hex))
        if (links.some(([kind]) => kind === 'common')) expect(() => decompressChain(crt, cached)).toThrow(QuicError)
      }),
      { numRuns: 80 }
    )
  })

  it('make what resembles them small, as they are in the dictionary', () => {
    const resembling = Buffer.concat([common[0]!.subarray(0, 700), randomBytes(50)])
    const alone = compressChain([resembling, common[0]!])
    const named = compressChain([resembling, common[0]!], (i) => (i === 1 ? commonNameOf(common[0]!, [set]) : undefined))
    expect(named.length).toBeLessThan(150)
    expect(alone.length).toBeGreaterThan(900)
  })

  it('are damaged if they name an unknown set, an index beyond its end, or end early', () => {
    const entry = (hash: Uint8Array, index: number): Uint8Array => {
      const bytesOfIndex = Buffer.alloc(4)
      bytesOfIndex.writeUInt32LE(index)
      return Buffer.concat([Buffer.of(3), hash, bytesOfIndex, Buffer.of(0)])
    }
    expect(decompressChain(entry(set.hash, 4), [], sets)).toHaveLength(1)
    const bad = [entry(set.hash, 5), entry(set.hash, 0xffffffff), entry(Buffer.alloc(8), 0), entry(set.hash, 0).subarray(0, 9)]
    for (const crt of bad) expect(() => decompressChain(crt, [], sets)).toThrow(QuicError)
  })

  it('are named as cached where the client has them both ways, which takes less', () => {
    const chain = new CertifiedChain([randomBytes(300), common[1]!])
    const hash = certificateHash(common[1]!)
    const kinds = (crt: Uint8Array): [number, number] => [crt[0]!, crt[1]!]
    expect(kinds(chain.compressedFor(undefined, [set]))).toEqual([1, 3])
    expect(kinds(chain.compressedFor(hash, [set]))).toEqual([1, 2])
    expect(kinds(chain.compressedFor(undefined))).toEqual([1, 1])
  })
})
