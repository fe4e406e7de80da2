import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compressChain } from '../../../src/quic/crypto/cert-compressor.js'
import type { ProofParameters } from '../../../src/quic/crypto/proof.js'
import { CaProofVerifier, InsecureProofVerifier, StaticProofSource } from '../../../src/quic/crypto/proof.js'
import { QuicErrorCode as Code } from '../../../src/quic/errors.js'
import { CachedServerState } from '../../../src/quic/handshake/client/cached-server-state.js'
import { QuicCryptoClientHandshake } from '../../../src/quic/handshake/client/client-handshake.js'
import type { ClientHandshakeOptions } from '../../../src/quic/handshake/client/client-handshake.js'
import { defaultClientConfig, defaultServerConfig } from '../../../src/quic/handshake/config.js'
import { QuicCryptoServerHandshake } from '../../../src/quic/handshake/server/server-handshake.js'
import { ServerConfig, ServerConfigs } from '../../../src/quic/handshake/server/server-config.js'
import { ServerNonces } from '../../../src/quic/handshake/server/server-nonce.js'
import { SecretSourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { Tag, tagName, tagOf } from '../../../src/quic/wire/tags.js'
import { versionByLabel } from '../../../src/quic/wire/versions/registry.js'
import {
  FakeHost,
  carry,
  codeOf,
  fakeVersions,
  recordedAuthority,
  recordedKey,
  seededRandom
} from '../../helpers/handshake-fixture.js'

const CASE = 'chromium56-v36-cc20-p256-ecdsa'
const random = seededRandom('client handshake')
const key = recordedKey(CASE)

function makeClient(options: Partial<ClientHandshakeOptions> = {}) {
  const host = new FakeHost('client')
  const cached = options.cached ?? new CachedServerState()
  const machine = new QuicCryptoClientHandshake(host, {
    serverName: 'www.example.org',
    serverPort: 443,
    verifier: new InsecureProofVerifier(),
    config: defaultClientConfig,
    ...options,
    cached
  })
  const receive = (message: HandshakeMessage, level: EncryptionLevel = EncryptionLevel.None): void => {
    machine.onCryptoData(message.serialize(), level)
  }
  return { host, machine, cached, receive }
}

function makeServer() {
  const host = new FakeHost('server')
  const config = ServerConfig.generate({
    random,
    wallSeconds: host.wallSeconds,
    aeads: ['CC20', 'AESG'],
    keyExchanges: ['C255', 'P256']
  })
  const machine = new QuicCryptoServerHandshake(host, {
    configs: new ServerConfigs(config),
    proofSource: new StaticProofSource([key]),
    tokens: new SecretSourceAddressTokens(random(16), random),
    serverNonces: new ServerNonces(random),
    config: defaultServerConfig
  })
  return { host, machine, config }
}

/** A client that has sent its first hello, and the answer to it, not delivered yet. */
function afterFirst(options?: Partial<ClientHandshakeOptions>) {
  const [client, server] = [makeClient(options), makeServer()]
  client.machine.start()
  carry(client, server)
  return { client, server, rej: HandshakeMessage.parse(server.host.outbox.pop()!.bytes) }
}

/** A client that has sent its full hello, and the answer to it, not delivered yet. */
function afterFull(options?: Partial<ClientHandshakeOptions>) {
  const { client, server, rej } = afterFirst(options)
  client.receive(rej)
  carry(client, server)
  return { client, server, rej, shlo: HandshakeMessage.parse(server.host.outbox.pop()!.bytes) }
}

/** A connected client, and a server config update as its server would send it. */
function connected() {
  const { client, server, rej, shlo } = afterFull()
  client.receive(shlo, EncryptionLevel.Initial)
  const scup = new HandshakeMessage('SCUP')
  for (const tag of [Tag.SCFG, Tag.STK, Tag.PROF, Tag.CRT, Tag.STTL]) scup.set(tag, rej.get(tag)!)
  return { client, server, scup }
}

function edited(message: HandshakeMessage, edit: (message: HandshakeMessage) => void): HandshakeMessage {
  const copy = HandshakeMessage.parse(Uint8Array.from(message.serialize()))
  edit(copy)
  return copy
}

/** A rejection whose server config is edited. */
function withConfig(rej: HandshakeMessage, edit: (scfg: HandshakeMessage) => void): HandshakeMessage {
  const scfg = edited(HandshakeMessage.parse(rej.get(Tag.SCFG)!), edit)
  return edited(rej, (copy) => copy.set(Tag.SCFG, scfg.serialize()))
}

type Edit = (message: HandshakeMessage) => void

describe('a client closes the connection on a rejection with', () => {
  const cases: [string, number, Edit][] = [
    ['no server config', Code.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, (m) => m.delete(Tag.SCFG)],
    ['no message as server config', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.setText(Tag.SCFG, 'SCFG')],
    ['a server config that has run out', Code.CRYPTO_SERVER_CONFIG_EXPIRED, (m) => m.delete(Tag.STTL)],
    ['a proof without chain', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.CRT)],
    ['a chain without proof', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.PROF)],
    ['a broken chain', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.set(Tag.CRT, random(20))],
    ['an empty chain', Code.PROOF_INVALID, (m) => m.set(Tag.CRT, compressChain([]))],
    ['a token that is too large', Code.CRYPTO_CHLO_TOO_LARGE, (m) => m.set(Tag.STK, random(1200))]
  ]
  it.each(cases)('%s: %i', (name, code, edit) => {
    const { client, rej } = afterFirst()
    const late = withConfig(rej, (scfg) => scfg.setUint64(Tag.EXPY, client.host.wallSeconds - 1))
    const bad = edited(name.includes('run out') ? late : rej, edit)
    expect(codeOf(() => client.receive(bad))).toBe(code)
    expect(client.host.sent.length).toBe(1)
  })

  const configs: [string, number, Edit][] = [
    ['no id', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.SCID)],
    ['no AEAD', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.AEAD)],
    ['no key exchange', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.KEXS)],
    ['a strange AEAD', Code.CRYPTO_NO_SUPPORT, (m) => m.setText(Tag.AEAD, 'S20P')],
    ['a strange key exchange', Code.CRYPTO_NO_SUPPORT, (m) => m.setText(Tag.KEXS, 'P384')],
    ['no public value', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.PUBS)],
    ['too few public values', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.setLength24List(Tag.PUBS, [])],
    ['a useless value', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.setLength24List(Tag.PUBS, [random(3)])],
    ['no orbit', Code.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, (m) => m.delete(Tag.OBIT)],
    ['a short orbit', Code.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, (m) => m.set(Tag.OBIT, random(7))]
  ]
  it.each(configs)('a server config with %s: %i, and forgets it', (_, code, edit) => {
    const { client, rej } = afterFirst()
    expect(codeOf(() => client.receive(withConfig(rej, edit)))).toBe(code)
    expect(client.cached.serverConfig).toBeUndefined()
  })

  it('a server config that never ends', () => {
    const { client, rej } = afterFirst()
    const endless = edited(withConfig(rej, (scfg) => scfg.delete(Tag.EXPY)), (m) => m.delete(Tag.STTL))
    expect(codeOf(() => client.receive(endless))).toBe(Code.INVALID_CRYPTO_MESSAGE_PARAMETER)
  })
})

describe('a client verifies the proof', () => {
  const trusting = { verifier: new CaProofVerifier({ ca: [recordedAuthority(CASE)] }) }

  it('over its own last hello and the server config, for the name it meant', () => {
    const seen: ProofParameters[] = []
    const { client, rej } = afterFirst({ verifier: { verify: (proof) => void seen.push({ ...proof }) } })
    client.receive(rej)
    expect(seen.length).toBe(1)
    expect(seen[0]).toMatchObject({ hostname: 'www.example.org', wallSeconds: client.host.wallSeconds })
    const scfg = rej.get(Tag.SCFG)!
    expect(Buffer.compare(seen[0]!.signedData.subarray(-scfg.length), scfg)).toBe(0)
  })

  it.each<[string, Edit]>([
    ['another signature', (m) => m.set(Tag.PROF, random(70))],
    ['another server config', (m) => m.set(Tag.SCFG, makeServer().config.bytes)]
  ])('and refuses %s', (_, edit) => {
    const { client, rej } = afterFirst(trusting)
    expect(codeOf(() => client.receive(edited(rej, edit)))).toBe(Code.PROOF_INVALID)
  })

  it('and refuses a proof that answers another hello', () => {
    const [a, b] = [afterFirst(trusting), afterFirst(trusting)]
    const other = makeClient(trusting)
    other.host.wallSeconds -= 7
    other.machine.start()
    expect(codeOf(() => other.receive(b.rej))).toBe(Code.PROOF_INVALID)
    expect(codeOf(() => a.client.receive(a.rej))).toBeUndefined()
  })

  it('and refuses a certificate for another name, saying so', () => {
    const { client, rej } = afterFirst({ ...trusting, serverName: 'other.example.net' })
    expect(() => client.receive(rej)).toThrow(/^QUIC_PROOF_INVALID: Proof invalid: .*other\.example\.net/)
  })
})

describe('a client gives up', () => {
  it('after four hellos', () => {
    const { client, rej } = afterFirst()
    const bare = edited(rej, (m) => {
      m.delete(Tag.PROF)
      m.delete(Tag.CRT)
    })
    for (let i = 0; i < 3; i++) client.receive(bare)
    expect(client.host.sent.length).toBe(4)
    expect(codeOf(() => client.receive(bare))).toBe(Code.CRYPTO_TOO_MANY_REJECTS)
    expect(client.host.sent.length).toBe(4)
    expect(client.machine.describe().helloCount).toBe(4)
  })

  it('when packets are too small for a hello', () => {
    const client = makeClient()
    client.host.maxPacketLength = 1073
    expect(codeOf(() => client.machine.start())).toBe(Code.INTERNAL_ERROR)
    const barely = makeClient()
    barely.host.maxPacketLength = 1074
    barely.machine.start()
    expect(barely.host.sent[0]!.bytes.length).toBe(1024)
  })
})

describe('a client closes the connection on a message that is out of place', () => {
  it('before it has sent anything', () => {
    const { rej } = afterFirst()
    expect(codeOf(() => makeClient().receive(rej))).toBe(Code.INVALID_CRYPTO_MESSAGE_TYPE)
  })

  it('after the first hello', () => {
    const { shlo } = afterFull()
    const send = (tag: string) => codeOf(() => afterFirst().client.receive(new HandshakeMessage(tag)))
    expect(codeOf(() => afterFirst().client.receive(shlo))).toBe(Code.INVALID_CRYPTO_MESSAGE_TYPE)
    expect(send('CHLO')).toBe(Code.INVALID_CRYPTO_MESSAGE_TYPE)
    expect(send('SREJ')).toBe(Code.CRYPTO_HANDSHAKE_STATELESS_REJECT)
    expect(send('SCUP')).toBe(Code.CRYPTO_UPDATE_BEFORE_HANDSHAKE_COMPLETE)
  })

  it('after the full hello', () => {
    const send = (tag: string) => codeOf(() => afterFull().client.receive(new HandshakeMessage(tag)))
    expect(send('CHLO')).toBe(Code.INVALID_CRYPTO_MESSAGE_TYPE)
    expect(send('SCUP')).toBe(Code.CRYPTO_UPDATE_BEFORE_HANDSHAKE_COMPLETE)
    const { client, rej } = afterFull()
    expect(codeOf(() => client.receive(rej, EncryptionLevel.Initial))).toBe(
      Code.CRYPTO_ENCRYPTION_LEVEL_INCORRECT
    )
  })

  it('after the handshake', () => {
    for (const tag of ['REJ', 'SHLO', 'CHLO']) {
      const { client } = connected()
      expect(codeOf(() => client.receive(new HandshakeMessage(tag), EncryptionLevel.ForwardSecure))).toBe(
        Code.CRYPTO_MESSAGE_AFTER_HANDSHAKE_COMPLETE
      )
    }
  })
})

describe('a client accepts a server hello', () => {
  it('only encrypted', () => {
    const { client, shlo } = afterFull()
    expect(codeOf(() => client.receive(shlo))).toBe(Code.CRYPTO_ENCRYPTION_LEVEL_INCORRECT)
    expect(client.machine.confirmed).toBe(false)
  })

  const cases: [string, number, Edit][] = [
    ['no version list', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.VER)],
    ['a broken version list', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.setText(Tag.VER, 'Q03')],
    ['a list without the version in use', Code.VERSION_NEGOTIATION_MISMATCH, (m) => m.setText(Tag.VER, 'Q035')],
    ['no nonce', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.SNO)],
    ['no public value', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.delete(Tag.PUBS)],
    ['a useless public value', Code.INVALID_CRYPTO_MESSAGE_PARAMETER, (m) => m.set(Tag.PUBS, new Uint8Array(32))],
    ['no idle timeout', Code.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, (m) => m.delete(Tag.ICSL)],
    ['more than was asked for', Code.INVALID_NEGOTIATED_VALUE, (m) => m.setUint32(Tag.MSPC, 101)],
    ['a small window', Code.FLOW_CONTROL_INVALID_WINDOW, (m) => m.setUint32(Tag.SFCW, 1)]
  ]
  it.each(cases)('not with %s: %i', (_, code, edit) => {
    const { client, shlo } = afterFull()
    expect(codeOf(() => client.receive(edited(shlo, edit), EncryptionLevel.Initial))).toBe(code)
    expect(client.host.config).toBeUndefined()
    expect(client.machine.confirmed).toBe(false)
  })

  it('after version negotiation only with the very list that was negotiated', () => {
    const listed = fakeVersions.map(({ tag }) => tag)
    const lists: [number[], boolean][] = [
      [listed, true],
      [[...listed].reverse(), false],
      [listed.slice(1), false],
      [[...listed, tagOf('Q031')], false]
    ]
    for (const [offered, good] of lists) {
      const { client, shlo } = afterFull()
      client.host.receivedVersionTags = offered
      const code = codeOf(() => client.receive(shlo, EncryptionLevel.Initial))
      expect(code).toBe(good ? undefined : Code.VERSION_NEGOTIATION_MISMATCH)
    }
  })

  it('with an empty nonce: the one of the hello then serves for both levels', () => {
    const { client, shlo } = afterFull()
    client.receive(edited(shlo, (m) => m.set(Tag.SNO, new Uint8Array(0))), EncryptionLevel.Initial)
    expect(client.machine.confirmed).toBe(true)
  })

  it('with the keys of its own hello, whatever the cached state has become since', () => {
    const { client, server, shlo } = afterFull()
    client.cached.clear()
    client.receive(shlo, EncryptionLevel.Initial)
    expect(client.host.sealers.get(EncryptionLevel.ForwardSecure)!.key).toBe(
      server.host.openers.get(EncryptionLevel.ForwardSecure)!.key
    )
  })
})

describe('a client names in VER what it prefers', () => {
  it('also after negotiation has led to another version', () => {
    const client = makeClient()
    client.host.version = versionByLabel('Q034')!
    client.machine.start()
    expect(tagName(client.host.sent[0]!.message.uint32(Tag.VER)!)).toBe('Q036')
  })
})

describe('a server config update', () => {
  it('is kept for the next connection and changes nothing in this one', () => {
    const { client, scup } = connected()
    const before = client.host.events.length
    const newer = edited(scup, (m) => m.set(Tag.STK, random(30)).set(Tag.PROF, random(60)))
    client.receive(newer, EncryptionLevel.ForwardSecure)
    expect(client.host.events.length).toBe(before)
    expect(Buffer.compare(client.cached.sourceAddressToken, newer.get(Tag.STK)!)).toBe(0)
    expect(Buffer.compare(client.cached.signature, newer.get(Tag.PROF)!)).toBe(0)
    expect(client.cached.isComplete(client.host.wallSeconds)).toBe(true)
  })

  it('without proof leaves nothing to begin the next connection with', () => {
    const { client, scup } = connected()
    const bare = edited(scup, (m) => [Tag.PROF, Tag.CRT].forEach((tag) => m.delete(tag)))
    client.receive(bare, EncryptionLevel.ForwardSecure)
    expect(client.cached.isComplete(client.host.wallSeconds)).toBe(false)
    expect(client.machine.describe().certificates.length).toBe(2)
  })

  it('that is broken or not proven closes the connection', () => {
    const problems: string[] = []
    const { client, rej, shlo } = afterFull({ verifier: { verify: () => problems[0] } })
    client.receive(shlo, EncryptionLevel.Initial)
    const scup = new HandshakeMessage('SCUP')
    expect(codeOf(() => client.receive(scup))).toBe(Code.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND)
    problems.push('revoked')
    for (const tag of [Tag.SCFG, Tag.PROF, Tag.CRT]) scup.set(tag, rej.get(tag)!)
    expect(codeOf(() => client.receive(scup))).toBe(Code.PROOF_INVALID)
  })
})

describe('whatever a server sends', () => {
  const stages = fc.constantFrom('rej', 'shlo', 'scup')

  it('a client throws nothing but QuicErrors', () => {
    const mutation = fc.tuple(fc.nat(5000), fc.nat(255))
    const level = fc.constantFrom(0, 1, 2) as fc.Arbitrary<EncryptionLevel>
    fc.assert(
      fc.property(stages, fc.array(mutation, { maxLength: 6 }), level, (at, changes, given) => {
        const { client, message } = atStage(at)
        const bytes = Uint8Array.from(message.serialize())
        for (const [place, value] of changes) bytes[place % bytes.length] = value
        codeOf(() => client.machine.onCryptoData(bytes, given))
      }),
      { numRuns: 300 }
    )
  })

  it('with arbitrary values, too', () => {
    fc.assert(
      fc.property(stages, fc.nat(), fc.uint8Array({ maxLength: 70 }), (at, n, value) => {
        const { client, message } = atStage(at)
        const level = at === 'rej' ? EncryptionLevel.None : EncryptionLevel.Initial
        const { tags } = message
        codeOf(() => client.receive(edited(message, (m) => m.set(tags[n % tags.length]!, value)), level))
      }),
      { numRuns: 200 }
    )
  })
})

function atStage(stage: string): { client: ReturnType<typeof makeClient>; message: HandshakeMessage } {
  if (stage === 'rej') {
    const { client, rej } = afterFirst()
    return { client, message: rej }
  }
  if (stage === 'shlo') {
    const { client, shlo } = afterFull()
    return { client, message: shlo }
  }
  const { client, scup } = connected()
  return { client, message: scup }
}
