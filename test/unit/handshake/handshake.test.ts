import { describe, expect, it } from 'vitest'
import type { AeadName } from '../../../src/quic/crypto/protection.js'
import type { KeyExchangeName } from '../../../src/quic/crypto/key-exchange.js'
import type { CertifiedKey, ProofVerifier } from '../../../src/quic/crypto/proof.js'
import { CaProofVerifier, InsecureProofVerifier, StaticProofSource } from '../../../src/quic/crypto/proof.js'
import { CachedServerState } from '../../../src/quic/handshake/client/cached-server-state.js'
import { QuicCryptoClientHandshake } from '../../../src/quic/handshake/client/client-handshake.js'
import type { ClientHandshakeOptions } from '../../../src/quic/handshake/client/client-handshake.js'
import { defaultClientConfig, defaultServerConfig } from '../../../src/quic/handshake/config.js'
import type { HandshakeHost } from '../../../src/quic/handshake/handshake.js'
import { QuicCryptoServerHandshake } from '../../../src/quic/handshake/server/server-handshake.js'
import { ServerConfig, ServerConfigs } from '../../../src/quic/handshake/server/server-config.js'
import { ServerNonces } from '../../../src/quic/handshake/server/server-nonce.js'
import { SecretSourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { RejectReason, Tag, tagName } from '../../../src/quic/wire/tags.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import {
  FakeHost,
  carry,
  exchange,
  recordedAuthority,
  recordedKey,
  sameKey,
  seededRandom
} from '../../helpers/handshake-fixture.js'

const RSA = 'chromium56-v36-aesgcm-x25519-rsa'
const ECDSA = 'chromium56-v36-cc20-p256-ecdsa'

interface PairOptions {
  key?: CertifiedKey
  verifier?: ProofVerifier
  aeads?: AeadName[]
  keyExchanges?: KeyExchangeName[]
  client?: Partial<ClientHandshakeOptions>
  version?: QuicVersion
}

interface Pair {
  client: { host: FakeHost; machine: QuicCryptoClientHandshake }
  server: { host: FakeHost; machine: QuicCryptoServerHandshake }
}

const random = seededRandom('handshakes')
const secrets = {
  tokens: new SecretSourceAddressTokens(random(16), random),
  serverNonces: new ServerNonces(random)
}

function makePair(o: PairOptions = {}, configs?: ServerConfigs): Pair {
  const [clientHost, serverHost] = [new FakeHost('client'), new FakeHost('server')]
  if (o.version !== undefined) {
    clientHost.version = serverHost.version = o.version
    clientHost.supportedVersions = serverHost.supportedVersions = [o.version]
  }
  const config = ServerConfig.generate({
    random,
    wallSeconds: serverHost.wallSeconds,
    aeads: o.aeads ?? ['AESG', 'CC20'],
    keyExchanges: o.keyExchanges ?? ['C255', 'P256']
  })
  const client = new QuicCryptoClientHandshake(clientHost, {
    serverName: 'www.example.org',
    serverPort: 443,
    verifier: o.verifier ?? new CaProofVerifier({ ca: [recordedAuthority(RSA)] }),
    config: defaultClientConfig,
    ...o.client
  })
  const server = new QuicCryptoServerHandshake(serverHost, {
    ...secrets,
    configs: configs ?? new ServerConfigs(config),
    proofSource: new StaticProofSource([o.key ?? recordedKey(RSA)]),
    config: defaultServerConfig
  })
  return { client: { host: clientHost, machine: client }, server: { host: serverHost, machine: server } }
}

function run(pair: Pair): Pair {
  pair.server.machine.start()
  pair.client.machine.start()
  exchange(pair.client, pair.server)
  return pair
}

function sentTags(host: FakeHost): string[] {
  return host.sent.map(({ message, level }) => `${tagName(message.tag)} ${level}`)
}

/** Both ends hold the same two keys for each direction. */
function expectAgreement({ client, server }: Pair): void {
  for (const level of [EncryptionLevel.Initial, EncryptionLevel.ForwardSecure]) {
    expect(sameKey(client.host.sealers.get(level), server.host.openers.get(level))).toBe(true)
    expect(sameKey(server.host.sealers.get(level), client.host.openers.get(level))).toBe(true)
    expect(sameKey(client.host.sealers.get(level), server.host.sealers.get(level))).toBe(false)
  }
}

describe('a handshake in memory', () => {
  const variants: [string, AeadName, KeyExchangeName][] = []
  for (const key of [RSA, ECDSA]) {
    for (const aead of ['AESG', 'CC20'] as const) {
      for (const exchangeName of ['C255', 'P256'] as const) variants.push([key, aead, exchangeName])
    }
  }

  it.each(variants)('completes with %s, %s and %s', (name, aead, keyExchange) => {
    const pair = makePair({
      key: recordedKey(name),
      verifier: new CaProofVerifier({ ca: [recordedAuthority(name)] }),
      client: { aeads: [aead], keyExchanges: [keyExchange], userAgent: 'test agent' }
    })
    run(pair)
    const { client, server } = pair
    expect(sentTags(client.host)).toEqual(['CHLO 0', 'CHLO 0'])
    expect(sentTags(server.host)).toEqual(['REJ 0', 'SHLO 1'])
    expectAgreement(pair)
    expect(client.machine.confirmed).toBe(true)
    expect(server.machine.encryptionEstablished).toBe(true)
    expect(server.machine.confirmed).toBe(false)
    server.machine.onForwardSecurePacket()
    server.machine.onForwardSecurePacket()
    expect(server.machine.confirmed).toBe(true)
    expect(server.host.events.filter((event) => event === 'confirmed').length).toBe(1)
    const description = { aead, keyExchange, serverName: 'www.example.org', userAgent: 'test agent', helloCount: 2 }
    expect(client.machine.describe()).toMatchObject(description)
    expect(server.machine.describe()).toMatchObject(description)
    expect(client.machine.describe().certificates.map((der) => Buffer.from(der))).toEqual(
      recordedKey(name).chain.map((der) => Buffer.from(der))
    )
    expect(client.host.config!.peerStreamWindow).toBe(64 * 1024)
    expect(server.host.config!.peerStreamWindow).toBe(6 * 1024 * 1024)
  })

  it.each(supportedVersions.map((version) => [version.label, version] as const))('completes in %s', (_, version) => {
    expectAgreement(run(makePair({ version })))
  })

  it('installs keys in the order that keeps every packet readable', () => {
    const { client, server } = run(makePair())
    expect(client.host.events).toEqual([
      'level 0', 'neuter', 'send CHLO 0',
      'neuter', 'level 0', 'neuter', 'send CHLO 0', 'diversified 1', 'sealer 1', 'level 1', 'established',
      'config', 'alternative 2', 'sealer 2', 'level 2', 'confirmed'
    ])
    expect(server.host.events).toEqual([
      'neuter', 'send REJ 0',
      'config', 'nonce', 'sealer 1', 'level 1', 'opener 1', 'neuter', 'send SHLO 1',
      'sealer 2', 'level 2', 'alternative 2', 'established'
    ])
  })

  it('lets the client choose among what the server config offers', () => {
    const pick = (o: PairOptions): (string | undefined)[] => {
      const { aead, keyExchange } = run(makePair(o)).server.machine.describe()
      return [aead, keyExchange]
    }
    expect(pick({})).toEqual(['CC20', 'C255'])
    expect(pick({ aeads: ['AESG'], keyExchanges: ['P256'] })).toEqual(['AESG', 'P256'])
    expect(pick({ keyExchanges: ['P256', 'C255'] })).toEqual(['CC20', 'C255'])
    expect(pick({ client: { aeads: ['AESG', 'CC20'], keyExchanges: ['P256', 'C255'] } })).toEqual(['AESG', 'P256'])
  })

  it('pads the first hello to fill a packet and keeps every hello within one', () => {
    const { client } = run(makePair())
    expect(client.host.sent.map(({ bytes }) => bytes.length)).toEqual([1300, 1024])
  })

  it('asks for the proof with a token when the chain is too large for an unproven address', () => {
    const real = recordedKey(RSA)
    const key = { chain: [...real.chain, random(4000)], sign: (data: Uint8Array) => real.sign(data) }
    const pair = run(makePair({ key, verifier: new InsecureProofVerifier() }))
    const { client, server } = pair
    expect(sentTags(client.host)).toEqual(['CHLO 0', 'CHLO 0', 'CHLO 0'])
    expect(sentTags(server.host)).toEqual(['REJ 0', 'REJ 0', 'SHLO 1'])
    const [first, second] = server.host.sent.map(({ message }) => message)
    expect([first!.has(Tag.PROF), first!.has(Tag.CRT), first!.has(Tag.STK)]).toEqual([false, false, true])
    expect([second!.has(Tag.PROF), second!.has(Tag.CRT)]).toEqual([true, true])
    const asked = client.host.sent[1]!.message
    expect([asked.has(Tag.STK), asked.has(Tag.SCID), asked.has(Tag.PUBS)]).toEqual([true, true, false])
    expectAgreement(pair)
  })

  it('starts over when the server no longer knows the config, with new keys', () => {
    const pair = makePair()
    const other = makePair()
    pair.client.machine.start()
    carry(pair.client, other.server)
    // The rejection comes from another server, whose config this one does not know.
    pair.server.host.outbox = other.server.host.outbox
    carry(pair.server, pair.client)
    const firstKey = pair.client.host.sealers.get(EncryptionLevel.Initial)
    exchange(pair.client, pair.server)
    expect(pair.server.host.sent[0]!.message.uint32List(Tag.RREJ)).toEqual([
      RejectReason.SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE
    ])
    expect(sentTags(pair.client.host)).toEqual(['CHLO 0', 'CHLO 0', 'CHLO 0'])
    expect(sameKey(firstKey, pair.client.host.sealers.get(EncryptionLevel.Initial))).toBe(false)
    expect(pair.client.host.events.filter((event) => event === 'established').length).toBe(2)
    expectAgreement(pair)
  })

  it('takes one hello when the client knows the server already', () => {
    const configs = new ServerConfigs(
      ServerConfig.generate({ random, wallSeconds: 1_795_500_000, aeads: ['CC20'], keyExchanges: ['C255'] })
    )
    const cached = new CachedServerState()
    run(makePair({ client: { cached } }, configs))
    const again = run(makePair({ client: { cached } }, configs))
    expect(sentTags(again.client.host)).toEqual(['CHLO 0'])
    expect(again.client.host.events.indexOf('established')).toBeGreaterThan(0)
    expectAgreement(again)
  })

  it('does not trust what it knows about a server once the proof no longer holds', () => {
    const configs = new ServerConfigs(
      ServerConfig.generate({ random, wallSeconds: 1_795_500_000, aeads: ['CC20'], keyExchanges: ['C255'] })
    )
    const cached = new CachedServerState()
    run(makePair({ client: { cached } }, configs))
    let calls = 0
    const verifier = { verify: () => (calls++ === 0 ? 'revoked' : undefined) }
    const again = run(makePair({ client: { cached, verifier } }, configs))
    expect(sentTags(again.client.host)).toEqual(['CHLO 0', 'CHLO 0'])
    expect(again.client.host.sent[0]!.message.has(Tag.STK)).toBe(false)
    expectAgreement(again)
  })

  it('works without diversification, where the server nonce keeps replays out', () => {
    const version = undiversified(supportedVersions[0]!)
    const pair = run(makePair({ version }))
    expect(pair.client.host.events).toContain('alternative 1 latch')
    expect(pair.server.host.nonce).toBeUndefined()
    expectAgreement(pair)
  })

  it('leaves the name out where it is no DNS name', () => {
    const insecure = { verifier: new InsecureProofVerifier() }
    for (const serverName of ['127.0.0.1', 'localhost', '::1']) {
      const { client, server } = run(makePair({ ...insecure, client: { serverName } }))
      expect(client.host.sent.every(({ message }) => !message.has(Tag.SNI))).toBe(true)
      expect(client.machine.describe().serverName).toBeUndefined()
      expect(server.machine.describe().serverName).toBeUndefined()
    }
  })
})

function undiversified(version: QuicVersion): HandshakeHost['version'] {
  return { ...version, traits: { ...version.traits, diversification: false } }
}
