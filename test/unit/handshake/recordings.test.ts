import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
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
import { ServerNonces } from '../../../src/quic/handshake/server/server-nonce.js'
import type { SourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'
import { CaProofVerifier, StaticProofSource } from '../../../src/quic/crypto/proof.js'
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

const connections = caseNames((name) => !name.includes('probe'))
  .flatMap((name) => loadCase(name).info.connections.map((connection, index) => ({ name, index, connection })))
  .filter(({ connection }) => versionByLabel(connection.version ?? '') !== undefined)
const completed = connections.filter(({ connection }) => connection.keys.some((keys) => keys.level === 'forwardSecure'))

/** Tokens of a server whose secret we do not have: the recorded clients really received them. */
const trustingTokens: SourceAddressTokens = { issue: () => new Uint8Array(30), check: () => undefined }

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

  it.each(connections)('of $name ($index): every message re-serialises to its bytes', ({ name, index }) => {
    const messages = recordedMessages(name, index)
    expect(messages.length).toBeGreaterThan(1)
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

describe('our server, given a recorded full hello and the server config it was meant for', () => {
  it.each(completed)('derives the recorded initial keys: $name ($index)', ({ name, index, connection }) => {
    const keys = connection.keys.find(({ level }) => level === 'initial')!
    const messages = recordedMessages(name, index)
    const chlo = fullHello(messages)
    const nonce = Buffer.from(keys.diversificationNonce!, 'hex')
    const random = seededRandom(name)
    const host = new FakeHost(name, (length) => (length === 32 ? Uint8Array.from(nonce) : random(length)))
    host.connectionId = ConnectionId.fromHex(connection.connectionId)
    host.version = versionByLabel(connection.version!)!
    // Recorded clients that prefer a version which their server lacked must not look downgraded.
    host.supportedVersions = [host.version]
    const server = new QuicCryptoServerHandshake(host, {
      configs: new ServerConfigs(recordedServerConfig(name)),
      proofSource: new StaticProofSource([recordedKey(name)]),
      tokens: trustingTokens,
      serverNonces: new ServerNonces(random),
      config: defaultServerConfig
    })
    server.start()
    server.onCryptoData(chlo.raw, chlo.level)
    expect(host.sent.map(({ message }) => tagName(message.tag))).toEqual(['SHLO'])
    expect(host.openers.get(EncryptionLevel.Initial)).toMatchObject({
      aead: connection.aead,
      key: keys.clientKey,
      iv: keys.clientIv
    })
    expect(host.sealers.get(EncryptionLevel.Initial)).toMatchObject({ key: keys.serverKey, iv: keys.serverIv })
    expect(server.describe()).toMatchObject({
      aead: connection.aead,
      keyExchange: connection.keyExchange,
      serverName: loadCase(name).info.serverName
    })
  })
})

describe('our client, given recorded rejections', () => {
  it.each(completed.filter(({ index }) => index === 0))('verifies the recorded proof: $name', ({ name, index }) => {
    const messages = recordedMessages(name, index)
    const rej = messages.findLast(({ message }) => message.tag === MessageTag.REJ)!
    const asked = messages[messages.indexOf(rej) - 1]!
    const wallSeconds = Number(Buffer.from(fullHello(messages).message.get(Tag.NONC)!).readUInt32BE(0))
    const cached = new CachedServerState()
    const host = new FakeHost(name)
    host.wallSeconds = wallSeconds
    // As if an earlier connection had sent the recorded hello and got the recorded answer.
    cached.update(rej.message, hash(asked.raw), wallSeconds)
    expect(cached.isComplete(wallSeconds)).toBe(false)
    expect(cached.chain.map((der) => Buffer.from(der).toString('base64'))).toEqual(loadCase(name).info.server.certChain)
    const client = new QuicCryptoClientHandshake(host, {
      serverName: loadCase(name).info.serverName,
      serverPort: 443,
      verifier: new CaProofVerifier({ ca: [recordedAuthority(name)] }),
      config: defaultClientConfig,
      cached
    })
    client.start()
    expect(cached.proofValid).toBe(true)
    expect(host.sent[0]!.message.has(Tag.PUBS)).toBe(true)
    expect(client.encryptionEstablished).toBe(true)
  })

  it('compresses chains in a form that gives the same chain back', () => {
    const key = recordedKey('chromium56-v36-get-1k')
    expect(decompressChain(certifiedChain(key).compressed).map(hex)).toEqual(key.chain.map(hex))
  })
})

function hash(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}
