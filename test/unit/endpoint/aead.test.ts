import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { NativeAeadProvider } from '../../../src/endpoint/engines/native-aead.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import { CLASSIC_PROTECTION, IETF_PROTECTION, MaskBatch, OpenBatch, PacketBatch } from '../../../src/quic/crypto/protection.js'
import type { AeadName, AeadProvider, PacketSealer } from '../../../src/quic/crypto/protection.js'
import { addon, hasEngine, makeEngine, testedEngines } from '../../helpers/engines.js'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
const keys: Record<AeadName, Uint8Array> = { AESG: new Uint8Array(16).fill(1), CC20: new Uint8Array(32).fill(1) }
const iv = Uint8Array.from([1, 2, 3, 4])
const aeads: AeadName[] = ['AESG', 'CC20']

/** Header, payload and tag of one packet, sealed with room of its own. */
function seal(sealer: PacketSealer, header: Uint8Array, payload: Uint8Array, packetNumber: number): Uint8Array {
  const batch = new PacketBatch()
  batch.buffer = new Uint8Array(header.length + payload.length + sealer.suffixLength)
  batch.buffer.set(header)
  batch.buffer.set(payload, header.length)
  batch.add(0, header.length, header.length + payload.length, packetNumber)
  sealer.seal(batch)
  return batch.buffer
}

for (const name of testedEngines) {
  describe.skipIf(!hasEngine(name))(`with the ${name} engine`, () => testProvider(makeEngine(name).aeadProvider))
}

function testProvider(provider: AeadProvider): void {
  describe('known packets', () => {
    const nonce = '03'.repeat(32)

    it('seals and opens a server packet of the initial level', () => {
      const key = bytes('4637f94e0b5edb54d831e6d4767074b6')
      const serverIv = bytes('fb85ca88')
      const header = bytes(`0c 1032547698badcfe ${nonce} 02`)
      const packet = seal(provider.createSealer('AESG', key, serverIv), header, bytes('07'), 2)
      expect(packet).toEqual(bytes(`0c 1032547698badcfe ${nonce} 02 fb 60ce1cefec288cd645529587`))
      const opener = provider.createOpener('AESG', key, serverIv)
      expect(opener.open(packet, 0, header.length, packet.length, 2)).toBe(1)
      expect(packet[header.length]).toBe(0x07)
    })

    it('seals and opens a forward-secure client packet', () => {
      const key = bytes('8f79c246b87d4112328c3980c16c6fab')
      const header = bytes('0c 1032547698badcfe 03')
      const packet = seal(provider.createSealer('AESG', key, bytes('e355381d')), header, bytes('07'), 3)
      expect(packet).toEqual(bytes('0c 1032547698badcfe 03 0a 0445e30031455d426121f46c'))
    })
  })

  describe.each(aeads)('%s', (aead) => {
    const sealer = provider.createSealer(aead, keys[aead], iv)
    const opener = provider.createOpener(aead, keys[aead], iv)

    it('adds nothing in front and 12 bytes behind', () => {
      expect([sealer.prefixLength, sealer.suffixLength]).toEqual([0, 12])
      expect([opener.prefixLength, opener.suffixLength]).toEqual([0, 12])
    })

    it('opens what it sealed, at any place in a buffer, for every packet number', () => {
      const packetNumber = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.maxSafeNat())
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: 1, maxLength: 60 }),
          fc.uint8Array({ maxLength: 1400 }),
          packetNumber,
          fc.nat(40),
          (header, payload, number, offset) => {
            const packet = seal(sealer, header, payload, number)
            const buffer = new Uint8Array(offset + packet.length + 7).fill(0xee)
            buffer.set(packet, offset)
            const headerEnd = offset + header.length
            expect(opener.open(buffer, offset, headerEnd, offset + packet.length, number)).toBe(payload.length)
            expect(buffer.subarray(headerEnd, headerEnd + payload.length)).toEqual(payload)
            expect(buffer.subarray(offset, headerEnd)).toEqual(header)
          }
        ),
        { numRuns: 60 }
      )
    })

    it('seals every packet of a batch with its own number, without touching bytes between', () => {
      const header = Uint8Array.from([0x0c, 9])
      const batch = new PacketBatch()
      batch.buffer = new Uint8Array(3 * 40).fill(0xee)
      for (let i = 0; i < 3; i++) {
        batch.buffer.set(header, i * 40)
        batch.buffer.fill(0x55, i * 40 + 2, i * 40 + 12)
        batch.add(i * 40, i * 40 + 2, i * 40 + 12, 2 ** 40 + i)
      }
      sealer.seal(batch)
      for (let i = 0; i < 3; i++) {
        const alone = seal(sealer, header, new Uint8Array(10).fill(0x55), 2 ** 40 + i)
        expect(batch.buffer.slice(i * 40, i * 40 + 24)).toEqual(alone)
        expect(batch.buffer.slice(i * 40 + 24, i * 40 + 40)).toEqual(new Uint8Array(16).fill(0xee))
      }
    })

    it('uses all 64 bits of the packet number', () => {
      const header = Uint8Array.of(1)
      const sealed = [1, 257, 2 ** 32 + 1, 2 ** 48 + 1].map((number) =>
        Buffer.from(seal(sealer, header, new Uint8Array(8), number)).toString('hex')
      )
      expect(new Set(sealed).size).toBe(4)
    })

    it('refuses a packet with any byte changed, and leaves the buffer as it was', () => {
      const header = Uint8Array.of(0x0c, 1, 2, 3)
      const packet = seal(sealer, header, Uint8Array.of(7, 7, 7), 5)
      for (let i = 0; i < packet.length; i++) {
        const forged = Uint8Array.from(packet)
        forged[i]! ^= 0x10
        const before = Uint8Array.from(forged)
        expect(opener.open(forged, 0, header.length, forged.length, 5)).toBe(-1)
        expect(forged).toEqual(before)
      }
      expect(opener.open(Uint8Array.from(packet), 0, header.length, packet.length, 6)).toBe(-1)
      expect(opener.open(packet, 0, header.length, packet.length, 5)).toBe(3)
    })

    it('refuses packets shorter than the tag', () => {
      for (let length = 0; length < 12; length++) {
        expect(opener.open(new Uint8Array(4 + length), 0, 4, 4 + length, 1)).toBe(-1)
      }
    })

    it('can use whole tags, of which the short ones are the beginning', () => {
      const header = Uint8Array.of(1, 2)
      const payload = Uint8Array.of(3, 4, 5)
      const style = { ivLength: 4, tagLength: 16, headerProtection: false } as const
      const long = seal(provider.createSealer(aead, keys[aead], iv, style), header, payload, 1)
      expect(long.slice(0, -4)).toEqual(seal(sealer, header, payload, 1))
      expect(provider.createOpener(aead, keys[aead], iv, style).open(long, 0, 2, long.length, 1)).toBe(3)
    })

    it('goes on as before when what only traffic needs was freed', () => {
      const key = keys[aead]
      const longIv = new Uint8Array(12).fill(3)
      const resting = provider.createSealer(aead, key, longIv, IETF_PROTECTION, key)
      const restingOpener = provider.createOpener(aead, key, longIv, IETF_PROTECTION, key)
      const sealOne = (): Uint8Array => {
        const batch = new PacketBatch()
        batch.buffer = Uint8Array.from({ length: 60 }, (_, i) => i)
        batch.add(0, 5, 44, 7, 3)
        resting.seal(batch)
        return batch.buffer
      }
      const first = sealOne()
      const mask = Uint8Array.from(restingOpener.headerProtector!.mask(first, 20))
      for (let i = 0; i < 2; i++) {
        resting.releaseMemory!()
        restingOpener.releaseMemory!()
      }
      expect(sealOne()).toEqual(first)
      expect(Uint8Array.from(restingOpener.headerProtector!.mask(first, 20))).toEqual(mask)
      const plain = provider.createSealer(aead, key, longIv, { ...IETF_PROTECTION, headerProtection: false })
      const packet = seal(plain, Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5), 9)
      expect(restingOpener.open(packet, 0, 2, packet.length, 9)).toBe(3)
    })

    it('refuses keys and IVs of the wrong length', () => {
      expect(() => provider.createSealer(aead, new Uint8Array(24), iv)).toThrow(RangeError)
      expect(() => provider.createOpener(aead, keys[aead], new Uint8Array(12))).toThrow(RangeError)
      expect(() => provider.createOpener(aead, keys[aead], iv, IETF_PROTECTION, keys[aead])).toThrow('an IV has 12 bytes')
      const longIv = new Uint8Array(12)
      expect(() => provider.createSealer(aead, keys[aead], longIv, IETF_PROTECTION)).toThrow('header key')
      expect(() => provider.createHeaderProtector(aead, new Uint8Array(24))).toThrow('header key')
    })
  })
}

describe.skipIf(addon === undefined)('native sealing and opening', () => {
  const node = new NodeAeadProvider()
  const styles = [
    CLASSIC_PROTECTION,
    IETF_PROTECTION,
    { ivLength: 4, tagLength: 16, headerProtection: false },
    { ivLength: 12, tagLength: 12, headerProtection: true }
  ] as const

  /** Any packets that a batch can hold, each with room of its own. */
  const packets = fc.array(
    fc.record({
      first: fc.nat(255),
      before: fc.nat(20),
      between: fc.nat(33),
      payload: fc.uint8Array({ minLength: 20, maxLength: 1500 }),
      number: fc.oneof(fc.nat(300), fc.maxSafeNat())
    }),
    { minLength: 1, maxLength: 16 }
  )

  it('do what node:crypto does, bit for bit, for any packets of any batch', () => {
    const native = new NativeAeadProvider(addon!)
    fc.assert(
      fc.property(
        fc.constantFrom(...aeads), fc.constantFrom(...styles), fc.infiniteStream(fc.nat(255)), packets,
        (aead, style, noise, list) => {
          const random = (length: number): Uint8Array => Uint8Array.from({ length }, () => noise.next().value as number)
          const [key, header, iv] = [random(keys[aead].length), random(keys[aead].length), random(style.ivLength)]
          const batches = [node, native].map((provider) => {
            const batch = new PacketBatch()
            batch.buffer = new Uint8Array(16 * 1700).fill(0xee)
            list.forEach(({ first, before, between, payload, number }, i) => {
              const start = i * 1700
              const numberOffset = start + 1 + before
              const payloadStart = numberOffset + (first & 3) + 1 + between
              batch.buffer[start] = first
              batch.buffer.set(payload, payloadStart)
              batch.add(start, payloadStart, payloadStart + payload.length, number, numberOffset)
            })
            provider.createSealer(aead, key, iv, style, header).seal(batch)
            return batch
          })
          const [expected, sealed] = batches as [PacketBatch, PacketBatch]
          expect(Buffer.compare(sealed.buffer, expected.buffer)).toBe(0)
          const { headerStart, payloadStart, payloadEnd, packetNumber } = sealed
          for (let i = 0; i < sealed.count; i++) {
            const where = [headerStart[i]!, payloadStart[i]!, payloadEnd[i]! + style.tagLength, packetNumber[i]!] as const
            const lengths = [node, native].map((provider, n) =>
              provider.createOpener(aead, key, iv, style, header).open(batches[n]!.buffer, ...where)
            )
            // Headers are masked where there is header protection, so that nothing opens.
            const length = payloadEnd[i]! - payloadStart[i]!
            expect(lengths).toEqual(style.headerProtection ? [lengths[1], lengths[1]] : [length, length])
          }
          expect(Buffer.compare(sealed.buffer, expected.buffer)).toBe(0)
          const mask = (provider: AeadProvider): number[] =>
            [...provider.createHeaderProtector(aead, header).mask(sealed.buffer, 100).subarray(0, 5)]
          expect(mask(native)).toEqual(mask(node))
        }
      ),
      { numRuns: 60 }
    )
  })

  it('open many packets as one by one, wherever they stand, and make many masks, forged ones among them', () => {
    const native = new NativeAeadProvider(addon!)
    fc.assert(
      fc.property(
        fc.constantFrom(...aeads), fc.constantFrom(...styles), fc.array(fc.nat(1400), { minLength: 1, maxLength: 32 }), fc.infiniteStream(fc.nat(1000)),
        (aead, style, sizes, choices) => {
          const choose = (limit: number): number => (choices.next().value as number) % limit
          const [key, iv] = [keys[aead], new Uint8Array(style.ivLength).fill(5)]
          const slot = 1500
          const batch = new OpenBatch()
          const masks = new MaskBatch()
          const buffer = new Uint8Array(32 * slot)
          const sealer = node.createSealer(aead, key, iv, { ...style, headerProtection: false })
          sizes.forEach((size, i) => {
            const [at, headerLength, number] = [((i * 7) % 32) * slot, 1 + choose(40), choose(1000)]
            const one = new PacketBatch()
            one.buffer = buffer
            one.add(at, at + headerLength, at + headerLength + size, number)
            sealer.seal(one)
            const end = at + headerLength + size + style.tagLength
            if (choose(4) === 0) buffer[end - 1 - choose(size + style.tagLength)]! ^= 1 << choose(8)
            // Shorter than its tag.
            batch.add(at, at + headerLength, choose(20) === 0 ? at + headerLength + choose(style.tagLength) : end, number)
            masks.add(at + choose(50))
          })
          const opener = native.createOpener(aead, key, iv, style, key)
          const alone = buffer.slice()
          const { headerStart, headerEnd, end, packetNumber } = batch
          const expected = sizes.map((_, i) => opener.open(alone, headerStart[i]!, headerEnd[i]!, end[i]!, packetNumber[i]!))
          masks.buffer = buffer
          const protector = native.createHeaderProtector(aead, key)
          protector.maskBatch!(masks)
          for (let i = 0; i < masks.count; i++) {
            const mask = protector.mask(buffer, masks.sampleOffset[i]!)
            expect(masks.mask[i]!.subarray(0, 5)).toEqual(mask.subarray(0, 5))
          }
          batch.buffer = buffer
          opener.openBatch!(batch)
          expect([...batch.length.subarray(0, batch.count)]).toEqual(expected)
          expect(Buffer.compare(buffer, alone)).toBe(0)
        }
      ),
      { numRuns: 100 }
    )
  })

  it('prefer the AEAD that is faster on this machine', () => {
    const { preference } = new NativeAeadProvider(addon!)
    expect([...preference].sort()).toEqual(['AESG', 'CC20'])
    expect(new NativeAeadProvider(addon!, ['CC20']).preference).toEqual(['CC20'])
  })
})

it('node:crypto is a little faster with AES, unless told otherwise', () => {
  expect(new NodeAeadProvider().preference).toEqual(['AESG', 'CC20'])
  expect(new NodeAeadProvider(['CC20']).preference).toEqual(['CC20'])
})
