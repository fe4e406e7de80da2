/**
 * What the addon makes of packets that it is to seal in the call that sends them.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BATCH_WORDS, DESCRIPTOR_WORDS, NativeAead } from '../../../src/endpoint/engines/native-addon.js'
import { NativeAeadProvider, type NativeSealer } from '../../../src/endpoint/engines/native-aead.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import { CLASSIC_PROTECTION, IETF_PROTECTION, PacketBatch } from '../../../src/quic/crypto/protection.js'
import type { AeadName, ProtectionStyle } from '../../../src/quic/crypto/protection.js'
import { addon } from '../../helpers/engines.js'
import { secrets, writePackets, type Keyed } from '../../helpers/sealed-packets.js'

const node = new NodeAeadProvider()
const keyed = fc.record<Keyed>({
  aead: fc.constantFrom<AeadName>('AESG', 'CC20'),
  style: fc.constantFrom<ProtectionStyle>(CLASSIC_PROTECTION, IETF_PROTECTION),
  seed: fc.nat(200)
})

/** What the addon is given of batches: `[key id, packets, descriptors…]` for each. */
function wordsOf(...list: (readonly [number, PacketBatch])[]): Float64Array {
  return Float64Array.from(list.flatMap(([id, batch]) => {
    const { headerStart, payloadStart, payloadEnd, packetNumber, packetNumberOffset } = batch
    const packets = Array.from({ length: batch.count }, (_, i) =>
      [headerStart[i]!, payloadStart[i]!, payloadEnd[i]!, packetNumber[i]!, packetNumberOffset[i]!])
    return [id, batch.count, ...packets.flat()]
  }))
}

const nothing = new Int32Array(0)
const outcome = (): Int32Array => new Int32Array(5)

describe.skipIf(addon === undefined)('sealing and sending in one call', () => {
  const native = addon && new NativeAeadProvider(addon)

  function nativeSealer(key: Keyed): NativeSealer {
    return native!.createSealer(...secrets(key)) as NativeSealer
  }

  it('seals what node:crypto seals, with several keys, bit for bit', () => {
    const socket = new addon!.UdpSocket(4)
    const batches = fc.array(fc.tuple(keyed, fc.integer({ min: 40, max: 1500 }), fc.integer({ min: 1, max: 16 })), { maxLength: 64 })
    fc.assert(
      fc.property(batches, (list) => {
        const buffers = [new Uint8Array(64 * 16 * 1500), new Uint8Array(64 * 16 * 1500)] as const
        const sealings: (readonly [number, PacketBatch])[] = []
        const sealers: NativeSealer[] = []
        let at = 0
        list.forEach(([key, size, count], i) => {
          const numbers = Array.from({ length: count }, (_, n) => i * 100 + n)
          const tagLength = key.style.tagLength
          const expected = writePackets(buffers[0], at, size, tagLength, numbers)
          node.createSealer(...secrets(key)).seal(expected)
          sealers.push(nativeSealer(key))
          sealings.push([sealers[i]!.keyId, writePackets(buffers[1], at, size, tagLength, numbers)])
          at += size * count
        })
        socket.send(buffers[1], nothing, 0, 0, outcome(), wordsOf(...sealings), sealings.length)
        expect(Buffer.compare(buffers[0], buffers[1])).toBe(0)
        // Until here somebody had to hold them.
        expect(sealers).toHaveLength(list.length)
      }),
      { numRuns: 30 }
    )
    socket.close()
  })

  it('refuses as a whole what does not fit, with nothing changed and nothing sent', async () => {
    const receiver = createSocket('udp4')
    receiver.bind(0, '127.0.0.1')
    await once(receiver, 'listening')
    const arrived: string[] = []
    receiver.on('message', (message) => arrived.push(message.toString('latin1')))
    const record = new Int32Array(7)
    addon!.parseAddress('127.0.0.1', receiver.address().port, record, 0)
    const socket = new addon!.UdpSocket(4)
    const [first, second] = [1, 2].map((seed) => nativeSealer({ aead: 'AESG', style: IETF_PROTECTION, seed })) as [NativeSealer, NativeSealer]
    const opener = new addon!.AeadKey(NativeAead.AESG, 0, new Uint8Array(16), new Uint8Array(12), 16, undefined)
    expect(opener.id()).toBe(0)
    const bytes = new Uint8Array(200)
    const good = wordsOf(
      [first.keyId, writePackets(bytes, 0, 100, 16, [1])],
      [second.keyId, writePackets(bytes, 100, 100, 16, [2])]
    )
    const untouched = Uint8Array.from(bytes)
    const transmit = Int32Array.of(0, 200, 100, ...record, 0)
    const words = (change: (words: number[]) => void): Float64Array => {
      const list = [...good]
      change(list)
      return Float64Array.from(list)
    }
    const secondAt = BATCH_WORDS + DESCRIPTOR_WORDS
    const bad: [unknown, unknown][] = [
      ...[0, -1, NaN, Infinity, 2 ** 40, 2 ** 53].map((id): [unknown, unknown] => [words((w) => (w[secondAt] = id)), 2]),
      ...[-1, NaN, Infinity, 2, 1024, 2 ** 53].map((count): [unknown, unknown] => [words((w) => (w[secondAt + 1] = count)), 2]),
      // Its beginning, its payload, its end, its number, the place of that.
      ...[[0, 190], [0, -1], [1, 300], [2, 185], [2, 201], [2, NaN], [3, -1], [3, 2 ** 53], [4, 100], [4, 112], [4, 0]].map(
        ([place, value]): [unknown, unknown] => [words((w) => (w[secondAt + BATCH_WORDS + place!] = value!)), 2]),
      [good, 3], [good, 65], [good, -1], [good, 1.5], [good, undefined], [good.subarray(0, -1), 2], [good.subarray(0, secondAt + 1), 2],
      [new Float64Array(0), 1], [[...good], 2], [new Int32Array(20), 2], [null, 2]
    ]
    for (const [sealings, batches] of bad) {
      expect(() => socket.send(bytes, transmit, 0, 1, outcome(), sealings as Float64Array, batches as number)).toThrow(/./)
      expect(Buffer.compare(bytes, untouched)).toBe(0)
    }
    const badTransmit = Int32Array.of(0, 201, 100, ...record, 0)
    expect(() => socket.send(bytes, badTransmit, 0, 1, outcome(), good, 2)).toThrow(RangeError)
    expect(Buffer.compare(bytes, untouched)).toBe(0)
    socket.send(bytes, transmit, 0, 1, outcome(), good, 2)
    while (arrived.length < 2) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(arrived.join('')).toBe(Buffer.from(bytes).toString('latin1'))
    expect(arrived.join('')).not.toContain('PPPPPPPP')
    socket.close()
    const again = Uint8Array.from(untouched)
    expect(() => socket.send(again, transmit, 0, 1, outcome(), good, 2)).toThrow('closed')
    expect(Buffer.compare(again, untouched)).toBe(0)
    receiver.close()
  })

  it.each([1, 4])('looks only once at what packets that overlap overwrite: a number of %i bytes', (numberLength) => {
    const socket = new addon!.UdpSocket(4)
    const masked = nativeSealer({ aead: 'AESG', style: IETF_PROTECTION, seed: 1 })
    const plain = native!.createSealer('AESG', secrets({ aead: 'AESG', style: IETF_PROTECTION, seed: 1 })[1], new Uint8Array(12).fill(1), {
      ...IETF_PROTECTION, headerProtection: false
    }) as NativeSealer
    let lengths = 0
    for (let number = 0; number < 64; number++) {
      // The first packet's payload lies where the second one says how long its number is.
      const end = 44 - numberLength
      const [bytes, other] = [new Uint8Array(end + 16), new Uint8Array(end + 16)]
      bytes[20] = other[20] = numberLength - 1
      const overlapping = new PacketBatch()
      overlapping.add(0, 4, 21, number, 3)
      overlapping.add(20, 40, end, 7, 40 - numberLength)
      socket.send(bytes, nothing, 0, 0, outcome(), wordsOf([masked.keyId, overlapping]), 1)
      socket.send(other, nothing, 0, 0, outcome(), wordsOf([plain.keyId, overlapping]), 1)
      lengths |= 1 << (other[20]! & 3)
      expect(bytes.subarray(40)).toEqual(other.subarray(40))
    }
    expect(lengths).toBe(15)
    socket.close()
  })

  it('gives every key an id of its own', () => {
    const made = Array.from({ length: 1000 }, (_, seed) => nativeSealer({ aead: 'AESG', style: CLASSIC_PROTECTION, seed: seed % 200 }))
    const ids = made.map(({ keyId }) => keyId)
    expect(new Set(ids).size).toBe(1000)
    expect(ids.every((id) => Number.isSafeInteger(id) && id > 0)).toBe(true)
  })

  it('knows no key any more that nobody holds', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const socket = new addon!.UdpSocket(4)
    const { keyId } = nativeSealer({ aead: 'CC20', style: IETF_PROTECTION, seed: 1 })
    const seal = (): void => socket.send(new Uint8Array(100), nothing, 0, 0, outcome(), Float64Array.of(keyId, 0), 1)
    seal()
    let error: unknown
    while (error === undefined) {
      collectGarbage()
      await new Promise((resolve) => setImmediate(resolve))
      try {
        seal()
      } catch (thrown) {
        error = thrown
      }
    }
    expect(error).toMatchObject({ name: 'RangeError', message: 'no key has such an id' })
    socket.close()
  })
})
