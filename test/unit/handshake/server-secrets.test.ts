import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isValidServerName, normalizeServerName } from '../../../src/quic/handshake/server-name.js'
import { SecretBox } from '../../../src/quic/handshake/server/secret-box.js'
import { ServerConfig, ServerConfigError, ServerConfigs } from '../../../src/quic/handshake/server/server-config.js'
import { ServerNonces } from '../../../src/quic/handshake/server/server-nonce.js'
import { SecretSourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'
import { hkdf } from '../../../src/quic/crypto/hkdf.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import type { CachedNetworkParameters } from '../../../src/quic/handshake/cached-network-parameters.js'
import { RejectReason, Tag, tagName } from '../../../src/quic/wire/tags.js'
import { seededRandom } from '../../helpers/handshake-fixture.js'

const now = 1_800_000_000
const random = seededRandom('server secrets')
const secret = Buffer.from('a secret')

function generate(): ServerConfig {
  return ServerConfig.generate({ random, wallSeconds: now, aeads: ['CC20', 'AESG'], keyExchanges: ['P256', 'C255'] })
}

describe('ServerConfig', () => {
  it('writes what a client needs, in the order given, under an id that follows from the rest', () => {
    const config = generate()
    const scfg = HandshakeMessage.parse(config.bytes)
    expect(tagName(scfg.tag)).toBe('SCFG')
    expect(scfg.uint32List(Tag.AEAD)!.map(tagName)).toEqual(['CC20', 'AESG'])
    expect(scfg.uint32List(Tag.KEXS)!.map(tagName)).toEqual(['P256', 'C255'])
    expect(scfg.length24List(Tag.PUBS)!.map((value) => value.length)).toEqual([65, 32])
    expect(scfg.get(Tag.OBIT)!.length).toBe(8)
    expect(scfg.uint64(Tag.EXPY)).toBe(now + 180 * 24 * 3600)
    const id = scfg.get(Tag.SCID)!
    const rest = new HandshakeMessage('SCFG')
    for (const tag of scfg.tags) if (tag !== Tag.SCID) rest.set(tag, scfg.get(tag)!)
    const hash = createHash('sha256').update(rest.serialize()).digest()
    expect(Buffer.compare(id, hash.subarray(0, 16))).toBe(0)
    expect(Buffer.compare(generate().id, id)).not.toBe(0)
  })

  it('comes back from what it saves, through JSON, byte for byte and able to agree on keys', () => {
    const config = generate()
    const restored = ServerConfig.restore(JSON.parse(JSON.stringify(config.serialize())))
    expect(Buffer.compare(restored.bytes, config.bytes)).toBe(0)
    expect(restored.aeads).toEqual(config.aeads)
    expect(restored.expirySeconds).toBe(config.expirySeconds)
    const peer = generate().keyExchange('P256')!
    expect(restored.keyExchange('P256')!.sharedSecret(peer.publicValue)).toEqual(
      config.keyExchange('P256')!.sharedSecret(peer.publicValue)
    )
    expect(restored.keyExchange('X448')).toBeUndefined()
  })

  it('says what is wrong with a damaged file', () => {
    const good = generate().serialize()
    const other = generate().serialize()
    const message = HandshakeMessage.parse(Buffer.from(good.scfg, 'hex'))
    const cases: [unknown, RegExp][] = [
      [{ ...good, scfg: 'xyz' }, /SCFG message is not in hexadecimal/],
      [{ ...good, scfg: good.scfg.slice(2) }, /damaged/],
      [{ ...good, scfg: good.scfg.replace(/^53434647/, '43484c4f') }, /no SCFG message/],
      [{ ...good, privateKeys: {} }, /private key for P256 is missing/],
      [{ ...good, privateKeys: { ...good.privateKeys, C255: '00' } }, /damaged/],
      [{ ...good, privateKeys: other.privateKeys }, /does not fit/],
      [{ ...good, scfg: hexOf(message, Tag.OBIT, Buffer.from('1234567')) }, /OBIT/],
      [{ ...good, scfg: hexOf(message, Tag.AEAD, Buffer.from('NULN')) }, /offers NULN/],
      [{ ...good, scfg: hexOf(message, Tag.AEAD, Buffer.alloc(0)) }, /no AEAD/]
    ]
    for (const [saved, expected] of cases) {
      const restore = (): ServerConfig => ServerConfig.restore(saved as typeof good)
      expect(restore).toThrow(ServerConfigError)
      expect(restore).toThrow(expected)
    }
  })

  it('is found by the id that a client shows', () => {
    const [a, b] = [generate(), generate()]
    const configs = new ServerConfigs(a, [b])
    expect(configs.primary).toBe(a)
    expect(configs.lookup(Buffer.from(b.id))).toBe(b)
    expect(configs.lookup(Buffer.from(a.id))).toBe(a)
    expect(configs.lookup(new Uint8Array(16))).toBeUndefined()
    expect(configs.lookup(new Uint8Array(0))).toBeUndefined()
  })
})

function hexOf(message: HandshakeMessage, tag: number, value: Uint8Array): string {
  const copy = HandshakeMessage.parse(message.serialize())
  return Buffer.from(copy.set(tag, value).serialize()).toString('hex')
}

describe('source-address tokens', () => {
  const path: CachedNetworkParameters = {
    servingRegion: '',
    bandwidth: 1_000_000,
    minRttMs: 42,
    inSlowStart: false,
    maxBandwidth: 2_000_000,
    maxBandwidthSeconds: 1_275_300_992,
    seconds: 1_275_300_993
  }
  const tokens = new SecretSourceAddressTokens(secret, random)
  const token = tokens.issue('192.0.2.1', now)

  it('are good for their address within their time, however the socket names the address', () => {
    expect(tokens.check(token, '192.0.2.1', now)).toBeUndefined()
    expect(tokens.check(token, '::ffff:192.0.2.1', now)).toBeUndefined()
    expect(tokens.check(token, '192.0.2.1', now + 24 * 3600)).toBeUndefined()
    expect(tokens.check(token, '192.0.2.1', now - 3600)).toBeUndefined()
    const v6 = tokens.issue('2001:db8::1', now)
    expect(tokens.check(v6, '2001:0db8:0:0::1', now)).toBeUndefined()
  })

  it('are good at every server with the secret and at no other', () => {
    expect(new SecretSourceAddressTokens(secret, random).check(token, '192.0.2.1', now)).toBeUndefined()
    expect(new SecretSourceAddressTokens(Buffer.from('other'), random).check(token, '192.0.2.1', now)).toBe(
      RejectReason.SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE
    )
  })

  it('name each reason for which they are no good', () => {
    const forged = new SecretBox(
      hkdf(secret, new Uint8Array(0), [Buffer.from('QUIC source address token key')], 16),
      random
    )
    const cases: [Uint8Array, string, number, number][] = []
    cases.push(
      [token, '192.0.2.2', now, RejectReason.SOURCE_ADDRESS_TOKEN_DIFFERENT_IP_ADDRESS_FAILURE],
      [token, '192.0.2.1', now - 3601, RejectReason.SOURCE_ADDRESS_TOKEN_CLOCK_SKEW_FAILURE],
      [token, '192.0.2.1', now + 24 * 3600 + 1, RejectReason.SOURCE_ADDRESS_TOKEN_EXPIRED_FAILURE],
      [token.slice(1), '192.0.2.1', now, RejectReason.SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE],
      [new Uint8Array(0), '192.0.2.1', now, RejectReason.SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE],
      // Nothing; no message; an entry cut short; an entry without time; one without address.
      ...['', '01', '2212', '22120a10'.padEnd(40, '0'), '22021001'].map((plaintext): (typeof cases)[number] => [
        forged.seal(Buffer.from(plaintext, 'hex')),
        '192.0.2.1',
        now,
        RejectReason.SOURCE_ADDRESS_TOKEN_PARSE_FAILURE
      ])
    )
    for (const [bytes, address, at, reason] of cases) expect(tokens.check(bytes, address, at)).toBe(reason)
  })

  it('remember the last five addresses of a client that moves', () => {
    let moving = token
    for (let i = 2; i <= 6; i++) moving = tokens.issue(`192.0.2.${i}`, now + i, moving)
    for (let i = 2; i <= 6; i++) expect(tokens.check(moving, `192.0.2.${i}`, now + 10)).toBeUndefined()
    expect(tokens.check(moving, '192.0.2.1', now + 10)).toBe(
      RejectReason.SOURCE_ADDRESS_TOKEN_DIFFERENT_IP_ADDRESS_FAILURE
    )
    const back = tokens.issue('192.0.2.6', now + 20, moving)
    expect(back.length).toBe(moving.length)
    const old = tokens.issue('192.0.2.9', now + 25 * 3600, moving)
    expect(old.length).toBe(token.length)
  })

  it('are the protocol buffers that the reference makes', () => {
    const key = hkdf(secret, new Uint8Array(0), [Buffer.from('QUIC source address token key')], 16)
    // List entry: address, time as a varint; then what was found of the path, field by field.
    const network = { ...path, servingRegion: 'eu' }
    const plaintext = new SecretBox(key, random).open(tokens.issue('192.0.2.1', 300, undefined, network))!
    expect(Buffer.from(plaintext).toString('hex')).toBe(
      '2233' + '0a10' + '00000000000000000000ffffc0000201' + '10ac02' + '1a1c' +
        '0a026575' + '10c0843d' + '182a' + '2001' + '2880897a' + '3080998ee004' + '3881998ee004'
    )
  })

  it('carry what was found of the path to the address that they are for', () => {
    const known = tokens.issue('192.0.2.1', now, undefined, path)
    expect(tokens.networkOf(known, '::ffff:192.0.2.1')).toEqual(path)
    expect(tokens.networkOf(known, '192.0.2.2')).toBeUndefined()
    expect(tokens.networkOf(token, '192.0.2.1')).toBeUndefined()
    expect(tokens.networkOf(random(40), '192.0.2.1')).toBeUndefined()
    // A token for another address carries it along, one for the same address only what it is given.
    const moved = tokens.issue('192.0.2.2', now, known, { ...path, bandwidth: 5 })
    expect(tokens.networkOf(moved, '192.0.2.1')).toEqual(path)
    expect(tokens.networkOf(moved, '192.0.2.2')!.bandwidth).toBe(5)
    expect(tokens.networkOf(tokens.issue('192.0.2.1', now, known), '192.0.2.1')).toBeUndefined()
  })

  it('are refused after any change of any bit', () => {
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = token.slice()
        changed[at]! ^= flip
        expect(tokens.check(changed, '192.0.2.1', now)).toBe(RejectReason.SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE)
      })
    )
  })
})

describe('server nonces', () => {
  it('are 48 bytes, never the same, good once and for two minutes', () => {
    const nonces = new ServerNonces(random)
    const [a, b] = [nonces.issue(now), nonces.issue(now)]
    expect([a.length, b.length]).toEqual([48, 48])
    expect(Buffer.compare(a, b)).not.toBe(0)
    expect(nonces.use(a, now + 120)).toBeUndefined()
    expect(nonces.use(a, now + 120)).toBe(RejectReason.SERVER_NONCE_NOT_UNIQUE_FAILURE)
    expect(nonces.use(b, now + 121)).toBe(RejectReason.SERVER_NONCE_INVALID_TIME_FAILURE)
    expect(nonces.use(b, now - 121)).toBe(RejectReason.SERVER_NONCE_INVALID_TIME_FAILURE)
  })

  it('are refused when somebody else made them or they are of another kind', () => {
    // The key is the first thing drawn.
    const key = seededRandom('nonce key')(16)
    const nonces = new ServerNonces(seededRandom('nonce key'))
    const box = new SecretBox(key, random)
    expect(nonces.use(box.seal(new Uint8Array(23)), now)).toBe(RejectReason.SERVER_NONCE_INVALID_FAILURE)
    expect(nonces.use(new ServerNonces(random).issue(now), now)).toBe(RejectReason.SERVER_NONCE_DECRYPTION_FAILURE)
    expect(nonces.use(new Uint8Array(3), now)).toBe(RejectReason.SERVER_NONCE_DECRYPTION_FAILURE)
  })

  it('are refused as too old when too many newer ones have been used, so that none is ever good twice', () => {
    const nonces = new ServerNonces(random, 4)
    const old = nonces.issue(now - 60)
    for (let i = 0; i < 8; i++) expect(nonces.use(nonces.issue(now - 30 + i), now)).toBeUndefined()
    expect(nonces.use(old, now)).toBe(RejectReason.SERVER_NONCE_INVALID_TIME_FAILURE)
    expect(nonces.use(nonces.issue(now), now)).toBeUndefined()
  })
})

describe('server names', () => {
  it('are DNS names with a dot', () => {
    const good = ['www.example.org', 'A.B', 'x_y.example', '-a.example', 'a.example.', 'localhost.', '1.2.3.com']
    for (const name of good) {
      expect([name, isValidServerName(name)]).toEqual([name, true])
    }
    const addresses = ['127.0.0.1', '1.2.3', '0x7f.0x1', '::1', '[::1]']
    const odd = ['', 'localhost', 'a..b', '.a', 'a b.c', 'a.b/c', 'ä.example', 'a.-b', `${'a.'.repeat(200)}b`]
    for (const name of [...addresses, ...odd]) {
      expect([name, isValidServerName(name)]).toEqual([name, false])
    }
  })

  it('are compared in lower case and without the last dot', () => {
    expect(normalizeServerName('WWW.Example.Org.')).toBe('www.example.org')
  })
})
