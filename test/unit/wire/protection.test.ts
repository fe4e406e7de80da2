import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { Fnv1a96, fnv1a64, NULL_HASH_LENGTH } from '../../../src/quic/crypto/fnv.js'
import { NullOpener, NullSealer } from '../../../src/quic/crypto/null-protection.js'
import { PacketBatch } from '../../../src/quic/crypto/protection.js'

/** FNV-1a-128 as its definition says, low 96 bits little-endian. */
function slowHash(bytes: Uint8Array): string {
  let hash = 144066263297769815596495629667062367629n
  for (const byte of bytes) hash = BigInt.asUintN(128, (hash ^ BigInt(byte)) * 309485009821345068724781371n)
  const out = Buffer.alloc(12)
  for (let i = 0; i < 12; i++) out[i] = Number((hash >> BigInt(8 * i)) & 0xffn)
  return out.toString('hex')
}

function fastHash(bytes: Uint8Array): string {
  const out = Buffer.alloc(12)
  new Fnv1a96().update(bytes, 0, bytes.length).write(out, 0)
  return out.toString('hex')
}

describe('FNV-1a', () => {
  it('gives the known answer of the null encrypter', () => {
    expect(fastHash(Buffer.from('hello world!goodbye!'))).toBe('a06f448a44f8183b4791b213')
  })

  it('hashes 64 bits', () => {
    expect(fnv1a64(Buffer.from('hello'))).toBe(0xa430d84680aabd0bn)
  })

  it('agrees with its definition on any bytes, cut anywhere', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
        expect(fastHash(bytes)).toBe(slowHash(bytes))
        const at = Math.min(cut, bytes.length)
        const out = Buffer.alloc(12)
        const hash = new Fnv1a96().update(Buffer.from('something before'), 0, 16).reset()
        hash.update(bytes, 0, at).update(bytes, at, bytes.length).write(out, 0)
        expect(out.toString('hex')).toBe(slowHash(bytes))
        expect(hash.matches(out, 0)).toBe(true)
      })
    )
  })

  it('hashes long runs of every byte value', () => {
    for (const byte of [0x00, 0x7f, 0x80, 0xff]) {
      const bytes = new Uint8Array(1452).fill(byte)
      expect(fastHash(bytes)).toBe(slowHash(bytes))
    }
  })
})

describe('null protection', () => {
  function sealed(header: Uint8Array, payload: Uint8Array, label?: Uint8Array): Buffer {
    const batch = new PacketBatch()
    const buffer = Buffer.alloc(header.length + NULL_HASH_LENGTH + payload.length)
    buffer.set(header, 0)
    buffer.set(payload, header.length + NULL_HASH_LENGTH)
    batch.buffer = buffer
    batch.add(0, header.length + NULL_HASH_LENGTH, buffer.length, 1)
    new NullSealer(label).seal(batch)
    return buffer
  }

  it('writes the hash between header and payload', () => {
    expect(sealed(Buffer.from('hello world!'), Buffer.from('goodbye!')).toString('latin1')).toBe(
      `hello world!${Buffer.from('a06f448a44f8183b4791b213', 'hex').toString('latin1')}goodbye!`
    )
  })

  it('seals every packet of a batch', () => {
    const one = sealed(Buffer.from('head1'), Buffer.from('payload one'))
    const two = sealed(Buffer.from('header 2'), Buffer.from('p2'))
    const batch = new PacketBatch()
    batch.buffer = Buffer.concat([one, two])
    batch.buffer.fill(0, 5, 17).fill(0, one.length + 8, one.length + 20)
    batch.add(0, 17, one.length, 1)
    batch.add(one.length, one.length + 20, one.length + two.length, 2)
    new NullSealer().seal(batch)
    expect(batch.buffer).toEqual(Buffer.concat([one, two]))
  })

  it('opens what was sealed and nothing that differs in one bit', () => {
    const packet = sealed(Buffer.from('header'), Buffer.from('some payload'))
    const opener = new NullOpener()
    expect(opener.open(packet, 0, 6, packet.length)).toBe(12)
    for (let bit = 0; bit < packet.length * 8; bit++) {
      const forged = Buffer.from(packet)
      forged[bit >> 3]! ^= 1 << (bit & 7)
      expect(opener.open(forged, 0, 6, forged.length)).toBe(-1)
    }
    for (let end = 6; end < packet.length; end++) expect(opener.open(packet, 0, 6, end)).toBe(-1)
  })

  it('mixes a label in', () => {
    const packet = sealed(Buffer.from('header'), Buffer.from('payload'), Buffer.from('Client'))
    expect(packet.subarray(6, 18).toString('hex')).toBe(slowHash(Buffer.from('headerpayloadClient')))
    expect(new NullOpener(Buffer.from('Client')).open(packet, 0, 6, packet.length)).toBe(7)
    expect(new NullOpener(Buffer.from('Server')).open(packet, 0, 6, packet.length)).toBe(-1)
  })
})
