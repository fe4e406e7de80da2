/**
 * Handshake machines without a connection: a host that notes what it is told, and a wire that carries messages between
 * two of them as connections would, at the level and under the keys that each side has installed.
 */
import { createHash, createPrivateKey } from 'node:crypto'
import { ConnectionId } from '../../src/quic/connection-id.js'
import type { CertifiedKey } from '../../src/quic/crypto/proof.js'
import { certifiedKeyFromPem } from '../../src/quic/crypto/proof.js'
import { nodePrimitives } from '../../src/quic/crypto/node-primitives.js'
import type {
  AeadName,
  AeadProvider,
  HeaderProtector,
  PacketOpener,
  PacketSealer
} from '../../src/quic/crypto/protection.js'
import { QuicError } from '../../src/quic/errors.js'
import type { CryptoHandshake, HandshakeHost } from '../../src/quic/handshake/handshake.js'
import type { NegotiatedConfig } from '../../src/quic/handshake/negotiated-config.js'
import { ServerConfig } from '../../src/quic/handshake/server/server-config.js'
import { EncryptionLevel } from '../../src/quic/types.js'
import type { PeerAddress } from '../../src/quic/types.js'
import { HandshakeMessage } from '../../src/quic/wire/handshake-message.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { loadCase } from './vectors.js'

/** Bytes that follow from `seed` alone. */
export function seededRandom(seed: string): (length: number) => Uint8Array {
  let count = 0
  return (length) => {
    const blocks: Buffer[] = []
    for (let have = 0; have < length; have += 32) {
      blocks.push(createHash('sha256').update(`${seed} ${count++}`).digest())
    }
    return Uint8Array.from(Buffer.concat(blocks).subarray(0, length))
  }
}

/** The certificate and key of a recorded case: ECDSA in Chromium's `…-ecdsa` and in quic-go's, RSA in all others. */
export function recordedKey(name: string): CertifiedKey {
  const { server } = loadCase(name).info
  return certifiedKeyFromPem(server.certChain.map(pemOf).join('\n'), server.leafKeyPem)
}

/** The last certificate of a recorded chain, as PEM: trust it and the chain holds. */
export function recordedAuthority(name: string): string {
  return pemOf(loadCase(name).info.server.certChain.at(-1)!)
}

function pemOf(base64: string): string {
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`
}

/** The server config of a recorded case, with its private keys. */
export function recordedServerConfig(name: string): ServerConfig {
  const { scfg, privateKeys } = loadCase(name).info.server
  const { P256: sec1 } = privateKeys
  // Recorded as the DER that Chromium keeps; its 32 bytes are what matters.
  if (sec1 !== undefined) {
    const key = createPrivateKey({ key: Buffer.from(sec1, 'hex'), format: 'der', type: 'sec1' })
    privateKeys.P256 = Buffer.from(key.export({ format: 'jwk' }).d!, 'base64url').toString('hex')
  }
  return ServerConfig.restore({ scfg, privateKeys })
}

/** A key that was asked for: what it is, as hexadecimal digits. */
export class SpyKey implements PacketSealer, PacketOpener {
  readonly prefixLength = 0
  readonly suffixLength = 12
  constructor(
    readonly aead: AeadName,
    readonly key: string,
    readonly iv: string
  ) {}
  seal(): void {}
  open(): number {
    return -1
  }
}

function spyKey(aead: AeadName, key: Uint8Array, iv: Uint8Array): SpyKey {
  return new SpyKey(aead, Buffer.from(key).toString('hex'), Buffer.from(iv).toString('hex'))
}

class SpyAeadProvider implements AeadProvider {
  readonly preference: readonly AeadName[] = ['CC20', 'AESG']
  readonly primitives = nodePrimitives
  createSealer(aead: AeadName, key: Uint8Array, iv: Uint8Array): SpyKey {
    return spyKey(aead, key, iv)
  }
  createOpener(aead: AeadName, key: Uint8Array, iv: Uint8Array): SpyKey {
    return spyKey(aead, key, iv)
  }
  createHeaderProtector(): HeaderProtector {
    return { mask: () => new Uint8Array(5) }
  }
}

/** What hosts speak unless told otherwise: Q036, whose recordings are the richest, and what came before it. */
export const fakeVersions = supportedVersions.filter(({ number }) => number <= 36)

/** A host that notes everything, in order, in `events`. */
export class FakeHost implements HandshakeHost {
  connectionId = ConnectionId.fromHex('1032547698badcfe')
  version: QuicVersion = fakeVersions[0]!
  supportedVersions: readonly QuicVersion[] = fakeVersions
  receivedVersionTags: readonly number[] | undefined
  peerAddress: PeerAddress = { family: 4, address: '192.0.2.7', port: 40001 }
  maxPacketLength = 1350
  currentDatagramLength = 1350
  wallSeconds = 1_795_500_000
  readonly aeadProvider = new SpyAeadProvider()
  readonly helper: HandshakeHost['helper']

  readonly events: string[] = []
  readonly sent: { message: HandshakeMessage; bytes: Uint8Array; level: EncryptionLevel }[] = []
  /** Messages sent and not yet taken by {@link exchange}. */
  outbox: { bytes: Uint8Array; level: EncryptionLevel }[] = []
  readonly sealers = new Map<EncryptionLevel, SpyKey>()
  readonly openers = new Map<EncryptionLevel, SpyKey>()
  diversify: ((nonce: Uint8Array) => PacketOpener) | undefined
  sendLevel: EncryptionLevel = EncryptionLevel.None
  nonce: Uint8Array | undefined
  resetToken: Uint8Array | undefined
  config: NegotiatedConfig | undefined

  constructor(seed: string, random = seededRandom(seed)) {
    this.helper = { randomBytes: random, wallSeconds: () => this.wallSeconds }
  }

  sendHandshakeMessage(bytes: Uint8Array): void {
    const message = HandshakeMessage.parse(bytes)
    this.events.push(`send ${Buffer.from(bytes.subarray(0, 4)).toString('latin1').replace('\0', '')} ${this.sendLevel}`)
    this.sent.push({ message, bytes, level: this.sendLevel })
    this.outbox.push({ bytes, level: this.sendLevel })
  }
  cryptoLimit = 0
  raiseCryptoLimit(bytes: number): void {
    this.cryptoLimit = bytes
  }
  setSealer(level: EncryptionLevel, sealer: PacketSealer): void {
    this.events.push(`sealer ${level}`)
    this.sealers.set(level, sealer as SpyKey)
  }
  setSendLevel(level: EncryptionLevel): void {
    this.events.push(`level ${level}`)
    this.sendLevel = level
  }
  setDiversificationNonce(nonce: Uint8Array): void {
    this.events.push('nonce')
    this.nonce = nonce
  }
  setOpener(level: EncryptionLevel, opener: PacketOpener): void {
    this.events.push(`opener ${level}`)
    this.openers.set(level, opener as SpyKey)
  }
  setAlternativeOpener(level: EncryptionLevel, opener: PacketOpener, latch: boolean): void {
    this.events.push(`alternative ${level}${latch ? ' latch' : ''}`)
    this.openers.set(level, opener as SpyKey)
  }
  setDiversifiedOpener(level: EncryptionLevel, derive: (nonce: Uint8Array) => PacketOpener): void {
    this.events.push(`diversified ${level}`)
    this.diversify = derive
  }
  setResetToken(token: Uint8Array): void {
    this.resetToken = token
  }

  neuterUnencryptedPackets(): void {
    this.events.push('neuter')
  }
  resendInitialPackets(): void {
    this.events.push('resend')
  }
  restart(connectionId: ConnectionId): void {
    this.events.push(`restart ${connectionId}`)
  }
  onConfigNegotiated(config: NegotiatedConfig): void {
    this.events.push('config')
    this.config = config
  }
  onEncryptionEstablished(): void {
    this.events.push('established')
  }
  onHandshakeConfirmed(): void {
    this.events.push('confirmed')
  }
}

/** One end: a machine and its host. */
export interface End {
  host: FakeHost
  machine: CryptoHandshake
}

/**
 * Carries what is in both outboxes, and what comes of it, until nothing is left. Messages at level Initial reach the
 * other end only if it has the key, which the server's diversification nonce completes.
 */
export function exchange(client: End, server: End): void {
  for (let idle = false; !idle; ) {
    idle = carry(client, server) === 0 && carry(server, client) === 0
  }
}

/** Carries what is in the outbox of `from`. Returns how many messages that were. */
export function carry(from: End, to: End): number {
  const { outbox } = from.host
  from.host.outbox = []
  for (const { bytes, level } of outbox) {
    if (level === EncryptionLevel.Initial && to.host.diversify !== undefined) {
      to.host.openers.set(level, to.host.diversify(from.host.nonce!) as SpyKey)
    }
    const fits = level === EncryptionLevel.None || sameKey(from.host.sealers.get(level), to.host.openers.get(level))
    if (!fits) throw new Error(`a message at level ${level} cannot be read by its receiver`)
    to.machine.onCryptoData(bytes, level)
  }
  return outbox.length
}

/** Whether two spy keys are the same key. */
export function sameKey(a: SpyKey | undefined, b: SpyKey | undefined): boolean {
  return a !== undefined && b !== undefined && a.aead === b.aead && a.key === b.key && a.iv === b.iv
}

/** The wire code of the QuicError that `run` throws; undefined if it throws nothing; any other error goes through. */
export function codeOf(run: () => unknown): number | undefined {
  try {
    run()
  } catch (error) {
    if (error instanceof QuicError) return error.wireCode
    throw error
  }
  return undefined
}
