/** Everything in this folder against what Chromium 56, quic-go and lsquic did with it. */
import { describe, expect, it } from 'vitest'
import { X509Certificate, createHash } from 'node:crypto'
import { caseNames, loadCase } from '../../helpers/vectors.js'
import type { ConnectionJson, KeysJson, RecordedCase } from '../../helpers/vectors.js'
import { FrameLog } from '../../helpers/frame-log.js'
import { openCase } from '../../helpers/recorded-packets.js'
import { compressChain, decompressChain } from '../../../src/quic/crypto/cert-compressor.js'
import { hkdf } from '../../../src/quic/crypto/hkdf.js'
import { keyExchangeFromPrivate } from '../../../src/quic/crypto/key-exchange.js'
import type { KeyExchangeName } from '../../../src/quic/crypto/key-exchange.js'
import { deriveKeys, diversifyServerKey } from '../../../src/quic/crypto/key-schedule.js'
import { CaProofVerifier, certifiedKeyFromPem, signedProofData } from '../../../src/quic/crypto/proof.js'
import { EncryptionLevel, Perspective } from '../../../src/quic/types.js'
import { HandshakeMessage, HandshakeMessageReader } from '../../../src/quic/wire/handshake-message.js'
import { tagOf } from '../../../src/quic/wire/tags.js'
import { knownVersionByLabel } from '../../../src/quic/wire/versions/registry.js'

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (b: Uint8Array | undefined) => b && Buffer.from(b).toString('hex')
const pem = (base64: string) => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
const cases = caseNames()
  .map(loadCase)
  .filter(({ info }) => info.connections.some((connection) => connection.keys.length > 0))
  .map((recorded): [string, RecordedCase] => [recorded.info.case, recorded])

/** quic-go recorded whole hellos and the compressed chain, Chromium the hash. */
interface ProofJson {
  chlo?: string
  chloHash?: string
  scfg?: string
  signature: string
  compressedChain?: string
}

/** The inputs of the key schedule, cut out of the recorded HKDF info. */
function partsOf(keys: KeysJson, connection: ConnectionJson, leaf: Uint8Array) {
  const label = keys.level === 'initial' ? 'QUIC key expansion\0' : 'QUIC forward secure key expansion\0'
  const info = bytes(keys.hkdfInfo)
  expect(Buffer.from(info.subarray(0, label.length)).toString('latin1')).toBe(label)
  const connectionId = info.subarray(label.length, label.length + 8)
  expect(hex(connectionId)).toBe(connection.connectionId)
  const reader = new HandshakeMessageReader()
  reader.push(info.subarray(label.length + 8))
  const chlo = reader.next()!.serialize()
  const serverConfig = info.subarray(label.length + 8 + chlo.length, info.length - leaf.length)
  expect(hex(info.subarray(info.length - leaf.length))).toBe(hex(leaf))
  return { connectionId, chlo, serverConfig }
}

/** 32 bytes as they are, or behind the OCTET STRING tag of an ECPrivateKey. */
function rawPrivateKey(name: KeyExchangeName, recorded: string): Uint8Array {
  return name === 'C255' ? bytes(recorded) : bytes(recorded).slice(7, 39)
}

/** The handshake messages that the server sent without encryption, of every connection. */
function rejections(recorded: RecordedCase): HandshakeMessage[] {
  const streams = new Map<string, Map<number, Uint8Array>>()
  for (const packet of openCase(recorded).packets) {
    if (packet.sender !== Perspective.Server || packet.level !== EncryptionLevel.None) continue
    const name = packet.connectionId.toString('hex')
    const chunks = streams.get(name) ?? new Map<number, Uint8Array>()
    streams.set(name, chunks)
    const log = new FrameLog()
    const { plaintext, packetNumber, header, version } = packet
    version.frames.decode(plaintext, 0, plaintext.length, packetNumber, header.packetNumberLength, log)
    for (const frame of log.frames) {
      const handshake = frame.kind === 'crypto' || (frame.kind === 'stream' && frame.streamId === 1)
      if (handshake) chunks.set(frame.offset, frame.data)
    }
  }
  const messages: HandshakeMessage[] = []
  for (const chunks of streams.values()) {
    const reader = new HandshakeMessageReader()
    for (const offset of [...chunks.keys()].sort((a, b) => a - b)) reader.push(chunks.get(offset)!)
    for (let message = reader.next(); message !== undefined; message = reader.next()) messages.push(message)
  }
  return messages
}

it('has recordings of both implementations', () => {
  expect(cases.filter(([name]) => name.startsWith('chromium56')).length).toBeGreaterThan(10)
  expect(cases.filter(([name]) => name.startsWith('quicgo')).length).toBeGreaterThan(1)
})

describe.each(cases)('%s', (_name, recorded) => {
  const { info } = recorded
  const leaf = new Uint8Array(Buffer.from(info.server.certChain[0]!, 'base64'))
  const chain = info.server.certChain.map((base64) => new Uint8Array(Buffer.from(base64, 'base64')))
  const proofs = (info.server.proofs ?? []) as ProofJson[]
  const wallSeconds = Date.parse(new X509Certificate(leaf).validFrom) / 1000 + 3600

  it('protected packets with the keys that follow from secret, salt and hello', () => {
    for (const connection of info.connections) {
      const { protection: style } = knownVersionByLabel(connection.version!)!
      for (const keys of connection.keys) {
        if (keys.level === 'versionSalt') continue
        const derived = deriveKeys({
          style,
          aead: connection.aead!,
          forwardSecure: keys.level === 'forwardSecure',
          sharedSecret: bytes(keys.sharedSecret),
          salt: bytes(keys.hkdfSalt),
          leafCertificate: leaf,
          ...partsOf(keys, connection, leaf)
        })
        expect(hex(derived.clientKey)).toBe(keys.clientKey)
        expect(hex(derived.clientIv)).toBe(keys.clientIv)
        expect([hex(derived.clientHeaderKey), hex(derived.serverHeaderKey)]).toEqual([keys.clientHp, keys.serverHp])
        const whole = hkdf(bytes(keys.sharedSecret), bytes(keys.hkdfSalt), [bytes(keys.hkdfInfo)], 16)
        expect(keys.clientKey.startsWith(hex(whole)!)).toBe(true)
        if (keys.diversificationNonce !== undefined) {
          expect(hex(derived.serverKey)).toBe(keys.serverKeyBeforeDiversification)
          expect(hex(derived.serverIv)).toBe(keys.serverIvBeforeDiversification)
          const nonce = bytes(keys.diversificationNonce)
          const server = diversifyServerKey(connection.aead!, derived.serverKey, derived.serverIv, nonce)
          expect([hex(server.key), hex(server.iv)]).toEqual([keys.serverKey, keys.serverIv])
        } else if (keys.serverKey !== undefined) {
          expect([hex(derived.serverKey), hex(derived.serverIv)]).toEqual([keys.serverKey, keys.serverIv])
        }
      }
    }
  })

  it("agreed on the secret that the server's private key and the client's PUBS give", () => {
    for (const connection of info.connections) {
      const initial = connection.keys.find((keys) => keys.level === 'initial')
      // A connection that ended in a stateless reject.
      if (initial === undefined) continue
      const name = connection.keyExchange!
      const { chlo } = partsOf(initial, connection, leaf)
      const peer = HandshakeMessage.parse(chlo).get(tagOf('PUBS'))!
      const server = keyExchangeFromPrivate(name, rawPrivateKey(name, info.server.privateKeys[name]!))
      expect(hex(server.sharedSecret(peer))).toBe(initial.sharedSecret)
    }
  })

  it.runIf(proofs.length > 0)('carried proofs that verify, for what they prove and nothing else', () => {
    const verifier = new CaProofVerifier({ ca: [pem(info.server.certChain.at(-1)!)] })
    for (const proof of proofs) {
      const scfg = bytes(proof.scfg ?? info.server.scfg)
      const chloHash = bytes(proof.chloHash ?? hex(createHash('sha256').update(bytes(proof.chlo!)).digest())!)
      const signature = bytes(proof.signature)
      const verify = (hash: Uint8Array, config: Uint8Array, signed: Uint8Array) =>
        verifier.verify({
          hostname: info.serverName,
          chain,
          signedData: signedProofData(hash, config),
          signature: signed,
          wallSeconds
        })
      const flipped = (b: Uint8Array) => Uint8Array.from(b, (byte, i) => (i === b.length - 1 ? byte ^ 1 : byte))
      expect(verify(chloHash, scfg, signature)).toBeUndefined()
      expect(verify(flipped(chloHash), scfg, signature)).toMatch(/signature is wrong/)
      expect(verify(chloHash, flipped(scfg), signature)).toMatch(/signature is wrong/)
      expect(verify(chloHash, scfg, flipped(signature))).toMatch(/signature is wrong/)
      expect(verify(chloHash, scfg, new Uint8Array(0))).toMatch(/signature is wrong/)
    }
  })

  it('can be proved anew with the recorded key', () => {
    const key = certifiedKeyFromPem(info.server.certChain.map(pem).join(''), info.server.leafKeyPem)
    const signedData = signedProofData(new Uint8Array(32), bytes(info.server.scfg))
    const verifier = new CaProofVerifier({ ca: [pem(info.server.certChain.at(-1)!)] })
    const signature = key.sign(signedData)
    const proof = { hostname: info.serverName, chain: key.chain, signedData, signature, wallSeconds }
    expect(verifier.verify(proof)).toBeUndefined()
  })

  it('carried the certificate chain', () => {
    const carried: Uint8Array[] = []
    for (const { compressedChain } of proofs) if (compressedChain !== undefined) carried.push(bytes(compressedChain))
    for (const message of rejections(recorded)) {
      const crt = message.get(tagOf('CRT\xff'))
      if (crt !== undefined) carried.push(crt)
    }
    expect(carried.length).toBeGreaterThan(0)
    for (const crt of carried) expect(decompressChain(crt).map(hex)).toEqual(chain.map(hex))
    // Chromium compresses at the same level: entries, size and zlib header are ours byte for byte.
    if (!info.source.startsWith('Chromium')) return
    expect(hex(carried[0]!.subarray(0, 13))).toBe(hex(compressChain(chain).subarray(0, 13)))
  })
})
