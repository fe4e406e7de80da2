import { describe, expect, it } from 'vitest'
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import {
  EcChannelIdKey,
  channelIdName,
  openChannelId,
  sealChannelId,
  verifyChannelId,
  type ChannelIdContext,
  type ChannelIdKey
} from '../../../src/quic/crypto/channel-id.js'
import { expandKeys } from '../../../src/quic/crypto/key-schedule.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import { PacketBatch } from '../../../src/quic/crypto/protection.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { MessageTag, Tag } from '../../../src/quic/wire/tags.js'

const key = EcChannelIdKey.generate()
const context: ChannelIdContext = {
  aead: 'AESG',
  sharedSecret: randomBytes(32),
  salt: randomBytes(80),
  connectionId: randomBytes(8),
  chlo: randomBytes(700),
  serverConfig: randomBytes(150)
}
const label = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1')
const bound = Buffer.concat([label('QUIC CETV block'), context.connectionId, context.chlo, context.serverConfig])

/** A block that holds `message`, encrypted as a client would. */
function encrypted(message: Uint8Array): Uint8Array {
  const { clientKey, clientIv } = expandKeys(context.sharedSecret, context.salt, [bound], 'AESG')
  const batch = new PacketBatch()
  batch.buffer = Buffer.concat([message, Buffer.alloc(12)])
  batch.add(0, 0, message.length, 0)
  new NodeAeadProvider().createSealer('AESG', clientKey, clientIv).seal(batch)
  return batch.buffer
}

describe('a Channel ID key', () => {
  it('has a public value of two coordinates and signs with two numbers', () => {
    expect(key.publicKey).toHaveLength(64)
    expect(key.sign(Buffer.from('data'))).toHaveLength(64)
    expect(channelIdName(key.publicKey)).toMatch(/^[A-Za-z0-9+/]{43}$/)
  })

  it('gives the point of its private key: 1 gives the generator', () => {
    const d = Buffer.alloc(32)
    d[31] = 1
    const x = Buffer.from('6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296', 'hex')
    const y = Buffer.from('4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5', 'hex')
    const jwk = { kty: 'EC', crv: 'P-256', d: d.toString('base64url'), x: x.toString('base64url'), y: y.toString('base64url') }
    const one = new EcChannelIdKey(createPrivateKey({ key: jwk, format: 'jwk' }))
    expect(Buffer.from(one.publicKey)).toEqual(Buffer.concat([x, y]))
  })

  it('is on P-256 and private', () => {
    expect(() => new EcChannelIdKey(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)).toThrow(TypeError)
    expect(() => new EcChannelIdKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)).toThrow(TypeError)
    expect(() => new EcChannelIdKey(generateKeyPairSync('ed25519').privateKey)).toThrow(TypeError)
  })
})

describe('a Channel ID signature', () => {
  const data = Buffer.from('what is signed')
  const signature = key.sign(Buffer.concat([label('QUIC ChannelID'), label('client -> server'), data]))

  it('is over its label and the data, by that key', () => {
    expect(verifyChannelId(key.publicKey, data, signature)).toBe(true)
    expect(verifyChannelId(key.publicKey, data, key.sign(data))).toBe(false)
    expect(verifyChannelId(EcChannelIdKey.generate().publicKey, data, signature)).toBe(false)
  })

  it('is refused with any bit changed, and whatever else comes, without an exception', () => {
    fc.assert(
      fc.property(fc.nat(63), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, flip, ofKey) => {
        const [publicKey, changed] = [key.publicKey.slice(), signature.slice()]
        ;(ofKey ? publicKey : changed)[at]! ^= flip
        expect(verifyChannelId(publicKey, data, changed)).toBe(false)
      })
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.uint8Array({ maxLength: 70 }), (publicKey, other) => {
        expect(verifyChannelId(publicKey, data, other)).toBe(false)
      })
    )
  })
})

describe('CETV', () => {
  it.each(['AESG', 'CC20'] as const)('tells the server who the client is, with %s', (aead) => {
    const sealed = sealChannelId(key, { ...context, aead })
    // Header and two entries of 8 bytes, two values of 64, a tag of 12.
    expect(sealed).toHaveLength(8 + 2 * 8 + 2 * 64 + 12)
    expect(openChannelId(sealed, { ...context, aead })).toEqual({ publicKey: key.publicKey })
  })

  it('is bound to everything around it', () => {
    const sealed = sealChannelId(key, context)
    for (const name of ['sharedSecret', 'salt', 'connectionId', 'chlo', 'serverConfig'] as const) {
      const changed = { ...context, [name]: Buffer.concat([context[name].slice(1), Buffer.of(7)]) }
      expect(openChannelId(sealed, changed), name).toEqual({ problem: 'CETV decryption failure' })
    }
    expect(openChannelId(sealed.slice(1), context)).toEqual({ problem: 'CETV decryption failure' })
    expect(openChannelId(new Uint8Array(5), context)).toEqual({ problem: 'CETV decryption failure' })
  })

  it('has to be a message, and its signature right; without either value it names nobody', () => {
    const message = (): HandshakeMessage => new HandshakeMessage(MessageTag.CETV).set(Tag.CIDK, key.publicKey)
    const lie: ChannelIdKey = { publicKey: key.publicKey, sign: (data) => EcChannelIdKey.generate().sign(data) }
    expect(openChannelId(encrypted(Buffer.from('no message')), context)).toEqual({ problem: 'CETV parse error' })
    expect(openChannelId(sealChannelId(lie, context), context)).toEqual({ problem: 'ChannelID signature failure' })
    expect(openChannelId(encrypted(message().serialize()), context)).toEqual({ publicKey: undefined })
    const short = message().set(Tag.CIDS, new Uint8Array(63)).serialize()
    expect(openChannelId(encrypted(short), context)).toEqual({ problem: 'ChannelID signature failure' })
  })
})
