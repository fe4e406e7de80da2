/**
 * Whether a server can accept a client hello (quic_crypto_server_config.cc, ValidateClientHello; crypto_utils.cc).
 *
 * A hello that breaks the rules ends the connection. One that is only not good enough (no server config, no token, an
 * old nonce) is rejected, with every reason that was found, and the client tries again with what the rejection brings.
 */
import type { CommonCertificateSets } from '../../crypto/common-certificates.js'
import type { CertifiedKey, ProofSource } from '../../crypto/proof.js'
import { QuicError, QuicErrorCode } from '../../errors.js'
import type { HandshakeMessage } from '../../wire/handshake-message.js'
import { MIN_CLIENT_HELLO_SIZE } from '../../wire/handshake-message.js'
import { RejectReason, Tag, TAG_X509 } from '../../wire/tags.js'
import type { CachedNetworkParameters } from '../cached-network-parameters.js'
import type { HandshakeHost } from '../handshake.js'
import { isValidServerName, normalizeServerName } from '../server-name.js'
import { certifiedChain } from './certified-chain.js'
import type { ServerHandshakeStats } from './handshake-stats.js'
import type { EphemeralKeys } from './ephemeral-keys.js'
import type { ServerConfig, ServerConfigs } from './server-config.js'
import type { ServerNonces } from './server-nonce.js'
import type { SourceAddressTokens } from './source-address-token.js'
import type { ClientNonces } from './strike-register.js'

/** Length of NONC in bytes. */
export const CLIENT_NONCE_LENGTH = 32

/** What every handshake of a server shares. */
export interface ServerHandshakeSecrets {
  readonly configs: ServerConfigs
  readonly proofSource: ProofSource
  /** Certificates in them are only named to clients that have the same sets. */
  readonly commonCertificates?: CommonCertificateSets | undefined
  readonly tokens: SourceAddressTokens
  /** Where this server stands: servers of one region use what the others found of the path to a client. Default empty. */
  readonly servingRegion?: string | undefined
  readonly serverNonces: ServerNonces
  /**
   * Keeps hellos that begin with data (0-RTT) from being accepted twice. Without it somebody who recorded one can have
   * the server answer it again, and carry out its requests again.
   */
  readonly clientNonces?: ClientNonces | undefined
  /** No hello is accepted at first sight: no data ever comes before a round trip. */
  readonly refuseEarlyData?: boolean | undefined
  /** Keys that answer hellos; one is made for each hello if missing. */
  readonly ephemeralKeys?: EphemeralKeys | undefined
  /** Counts what becomes of hellos. */
  readonly stats?: ServerHandshakeStats | undefined
}

/** What the check of a hello needs to know about where it came from. */
export type ClientHelloContext = Pick<
  HandshakeHost,
  'version' | 'supportedVersions' | 'peerAddress' | 'helper' | 'currentDatagramLength'
>

/** A client hello that breaks no rule. It may be accepted if there are no `reasons` and a `config`. */
export interface CheckedClientHello {
  readonly serverName: string | undefined
  /** Whether the client has shown that it receives what is sent to its address. */
  readonly addressProven: boolean
  /** What its token tells of the path. */
  readonly network: CachedNetworkParameters | undefined
  /** The config it wants to agree on keys with. */
  readonly config: ServerConfig | undefined
  readonly certifiedKey: CertifiedKey
  readonly reasons: readonly RejectReason[]
}

/**
 * Checks a CHLO.
 *
 * @param useNonces false only asks: the hello's nonces stay as good as they were
 * @throws QuicError VERSION_NEGOTIATION_MISMATCH, CRYPTO_INVALID_VALUE_LENGTH (below 1024 bytes),
 *   INVALID_CRYPTO_MESSAGE_PARAMETER (VER, SNI), UNSUPPORTED_PROOF_DEMAND, HANDSHAKE_FAILED (no certificate to show)
 */
export function checkClientHello(
  chlo: HandshakeMessage,
  host: ClientHelloContext,
  secrets: ServerHandshakeSecrets,
  useNonces = true
): CheckedClientHello {
  checkVersion(chlo, host)
  if (chlo.size < MIN_CLIENT_HELLO_SIZE) {
    throw new QuicError(QuicErrorCode.CRYPTO_INVALID_VALUE_LENGTH, 'Client hello too small')
  }
  const sni = chlo.text(Tag.SNI)
  if (sni !== undefined && !isValidServerName(sni)) throw invalid('Invalid SNI name')
  if (!demandsX509(chlo)) throw new QuicError(QuicErrorCode.UNSUPPORTED_PROOF_DEMAND, 'Missing or invalid PDMD')

  const serverName = sni === undefined ? undefined : normalizeServerName(sni)
  const certifiedKey = selectKey(secrets.proofSource, serverName)
  const wallSeconds = host.helper.wallSeconds()
  const token = chlo.get(Tag.STK)
  const tokenProblem =
    token === undefined
      ? RejectReason.SOURCE_ADDRESS_TOKEN_INVALID_FAILURE
      : secrets.tokens.check(token, host.peerAddress.address, wallSeconds)
  const id = chlo.get(Tag.SCID)
  const config = id === undefined ? undefined : secrets.configs.lookup(id)
  const reasons: RejectReason[] = []
  if (config === undefined) {
    reasons.push(
      id === undefined
        ? RejectReason.SERVER_CONFIG_INCHOATE_HELLO_FAILURE
        : RejectReason.SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE
    )
  } else if (!chlo.has(Tag.NONC)) {
    reasons.push(RejectReason.SERVER_CONFIG_INCHOATE_HELLO_FAILURE)
  } else {
    if (tokenProblem !== undefined) reasons.push(tokenProblem)
    checkFullHello(chlo, certifiedKey, reasons)
    const missing = reasons.length === 0 && needsServerNonce(host, secrets) && !hasServerNonce(chlo)
    const problem = missing
      ? RejectReason.SERVER_NONCE_REQUIRED_FAILURE
      : useNonces && reasons.length === 0
        ? useNonce(chlo, config, host, secrets)
        : undefined
    if (problem !== undefined) reasons.push(problem)
  }
  const addressProven = tokenProblem === undefined
  const network = addressProven ? secrets.tokens.networkOf(token!, host.peerAddress.address) : undefined
  return { serverName, addressProven, network, config, certifiedKey, reasons }
}

function checkFullHello(chlo: HandshakeMessage, certifiedKey: CertifiedKey, reasons: RejectReason[]): void {
  const expectedLeaf = chlo.get(Tag.XLCT)
  if (expectedLeaf === undefined || Buffer.compare(expectedLeaf, certifiedChain(certifiedKey).leafHash) !== 0) {
    reasons.push(RejectReason.INVALID_EXPECTED_LEAF_CERTIFICATE)
  }
  if (chlo.require(Tag.NONC).length !== CLIENT_NONCE_LENGTH) reasons.push(RejectReason.CLIENT_NONCE_INVALID_FAILURE)
}

function hasServerNonce(chlo: HandshakeMessage): boolean {
  return (chlo.get(Tag.SNO)?.length ?? 0) > 0
}

// Without diversification a replayed hello would meet the very server keys of the first time.
function needsServerNonce(host: ClientHelloContext, secrets: ServerHandshakeSecrets): boolean {
  return !host.version.traits.diversification || secrets.refuseEarlyData === true
}

/**
 * Makes sure that the hello is not accepted a second time: by the server nonce of a rejection that it answers, or, where
 * it comes at first sight, by its own nonce.
 */
function useNonce(
  chlo: HandshakeMessage,
  config: ServerConfig,
  host: ClientHelloContext,
  secrets: ServerHandshakeSecrets
): RejectReason | undefined {
  const wallSeconds = host.helper.wallSeconds()
  if (!hasServerNonce(chlo)) return secrets.clientNonces?.use(chlo.require(Tag.NONC), config, wallSeconds)
  const matters = needsServerNonce(host, secrets) || secrets.clientNonces !== undefined
  return matters ? secrets.serverNonces.use(chlo.require(Tag.SNO), wallSeconds) : undefined
}

/**
 * A client that names another version than the one in use went through version negotiation. If the server speaks what
 * the client wanted, somebody else wrote that negotiation packet. A version that nobody speaks, such as four zero bytes
 * of clients that mean "none", passes.
 */
function checkVersion(chlo: HandshakeMessage, host: ClientHelloContext): void {
  const preferred = chlo.get(Tag.VER)
  if (preferred === undefined || preferred.length !== 4) throw invalid('client hello missing version list')
  const tag = chlo.uint32(Tag.VER)
  if (tag !== host.version.tag && host.supportedVersions.some((version) => version.tag === tag)) {
    throw new QuicError(QuicErrorCode.VERSION_NEGOTIATION_MISMATCH, 'Downgrade attack detected')
  }
}

function demandsX509(chlo: HandshakeMessage): boolean {
  const demands = chlo.get(Tag.PDMD)
  return demands !== undefined && demands.length % 4 === 0 && chlo.uint32List(Tag.PDMD)!.includes(TAG_X509)
}

function selectKey(source: ProofSource, serverName: string | undefined): CertifiedKey {
  try {
    return source.select(serverName)
  } catch {
    throw new QuicError(QuicErrorCode.HANDSHAKE_FAILED, 'Missing or invalid crypto proof.')
  }
}

function invalid(details: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, details)
}
