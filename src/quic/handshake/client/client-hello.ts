/**
 * Client hellos: the inchoate one that asks for a server config, and the full one that agrees on keys
 * (quic_crypto_client_config.cc, FillInchoateClientHello and FillClientHello).
 */
import { certificateHash } from '../../crypto/cert-compressor.js'
import { sealChannelId, type ChannelIdKey } from '../../crypto/channel-id.js'
import type { CommonCertificateSets } from '../../crypto/common-certificates.js'
import type { KeyExchange, KeyExchangeName } from '../../crypto/key-exchange.js'
import { createKeyExchange } from '../../crypto/key-exchange.js'
import type { AeadName } from '../../crypto/protection.js'
import { QuicError, QuicErrorCode } from '../../errors.js'
import { HandshakeMessage, MIN_CLIENT_HELLO_SIZE } from '../../wire/handshake-message.js'
import { MessageTag, Tag, TAG_X509, tagOf } from '../../wire/tags.js'
import type { QuicConfigProposal } from '../config.js'
import { writeClientConfig } from '../config.js'
import type { HandshakeHost } from '../handshake.js'
import { isValidServerName } from '../server-name.js'
import type { CachedServerState } from './cached-server-state.js'

/** What of a packet is not CHLO, by the reference's rough estimate. */
const FRAMING_OVERHEAD = 50
const ORBIT_LENGTH = 8
const NONCE_RANDOM_LENGTH = 20
const PROOF_NONCE_LENGTH = 32

/** What a client always says about itself. */
export interface ClientHelloOptions {
  readonly serverName: string
  readonly config: QuicConfigProposal
  /** UAID. */
  readonly userAgent?: string
  /** Named in CCS, so that the server need not send certificates in them. */
  readonly commonCertificates?: CommonCertificateSets | undefined
}

/** Which algorithms a client takes, preferred first. */
export interface ClientPreferences {
  readonly aeads: readonly AeadName[]
  readonly keyExchanges: readonly KeyExchangeName[]
}

/** What a full hello has fixed. Shared secrets are 32 bytes. */
export interface ClientKeyAgreement {
  readonly aead: AeadName
  /** The client's ephemeral key: it serves for the initial and for the forward-secure secret. */
  readonly keyExchange: KeyExchange
  readonly initialSecret: Uint8Array
  readonly clientNonce: Uint8Array
  /** SNO as the hello carries it, empty if it has none. */
  readonly serverNonce: Uint8Array
}

/**
 * A hello without key agreement, padded to fill a packet: the longer it is, the more the server may answer.
 *
 * @throws QuicError INTERNAL_ERROR if packets are too small for a hello
 */
export function buildInchoateHello(
  host: HandshakeHost,
  options: ClientHelloOptions,
  cached: CachedServerState
): HandshakeMessage {
  const chlo = commonHello(host, options, cached)
  chlo.minimumSize = host.maxPacketLength - FRAMING_OVERHEAD
  if (chlo.minimumSize < MIN_CLIENT_HELLO_SIZE) throw new QuicError(QuicErrorCode.INTERNAL_ERROR, 'CHLO too large')
  checkFits(chlo, host)
  return chlo
}

/**
 * A hello that agrees on keys with the cached server config, which must be complete.
 *
 * @param serverNonce SNO of the last rejection, empty if there was none
 * @param channelId the key to prove, if the server config asks for one
 * @throws QuicError INVALID_CRYPTO_MESSAGE_PARAMETER, CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, CRYPTO_NO_SUPPORT for a
 *   server config that cannot be used, CRYPTO_CHLO_TOO_LARGE
 */
export function buildFullHello(
  host: HandshakeHost,
  options: ClientHelloOptions,
  preferences: ClientPreferences,
  cached: CachedServerState,
  serverNonce: Uint8Array,
  channelId?: ChannelIdKey
): { chlo: HandshakeMessage; agreement: ClientKeyAgreement } {
  const scfg = cached.serverConfig!
  if (!scfg.has(Tag.SCID)) throw invalid('SCFG missing SCID')
  const theirAeads = tagList(scfg, Tag.AEAD)
  const theirExchanges = tagList(scfg, Tag.KEXS)
  const aead = preferences.aeads.find((name) => theirAeads.includes(tagOf(name)))
  const exchange = preferences.keyExchanges.find((name) => theirExchanges.includes(tagOf(name)))
  if (aead === undefined || exchange === undefined) {
    throw new QuicError(QuicErrorCode.CRYPTO_NO_SUPPORT, 'Unsupported AEAD or KEXS')
  }
  const theirPublic = scfg.length24List(Tag.PUBS)?.[theirExchanges.indexOf(tagOf(exchange))]
  if (theirPublic === undefined) throw invalid('Missing public value')
  const orbit = scfg.get(Tag.OBIT)
  if (orbit?.length !== ORBIT_LENGTH) {
    throw new QuicError(QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, 'SCFG missing OBIT')
  }
  const { primitives } = host.aeadProvider
  const keyExchange = createKeyExchange(exchange, (length) => host.helper.randomBytes(length), primitives)
  const initialSecret = keyExchange.sharedSecret(theirPublic)
  if (initialSecret === undefined) throw invalid('Key exchange failure')

  const leaf = cached.chain[0]
  if (leaf === undefined) throw new QuicError(QuicErrorCode.CRYPTO_INTERNAL_ERROR, 'No certs to calculate XLCT')

  const clientNonce = makeClientNonce(host, orbit)
  const chlo = commonHello(host, options, cached)
    .setUint32(Tag.AEAD, tagOf(aead))
    .setUint32(Tag.KEXS, tagOf(exchange))
    .set(Tag.NONC, clientNonce)
    .set(Tag.PUBS, keyExchange.publicValue)
    .set(Tag.XLCT, certificateHash(leaf))
  if (serverNonce.length > 0) chlo.set(Tag.SNO, serverNonce)
  if (channelId !== undefined) {
    // Bound to the hello as it is without the block itself and without padding.
    const cetv = sealChannelId(channelId, {
      aead,
      sharedSecret: initialSecret,
      salt: Buffer.concat([clientNonce, serverNonce]),
      connectionId: host.connectionId.bytes,
      chlo: chlo.serialize(),
      serverConfig: cached.serverConfigBytes
    })
    chlo.set(Tag.CETV, cetv)
  }
  chlo.minimumSize = MIN_CLIENT_HELLO_SIZE
  checkFits(chlo, host)
  return { chlo, agreement: { aead, keyExchange, initialSecret, clientNonce, serverNonce } }
}

function commonHello(host: HandshakeHost, options: ClientHelloOptions, cached: CachedServerState): HandshakeMessage {
  const chlo = new HandshakeMessage(MessageTag.CHLO)
  writeClientConfig(chlo, options.config)
  chlo.setUint64(Tag.CTIM, host.helper.wallSeconds())
  if (isValidServerName(options.serverName)) chlo.setText(Tag.SNI, options.serverName)
  // The preferred version, also where negotiation has led to another: the server sees by it whether that was right.
  chlo.setUint32(Tag.VER, host.supportedVersions[0]!.tag)
  if (options.userAgent !== undefined) chlo.setText(Tag.UAID, options.userAgent)
  // The config's id goes with the token even where no keys are agreed on yet.
  const id = cached.serverConfig?.get(Tag.SCID)
  if (id !== undefined) chlo.set(Tag.SCID, id)
  if (cached.sourceAddressToken.length > 0) chlo.set(Tag.STK, cached.sourceAddressToken)
  // Makes each hello, and so each proof, unique.
  chlo.set(Tag.NONP, host.helper.randomBytes(PROOF_NONCE_LENGTH))
  chlo.setUint32List(Tag.PDMD, [TAG_X509])
  const common = options.commonCertificates
  if (common !== undefined && common.hashes.length > 0) chlo.set(Tag.CCS, common.hashes)
  chlo.set(Tag.CSCT, new Uint8Array(0))
  // The server need not send again what it sent before.
  if (cached.chain.length > 0) chlo.set(Tag.CCRT, Buffer.concat(cached.chain.map(certificateHash)))
  return chlo
}

/** A hello has to arrive in one packet: a server takes a connection's first one only whole. */
function checkFits(chlo: HandshakeMessage, host: HandshakeHost): void {
  const length = chlo.serialize().length
  if (length <= host.maxPacketLength - FRAMING_OVERHEAD) return
  throw new QuicError(QuicErrorCode.CRYPTO_CHLO_TOO_LARGE, `a client hello of ${length} bytes does not fit a packet`)
}

/** BE32 seconds since the UNIX epoch, the config's orbit, 20 random bytes (crypto_utils.cc, GenerateNonce). */
function makeClientNonce(host: HandshakeHost, orbit: Uint8Array): Uint8Array {
  const time = Buffer.alloc(4)
  time.writeUInt32BE(host.helper.wallSeconds() >>> 0)
  return Buffer.concat([time, orbit, host.helper.randomBytes(NONCE_RANDOM_LENGTH)])
}

function tagList(scfg: HandshakeMessage, tag: number): number[] {
  const list = scfg.uint32List(tag)
  if (list === undefined) throw invalid('Missing AEAD or KEXS')
  return list
}

function invalid(details: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, details)
}
