/** What servers decide about hellos beyond the form of a single one, played against our client. */
import { beforeAll, describe, expect, it } from 'vitest'
import { compressChain, decompressChain } from '../../../src/quic/crypto/cert-compressor.js'
import { EcChannelIdKey, type ChannelIdSource } from '../../../src/quic/crypto/channel-id.js'
import type { CertifiedKey } from '../../../src/quic/crypto/proof.js'
import { CaProofVerifier, StaticProofSource, certifiedKeyFromPem } from '../../../src/quic/crypto/proof.js'
import { CachedServerState } from '../../../src/quic/handshake/client/cached-server-state.js'
import { QuicCryptoClientHandshake } from '../../../src/quic/handshake/client/client-handshake.js'
import type { ClientHandshakeOptions } from '../../../src/quic/handshake/client/client-handshake.js'
import { defaultClientConfig, defaultServerConfig } from '../../../src/quic/handshake/config.js'
import { ServerConfig } from '../../../src/quic/handshake/server/server-config.js'
import { ServerHandshakes } from '../../../src/quic/handshake/server/server-handshakes.js'
import type { EarlyDataPolicy } from '../../../src/quic/handshake/server/server-handshakes.js'
import { ClientNonces } from '../../../src/quic/handshake/server/strike-register.js'
import { QuicErrorCode } from '../../../src/quic/errors.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { MessageTag, RejectReason, Tag, rejectReasonName, tagName, tagOf } from '../../../src/quic/wire/tags.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import { makeCertificate, type TestCertificate } from '../../helpers/certificates.js'
import { FakeHost, codeOf, exchange, seededRandom, type End } from '../../helpers/handshake-fixture.js'

const random = seededRandom('policies')
const now = Date.UTC(2020, 5, 15) / 1000

let authority: TestCertificate
let exact: CertifiedKey
let wildcard: CertifiedKey
let other: CertifiedKey

async function issue(...hosts: string[]): Promise<CertifiedKey> {
  const leaf = await makeCertificate({ name: hosts[0]!, hosts, issuer: authority })
  return certifiedKeyFromPem(leaf.pem + authority.pem, leaf.keyPem, Buffer.from(`timestamps of ${hosts[0]}`))
}

beforeAll(async () => {
  authority = await makeCertificate({ name: 'Authority', ca: true })
  exact = await issue('www.example.org')
  wildcard = await issue('*.example.org', 'example.org')
  other = await issue('default.example')
})

interface Setup {
  keys?: CertifiedKey[]
  earlyData?: EarlyDataPolicy
  configs?: ServerConfig[]
  seconds?: number
  mayRetryAs?: (connectionId: Uint8Array) => boolean
}

function makeServer(o: Setup = {}): ServerHandshakes {
  const host = new FakeHost('server secrets')
  host.wallSeconds = o.seconds ?? now
  const config = (): ServerConfig =>
    ServerConfig.generate({ random, wallSeconds: now, aeads: ['AESG', 'CC20'], keyExchanges: ['C255', 'P256'] })
  return new ServerHandshakes({
    helper: { randomBytes: random, wallSeconds: () => host.wallSeconds },
    proofSource: new StaticProofSource(o.keys ?? [other, wildcard, exact]),
    configs: o.configs ?? [config()],
    tokenSecrets: [random(16)],
    config: defaultServerConfig,
    earlyData: o.earlyData,
    mayRetryAs: o.mayRetryAs
  })
}

interface Connected {
  client: End & { machine: QuicCryptoClientHandshake }
  server: End
}

function connect(
  server: ServerHandshakes,
  o: Partial<ClientHandshakeOptions> & { version?: QuicVersion; seconds?: number; serverSeconds?: number } = {}
): Connected {
  const [clientHost, serverHost] = [new FakeHost('client', random), new FakeHost('server', random)]
  clientHost.wallSeconds = o.seconds ?? now
  serverHost.wallSeconds = o.serverSeconds ?? o.seconds ?? now
  if (o.version !== undefined) {
    clientHost.version = serverHost.version = o.version
    clientHost.supportedVersions = serverHost.supportedVersions = [o.version]
  }
  const client = new QuicCryptoClientHandshake(clientHost, {
    serverName: 'www.example.org',
    serverPort: 443,
    verifier: new CaProofVerifier({ ca: [authority.pem] }),
    config: defaultClientConfig,
    ...o
  })
  const ends = {
    client: { host: clientHost, machine: client },
    server: { host: serverHost, machine: server.create(serverHost) }
  }
  client.start()
  exchange(ends.client, ends.server)
  return ends
}

const shown = ({ server }: Connected): Buffer => Buffer.from(server.machine.describe().certificates[0]!)

describe('mechanism: certificate selection', () => {
  it.each<[string, string, () => CertifiedKey]>([
    ['the exact name before the wildcard', 'www.example.org', () => exact],
    ['a wildcard for what it covers', 'api.example.org', () => wildcard],
    ['a name beside a wildcard', 'example.org', () => wildcard],
    ['names in any case', 'WWW.Example.ORG', () => exact],
    ['the first one for a name that none has', 'unknown.test', () => other],
    ['the first one below what a wildcard covers', 'a.b.example.org', () => other],
    ['the first one without a name', '127.0.0.1', () => other]
  ])('takes %s', (_, serverName, expected) => {
    const verifier = { verify: () => undefined }
    const connected = connect(makeServer(), { serverName, verifier })
    expect(shown(connected)).toEqual(Buffer.from(expected().chain[0]!))
    expect(connected.client.machine.confirmed).toBe(true)
    expect(connected.client.machine.describe().certificates.map((der) => Buffer.from(der))).toEqual(
      expected().chain.map((der) => Buffer.from(der))
    )
  })

  it('is what the client judges by', () => {
    expect(connect(makeServer(), { serverName: 'api.example.org' }).client.machine.confirmed).toBe(true)
    expect(codeOf(() => connect(makeServer(), { serverName: 'unknown.test' }))).toBe(QuicErrorCode.PROOF_INVALID)
  })

  it('that changes under a client leads to a rejection with the new one', () => {
    const cached = new CachedServerState()
    const configs = [ServerConfig.generate({ random, wallSeconds: now, aeads: ['CC20'], keyExchanges: ['C255'] })]
    const secrets = { configs, seconds: now }
    connect(makeServer({ ...secrets, keys: [wildcard] }), { cached })
    const again = connect(makeServer({ ...secrets, keys: [exact] }), { cached })
    expect(again.client.machine.describe().rejections[0]).toContain('INVALID_EXPECTED_LEAF_CERTIFICATE')
    expect(shown(again)).toEqual(Buffer.from(exact.chain[0]!))
    expect(again.client.machine.confirmed).toBe(true)
  })
})

describe('mechanism: certificate timestamps', () => {
  it('go to clients that ask for them, and are kept with the proof', () => {
    const cached = new CachedServerState()
    const { client } = connect(makeServer(), { cached })
    expect(Buffer.from(client.machine.describe().timestamps!).toString()).toBe('timestamps of www.example.org')
    expect(Buffer.from(CachedServerState.restore(cached.save())!.timestamps).toString()).toBe('timestamps of www.example.org')
  })

  it('go to no others, nor where there are none', () => {
    const server = makeServer()
    const { client } = connect(server)
    const silent = HandshakeMessage.parse(client.host.sent[0]!.bytes)
    silent.delete(Tag.CSCT)
    const host = new FakeHost('silent')
    host.wallSeconds = now
    server.create(host).onCryptoData(silent.serialize(), EncryptionLevel.None)
    expect(host.sent[0]!.message.has(Tag.PROF)).toBe(true)
    expect(host.sent[0]!.message.has(Tag.CSCT)).toBe(false)
    const bare = { chain: exact.chain, sign: (data: Uint8Array) => exact.sign(data) }
    expect(connect(makeServer({ keys: [bare] })).client.machine.describe().timestamps).toBeUndefined()
  })
})

describe('mechanism: cached certificates', () => {
  it('are named instead of sent, whichever of the chain the client has', () => {
    const cached = new CachedServerState()
    connect(makeServer(), { cached })
    expect(cached.chain).toHaveLength(2)
    // Another server with the same certificates, and with one that shares only the authority.
    for (const [keys, type] of [[[exact], [2, 2, 0]], [[wildcard], [1, 2, 0]]] as const) {
      const { client, server } = connect(makeServer({ keys: [...keys] }), { cached })
      expect(client.host.sent[0]!.message.get(Tag.CCRT)).toHaveLength(16)
      const crt = server.host.sent[0]!.message.get(Tag.CRT)!
      expect([crt[0], crt[9]]).toEqual([type[0], type[0] === 2 ? type[1] : crt[9]])
      expect(crt.length).toBeLessThan(type[0] === 2 ? 20 : compressChain(keys[0].chain).length)
      expect(client.machine.confirmed).toBe(true)
      expect(cached.chain.map((der) => Buffer.from(der))).toEqual(keys[0].chain.map((der) => Buffer.from(der)))
    }
  })

  it('that the client did not list are refused', () => {
    const named = compressChain(exact.chain, (index) => (index === 1 ? 'cached' : undefined))
    expect(codeOf(() => decompressChain(named, [exact.chain[0]!]))).toBe(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER)
  })
})

describe('Channel IDs', () => {
  const key = EcChannelIdKey.generate()
  const source: ChannelIdSource = { keyFor: (hostname) => (hostname === 'www.example.org' ? key : undefined) }
  const asking = (channelIds = true, accept: 'once' | 'always' = 'once'): ServerHandshakes => {
    const o = { random, wallSeconds: now, aeads: ['CC20', 'AESG'] as const, keyExchanges: ['C255', 'P256'] as const }
    return makeServer({ configs: [ServerConfig.generate({ ...o, channelIds })], earlyData: { accept } })
  }

  it('are proven by clients that have one to servers that ask', () => {
    for (const aeads of [['AESG'], ['CC20']] as const) {
      const { client, server } = connect(asking(), { channelIds: source, aeads })
      expect(server.machine.describe().channelId).toEqual(key.publicKey)
      expect(client.machine.describe().channelId).toEqual(key.publicKey)
      const full = client.host.sent.at(-1)!.message
      expect(full.has(Tag.CETV)).toBe(true)
      // The key itself is nowhere to be seen.
      expect(Buffer.from(full.serialize()).includes(Buffer.from(key.publicKey.subarray(0, 16)))).toBe(false)
    }
  })

  it('are not proven without being asked for, nor missed', () => {
    for (const [server, channelIds] of [[asking(false), source], [asking(), undefined]] as const) {
      const ends = connect(server, { channelIds })
      expect(ends.client.host.sent.at(-1)!.message.has(Tag.CETV)).toBe(false)
      expect([ends.client, ends.server].map(({ machine }) => machine.describe().channelId)).toEqual([undefined, undefined])
      expect(ends.client.machine.confirmed).toBe(true)
    }
  })

  it('that a source does not have end the connection', () => {
    expect(codeOf(() => connect(asking(), { channelIds: { keyFor: () => undefined } }))).toBe(
      QuicErrorCode.INVALID_CHANNEL_ID_SIGNATURE
    )
  })

  it('that are false end the connection', () => {
    const lie = { publicKey: key.publicKey, sign: (data: Uint8Array) => EcChannelIdKey.generate().sign(data) }
    expect(codeOf(() => connect(asking(), { channelIds: { keyFor: () => lie } }))).toBe(
      QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER
    )
    const junk = (server: ServerHandshakes): number | undefined => {
      const { client } = connect(server, { channelIds: source })
      const full = HandshakeMessage.parse(client.host.sent.at(-1)!.bytes).set(Tag.CETV, Buffer.alloc(164))
      const host = new FakeHost('junk')
      host.wallSeconds = now
      host.connectionId = client.host.connectionId
      return codeOf(() => server.create(host).onCryptoData(full.serialize(), EncryptionLevel.None))
    }
    // A server that remembers nonces would reject the hello before it looks at the block.
    expect(junk(asking(true, 'always'))).toBe(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER)
    expect(junk(asking(false, 'always'))).toBeUndefined()
  })

  it('outlive a restart of the server, as its config does', () => {
    const config = ServerConfig.generate({ random, wallSeconds: now, aeads: ['AESG'], keyExchanges: ['C255'], channelIds: true })
    const restored = ServerConfig.restore(config.serialize())
    expect([config.channelIds, restored.channelIds]).toEqual([true, true])
    const { server } = connect(makeServer({ configs: [restored] }), { channelIds: source })
    expect(server.machine.describe().channelId).toEqual(key.publicKey)
  })

  it('in what a client demands (PDMD) change nothing: X509 is what counts', () => {
    const server = asking()
    const demanding = (...demands: string[]): FakeHost => {
      const { client } = connect(server)
      const first = HandshakeMessage.parse(client.host.sent[0]!.bytes).setUint32List(Tag.PDMD, demands.map(tagOf))
      const host = new FakeHost('demanding')
      host.wallSeconds = now
      server.create(host).onCryptoData(first.serialize(), EncryptionLevel.None)
      return host
    }
    expect(demanding('CHID', 'X509').sent[0]!.message.tag).toBe(MessageTag.REJ)
    expect(codeOf(() => demanding('CHID'))).toBe(QuicErrorCode.UNSUPPORTED_PROOF_DEMAND)
  })
})

describe('mechanism: reject reasons', () => {
  const rejected = (o: Setup & Parameters<typeof connect>[1] & { later?: Parameters<typeof connect>[1] }): string[] => {
    const cached = new CachedServerState()
    const server = makeServer(o)
    connect(server, { ...o, cached })
    const { client } = connect(server, { ...o, cached, ...o.later })
    expect(client.machine.confirmed).toBe(true)
    return client.machine.describe().rejections.flat() as string[]
  }

  it('tell of a hello that was accepted before', () => {
    const cached = new CachedServerState()
    const server = makeServer()
    connect(server, { cached })
    const { client } = connect(server, { cached })
    const chlo = client.host.sent[0]!.bytes
    const reasons: string[][] = []
    for (let i = 0; i < 2; i++) {
      const host = new FakeHost('replay')
      host.wallSeconds = now
      server.create(host).onCryptoData(chlo, EncryptionLevel.None)
      expect(tagName(host.sent[0]!.message.tag)).toBe('REJ')
      reasons.push(host.sent[0]!.message.uint32List(Tag.RREJ)!.map(rejectReasonName))
    }
    expect(reasons).toEqual([['CLIENT_NONCE_NOT_UNIQUE_FAILURE'], ['CLIENT_NONCE_NOT_UNIQUE_FAILURE']])
  })

  it('take no memory once their server config is gone', () => {
    const generate = (): ServerConfig =>
      ServerConfig.generate({ random, wallSeconds: now, aeads: ['AESG'], keyExchanges: ['C255'] })
    const [old, next] = [generate(), generate()]
    const nonces = new ClientNonces(now)
    const server = makeServer({ configs: [old], earlyData: { nonces } })
    const cached = new CachedServerState()
    connect(server, { cached })
    const nonce = connect(server, { cached }).client.host.sent[0]!.message.get(Tag.NONC)!
    const again = (): RejectReason | undefined => nonces.use(nonce, old, now)
    server.useSecrets([old, next], [random(16)])
    expect(again()).toBe(RejectReason.CLIENT_NONCE_NOT_UNIQUE_FAILURE)
    server.useSecrets([next], [random(16)])
    expect(again()).toBeUndefined()
  })

  it('tell of a nonce for another orbit, of clocks that differ, of a nonce of the wrong length', () => {
    const server = makeServer()
    const cached = new CachedServerState()
    connect(server, { cached })
    const { client } = connect(server, { cached })
    const reasonOf = (change: (nonce: Buffer) => Uint8Array): string[] => {
      const chlo = HandshakeMessage.parse(client.host.sent[0]!.bytes)
      chlo.set(Tag.NONC, change(Buffer.from(chlo.get(Tag.NONC)!)))
      const host = new FakeHost('changed')
      host.wallSeconds = now
      server.create(host).onCryptoData(chlo.serialize(), EncryptionLevel.None)
      return host.sent[0]!.message.uint32List(Tag.RREJ)?.map(rejectReasonName) ?? []
    }
    expect(reasonOf((nonce) => nonce.fill(1, 4, 12))).toEqual(['CLIENT_NONCE_INVALID_ORBIT_FAILURE'])
    expect(reasonOf((nonce) => (nonce.writeUInt32BE(now - 601), nonce))).toEqual(['CLIENT_NONCE_INVALID_TIME_FAILURE'])
    expect(reasonOf((nonce) => (nonce.writeUInt32BE(now + 601), nonce))).toEqual(['CLIENT_NONCE_INVALID_TIME_FAILURE'])
    expect(reasonOf((nonce) => Buffer.concat([nonce, Buffer.of(0)]))).toEqual(['CLIENT_NONCE_INVALID_FAILURE'])
    expect(reasonOf((nonce) => (nonce.writeUInt32BE(now - 600), nonce))).toEqual([])
  })

  it('let a client in all the same whose clock is wrong, a round trip later', () => {
    expect(rejected({ later: { seconds: now + 5000, serverSeconds: now } })).toEqual(['CLIENT_NONCE_INVALID_TIME_FAILURE'])
  })

  it.each(supportedVersions.map((version) => [version.label, version] as const))(
    'ask for a server nonce where there is no other protection, or none is wanted: %s',
    (_, version) => {
      const required = ['SERVER_NONCE_REQUIRED_FAILURE']
      expect(rejected({ version })).toEqual(version.traits.diversification ? [] : required)
      expect(rejected({ version, earlyData: { accept: 'never' } })).toEqual(required)
      expect(rejected({ version, earlyData: { accept: 'always' } })).toEqual(version.traits.diversification ? [] : required)
    }
  )

  it('tell of a server nonce that comes a second time, in versions without need for one, too', () => {
    const server = makeServer()
    const { client } = connect(server)
    const host = new FakeHost('again')
    host.wallSeconds = now
    server.create(host).onCryptoData(client.host.sent[1]!.bytes, EncryptionLevel.None)
    expect(host.sent[0]!.message.uint32List(Tag.RREJ)!.map(rejectReasonName)).toEqual(['SERVER_NONCE_NOT_UNIQUE_FAILURE'])
  })

  it('are told in the error of a client that gives up', () => {
    let error: unknown
    try {
      // A server that forgets its configs between any two hellos.
      const [clientHost, verifier] = [new FakeHost('client', random), new CaProofVerifier({ ca: [authority.pem] })]
      clientHost.wallSeconds = now
      const options = { serverName: 'www.example.org', serverPort: 443, verifier, config: defaultClientConfig }
      const machine = new QuicCryptoClientHandshake(clientHost, options)
      machine.start()
      for (;;) {
        const fresh = makeServer()
        const host = new FakeHost('server', random)
        host.wallSeconds = now
        fresh.create(host).onCryptoData(clientHost.sent.at(-1)!.bytes, EncryptionLevel.None)
        machine.onCryptoData(host.sent[0]!.bytes, EncryptionLevel.None)
      }
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'QUIC_CRYPTO_TOO_MANY_REJECTS' })
    expect((error as Error).message).toMatch(/the last for SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE/)
  })
})

describe('a stateless reject', () => {
  const context = (): FakeHost => {
    const host = new FakeHost('dispatcher', random)
    host.wallSeconds = now
    return host
  }

  it('has what a reject has, and the id to come back with; the client begins anew with its nonce', () => {
    const server = makeServer()
    const cached = new CachedServerState()
    const clientHost = context()
    const config = { ...defaultClientConfig, connectionOptions: ['SREJ'] }
    const verifier = new CaProofVerifier({ ca: [authority.pem] })
    const options = { serverName: 'www.example.org', serverPort: 443, verifier, config, cached }
    const client = new QuicCryptoClientHandshake(clientHost, options)
    client.start()
    const answer = server.rejectStatelessly(clientHost.sent[0]!.bytes, context())!
    const srej = HandshakeMessage.parse(answer)
    expect(srej.tag).toBe(MessageTag.SREJ)
    expect(srej.tags.map(tagName)).toEqual(
      ['STK', 'SNO', 'RCID', 'PROF', 'SCFG', 'RREJ', 'STTL', 'CSCT', 'CRT\\xff']
    )
    client.onCryptoData(answer, EncryptionLevel.None)
    const id = Buffer.from(srej.get(Tag.RCID)!).toString('hex')
    expect(clientHost.events.at(-1)).toBe(`restart ${id}`)
    expect(cached.proofValid).toBe(true)
    expect(client.describe().rejections).toEqual([['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']])
    // Nobody answers on the old connection any more; what comes there is no business of this machine.
    client.onCryptoData(new HandshakeMessage('SHLO').serialize(), EncryptionLevel.Initial)
    const again = connect(server, options)
    expect(again.client.host.sent.map(({ message }) => Buffer.from(message.get(Tag.SNO)!))).toEqual([
      Buffer.from(srej.get(Tag.SNO)!)
    ])
    expect(again.client.machine.describe()).toMatchObject({ earlyData: 'none', helloCount: 1 })
    expect(again.client.machine.confirmed).toBe(true)
  })

  it('only answers what a connection would reject, and leaves nonces as they are', () => {
    const server = makeServer()
    const cached = new CachedServerState()
    const config = { ...defaultClientConfig, connectionOptions: ['SREJ'] }
    connect(server, { cached, config })
    const { client } = connect(makeServer(), { cached: CachedServerState.restore(cached.save())!, config })
    const [chlo] = client.host.sent
    expect(server.rejectStatelessly(chlo!.bytes, context())).toBeUndefined()
    const host = context()
    server.create(host).onCryptoData(chlo!.bytes, EncryptionLevel.None)
    expect(tagName(host.sent[0]!.message.tag)).toBe('SHLO')
  })

  it('leaves to a connection what it does not understand', () => {
    const server = makeServer()
    const { client } = connect(server)
    const chlo = client.host.sent[0]!.bytes
    expect(server.rejectStatelessly(chlo, context())).toBeUndefined()
    const asking = HandshakeMessage.parse(chlo).setText(Tag.COPT, 'SREJ')
    expect(server.rejectStatelessly(asking.serialize(), context())).toBeDefined()
    asking.setText(Tag.SNI, 'localhost')
    expect(server.rejectStatelessly(asking.serialize(), context())).toBeUndefined()
    expect(server.rejectStatelessly(chlo.subarray(0, 500), context())).toBeUndefined()
  })

  it('names an id under which the client reaches this server again; without any, a connection is made', () => {
    const asked: number[] = []
    const mayRetryAs = (id: Uint8Array): boolean => asked.push(id.length) > 0 && id[7]! % 4 === 3
    const server = makeServer({ mayRetryAs })
    const { client } = connect(server)
    const chlo = HandshakeMessage.parse(client.host.sent[0]!.bytes).setText(Tag.COPT, 'SREJ').serialize()
    for (let i = 0; i < 8; i++) {
      const srej = HandshakeMessage.parse(server.rejectStatelessly(chlo, context())!)
      expect(srej.get(Tag.RCID)![7]! % 4).toBe(3)
    }
    expect(new Set(asked)).toEqual(new Set([8]))
    expect(asked.length).toBeGreaterThan(8)
    expect(makeServer({ mayRetryAs: () => false }).rejectStatelessly(chlo, context())).toBeUndefined()
  })

  it('without an id, or of the wrong length, ends the connection', () => {
    for (const id of [undefined, new Uint8Array(7)]) {
      const server = makeServer()
      const host = context()
      const client = new QuicCryptoClientHandshake(host, {
        serverName: 'www.example.org',
        serverPort: 443,
        verifier: new CaProofVerifier({ ca: [authority.pem] }),
        config: { ...defaultClientConfig, connectionOptions: ['SREJ'] }
      })
      client.start()
      const srej = HandshakeMessage.parse(server.rejectStatelessly(host.sent[0]!.bytes, context())!)
      if (id === undefined) srej.delete(Tag.RCID)
      else srej.set(Tag.RCID, id)
      expect(codeOf(() => client.onCryptoData(srej.serialize(), EncryptionLevel.None))).toBe(
        QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND
      )
    }
  })
})
