import { describe, expect, it } from 'vitest'
import { deriveKeys, diversifyServerKey } from '../../../src/quic/crypto/key-schedule.js'
import type { KeyScheduleInput, PacketKeys } from '../../../src/quic/crypto/key-schedule.js'
import { hasEngine, makeEngine, testedEngines } from '../../helpers/engines.js'

const text = (s: string) => Buffer.from(s, 'latin1')
const hex = (b: Uint8Array) => Buffer.from(b).toString('hex')
const NONC = new Uint8Array(32).fill(2)
const SNO = new Uint8Array(52).fill(4)
const DIVERSIFICATION_NONCE = new Uint8Array(32).fill(3)

const input: KeyScheduleInput = {
  aead: 'AESG',
  forwardSecure: false,
  sharedSecret: new Uint8Array(32).fill(1),
  salt: NONC,
  connectionId: Buffer.from('1032547698badcfe', 'hex'),
  chlo: text('CHLO-bytes'),
  serverConfig: text('SCFG-bytes'),
  leafCertificate: text('leaf-cert-der')
}

function inHex(keys: PacketKeys): Partial<Record<keyof PacketKeys, string>> {
  expect(keys).toMatchObject({ clientHeaderKey: undefined, serverHeaderKey: undefined })
  return {
    clientKey: hex(keys.clientKey),
    serverKey: hex(keys.serverKey),
    clientIv: hex(keys.clientIv),
    serverIv: hex(keys.serverIv)
  }
}

describe.each(testedEngines.filter(hasEngine))('key schedule with the %s engine', (engine) => {
  const { primitives } = makeEngine(engine).aeadProvider

  it('derives initial AES keys and diversifies the server one', () => {
    const keys = deriveKeys(input, primitives)
    expect(inHex(keys)).toEqual({
      clientKey: '0c5b5cde088dcdd197bfd3f89f0ff0a6',
      serverKey: 'b2f12dd236be33bc3fbdda8590a08818',
      clientIv: '55c4dc70',
      serverIv: '03177de9'
    })
    const server = diversifyServerKey('AESG', keys.serverKey, keys.serverIv, DIVERSIFICATION_NONCE, primitives)
    expect([hex(server.key), hex(server.iv)]).toEqual(['4637f94e0b5edb54d831e6d4767074b6', 'fb85ca88'])
  })

  it('derives forward-secure AES keys from nonce and server nonce', () => {
    const keys = deriveKeys({ ...input, forwardSecure: true, salt: Buffer.concat([NONC, SNO]) }, primitives)
    expect(inHex(keys)).toEqual({
      clientKey: '8f79c246b87d4112328c3980c16c6fab',
      serverKey: 'c841f2da433112774e0e24a7c3b82519',
      clientIv: 'e355381d',
      serverIv: '5068afdc'
    })
  })

  it('derives initial ChaCha20 keys and diversifies the server one', () => {
    const keys = deriveKeys({ ...input, aead: 'CC20' }, primitives)
    expect(inHex(keys)).toMatchObject({
      clientKey: '0c5b5cde088dcdd197bfd3f89f0ff0a6b2f12dd236be33bc3fbdda8590a08818',
      serverKey: '55c4dc7003177de9b7a1de9cfeec1ec54a9e05545aec60947f59f65607412e7f',
      clientIv: 'dd02d6cc',
      serverIv: '88326e2f'
    })
    const server = diversifyServerKey('CC20', keys.serverKey, keys.serverIv, DIVERSIFICATION_NONCE, primitives)
    expect(hex(server.key)).toBe('3ab21ebdc82b1cc998f5807cf72354db654864dce67ffec118bb5f1d89d63150')
    expect(hex(server.iv)).toBe('44447583')
  })

  it('depends on every input', () => {
    const seen = new Set([hex(deriveKeys(input, primitives).clientKey)])
    const changes: Partial<KeyScheduleInput>[] = [
      { forwardSecure: true },
      { sharedSecret: new Uint8Array(32) },
      { salt: SNO },
      { connectionId: new Uint8Array(8) },
      { chlo: text('other') },
      { serverConfig: text('other') },
      { leafCertificate: text('other') }
    ]
    for (const change of changes) seen.add(hex(deriveKeys({ ...input, ...change }, primitives).clientKey))
    expect(seen.size).toBe(changes.length + 1)
  })
})
