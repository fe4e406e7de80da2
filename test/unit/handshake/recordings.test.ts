import { X509Certificate, createHash } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { certifiedChain } from '../../../src/quic/handshake/server/certified-chain.js'
import { decompressChain } from '../../../src/quic/crypto/cert-compressor.js'
import {
  defaultClientConfig,
  defaultServerConfig,
  processClientConfig,
  processServerConfig
} from '../../../src/quic/handshake/config.js'
import { QuicCryptoClientHandshake } from '../../../src/quic/handshake/client/client-handshake.js'
import { CachedServerState } from '../../../src/quic/handshake/client/cached-server-state.js'
import { QuicCryptoServerHandshake } from '../../../src/quic/handshake/server/server-handshake.js'
import { ServerConfigs } from '../../../src/quic/handshake/server/server-config.js'
import type { ServerNonces } from '../../../src/quic/handshake/server/server-nonce.js'
import type { SourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'
import type * as KeyExchangeModule from '../../../src/quic/crypto/key-exchange.js'
import type { KeyExchange } from '../../../src/quic/crypto/key-exchange.js'
import { CaProofVerifier, StaticProofSource } from '../../../src/quic/crypto/proof.js'
import type * as ClientHelloModule from '../../../src/quic/handshake/client/client-hello.js'
import type { ClientKeyAgreement } from '../../../src/quic/handshake/client/client-hello.js'
import { keyExchangeFromPrivate } from '../../../src/quic/crypto/key-exchange.js'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { MessageTag, Tag, tagName } from '../../../src/quic/wire/tags.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { versionByLabel } from '../../../src/quic/wire/versions/registry.js'
import {
  FakeHost,
  recordedAuthority,
  recordedKey,
  recordedServerConfig,
  seededRandom
} from '../../helpers/handshake-fixture.js'
import type { RecordedMessage } from '../../helpers/recorded-handshake.js'
import { recordedMessages } from '../../helpers/recorded-handshake.js'
import { caseNames, loadCase } from '../../helpers/vectors.js'

/** What stands in for chance while a recording is played to one of our machines. */
const replay: { ephemeral?: KeyExchange; inchoate: HandshakeMessage[]; full: HandshakeMessage[]; agreement?: ClientKeyAgreement } =
  { inchoate: [], full: [] }

vi.mock('../../../src/quic/crypto/key-exchange.js', async (original) => {
  const actual = await original<typeof KeyExchangeModule>()
  const createKeyExchange: typeof actual.createKeyExchange = (name, random) =>
    replay.ephemeral ?? actual.createKeyExchange(name, random)
  return { ...actual, createKeyExchange }
})

vi.mock('../../../src/quic/handshake/client/client-hello.js', async (original) => {
  const actual = await original<typeof ClientHelloModule>()
  const buildInchoateHello: typeof actual.buildInchoateHello = (...args) =>
    replay.inchoate.shift() ?? actual.buildInchoateHello(...args)
  const buildFullHello: typeof actual.buildFullHello = (...args) => {
    const chlo = replay.full.shift()
    return chlo === undefined ? actual.buildFullHello(...args) : { chlo, agreement: replay.agreement! }
  }
  return { ...actual, buildInchoateHello, buildFullHello }
})

const connections = caseNames((name) => !name.includes('probe'))
  .flatMap((name) => loadCase(name).info.connections.map((connection, index) => ({ name, index, connection })))
  .filter(({ connection }) => versionByLabel(connection.version ?? '') !== undefined)
const completed = connections.filter(({ connection }) => connection.keys.some((keys) => keys.level === 'forwardSecure'))

/** Tokens of a server whose secret we do not have: the recorded clients really received them. */
const trustingTokens: SourceAddressTokens = {
  issue: () => new Uint8Array(30),
  check: () => undefined,
  networkOf: () => undefined
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function fullHello(messages: RecordedMessage[]): RecordedMessage {
  return messages.filter(({ from, message }) => from === 'client' && message.has(Tag.PUBS)).at(-1)!
}

describe('recorded handshakes', () => {
  it('are there', () => {
    expect(completed.length).toBeGreaterThan(20)
  })

  it.each(connections)('of $name ($index): every message re-serialises to its bytes', ({ name, index, connection }) => {
    const messages = recordedMessages(name, index)
    expect(messages.length).toBeGreaterThan(connection.keys.length > 0 ? 1 : 0)
    for (const { message, raw } of messages) {
      const copy = new HandshakeMessage(message.tag)
      for (const tag of message.tags) copy.set(tag, message.get(tag)!)
      expect(hex(copy.serialize())).toBe(hex(raw))
      const scfg = message.get(Tag.SCFG)
      if (scfg !== undefined) expect(hex(HandshakeMessage.parse(scfg).serialize())).toBe(hex(scfg))
      const text = message.describe()
      for (const tag of message.tags) expect(text).toContain(`\n  ${tagName(tag)}:`)
    }
  })

  it.each(completed)('of $name ($index): levels, config and server config are understood', ({ name, index }) => {
    const messages = recordedMessages(name, index)
    for (const { from, level, message } of messages) {
      if (from === 'client') expect(message.tag).toBe(MessageTag.CHLO)
      if (message.tag === MessageTag.REJ) expect(level).toBe(EncryptionLevel.None)
      if (message.tag === MessageTag.SHLO) expect(level).toBe(EncryptionLevel.Initial)
    }
    const shlo = messages.find(({ message }) => message.tag === MessageTag.SHLO)!
    const toServer = processClientConfig(fullHello(messages).message, defaultServerConfig)
    const toClient = processServerConfig(shlo.message, defaultClientConfig)
    expect(toClient.idleTimeoutSeconds).toBe(toServer.idleTimeoutSeconds)
    expect(toClient.peerMaxIncomingStreams).toBeGreaterThan(0)
    const { scfg } = loadCase(name).info.server
    expect(hex(recordedServerConfig(name).bytes)).toBe(scfg)
    const id = fullHello(messages).message.get(Tag.SCID)!
    expect(hex(recordedServerConfig(name).id)).toBe(hex(id))
  })
})

describe('our client hellos', () => {
  it('have the tags of the reference client, but for certificates that are not kept', () => {
    const name = 'chromium56-v36-get-1k'
    const [inchoate, rej, full] = recordedMessages(name)
    const host = new FakeHost('tags')
    host.wallSeconds = inchoate!.message.uint64(Tag.CTIM)!
    const client = new QuicCryptoClientHandshake(host, {
      serverName: 'www.example.org',
      serverPort: 443,
      verifier: { verify: () => undefined },
      config: defaultClientConfig
    })
    client.start()
    client.onCryptoData(rej!.raw, EncryptionLevel.None)
    const withoutCached = (message: HandshakeMessage): string[] =>
      message.tags.filter((tag) => tag !== Tag.CCS && tag !== Tag.CCRT).map(tagName)
    expect(host.sent.map(({ message }) => withoutCached(message))).toEqual([
      withoutCached(inchoate!.message),
      withoutCached(full!.message)
    ])
    for (const [i, recorded] of [inchoate!, full!].entries()) {
      for (const tag of [Tag.SNI, Tag.ICSL, Tag.SCLS, Tag.MSPC, Tag.MIDS, Tag.CFCW, Tag.SFCW, Tag.PDMD, Tag.CSCT]) {
        expect(hex(host.sent[i]!.message.get(tag)!)).toBe(hex(recorded.message.get(tag)!))
      }
    }
    for (const tag of [Tag.STK, Tag.SNO, Tag.SCID, Tag.XLCT, Tag.AEAD, Tag.KEXS]) {
      expect(hex(host.sent[1]!.message.get(tag)!)).toBe(hex(full!.message.get(tag)!))
    }
    expect(host.sent.map(({ bytes }) => bytes.length)).toEqual([1300, 1024])
    expect(hex(host.sent[1]!.message.get(Tag.NONC)!.subarray(0, 12))).toBe(
      hex(full!.message.get(Tag.NONC)!.subarray(0, 12))
    )
  })
})

/** Some time within the life of the recorded certificate and server config. */
function wallSecondsOf(name: string): number {
  const leaf = Buffer.from(loadCase(name).info.server.certChain[0]!, 'base64')
  return Date.parse(new X509Certificate(leaf).validFrom) / 1000 + 3600
}

function hostOf(name: string, connection: (typeof completed)[number]['connection'], nonce?: string): FakeHost {
  const random = seededRandom(name)
  const fixed = Buffer.from(nonce ?? '', 'hex')
  const host = new FakeHost(name, (length) => (length === fixed.length ? Uint8Array.from(fixed) : random(length)))
  host.connectionId = ConnectionId.fromHex(connection.connectionId)
  host.version = versionByLabel(connection.version!)!
  // Recorded clients that prefer a version which their server lacked must not look downgraded.
  host.supportedVersions = [host.version]
  host.wallSeconds = wallSecondsOf(name)
  return host
}

/** The other half of a recorded key exchange: nobody but who recorded it has the private key, we know the outcome. */
function recordedExchange(name: 'C255' | 'P256', publicValue: Uint8Array, outcomes: [Uint8Array, string][]): KeyExchange {
  const sharedSecret = (peer: Uint8Array): Uint8Array | undefined => {
    const known = outcomes.find(([value]) => Buffer.compare(value, peer) === 0)
    return known && Buffer.from(known[1], 'hex')
  }
  return { name, publicValue, sharedSecret }
}

describe('mechanism: handshake replay', () => {
  describe('our server, given a recorded full hello, and the nonces and keys that the recorded server had', () => {
    it.each(completed)('derives the recorded keys: $connection.version $name ($index)', ({ name, index, connection }) => {
      const keys = connection.keys.find(({ level }) => level === 'initial')!
      const secure = connection.keys.find(({ level }) => level === 'forwardSecure')!
      const messages = recordedMessages(name, index)
      const chlo = fullHello(messages)
      const shlo = messages.find(({ message }) => message.tag === MessageTag.SHLO)!.message
      const host = hostOf(name, connection, keys.diversificationNonce)
      const pubs = chlo.message.get(Tag.PUBS)!
      const kind = connection.keyExchange!
      replay.ephemeral =
        secure.privateKey === undefined
          ? recordedExchange(kind, shlo.get(Tag.PUBS)!, [[pubs, secure.sharedSecret]])
          : keyExchangeFromPrivate(kind, Buffer.from(secure.privateKey, 'hex'))
      const server = new QuicCryptoServerHandshake(host, {
        configs: new ServerConfigs(recordedServerConfig(name)),
        proofSource: new StaticProofSource([recordedKey(name)]),
        tokens: trustingTokens,
        serverNonces: { issue: () => shlo.get(Tag.SNO)!, use: () => undefined } as unknown as ServerNonces,
        config: defaultServerConfig
      })
      server.start()
      server.onCryptoData(chlo.raw, chlo.level)
      replay.ephemeral = undefined
      expect(host.sent.map(({ message }) => tagName(message.tag))).toEqual(['SHLO'])
      expect(hex(host.sent[0]!.message.get(Tag.PUBS)!)).toBe(hex(shlo.get(Tag.PUBS)!))
      const { Initial, ForwardSecure } = EncryptionLevel
      const { aead } = connection
      expect(host.openers.get(Initial)).toMatchObject({ aead, key: keys.clientKey, iv: keys.clientIv })
      if (keys.serverKey !== undefined) {
        expect(host.sealers.get(Initial)).toMatchObject({ key: keys.serverKey, iv: keys.serverIv })
      }
      expect(host.openers.get(ForwardSecure)).toMatchObject({ aead, key: secure.clientKey, iv: secure.clientIv })
      expect(host.sealers.get(ForwardSecure)).toMatchObject({ key: secure.serverKey, iv: secure.serverIv })
      expect(server.describe()).toMatchObject({
        aead,
        keyExchange: kind,
        serverName: loadCase(name).info.serverName
      })
    })
  })

  describe('our client, given the recorded answers to the recorded hellos', () => {
    it.each(completed)('verifies the proof and derives the recorded keys: $connection.version $name ($index)', ({
      name,
      index,
      connection
    }) => {
      const keys = connection.keys.find(({ level }) => level === 'initial')!
      const secure = connection.keys.find(({ level }) => level === 'forwardSecure')!
      const messages = recordedMessages(name, index)
      const host = hostOf(name, connection)
      const cached = new CachedServerState()
      // A connection that begins with a full hello knows what an earlier one was told.
      if (messages[0]!.message.has(Tag.PUBS)) learn(cached, name, index, host.wallSeconds)
      const hellos = messages.filter(({ from }) => from === 'client').map(({ message }) => message)
      replay.inchoate = hellos.filter((chlo) => !chlo.has(Tag.PUBS))
      replay.full = hellos.filter((chlo) => chlo.has(Tag.PUBS))
      const chlo = replay.full.at(-1)!
      const shlo = messages.find(({ message }) => message.tag === MessageTag.SHLO)!
      const kind = connection.keyExchange!
      replay.agreement = {
        aead: connection.aead!,
        keyExchange: recordedExchange(kind, chlo.get(Tag.PUBS)!, [[shlo.message.get(Tag.PUBS)!, secure.sharedSecret]]),
        initialSecret: Buffer.from(keys.sharedSecret, 'hex'),
        clientNonce: chlo.get(Tag.NONC)!,
        serverNonce: chlo.get(Tag.SNO) ?? new Uint8Array(0)
      }
      const client = new QuicCryptoClientHandshake(host, {
        serverName: loadCase(name).info.serverName,
        serverPort: 443,
        verifier: new CaProofVerifier({ ca: [recordedAuthority(name)] }),
        // What was offered, so that the answer is within it.
        config: { ...defaultClientConfig, connectionOptions: ['SREJ'] },
        cached
      })
      client.start()
      for (const { from, raw, level } of messages) if (from === 'server') client.onCryptoData(raw, level)
      expect(host.sent.map(({ bytes }) => hex(bytes))).toEqual(
        messages.filter(({ from }) => from === 'client').map(({ raw }) => hex(raw))
      )
      expect(client.confirmed).toBe(true)
      expect(cached.chain.map((der) => Buffer.from(der).toString('base64'))).toEqual(loadCase(name).info.server.certChain)
      const { Initial, ForwardSecure } = EncryptionLevel
      expect(host.sealers.get(Initial)).toMatchObject({ key: keys.clientKey, iv: keys.clientIv })
      if (keys.diversificationNonce !== undefined) {
        const diversified = host.diversify!(Buffer.from(keys.diversificationNonce, 'hex'))
        expect(diversified).toMatchObject({ key: keys.serverKey, iv: keys.serverIv })
      } else if (keys.serverKey !== undefined) {
        expect(host.openers.get(Initial)).toMatchObject({ key: keys.serverKey, iv: keys.serverIv })
      }
      expect(host.sealers.get(ForwardSecure)).toMatchObject({ key: secure.clientKey, iv: secure.clientIv })
      expect(host.openers.get(ForwardSecure)).toMatchObject({ key: secure.serverKey, iv: secure.serverIv })
    })
  })
})

/** What the connections of a recording before the one at `index` were told. */
function learn(cached: CachedServerState, name: string, index: number, wallSeconds: number): void {
  for (let earlier = 0; earlier < index; earlier++) {
    const messages = recordedMessages(name, earlier)
    const isRejection = ({ message }: RecordedMessage): boolean =>
      message.tag === MessageTag.REJ || message.tag === MessageTag.SREJ
    for (const [i, rej] of messages.entries()) {
      if (isRejection(rej)) cached.update(rej.message, hash(messages[i - 1]!.raw), wallSeconds)
    }
  }
}

describe('our certificate compression', () => {
  it('compresses chains in a form that gives the same chain back', () => {
    const key = recordedKey('chromium56-v36-get-1k')
    expect(decompressChain(certifiedChain(key).compressedFor(undefined)).map(hex)).toEqual(key.chain.map(hex))
  })
})

function hash(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}
