/**
 * The client's side of the QUIC crypto handshake (quic_crypto_client_stream.cc, quic_crypto_client_config.cc).
 *
 *     CHLO (inchoate) →  ← REJ        as often as it takes to get a proven server config and a token
 *     CHLO (full)     →  ← SHLO       (or REJ again); data may follow the full hello at once, at level Initial
 */
import { createHash } from 'node:crypto'
import { ConnectionId } from '../../connection-id.js'
import type { ChannelIdKey, ChannelIdSource } from '../../crypto/channel-id.js'
import type { CommonCertificateSets } from '../../crypto/common-certificates.js'
import type { KeyExchangeName } from '../../crypto/key-exchange.js'
import type { KeyScheduleInput } from '../../crypto/key-schedule.js'
import { deriveKeys } from '../../crypto/key-schedule.js'
import type { ProofVerifier } from '../../crypto/proof.js'
import { signedProofData } from '../../crypto/proof.js'
import type { AeadName, PacketOpener } from '../../crypto/protection.js'
import { QuicError, QuicErrorCode } from '../../errors.js'
import { EncryptionLevel } from '../../types.js'
import type { HandshakeMessage } from '../../wire/handshake-message.js'
import { HandshakeMessageReader } from '../../wire/handshake-message.js'
import { RESET_TOKEN_LENGTH } from '../../wire/stateless-reset.js'
import { CONNECTION_ID_LENGTH } from '../../wire/public-header.js'
import { MessageTag, TAG_CHID, Tag } from '../../wire/tags.js'
import { isReservedVersion } from '../../wire/version-negotiation.js'
import type { QuicConfigProposal } from '../config.js'
import { processServerConfig } from '../config.js'
import type { CryptoHandshake, EarlyData, HandshakeDescription, HandshakeHost } from '../handshake.js'
import { LevelProtection } from '../level-protection.js'
import { isValidServerName } from '../server-name.js'
import { CachedServerState } from './cached-server-state.js'
import type { ClientKeyAgreement } from './client-hello.js'
import { buildFullHello, buildInchoateHello } from './client-hello.js'
import { rejectReasonNames } from './reject-reasons.js'

/** Hellos that a client sends before it gives up (kMaxClientHellos, tested after the fact). */
const MAX_CLIENT_HELLOS = 4
/** A chain may inflate to 128 KiB; what is around it, and a chain that does not compress, needs a little more. */
const MAX_SERVER_MESSAGE_SIZE = 160 * 1024

/** What {@link QuicCryptoClientHandshake} is made with. */
export interface ClientHandshakeOptions {
  /** The name whose certificate is expected: a DNS name or an IP address. */
  readonly serverName: string
  readonly serverPort: number
  readonly verifier: ProofVerifier
  readonly config: QuicConfigProposal
  /** Preferred first; by default what the engine is fastest with. */
  readonly aeads?: readonly AeadName[]
  /** Preferred first; by default C255, P256. */
  readonly keyExchanges?: readonly KeyExchangeName[]
  /** What is known of the server already; empty at first. The handshake keeps it up to date. */
  readonly cached?: CachedServerState | undefined
  /** UAID. */
  readonly userAgent?: string
  /** Certificates that the server need not send if it has the same sets; none by default. */
  readonly commonCertificates?: CommonCertificateSets | undefined
  /** Proves who the client is to servers that ask; without it nothing is proven. */
  readonly channelIds?: ChannelIdSource | undefined
}

/** A full hello that waits for its answer. The cached state may change meanwhile, so what keys are bound to is here. */
interface PendingHello {
  readonly agreement: ClientKeyAgreement
  readonly context: Pick<KeyScheduleInput, 'connectionId' | 'chlo' | 'serverConfig' | 'leafCertificate'>
  /** Of level Initial. */
  readonly initial: LevelProtection
}

type State = 'idle' | 'inchoate sent' | 'full sent' | 'complete' | 'left'

/** One connection's handshake. Every method may throw a QuicError, which ends the connection. */
export class QuicCryptoClientHandshake implements CryptoHandshake {
  private readonly reader = new HandshakeMessageReader(MAX_SERVER_MESSAGE_SIZE)
  private readonly cached: CachedServerState
  private state: State = 'idle'
  private helloCount = 0
  /** SHA-256 of the last hello sent. */
  private chloHash: Uint8Array = new Uint8Array(0)
  /** SNO of the last rejection. */
  private serverNonce: Uint8Array = new Uint8Array(0)
  /** The last full hello, until the SHLO has come: nothing that keys follow from is kept longer than it is needed. */
  private pending: PendingHello | undefined
  private chosen: { aead: string; keyExchange: string } | undefined
  private certificates: readonly Uint8Array[] = []
  private established = false
  /** Whether keys of level Initial were installed, so that packets under them may be on their way. */
  private hadInitialKeys = false
  /** The certificates that the last hello said are here. */
  private announced: readonly Uint8Array[] = []
  private earlyData: EarlyData = 'none'
  /** What the last full hello proved. */
  private channelId: Uint8Array | undefined
  private readonly rejections: string[][] = []

  constructor(
    private readonly host: HandshakeHost,
    private readonly options: ClientHandshakeOptions
  ) {
    this.cached = options.cached ?? new CachedServerState()
  }

  get encryptionEstablished(): boolean {
    return this.established
  }

  get confirmed(): boolean {
    return this.state === 'complete'
  }

  /** Sends the first hello: a full one if the cached state is complete and its proof still holds. */
  start(): void {
    const { cached } = this
    if (cached.serverConfig !== undefined && cached.signature.length > 0) {
      // Trust may have changed and certificates may have run out since the proof was last looked at.
      if (this.proofProblem() === undefined) cached.markProofValid()
      else cached.clear()
    }
    this.sendHello()
  }

  onCryptoData(bytes: Uint8Array, level: EncryptionLevel): void {
    this.reader.push(bytes)
    for (let message = this.reader.next(); message !== undefined; message = this.reader.next()) {
      this.onMessage(message, level)
    }
  }

  /** Nothing to do: a client knows by the SHLO that the handshake is complete. */
  onForwardSecurePacket(): void {}

  describe(): HandshakeDescription {
    const { serverName, userAgent } = this.options
    return {
      aead: this.chosen?.aead,
      keyExchange: this.chosen?.keyExchange,
      serverName: isValidServerName(serverName) ? serverName : undefined,
      userAgent,
      certificates: this.certificates,
      helloCount: this.helloCount,
      rejections: this.rejections,
      earlyData: this.earlyData,
      timestamps: this.cached.timestamps.length > 0 ? this.cached.timestamps : undefined,
      channelId: this.confirmed ? this.channelId : undefined
    }
  }

  /** Nothing to do: it is servers that have configs. */
  sendConfigUpdate(): boolean {
    return false
  }

  /** Keys are made for a version; the hello itself stays as it is. */
  onVersionNegotiated(): void {
    this.cached.version = this.host.version.label
    if (this.state !== 'full sent') return
    this.installInitialKeys(this.pending!.agreement, this.pending!.context)
    if (!this.established) this.establish()
  }

  private onMessage(message: HandshakeMessage, level: EncryptionLevel): void {
    this.host.onMessageReceived?.(message)
    const { tag } = message
    // A server that rejected statelessly knows nothing of this connection, and who else sends does not matter.
    if (this.state === 'left') return
    if (tag === MessageTag.SCUP) {
      this.onServerConfigUpdate(message)
    } else if (this.state === 'complete') {
      throw new QuicError(QuicErrorCode.CRYPTO_MESSAGE_AFTER_HANDSHAKE_COMPLETE, 'Unexpected handshake message')
    } else if (this.state === 'idle') {
      throw new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_TYPE, 'Handshake in idle state')
    } else if (tag === MessageTag.REJ) {
      this.onRejection(message, level)
    } else if (tag === MessageTag.SREJ) {
      this.onStatelessRejection(message, level)
    } else if (this.state === 'inchoate sent') {
      throw new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_TYPE, 'Expected REJ')
    } else if (tag === MessageTag.SHLO) {
      this.onServerHello(message, level)
    } else {
      throw new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_TYPE, 'Expected SHLO or REJ')
    }
  }

  private sendHello(): void {
    const { host } = this
    host.setSendLevel(EncryptionLevel.None)
    this.established = false
    if (++this.helloCount > MAX_CLIENT_HELLOS) {
      this.helloCount--
      const last = this.rejections.at(-1)?.join(', ')
      const details = `More than ${MAX_CLIENT_HELLOS - 1} rejects, the last for ${last}`
      throw new QuicError(QuicErrorCode.CRYPTO_TOO_MANY_REJECTS, details)
    }
    if (this.cached.isComplete(host.helper.wallSeconds())) this.sendFullHello()
    else this.sendInchoateHello()
  }

  private sendInchoateHello(): void {
    this.state = 'inchoate sent'
    this.announced = this.cached.chain
    this.send(buildInchoateHello(this.host, this.options, this.cached))
  }

  private sendFullHello(): void {
    const { host } = this
    const preferences = {
      aeads: this.options.aeads ?? host.aeadProvider.preference,
      keyExchanges: this.options.keyExchanges ?? (['C255', 'P256'] as const)
    }
    // A stateless rejection's nonce was kept for this connection.
    if (this.serverNonce.length === 0) this.serverNonce = this.cached.takeServerNonce()
    const { chlo, agreement } = this.fillFullHello(preferences)
    const { aead } = agreement
    this.state = 'full sent'
    // Requests do not go ahead where the server is likely to want another version first: it might number them otherwise.
    const versionKnown = this.cached.version === undefined || this.cached.version === host.version.label
    const early = this.helloCount > 1 || versionKnown || host.receivedVersionTags !== undefined
    if (this.helloCount === 1 && agreement.serverNonce.length === 0 && early) this.earlyData = 'offered'
    this.chosen = { aead, keyExchange: agreement.keyExchange.name }
    this.certificates = this.announced = this.cached.chain
    const context = {
      connectionId: host.connectionId.bytes,
      chlo: chlo.serialize(),
      serverConfig: this.cached.serverConfigBytes,
      leafCertificate: this.certificates[0]!
    }
    this.send(chlo)
    this.installInitialKeys(agreement, context)
    if (early) this.establish()
  }

  private establish(): void {
    this.established = true
    this.host.onEncryptionEstablished()
  }

  private installInitialKeys(agreement: ClientKeyAgreement, context: PendingHello['context']): void {
    const { host } = this
    const { aead, initialSecret: sharedSecret, clientNonce, serverNonce } = agreement
    const salt = Buffer.concat([clientNonce, serverNonce])
    const style = host.version.protection
    const keys = deriveKeys({ ...context, style, aead, forwardSecure: false, sharedSecret, salt }, host.aeadProvider.primitives)
    const initial = new LevelProtection(host, aead, keys)
    this.pending = { agreement, context, initial }
    if (host.version.traits.diversification) {
      const derive = (nonce: Uint8Array): PacketOpener => initial.serverOpener(nonce)
      host.setDiversifiedOpener(EncryptionLevel.Initial, derive, initial.serverHeaderProtector())
    } else {
      host.setAlternativeOpener(EncryptionLevel.Initial, initial.serverOpener(), true)
    }
    // What follows is encrypted on the assumption that the server will accept the hello.
    host.setSealer(EncryptionLevel.Initial, initial.clientSealer())
    initial.announce(EncryptionLevel.Initial)
    host.setSendLevel(EncryptionLevel.Initial)
    if (this.hadInitialKeys) host.resendInitialPackets()
    this.hadInitialKeys = true
  }

  private fillFullHello(preferences: {
    aeads: readonly AeadName[]
    keyExchanges: readonly KeyExchangeName[]
  }): { chlo: HandshakeMessage; agreement: ClientKeyAgreement } {
    try {
      const key = this.channelIdKey()
      this.channelId = key?.publicKey
      return buildFullHello(this.host, this.options, preferences, this.cached, this.serverNonce, key)
    } catch (error) {
      // A config that cannot be used must not stand in the way of the next connection.
      this.cached.forgetServerConfig()
      throw error
    }
  }

  /** The key to prove, where there is a source and the server asks (RequiresChannelID). */
  private channelIdKey(): ChannelIdKey | undefined {
    const { channelIds, serverName } = this.options
    if (channelIds === undefined || !asksForChannelId(this.cached.serverConfig!)) return undefined
    const key = channelIds.keyFor(serverName)
    if (key !== undefined) return key
    throw new QuicError(QuicErrorCode.INVALID_CHANNEL_ID_SIGNATURE, 'Channel ID lookup failed')
  }

  private send(chlo: HandshakeMessage): void {
    const bytes = chlo.serialize()
    this.chloHash = createHash('sha256').update(bytes).digest()
    this.host.neuterUnencryptedPackets()
    this.host.sendHandshakeMessage(bytes)
  }

  private onRejection(rej: HandshakeMessage, level: EncryptionLevel): void {
    this.learnFrom(rej, level)
    this.serverNonce = rej.get(Tag.SNO) ?? this.serverNonce
    this.verifyProof()
    this.sendHello()
  }

  /** The server keeps nothing of this connection: everything begins anew, with what this one has learned. */
  private onStatelessRejection(srej: HandshakeMessage, level: EncryptionLevel): void {
    if (this.options.config.connectionOptions?.includes('SREJ') !== true) {
      throw new QuicError(
        QuicErrorCode.CRYPTO_HANDSHAKE_STATELESS_REJECT,
        'the server sent a stateless reject, which this client did not ask for'
      )
    }
    this.learnFrom(srej, level)
    const id = srej.get(Tag.RCID)
    if (id?.length !== CONNECTION_ID_LENGTH) {
      throw new QuicError(QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, 'Missing kRCID')
    }
    const nonce = srej.get(Tag.SNO)
    if (nonce !== undefined) this.cached.addServerNonce(nonce)
    this.verifyProof()
    this.state = 'left'
    this.host.restart(ConnectionId.read(id))
  }

  private learnFrom(rejection: HandshakeMessage, level: EncryptionLevel): void {
    if (level !== EncryptionLevel.None) {
      throw new QuicError(QuicErrorCode.CRYPTO_ENCRYPTION_LEVEL_INCORRECT, 'encrypted REJ message')
    }
    this.host.neuterUnencryptedPackets()
    if (this.earlyData === 'offered') this.earlyData = 'rejected'
    this.rejections.push(rejectReasonNames(rejection))
    this.updateCached(rejection)
  }

  private updateCached(message: HandshakeMessage): void {
    const { announced, options } = this
    const known = { announced, common: options.commonCertificates }
    this.cached.update(message, this.chloHash, this.host.helper.wallSeconds(), known)
  }

  private onServerHello(shlo: HandshakeMessage, level: EncryptionLevel): void {
    if (level === EncryptionLevel.None) {
      throw new QuicError(QuicErrorCode.CRYPTO_ENCRYPTION_LEVEL_INCORRECT, 'unencrypted SHLO message')
    }
    const { host, cached } = this
    const { agreement, context, initial } = this.pending!
    const { aead, keyExchange, clientNonce, serverNonce } = agreement
    this.checkVersions(shlo)
    cached.version = host.version.label
    const token = shlo.get(Tag.STK)
    if (token !== undefined) cached.sourceAddressToken = token
    const nonce = shlo.get(Tag.SNO)
    if (nonce === undefined) throw invalidHello('server hello missing server nonce')
    const publicValue = shlo.get(Tag.PUBS)
    if (publicValue === undefined) throw invalidHello('server hello missing forward secure public value')
    const sharedSecret = keyExchange.sharedSecret(publicValue)
    if (sharedSecret === undefined) throw invalidHello('Key exchange failure')
    const negotiated = processServerConfig(shlo, this.options.config)

    const salt = Buffer.concat([clientNonce, nonce.length > 0 ? nonce : serverNonce])
    const style = host.version.protection
    const keys = deriveKeys({ ...context, style, aead, forwardSecure: true, sharedSecret, salt }, host.aeadProvider.primitives)
    host.onConfigNegotiated(negotiated)
    const resetToken = shlo.get(Tag.SRST)
    if (host.version.traits.statelessReset && resetToken?.length === RESET_TOKEN_LENGTH) host.setResetToken(resetToken)
    const levelKeys = new LevelProtection(host, aead, keys)
    host.setAlternativeOpener(EncryptionLevel.ForwardSecure, levelKeys.serverOpener(), false)
    host.setSealer(EncryptionLevel.ForwardSecure, levelKeys.clientSealer())
    // The SHLO came under the server's initial key, whose nonce is known by that.
    if (host.version.traits.diversification && initial.serverKeyKnown) initial.announce(EncryptionLevel.Initial)
    levelKeys.announce(EncryptionLevel.ForwardSecure)
    host.setSendLevel(EncryptionLevel.ForwardSecure)
    if (!this.established) this.establish()
    this.state = 'complete'
    if (this.earlyData === 'offered') this.earlyData = 'accepted'
    this.pending = undefined
    host.onHandshakeConfirmed()
  }

  /**
   * The SHLO, which nobody can forge, lists what the server speaks. If it differs from the negotiation packet that was
   * acted upon, that packet was forged.
   */
  private checkVersions(shlo: HandshakeMessage): void {
    const { receivedVersionTags: offered, version } = this.host
    const value = shlo.get(Tag.VER)
    if (value === undefined || value.length % 4 !== 0) throw invalidHello('server hello missing version list')
    const listed = shlo.uint32List(Tag.VER)!.filter((tag) => !isReservedVersion(tag))
    const good =
      offered === undefined
        ? listed.includes(version.tag)
        : listed.length === offered.length && listed.every((tag, i) => tag === offered[i])
    if (good) return
    throw new QuicError(
      QuicErrorCode.VERSION_NEGOTIATION_MISMATCH,
      'Server hello invalid: Downgrade attack detected'
    )
  }

  /** SCUP: a newer server config and token for the next connection. */
  private onServerConfigUpdate(scup: HandshakeMessage): void {
    if (this.state !== 'complete') {
      throw new QuicError(QuicErrorCode.CRYPTO_UPDATE_BEFORE_HANDSHAKE_COMPLETE, 'Early SCUP disallowed')
    }
    this.updateCached(scup)
    this.verifyProof()
  }

  /** Verifies the cached proof unless there is none or it has been verified. */
  private verifyProof(): void {
    if (this.cached.proofValid || this.cached.signature.length === 0) return
    const problem = this.proofProblem()
    if (problem !== undefined) throw new QuicError(QuicErrorCode.PROOF_INVALID, `Proof invalid: ${problem}`)
    this.cached.markProofValid()
  }

  private proofProblem(): string | undefined {
    const { cached } = this
    return this.options.verifier.verify({
      hostname: this.options.serverName,
      chain: cached.chain,
      signedData: signedProofData(cached.chloHash, cached.serverConfigBytes),
      signature: cached.signature,
      wallSeconds: this.host.helper.wallSeconds()
    })
  }
}

function asksForChannelId(scfg: HandshakeMessage): boolean {
  const demands = scfg.get(Tag.PDMD)
  return demands !== undefined && demands.length % 4 === 0 && scfg.uint32List(Tag.PDMD)!.includes(TAG_CHID)
}

function invalidHello(details: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, `Server hello invalid: ${details}`)
}
