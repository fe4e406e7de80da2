import { describe, expect, it } from 'vitest'
import { createHash, randomBytes } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { certificateHash, compressChain, decompressChain } from '../../../src/quic/crypto/cert-compressor.js'
import { commonCertificateSubstrings } from '../../../src/quic/crypto/cert-dictionary.js'
import { QuicError } from '../../../src/quic/errors.js'

const certificates = [randomBytes(900), Buffer.concat([commonCertificateSubstrings, randomBytes(20)])]

/** The form of the message, with any part of it wrong. */
function compressed(entries: number[], block: Uint8Array, size = block.length, stream?: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(size)
  const zlib = stream ?? deflateSync(block, { dictionary: commonCertificateSubstrings })
  return Buffer.concat([Uint8Array.from([...entries, 0]), length, zlib])
}

function blockOf(...chain: Uint8Array[]): Uint8Array {
  const parts = chain.flatMap((certificate) => {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(certificate.length)
    return [length, certificate]
  })
  return Buffer.concat(parts)
}

describe('certificate compression', () => {
  it('has the dictionary that every implementation has', () => {
    expect(commonCertificateSubstrings).toHaveLength(1484)
    expect(createHash('sha256').update(commonCertificateSubstrings).digest('hex')).toBe(
      'fbb45ae4cd390c4384cd107aefc7f6d51c325e210234997da4dc481475e6e3c9'
    )
  })

  it('gives back what it compressed', () => {
    const anyChain = fc.array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { maxLength: 6 })
    fc.assert(
      fc.property(anyChain, (chain) => {
        expect(decompressChain(compressChain(chain))).toEqual(chain)
      }),
      { numRuns: 50 }
    )
  })

  it('writes one entry a certificate, the size, and a stream that names the dictionary', () => {
    const out = Buffer.from(compressChain(certificates))
    expect(out.subarray(0, 3).toString('hex')).toBe('010100')
    expect(out.readUInt32LE(3)).toBe(certificates.reduce((sum, certificate) => sum + 4 + certificate.length, 0))
    expect(out.subarray(7, 13).toString('hex')).toBe('78bb22517eb1')
    // The second certificate is in the dictionary: it costs next to nothing.
    expect(out.length).toBeLessThan(certificates[0]!.length + 200)
  })

  it('reads streams made without a dictionary', () => {
    const block = blockOf(...certificates)
    const chain = decompressChain(compressed([1, 1], block, block.length, deflateSync(block)))
    expect(chain.map((certificate) => Buffer.from(certificate))).toEqual(certificates)
  })

  it('only names what the peer has already, wherever in the chain that is', () => {
    const kept = fc.array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 2000 }), fc.boolean()), { maxLength: 6 })
    fc.assert(
      fc.property(kept, (pairs) => {
        const chain = pairs.map(([certificate]) => certificate)
        const out = compressChain(chain, (index) => (pairs[index]![1] ? 'cached' : undefined))
        expect([...out.subarray(0, 1)]).toEqual([pairs.length === 0 ? 0 : pairs[0]![1] ? 2 : 1])
        const known = pairs.filter(([, cached]) => cached).map(([certificate]) => certificate)
        expect(decompressChain(out, known)).toEqual(chain)
        expect(decompressChain(out, [...known].reverse())).toEqual(chain)
        if (known.length > 0) expect(() => decompressChain(out, [])).toThrow(/not announced/)
      }),
      { numRuns: 60 }
    )
  })

  it('makes a certificate that resembles a known one small', () => {
    const resembling = Buffer.concat([certificates[0]!.subarray(0, 700), randomBytes(50)])
    const alone = compressChain([resembling])
    const behind = compressChain([resembling, certificates[0]!], (index) => (index === 1 ? 'cached' : undefined))
    expect(behind.length).toBeLessThan(alone.length / 3)
    expect(behind.length).toBe(Buffer.from(behind).length)
    expect([...behind.subarray(0, 2)]).toEqual([1, 2])
    expect(Buffer.from(behind).subarray(2, 10)).toEqual(certificateHash(certificates[0]!))
  })

  it('refuses to send chains that no peer would take', () => {
    expect(() => compressChain([new Uint8Array(128 * 1024)])).toThrow(RangeError)
    expect(() => compressChain(Array.from({ length: 65 }, () => new Uint8Array(1)))).toThrow(RangeError)
  })
})

describe('damaged certificate data', () => {
  const block = blockOf(...certificates)
  const good = compressed([1, 1], block)
  const wrongDictionary = deflateSync(block, { dictionary: Buffer.from('another dictionary') })

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing at all', new Uint8Array(0), /ends early/],
    ['no end of entries', Uint8Array.of(1, 1), /ends early/],
    ['no size', Uint8Array.of(1, 0, 5, 0), /ends early/],
    ['a cached certificate', Uint8Array.of(2, 1, 2, 3, 4, 5, 6, 7, 8, 0), /cached certificate/],
    ['a common certificate', Uint8Array.of(3, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0, 0), /common certificate/],
    ['an unknown entry', Uint8Array.of(4, 0), /unknown type 4/],
    ['bytes behind an empty chain', Uint8Array.of(0, 9), /behind an empty chain/],
    ['too many certificates', new Uint8Array(100).fill(1), /over 64/],
    ['a size over the limit', compressed([1, 1], block, 128 * 1024 + 1), /over 131072/],
    ['a size that is too small', compressed([1, 1], block, block.length - 1), /longer than announced/],
    ['a size that is too large', compressed([1, 1], block, block.length + 1), /inflates to/],
    ['a size without room for the lengths', compressed([1, 1], block, 7), /cannot hold/],
    ['a cut stream', good.subarray(0, -1), /damaged/],
    ['a wrong checksum', Uint8Array.from(good, (byte, i) => (i === good.length - 1 ? byte ^ 1 : byte)), /damaged/],
    ['another dictionary', compressed([1, 1], block, block.length, wrongDictionary), /damaged/],
    ['bytes behind the stream', Buffer.concat([good, Uint8Array.of(0)]), /behind the zlib stream/],
    ['fewer certificates than the block has', compressed([1], block), /behind the last certificate/],
    ['more certificates than the block has', compressed([1, 1, 1], block), /ends early/],
    ['a certificate longer than the block', compressed([1], Buffer.from('ffffff7f00', 'hex')), /ends early/]
  ])('is refused: %s', (_what, bytes, message) => {
    let thrown: unknown
    try {
      decompressChain(bytes)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(QuicError)
    expect((thrown as QuicError).code).toBe('QUIC_INVALID_CRYPTO_MESSAGE_PARAMETER')
    expect((thrown as QuicError).message).toMatch(message)
  })

  it('inflates no further than a certificate chain may be', () => {
    const bomb = deflateSync(new Uint8Array(50_000_000), { dictionary: commonCertificateSubstrings })
    expect(() => decompressChain(compressed([1], block, 128 * 1024, bomb))).toThrow(/longer than announced/)
  })

  it('throws nothing but QuicError, whatever the bytes', () => {
    const mutated = fc
      .tuple(fc.nat(good.length - 1), fc.nat(255))
      .map(([at, byte]) => Uint8Array.from(good, (old, i) => (i === at ? byte : old)))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        try {
          decompressChain(bytes)
        } catch (error) {
          if (!(error instanceof QuicError)) throw error
        }
      }),
      { numRuns: 500 }
    )
  })
})
