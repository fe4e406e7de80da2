import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CertifiedKey, ProofSource } from '../../../src/quic/crypto/proof.js'
import { StaticProofSource } from '../../../src/quic/crypto/proof.js'
import { fnv1a64 } from '../../../src/quic/crypto/fnv.js'
import { createKeyExchange } from '../../../src/quic/crypto/key-exchange.js'
import { QuicErrorCode as Code } from '../../../src/quic/errors.js'
import { defaultClientConfig, defaultServerConfig, writeClientConfig } from '../../../src/quic/handshake/config.js'
import { QuicCryptoServerHandshake } from '../../../src/quic/handshake/server/server-handshake.js'
import { ServerConfig, ServerConfigs } from '../../../src/quic/handshake/server/server-config.js'
import { ServerNonces } from '../../../src/quic/handshake/server/server-nonce.js'
import type { SourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'
import { SecretSourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { decodeSocketAddress } from '../../../src/quic/wire/socket-address.js'
import { RejectReason, Tag, TAG_X509, tagName, tagOf } from '../../../src/quic/wire/tags.js'
import { versionByLabel } from '../../../src/quic/wire/versions/registry.js'
import { FakeHost, codeOf, fakeVersions, recordedKey, seededRandom } from '../../helpers/handshake-fixture.js'

const random = seededRandom('server handshake')
const key = recordedKey('chromium56-v36-cc20-p256-ecdsa')
const now = new FakeHost('').wallSeconds
const configs = new ServerConfigs(
  ServerConfig.generate({ random, wallSeconds: now, aeads: ['AESG', 'CC20'], keyExchanges: ['C255', 'P256'] })
)
const tokens = new SecretSourceAddressTokens(random(16), random)
const serverNonces = new ServerNonces(random)
const client = new FakeHost('').peerAddress.address

interface ServerSetup {
  tokens?: SourceAddressTokens
  proofSource?: ProofSource
  chain?: readonly Uint8Array[]
}

/** A server's machine that counts signatures, and its host. */
function makeServer(o: ServerSetup = {}) {
  const host = new FakeHost('server')
  let signatures = 0
  const counting: CertifiedKey = {
    chain: o.chain ?? key.chain,
    sign: (data) => {
      signatures++
      return key.sign(data)
    }
  }
  const machine = new QuicCryptoServerHandshake(host, {
    configs,
    proofSource: o.proofSource ?? new StaticProofSource([counting]),
    tokens: o.tokens ?? tokens,
    serverNonces,
    config: defaultServerConfig
  })
  machine.start()
  return {
    host,
    machine,
    signatures: () => signatures,
    receive: (message: HandshakeMessage) => machine.onCryptoData(message.serialize(), EncryptionLevel.None)
  }
}

function inchoate(): HandshakeMessage {
  const chlo = new HandshakeMessage('CHLO')
  writeClientConfig(chlo, defaultClientConfig)
  chlo.setText(Tag.SNI, 'www.example.org').setUint32(Tag.VER, tagOf('Q036')).setUint32(Tag.PDMD, TAG_X509)
  chlo.minimumSize = 1024
  return chlo
}

/** A hello that the server accepts. */
function full(): HandshakeMessage {
  const leafHash = Buffer.alloc(8)
  leafHash.writeBigUInt64LE(fnv1a64(key.chain[0]!))
  return inchoate()
    .set(Tag.SCID, configs.primary.id)
    .set(Tag.STK, tokens.issue(client, now))
    .set(Tag.NONC, random(32))
    .set(Tag.PUBS, createKeyExchange('C255', random).publicValue)
    .set(Tag.XLCT, leafHash)
    .setUint32(Tag.KEXS, tagOf('C255'))
    .setUint32(Tag.AEAD, tagOf('CC20'))
}

function reasonsFor(chlo: HandshakeMessage, o?: ServerSetup, change?: (host: FakeHost) => void) {
  const server = makeServer(o)
  change?.(server.host)
  server.receive(HandshakeMessage.parse(chlo.serialize()))
  expect(server.host.sent.map(({ message }) => tagName(message.tag))).toEqual(['REJ'])
  expect(server.signatures()).toBeLessThanOrEqual(1)
  expect(server.machine.encryptionEstablished).toBe(false)
  return server.host.sent[0]!.message.uint32List(Tag.RREJ)
}

function undiversified(host: FakeHost): void {
  host.version = { ...host.version, traits: { ...host.version.traits, diversification: false } }
}

describe('a server rejects, with the reason', () => {
  const cases: [string, number[], () => HandshakeMessage, ((host: FakeHost) => void)?][] = [
    ['an inchoate hello', [12], inchoate],
    ['a hello with a config but no nonce', [12], () => inchoate().set(Tag.SCID, configs.primary.id)],
    ['an unknown config', [13], () => full().set(Tag.SCID, new Uint8Array(16))],
    ['a hello without token', [14], () => without(full(), Tag.STK)],
    ['a token that is not ours', [15], () => full().set(Tag.STK, new Uint8Array(50))],
    ['a token for another address', [17], () => full().set(Tag.STK, tokens.issue('192.0.2.8', now))],
    ['a token from the future', [18], () => full().set(Tag.STK, tokens.issue(client, now + 3601))],
    ['a token that has run out', [19], () => full().set(Tag.STK, tokens.issue(client, now - 86401))],
    ['another leaf certificate', [21], () => full().set(Tag.XLCT, new Uint8Array(8))],
    ['no leaf certificate', [21], () => without(full(), Tag.XLCT)],
    ['a client nonce of the wrong length', [2], () => full().set(Tag.NONC, new Uint8Array(31))],
    ['everything at once', [14, 21, 2], () => without(full().set(Tag.NONC, new Uint8Array(0)), Tag.STK, Tag.XLCT)],
    ['no server nonce where one is needed', [20], full, undiversified],
    ['an empty server nonce where one is needed', [20], () => full().set(Tag.SNO, new Uint8Array(0)), undiversified],
    ['a server nonce that is not ours', [8], () => full().set(Tag.SNO, new Uint8Array(48)), undiversified],
    ['an old server nonce', [11], () => full().set(Tag.SNO, serverNonces.issue(now - 200)), undiversified]
  ]
  it.each(cases)('%s: %j', (_, reasons, make, change) => {
    expect(reasonsFor(make(), {}, change)).toEqual(reasons)
  })

  it('a token that cannot be parsed', () => {
    const check = (): number => RejectReason.SOURCE_ADDRESS_TOKEN_PARSE_FAILURE
    const odd = { issue: () => random(9), check, networkOf: () => undefined }
    expect(reasonsFor(full(), { tokens: odd })).toEqual([16])
  })

  it('a server nonce shown twice', () => {
    const chlo = full().set(Tag.SNO, serverNonces.issue(now))
    const server = makeServer()
    undiversified(server.host)
    server.receive(HandshakeMessage.parse(chlo.serialize()))
    expect(server.machine.encryptionEstablished).toBe(true)
    expect(reasonsFor(chlo, {}, undiversified)).toEqual([10])
  })
})

function without(chlo: HandshakeMessage, ...tags: number[]): HandshakeMessage {
  for (const tag of tags) chlo.delete(tag)
  return chlo
}

describe('a rejection', () => {
  it('has what the next hello needs', () => {
    const server = makeServer()
    server.receive(inchoate())
    const rej = server.host.sent[0]!.message
    expect(rej.tags.map(tagName)).toEqual(['STK', 'SNO', 'PROF', 'SCFG', 'RREJ', 'STTL', 'CRT\\xff'])
    expect(Buffer.compare(rej.get(Tag.SCFG)!, configs.primary.bytes)).toBe(0)
    expect(tokens.check(rej.get(Tag.STK)!, client, now)).toBeUndefined()
    expect(rej.uint64(Tag.STTL)).toBe(180 * 24 * 3600)
    expect(server.signatures()).toBe(1)
    expect(server.host.sent[0]!.level).toBe(EncryptionLevel.None)
  })

  it('gives out the primary config even to a client that knows another one', () => {
    const old = ServerConfig.generate({ random, wallSeconds: now, aeads: ['CC20'], keyExchanges: ['C255'] })
    const server = new FakeHost('two configs')
    const machine = new QuicCryptoServerHandshake(server, {
      configs: new ServerConfigs(configs.primary, [old]),
      proofSource: new StaticProofSource([key]),
      tokens,
      serverNonces,
      config: defaultServerConfig
    })
    machine.onCryptoData(without(full().set(Tag.SCID, old.id), Tag.STK).serialize(), EncryptionLevel.None)
    expect(Buffer.compare(server.sent[0]!.message.get(Tag.SCFG)!, configs.primary.bytes)).toBe(0)
    machine.onCryptoData(full().set(Tag.SCID, old.id).serialize(), EncryptionLevel.None)
    expect(tagName(server.sent[1]!.message.tag)).toBe('SHLO')
  })

  it('stays within three times the datagram until the address is proven, and then does not', () => {
    const chain = [...key.chain, random(4000)]
    const unproven = makeServer({ chain })
    unproven.receive(inchoate())
    expect(unproven.host.sent[0]!.message.tags.map(tagName)).toEqual(['STK', 'SNO', 'SCFG', 'RREJ', 'STTL'])
    expect(unproven.signatures()).toBe(0)
    const proven = makeServer({ chain })
    proven.receive(inchoate().set(Tag.STK, tokens.issue(client, now)))
    expect(proven.host.sent[0]!.message.has(Tag.PROF)).toBe(true)
  })

  it('counts the signature too', () => {
    const server = makeServer()
    server.receive(inchoate())
    const { message } = server.host.sent[0]!
    const proof = message.get(Tag.CRT)!.length + message.get(Tag.PROF)!.length
    // ECDSA signatures vary by a few bytes: go clear of the limit on both sides.
    for (const [slack, included] of [[-12, false], [12, true]] as const) {
      const limited = makeServer()
      limited.host.currentDatagramLength = Math.ceil((proof + slack + 166) / 3) + 49
      limited.receive(inchoate())
      expect(limited.host.sent[0]!.message.has(Tag.PROF)).toBe(included)
      expect(limited.signatures()).toBe(1)
    }
  })

  it('carries the addresses over that the client has proven before', () => {
    const server = makeServer()
    server.receive(inchoate().set(Tag.STK, tokens.issue('192.0.2.99', now - 5)))
    const token = server.host.sent[0]!.message.get(Tag.STK)!
    expect(tokens.check(token, '192.0.2.99', now)).toBeUndefined()
    expect(tokens.check(token, client, now)).toBeUndefined()
  })
})

describe('a server accepts', () => {
  it('a full hello, with everything the client needs in the SHLO', () => {
    const server = makeServer()
    server.receive(full())
    const { message, level } = server.host.sent[0]!
    expect(level).toBe(EncryptionLevel.Initial)
    expect(message.tags.map(tagName)).toEqual(
      ['STK', 'SNO', 'VER', 'MSPC', 'ICSL', 'CADR', 'PUBS', 'MIDS', 'SCLS', 'CFCW', 'SFCW']
    )
    expect(message.uint32List(Tag.VER)).toEqual(fakeVersions.map(({ tag }) => tag))
    expect(decodeSocketAddress(message.get(Tag.CADR)!)).toEqual(server.host.peerAddress)
    expect(server.host.nonce!.length).toBe(32)
    // The signature is only for rejections; the client has verified the config already.
    expect(server.signatures()).toBe(0)
  })

  it('one with a version that nobody speaks, or none by means of four zero bytes', () => {
    for (const version of ['Q099', '\0\0\0\0']) {
      const server = makeServer()
      server.receive(full().setText(Tag.VER, version))
      expect(server.machine.encryptionEstablished).toBe(true)
    }
  })

  it('nothing as confirmation before that', () => {
    const server = makeServer()
    server.receive(inchoate())
    server.machine.onForwardSecurePacket()
    expect(server.machine.confirmed).toBe(false)
    expect(server.host.events).not.toContain('confirmed')
  })

  it('one without a name', () => {
    const server = makeServer()
    server.receive(without(full(), Tag.SNI))
    expect(server.machine.encryptionEstablished).toBe(true)
    expect(server.machine.describe().serverName).toBeUndefined()
  })
})

describe('a server closes the connection on', () => {
  const cases: [string, number, () => HandshakeMessage, ((host: FakeHost) => void)?][] = [
    ['another message', Code.INVALID_CRYPTO_MESSAGE_TYPE, () => new HandshakeMessage('REJ')],
    ['a short hello', Code.CRYPTO_INVALID_VALUE_LENGTH, () => small(1023)],
    ['no version', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => without(inchoate(), Tag.VER)],
    ['two versions', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => inchoate().setText(Tag.VER, 'Q036Q035')],
    [
      'a downgrade',
      Code.VERSION_NEGOTIATION_MISMATCH,
      inchoate,
      (host) => (host.version = versionByLabel('Q034')!)
    ],
    ['an address as name', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => inchoate().setText(Tag.SNI, '10.0.0.1')],
    ['a name without dot', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => inchoate().setText(Tag.SNI, 'localhost')],
    ['no proof demand', Code.UNSUPPORTED_PROOF_DEMAND, () => without(inchoate(), Tag.PDMD)],
    ['another proof demand', Code.UNSUPPORTED_PROOF_DEMAND, () => inchoate().setText(Tag.PDMD, 'X59R')],
    ['a broken proof demand', Code.UNSUPPORTED_PROOF_DEMAND, () => inchoate().setText(Tag.PDMD, 'X509X')],
    ['no AEAD', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => without(full(), Tag.AEAD)],
    ['two AEADs', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => full().setText(Tag.AEAD, 'CC20AESG')],
    ['no key exchange', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => without(full(), Tag.KEXS)],
    ['an unknown AEAD', Code.CRYPTO_NO_SUPPORT, () => full().setText(Tag.AEAD, 'S20P')],
    ['an unknown key exchange', Code.CRYPTO_NO_SUPPORT, () => full().setText(Tag.KEXS, 'P384')],
    ['no public value', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => without(full(), Tag.PUBS)],
    ['a useless public value', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, () => full().set(Tag.PUBS, new Uint8Array(32))],
    ['no idle timeout', Code.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, () => without(full(), Tag.ICSL)],
    ['a small window', Code.FLOW_CONTROL_INVALID_WINDOW, () => full().setUint32(Tag.CFCW, 100)]
  ]
  it.each(cases)('%s: %i', (_, code, make, change) => {
    const server = makeServer()
    change?.(server.host)
    expect(codeOf(() => server.receive(make()))).toBe(code)
    expect(server.host.sent).toEqual([])
    expect(server.host.sealers.size).toBe(0)
  })

  it('a message after the handshake', () => {
    const server = makeServer()
    server.receive(full())
    expect(codeOf(() => server.receive(full()))).toBe(Code.CRYPTO_MESSAGE_AFTER_HANDSHAKE_COMPLETE)
  })

  it('hellos without end', () => {
    const server = makeServer()
    for (let i = 0; i < 8; i++) server.receive(inchoate())
    expect(codeOf(() => server.receive(inchoate()))).toBe(Code.CRYPTO_TOO_MANY_REJECTS)
    expect(server.signatures()).toBe(8)
  })

  it('a certificate store that fails', () => {
    const failing: ProofSource = {
      select: () => {
        throw new Error('no such file')
      }
    }
    const mute = { select: () => ({ chain: key.chain, sign: failing.select as never }) }
    for (const proofSource of [failing, mute]) {
      const server = makeServer({ proofSource })
      expect(codeOf(() => server.receive(inchoate()))).toBe(Code.HANDSHAKE_FAILED)
    }
  })

  it('nothing but QuicErrors come of mutated hellos', () => {
    const base = full().serialize()
    const mutation = fc.tuple(fc.nat(base.length - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = Uint8Array.from(base)
        for (const [at, value] of changes) bytes[at] = value
        const server = makeServer()
        codeOf(() => server.machine.onCryptoData(bytes, EncryptionLevel.None))
      }),
      { numRuns: 300 }
    )
  })

  it('nothing but QuicErrors come of hellos with arbitrary values', () => {
    const tags = full().tags
    fc.assert(
      fc.property(fc.constantFrom(...tags), fc.uint8Array({ maxLength: 70 }), fc.boolean(), (tag, value, absent) => {
        const chlo = HandshakeMessage.parse(full().serialize())
        if (absent) chlo.delete(tag)
        else chlo.set(tag, value)
        codeOf(() => makeServer().receive(chlo))
      }),
      { numRuns: 300 }
    )
  })
})

function small(size: number): HandshakeMessage {
  const chlo = inchoate()
  chlo.minimumSize = size
  return chlo
}
