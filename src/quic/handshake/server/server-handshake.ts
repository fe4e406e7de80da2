/**
 * The server's side of the QUIC crypto handshake (quic_crypto_server_stream.cc, quic_crypto_server_config.cc).
 *
 *     CHLO (inchoate) →  ← REJ, level None
 *     CHLO (full)     →  ← SHLO, level Initial; everything after it ForwardSecure
 */
import { openChannelId } from '../../crypto/channel-id.js'
import type { KeyExchange } from '../../crypto/key-exchange.js'
import type { KeyScheduleInput, PacketKeys } from '../../crypto/key-schedule.js'
import { DIVERSIFICATION_NONCE_LENGTH, deriveKeys } from '../../crypto/key-schedule.js'
import type { CryptoPrimitives } from '../../crypto/primitives.js'
import type { CertifiedKey } from '../../crypto/proof.js'
import type { AeadName } from '../../crypto/protection.js'
import { QuicError, QuicErrorCode } from '../../errors.js'
import { EncryptionLevel } from '../../types.js'
import { HandshakeMessage, HandshakeMessageReader } from '../../wire/handshake-message.js'
import { encodeSocketAddress } from '../../wire/socket-address.js'
import { MessageTag, Tag, rejectReasonName, tagName } from '../../wire/tags.js'
import type { QuicVersion } from '../../wire/versions/version.js'
import type { CachedNetworkParameters } from '../cached-network-parameters.js'
import type { QuicConfigProposal } from '../config.js'
import { processClientConfig, writeServerConfig } from '../config.js'
import type { CryptoHandshake, EarlyData, HandshakeDescription, HandshakeHost } from '../handshake.js'
import { LevelProtection } from '../level-protection.js'
import type { CheckedClientHello, ServerHandshakeSecrets } from './client-hello-check.js'
import { checkClientHello } from './client-hello-check.js'
import { EphemeralKeys } from './ephemeral-keys.js'
import { buildRejection, buildServerConfigUpdate, rememberHello, type AcceptedHello } from './rejection.js'
import type { ServerConfig } from './server-config.js'

/**
 * Hellos that one connection may send. A client gives up after four; without a bound a peer could buy a signature with
 * every kilobyte it sends.
 */
const MAX_CLIENT_HELLOS = 8

/** What {@link QuicCryptoServerHandshake} is made with: what all of a server's handshakes share, and the proposal. */
export interface ServerHandshakeOptions extends ServerHandshakeSecrets {
  readonly config: QuicConfigProposal
  /** The token that a stateless reset of the connection with this id would end in, 16 bytes; none is sent without it. */
  readonly resetToken?: ((connectionId: Uint8Array) => Uint8Array) | undefined
}

/** What follows from the client's full hello. Secrets are 32 bytes. */
interface KeyAgreement {
  readonly aead: AeadName
  /** Of the same kind as the server config's key. */
  readonly ephemeral: KeyExchange
  readonly initialSecret: Uint8Array
  readonly forwardSecret: Uint8Array
}

/** One connection's handshake. Every method may throw a QuicError, which ends the connection. */
export class QuicCryptoServerHandshake implements CryptoHandshake {
  private readonly reader = new HandshakeMessageReader()
  private helloCount = 0
  private serverName: string | undefined
  private userAgent: string | undefined
  private certifiedKey: CertifiedKey | undefined
  private chosen: { aead: string; keyExchange: string } | undefined
  private established = false
  private done = false
  private earlyData: EarlyData = 'none'
  private rejections: readonly string[][] = []
  private channelId: Uint8Array | undefined
  /** Of the hello that was accepted. */
  private accepted: AcceptedHello | undefined
  /** What the client was told last of the path. */
  private network: CachedNetworkParameters | undefined

  constructor(
    private readonly host: HandshakeHost,
    private readonly options: ServerHandshakeOptions
  ) {}

  get encryptionEstablished(): boolean {
    return this.established
  }

  get confirmed(): boolean {
    return this.done
  }

  /** Nothing to do: it is the client that chooses. */
  onVersionNegotiated(): void {}

  /**
   * Gives the client the primary server config and a token for its next connection (SCUP).
   *
   * @param network what this connection has found of the path, for the token; what it found before if missing
   * @returns whether it could: not before the handshake is confirmed
   * @throws QuicError HANDSHAKE_FAILED if the proof cannot be made
   */
  sendConfigUpdate(network?: CachedNetworkParameters): boolean {
    if (!this.done) return false
    const { host, options } = this
    if (network !== undefined) this.network = { ...network, servingRegion: options.servingRegion ?? '' }
    const update = buildServerConfigUpdate(this.accepted!, this.certifiedKey!, host, options, this.network)
    host.sendHandshakeMessage(update.serialize())
    return true
  }

  /** Nothing to do: a server waits for the first hello. */
  start(): void {}

  onCryptoData(bytes: Uint8Array, _level: EncryptionLevel): void {
    this.reader.push(bytes)
    for (let message = this.reader.next(); message !== undefined; message = this.reader.next()) this.onMessage(message)
  }

  onForwardSecurePacket(): void {
    if (this.done || !this.established) return
    this.done = true
    if (this.options.stats !== undefined) this.options.stats.confirmed++
    this.host.onHandshakeConfirmed()
  }

  describe(): HandshakeDescription {
    return {
      aead: this.chosen?.aead,
      keyExchange: this.chosen?.keyExchange,
      serverName: this.serverName,
      userAgent: this.userAgent,
      certificates: this.certifiedKey?.chain ?? [],
      helloCount: this.helloCount,
      rejections: this.rejections,
      earlyData: this.earlyData,
      timestamps: undefined,
      channelId: this.channelId
    }
  }

  private onMessage(message: HandshakeMessage): void {
    this.host.onMessageReceived?.(message)
    if (this.established) {
      throw new QuicError(
        QuicErrorCode.CRYPTO_MESSAGE_AFTER_HANDSHAKE_COMPLETE,
        'Unexpected handshake message from client'
      )
    }
    if (message.tag !== MessageTag.CHLO) {
      throw new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_TYPE, 'Handshake packet not CHLO')
    }
    if (++this.helloCount > MAX_CLIENT_HELLOS) {
      throw new QuicError(QuicErrorCode.CRYPTO_TOO_MANY_REJECTS, `More than ${MAX_CLIENT_HELLOS} client hellos`)
    }
    const checked = checkClientHello(message, this.host, this.options)
    this.serverName = checked.serverName
    this.userAgent = message.text(Tag.UAID)
    this.certifiedKey = checked.certifiedKey
    // A rejection with a long chain must not wait for a window that only an accepted hello would open.
    if (message.get(Tag.SFCW)?.length === 4) this.host.raiseCryptoLimit(message.uint32(Tag.SFCW)!)
    const early = this.helloCount === 1 && message.has(Tag.PUBS) && (message.get(Tag.SNO)?.length ?? 0) === 0
    if (checked.config === undefined || checked.reasons.length > 0) {
      if (early) this.earlyData = 'rejected'
      this.rejections = this.rejections.concat([checked.reasons.map(rejectReasonName)])
      this.options.stats?.onRejected(checked.reasons, early)
      this.send(buildRejection(message, checked, this.host, this.options))
    } else {
      this.accept(message, checked, checked.config)
      this.options.stats?.onAccepted(early)
      if (early) this.earlyData = 'accepted'
    }
  }

  private send(message: HandshakeMessage): void {
    // The peer has moved on from whatever was sent before, so that need not arrive any more.
    this.host.neuterUnencryptedPackets()
    this.host.sendHandshakeMessage(message.serialize())
  }

  private accept(chlo: HandshakeMessage, checked: CheckedClientHello, config: ServerConfig): void {
    const { host } = this
    const agreement = agree(chlo, config, host, this.options.ephemeralKeys)
    const negotiated = processClientConfig(chlo, this.options.config)
    const serverNonce = this.options.serverNonces.issue(host.helper.wallSeconds())
    const channelId = provenChannelId(chlo, config, agreement, host)
    const keys = deriveBothLevels(chlo, agreement, serverNonce, {
      connectionId: host.connectionId.bytes,
      serverConfig: config.bytes,
      leafCertificate: checked.certifiedKey.chain[0]!,
      style: host.version.protection,
      primitives: host.aeadProvider.primitives
    })
    const shlo = this.buildServerHello(chlo, serverNonce, agreement.ephemeral.publicValue)
    writeServerConfig(shlo, this.options.config, negotiated)

    this.channelId = channelId
    this.chosen = { aead: agreement.aead, keyExchange: agreement.ephemeral.name }
    negotiated.previousNetwork = this.ownRegionOnly(checked.network)
    host.onConfigNegotiated(negotiated)
    this.installInitialKeys(agreement.aead, keys.initial)
    // The SHLO, and nothing else, goes out at level Initial: the client reads it with what it already has.
    this.send(shlo)
    this.installForwardSecureKeys(agreement.aead, keys.forwardSecure)
    this.established = true
    this.accepted = rememberHello(chlo)
    host.onEncryptionEstablished()
  }

  /** What a server elsewhere found says nothing about the path from here. */
  private ownRegionOnly(network: CachedNetworkParameters | undefined): CachedNetworkParameters | undefined {
    return network?.servingRegion === (this.options.servingRegion ?? '') ? network : undefined
  }

  private installInitialKeys(aead: AeadName, keys: PacketKeys): void {
    const { host } = this
    const level = new LevelProtection(host, aead, keys)
    let nonce: Uint8Array | undefined
    if (host.version.traits.diversification) {
      nonce = host.helper.randomBytes(DIVERSIFICATION_NONCE_LENGTH)
      host.setDiversificationNonce(nonce)
    }
    host.setSealer(EncryptionLevel.Initial, level.serverSealer(nonce))
    host.setSendLevel(EncryptionLevel.Initial)
    // From here on nothing unencrypted is accepted.
    host.setOpener(EncryptionLevel.Initial, level.clientOpener())
    level.announce(EncryptionLevel.Initial)
  }

  private installForwardSecureKeys(aead: AeadName, keys: PacketKeys): void {
    const { host } = this
    const level = new LevelProtection(host, aead, keys)
    host.setSealer(EncryptionLevel.ForwardSecure, level.serverSealer())
    host.setSendLevel(EncryptionLevel.ForwardSecure)
    host.setAlternativeOpener(EncryptionLevel.ForwardSecure, level.clientOpener(), false)
    level.announce(EncryptionLevel.ForwardSecure)
  }

  private buildServerHello(chlo: HandshakeMessage, serverNonce: Uint8Array, publicValue: Uint8Array): HandshakeMessage {
    const { host } = this
    const { address } = host.peerAddress
    const shlo = new HandshakeMessage(MessageTag.SHLO)
      .set(Tag.SNO, serverNonce)
      .set(Tag.STK, this.options.tokens.issue(address, host.helper.wallSeconds(), chlo.get(Tag.STK)))
      .set(Tag.CADR, encodeSocketAddress(host.peerAddress))
      .set(Tag.PUBS, publicValue)
      .set(Tag.VER, versionList(host.supportedVersions))
    const { resetToken } = this.options
    if (host.version.traits.statelessReset && resetToken !== undefined) {
      shlo.set(Tag.SRST, resetToken(host.connectionId.bytes))
    }
    return shlo
  }
}

/** The value of VER, by the versions that it lists. */
const versionLists = new WeakMap<readonly QuicVersion[], Uint8Array>()

function versionList(versions: readonly QuicVersion[]): Uint8Array {
  const known = versionLists.get(versions)
  if (known !== undefined) return known
  const tags = versions.map((version) => version.tag)
  const list = new HandshakeMessage(MessageTag.SHLO).setUint32List(Tag.VER, tags).require(Tag.VER)
  versionLists.set(versions, list)
  return list
}

/** The algorithms that a full hello names, of which the config must offer both, and the secrets that follow. */
function agree(
  chlo: HandshakeMessage,
  config: ServerConfig,
  host: HandshakeHost,
  ephemeralKeys: EphemeralKeys | undefined
): KeyAgreement {
  const aeadName = soleTag(chlo, Tag.AEAD)
  const exchangeName = soleTag(chlo, Tag.KEXS)
  if (aeadName === undefined || exchangeName === undefined) throw invalid('Missing or invalid AEAD or KEXS')
  const aead = config.aeads.find((name) => name === aeadName)
  const keyExchange = config.keyExchange(exchangeName)
  if (aead === undefined || keyExchange === undefined) {
    throw new QuicError(QuicErrorCode.CRYPTO_NO_SUPPORT, 'Unsupported AEAD or KEXS')
  }
  const publicValue = chlo.get(Tag.PUBS)
  if (publicValue === undefined) throw invalid('Missing public value')
  const { primitives } = host.aeadProvider
  const initialSecret = keyExchange.sharedSecret(publicValue, primitives)
  if (initialSecret === undefined) throw invalid('Invalid public value')
  const ephemeral = (ephemeralKeys ?? new EphemeralKeys(host.helper, primitives)).get(keyExchange.name)
  const forwardSecret = ephemeral.sharedSecret(publicValue, primitives)
  if (forwardSecret === undefined) throw invalid('Invalid public value')
  return { aead, ephemeral, initialSecret, forwardSecret }
}

/** The Channel ID in a hello, if the server config asks for one and the client has one. */
function provenChannelId(
  chlo: HandshakeMessage,
  config: ServerConfig,
  { aead, initialSecret }: KeyAgreement,
  host: HandshakeHost
): Uint8Array | undefined {
  const cetv = chlo.get(Tag.CETV)
  if (!config.channelIds || cetv === undefined) return undefined
  const opened = openChannelId(cetv, {
    aead,
    sharedSecret: initialSecret,
    salt: initialSaltOf(chlo),
    connectionId: host.connectionId.bytes,
    chlo: chlo.without(Tag.CETV, Tag.PAD).serialize(),
    serverConfig: config.bytes
  })
  if ('problem' in opened) throw invalid(opened.problem)
  return opened.publicKey
}

function initialSaltOf(chlo: HandshakeMessage): Uint8Array {
  return Buffer.concat([chlo.require(Tag.NONC), chlo.get(Tag.SNO) ?? new Uint8Array(0)])
}

function deriveBothLevels(
  chlo: HandshakeMessage,
  agreement: KeyAgreement,
  serverNonce: Uint8Array,
  {
    primitives,
    ...context
  }: Pick<KeyScheduleInput, 'connectionId' | 'serverConfig' | 'leafCertificate' | 'style'> & { primitives: CryptoPrimitives }
): { initial: PacketKeys; forwardSecure: PacketKeys } {
  const { aead, initialSecret, forwardSecret } = agreement
  const clientNonce = chlo.require(Tag.NONC)
  const common = { ...context, aead, chlo: chlo.serialize() }
  const initialSalt = initialSaltOf(chlo)
  const forwardSalt = Buffer.concat([clientNonce, serverNonce])
  return {
    initial: deriveKeys({ ...common, forwardSecure: false, sharedSecret: initialSecret, salt: initialSalt }, primitives),
    forwardSecure: deriveKeys({ ...common, forwardSecure: true, sharedSecret: forwardSecret, salt: forwardSalt }, primitives)
  }
}

function soleTag(chlo: HandshakeMessage, tag: number): string | undefined {
  return chlo.get(tag)?.length === 4 ? tagName(chlo.uint32(tag)!) : undefined
}

function invalid(details: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, details)
}
