/**
 * Values from the protocol's own tests or computed independently. Of Google's there are those of the null hash
 * (QUICHE, null_encrypter_test.cc); RFC 9001 A.5 has the mask of ChaCha20.
 */
import { describe, expect, it } from 'vitest'
import { ConnectionId } from '../../../../src/quic/connection-id.js'
import { deriveInitialKeys } from '../../../../src/quic/crypto/initial-keys.js'
import { diversifyServerKey, expandKeys } from '../../../../src/quic/crypto/key-schedule.js'
import { NodeAeadProvider } from '../../../../src/quic/crypto/node-aead.js'
import { CLASSIC_PROTECTION, IETF_PROTECTION, PacketBatch } from '../../../../src/quic/crypto/protection.js'
import type { PacketSealer } from '../../../../src/quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../../../../src/quic/types.js'
import { knownVersionByLabel } from '../../../../src/quic/wire/versions/registry.js'
import { createPacketHeader } from '../../../../src/quic/wire/versions/version.js'
import type { OutgoingHeader } from '../../../../src/quic/wire/versions/version.js'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')
const { Client, Server } = Perspective
const provider = new NodeAeadProvider()
const q050 = knownVersionByLabel('Q050')!
const connectionId = ConnectionId.fromHex('8394c8f03e515708')

/** A whole packet: header of `header`, payload, sealed. */
function packet(sender: Perspective, header: OutgoingHeader, payload: Buffer, sealer: PacketSealer): Buffer {
  const batch = new PacketBatch()
  batch.buffer = Buffer.alloc(200)
  const headerEnd = q050.header.write(batch.buffer, 0, sender, header)
  const end = headerEnd + payload.length + sealer.suffixLength
  batch.buffer.set(payload, headerEnd)
  batch.add(0, headerEnd, headerEnd + payload.length, 1, q050.header.finish(batch.buffer, headerEnd, header, end))
  batch.packetNumber[0] = header.packetNumber
  sealer.seal(batch)
  return Buffer.from(batch.buffer.subarray(0, end))
}

describe('the null hash', () => {
  it.each([
    ['Q036', Client, 'a06f448a44f8183b4791b213'],
    ['Q037', Client, '97dc272f18a85673df8d1dd0'],
    ['Q037', Server, '635e080332808f73df8d1d1a'],
    ['Q046', Client, '97dc272f18a85673df8d1dd0']
  ])('of %s, side %i', (label, sender, hash) => {
    const version = knownVersionByLabel(label)!
    const whole = Buffer.concat([Buffer.from('hello world!'), hex(hash), Buffer.from('goodbye!')])
    expect(version.nullOpener(sender).open(whole, 0, 12, whole.length, 1)).toBe(8)
    const batch = new PacketBatch()
    batch.buffer = Buffer.concat([whole.subarray(0, 12), Buffer.alloc(12), whole.subarray(24)])
    batch.add(0, 24, whole.length, 1)
    version.nullSealer(sender).seal(batch)
    expect(text(batch.buffer)).toBe(text(whole))
  })

  it.each([
    [Client, '34915a47cb88a08ec070e8ca'], [Server, 'b045816537836a8ec070e858']
  ])('over a header of Q043, side %i', (sender, hash) => {
    const whole = hex(`0d8394c8f03e5157085130343301 ${hash} 07000000`)
    expect(knownVersionByLabel('Q043')!.nullOpener(sender).open(whole, 0, 14, whole.length, 1)).toBe(4)
    expect(knownVersionByLabel('Q036')!.nullOpener(sender).open(whole, 0, 14, whole.length, 1)).toBe(-1)
  })
})

describe('the cleartext of Q050', () => {
  it('has keys from the connection id', () => {
    const client = deriveInitialKeys(Client, connectionId.bytes)
    const server = deriveInitialKeys(Server, connectionId.bytes)
    expect([client.key, client.iv, client.headerKey].map(text)).toEqual([
      '348cb426373281cfaec63f5b609350e7', '4b9cf5c4a378544aed414625', '609d47aa6b7fab4705068781528143f7'
    ])
    expect([server.key, server.iv, server.headerKey].map(text)).toEqual([
      '7dd354ac1621393b770643197eff433d', '28a186c15d9984013aa07dba', 'c794c0c0db506d8ea04fb964d7b88707'
    ])
  })

  it('makes the known packet', () => {
    const known = 'cb51303530088394c8f03e515708000040159a57fbe346b9e70afc25b790a7099f656bcd8d5bfe'
    const header = {
      connectionId: connectionId.bytes,
      includeVersion: true,
      nonce: undefined,
      packetNumber: 1,
      packetNumberLength: 1,
      level: EncryptionLevel.None
    }
    const sealer = q050.nullSealer(Client, { connectionId, aeadProvider: provider })
    expect(text(packet(Client, header, hex('07000000'), sealer))).toBe(known)
  })

  it('takes a connection id to be known', () => {
    expect(() => q050.nullSealer(Client)).toThrow(TypeError)
    expect(() => q050.nullOpener(Server)).toThrow(TypeError)
  })
})

describe('the key stream', () => {
  const sequence = (from: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => from + i)
  const inputs = [sequence(0, 32), sequence(0x20, 88), [Buffer.from('QUIC key expansion\0', 'latin1'), Buffer.from('test')]] as const
  const nonce = sequence(0xa0, 32)

  it('through Q046', () => {
    const keys = expandKeys(...inputs, 'AESG', CLASSIC_PROTECTION)
    expect(text(keys.clientKey)).toBe('e60533e823e82fca5c6f957fa69b79b1')
    expect(text(keys.serverKey)).toBe('e1503ff5557beea4441da7fa48bfbe07')
    expect([text(keys.clientIv), text(keys.serverIv)]).toEqual(['64ee439a', '1dcf98ca'])
    const server = diversifyServerKey('AESG', keys.serverKey, keys.serverIv, nonce)
    expect([text(server.key), text(server.iv)]).toEqual(['c86105658ea986caa52db66c691a0a5a', '46bebb03'])
  })

  it('of Q050', () => {
    const keys = expandKeys(...inputs, 'AESG', IETF_PROTECTION)
    expect(text(keys.clientIv)).toBe('64ee439a1dcf98cac4214503')
    expect(text(keys.serverIv)).toBe('715b7eaa1e25434a030ba0c4')
    expect(text(keys.clientHeaderKey)).toBe('ea8552d6af8e438cfd505a7adbf795bc')
    expect(text(keys.serverHeaderKey)).toBe('b1a7f4e66b7ea866b4405063a39035bb')
    const server = diversifyServerKey('AESG', keys.serverKey, keys.serverIv, nonce)
    expect(text(server.key)).toBe('205d3bfec526e68086d9784b9f418406')
    expect(text(server.iv)).toBe('a1cd3b726034a653101b2526')
  })

  it('makes the known packet of a server with a nonce, which a client opens', () => {
    const keys = expandKeys(...inputs, 'AESG', IETF_PROTECTION)
    const { key, iv } = diversifyServerKey('AESG', keys.serverKey, keys.serverIv, nonce)
    const header = {
      connectionId: connectionId.bytes,
      includeVersion: false,
      nonce,
      packetNumber: 2,
      packetNumberLength: 1,
      level: EncryptionLevel.Initial
    }
    const sealer = provider.createSealer('AESG', key, iv, IETF_PROTECTION, keys.serverHeaderKey)
    const sealed = packet(Server, header, hex('07000000'), sealer)
    const body = '56580239d5088c997bac048807e1cddfa747ba1e'
    expect(text(sealed)).toBe(`dd5130353000088394c8f03e5157084035b8${text(nonce)}${body}`)

    // The header key is not diversified: with it the nonce is found, with the nonce the key.
    const protector = provider.createHeaderProtector('AESG', keys.serverHeaderKey!)
    expect(text(protector.mask(sealed, 18 + 3 + 32).subarray(0, 5))).toBe('adbab746a8')
    const parsed = createPacketHeader()
    expect(q050.header.parse(sealed, 0, sealed.length, Client, parsed)).toBe(true)
    expect(parsed).toMatchObject({ keyLevel: EncryptionLevel.Initial, packetNumberLength: 0, packetEnd: sealed.length })
    expect(q050.header.reveal(sealed, 0, Client, protector, parsed)).toBe(true)
    expect(parsed).toMatchObject({ wirePacketNumber: 2, packetNumberLength: 1, nonceOffset: 18 })
    expect(text(sealed.subarray(18, 50))).toBe(text(nonce))
    const opener = provider.createOpener('AESG', key, iv, IETF_PROTECTION, keys.serverHeaderKey)
    expect(opener.open(sealed, 0, parsed.headerEnd, sealed.length, 2)).toBe(4)
    expect(text(sealed.subarray(parsed.headerEnd, parsed.headerEnd + 4))).toBe('07000000')
  })
})

it('masks headers with ChaCha20 as RFC 9001 does', () => {
  const key = hex('25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4')
  const sample = hex('0000 5e5cd55c41f69080575d7999c25a5bfb 00')
  expect(text(provider.createHeaderProtector('CC20', key).mask(sample, 2).subarray(0, 5))).toBe('aefefe7d03')
})
