/**
 * Rejections: what a client needs for its next hello (quic_crypto_server_config.cc, BuildRejection).
 */
import { hash } from 'node:crypto'
import type { CertifiedKey } from '../../crypto/proof.js'
import { signedProofData } from '../../crypto/proof.js'
import { QuicError, QuicErrorCode } from '../../errors.js'
import { HandshakeMessage } from '../../wire/handshake-message.js'
import { MessageTag, Tag } from '../../wire/tags.js'
import type { CachedNetworkParameters } from '../cached-network-parameters.js'
import { certifiedChain } from './certified-chain.js'
import type { CheckedClientHello, ClientHelloContext, ServerHandshakeSecrets } from './client-hello-check.js'

/** How many times the bytes that came the proof may have before an address is proven (kMultiplier). */
const AMPLIFICATION = 3
/** What of a packet is not CHLO, by the reference's reckoning: the longest header, hash and frame header. */
const FRAMING_OVERHEAD = 49
/** In versions with entropy a byte of flags stands before the frames. */
const FRAMING_OVERHEAD_WITH_ENTROPY = 50
/** What of a rejection is neither chain nor signature, roughly (kREJOverheadBytes). */
const REJECTION_OVERHEAD = 166

/**
 * The answer to a CHLO that cannot be accepted: the primary server config, a token, a server nonce, the reasons, and
 * the proof if the client's address is proven or the proof is small next to the packet that the CHLO came in. Signs
 * at most once, and not at all where the chain alone is too large.
 *
 * @param retryId makes it a stateless rejection: the 8 bytes of the connection id with which the client is to come back
 * @throws QuicError HANDSHAKE_FAILED if the proof cannot be made
 */
export function buildRejection(
  chlo: HandshakeMessage,
  checked: CheckedClientHello,
  host: ClientHelloContext,
  secrets: ServerHandshakeSecrets,
  retryId?: Uint8Array
): HandshakeMessage {
  const wallSeconds = host.helper.wallSeconds()
  const rej = new HandshakeMessage(retryId === undefined ? MessageTag.REJ : MessageTag.SREJ)
  if (retryId !== undefined) rej.set(Tag.RCID, retryId)
  setServerConfig(rej, chlo.get(Tag.STK), host, secrets, checked.network)
    .set(Tag.SNO, secrets.serverNonces.issue(wallSeconds))
    .setUint32List(Tag.RREJ, checked.reasons)

  const { certifiedKey: key, addressProven } = checked
  const chain = compressedChain(chlo.get(Tag.CCRT), chlo.get(Tag.CCS), key, secrets)
  const timestamps = asksForTimestamps(chlo) ? key.timestamps : undefined
  const overhead = host.version.traits.entropy ? FRAMING_OVERHEAD_WITH_ENTROPY : FRAMING_OVERHEAD
  const budget = AMPLIFICATION * (host.currentDatagramLength - overhead) - REJECTION_OVERHEAD
  const left = addressProven ? Infinity : budget - chain.length - (timestamps?.length ?? 0)
  if (left <= 0) return rej
  const signature = sign(key, hashOf(chlo), secrets.configs.primary.bytes)
  if (signature.length < left) setProof(rej, chain, signature, timestamps)
  return rej
}

/** What later updates need of a hello: the hello itself is a kilobyte, and would be kept for every connection. */
export interface AcceptedHello {
  /** SHA-256 of the message. */
  readonly hash: KeptBytes
  readonly token: KeptBytes | undefined
  /** CCRT and CCS: the certificates that the client has. */
  readonly cachedCertificates: KeptBytes | undefined
  readonly commonSets: KeptBytes | undefined
  readonly wantsTimestamps: boolean
}

/** Takes from a hello what an {@link AcceptedHello} holds. Nothing refers to the hello's bytes. */
export function rememberHello(chlo: HandshakeMessage): AcceptedHello {
  return {
    hash: keep(hashOf(chlo)),
    token: keep(chlo.get(Tag.STK)),
    cachedCertificates: keep(chlo.get(Tag.CCRT)),
    commonSets: keep(chlo.get(Tag.CCS)),
    wantsTimestamps: asksForTimestamps(chlo)
  }
}

/** Bytes that a connection keeps for later, one a character: an array would take four times the memory of so few. */
type KeptBytes = string

function keep(bytes: Uint8Array): KeptBytes
function keep(bytes: Uint8Array | undefined): KeptBytes | undefined
function keep(bytes: Uint8Array | undefined): KeptBytes | undefined {
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

function bytesOf(kept: KeptBytes): Uint8Array
function bytesOf(kept: KeptBytes | undefined): Uint8Array | undefined
function bytesOf(kept: KeptBytes | undefined): Uint8Array | undefined {
  return kept === undefined ? undefined : Buffer.from(kept, 'latin1')
}

/** Whether a client wants to know what the logs say about the certificate: by an empty CSCT (sct_supported_by_client). */
function asksForTimestamps(chlo: HandshakeMessage): boolean {
  return chlo.get(Tag.CSCT)?.length === 0
}

/**
 * SCUP: what a connected client may begin its next connection with.
 *
 * @param network what the connection has found of the path
 * @throws QuicError HANDSHAKE_FAILED if the proof cannot be made
 */
export function buildServerConfigUpdate(
  hello: AcceptedHello,
  key: CertifiedKey,
  host: ClientHelloContext,
  secrets: ServerHandshakeSecrets,
  network: CachedNetworkParameters | undefined
): HandshakeMessage {
  const scup = setServerConfig(new HandshakeMessage(MessageTag.SCUP), bytesOf(hello.token), host, secrets, network)
  const chain = compressedChain(bytesOf(hello.cachedCertificates), bytesOf(hello.commonSets), key, secrets)
  const signature = sign(key, bytesOf(hello.hash), secrets.configs.primary.bytes)
  setProof(scup, chain, signature, hello.wantsTimestamps ? key.timestamps : undefined)
  return scup
}

function setServerConfig(
  message: HandshakeMessage,
  token: Uint8Array | undefined,
  host: ClientHelloContext,
  { configs, tokens }: ServerHandshakeSecrets,
  network: CachedNetworkParameters | undefined
): HandshakeMessage {
  const wallSeconds = host.helper.wallSeconds()
  return message
    .set(Tag.SCFG, configs.primary.bytes)
    .set(Tag.STK, tokens.issue(host.peerAddress.address, wallSeconds, token, network))
    .setUint64(Tag.STTL, Math.max(0, configs.primary.expirySeconds - wallSeconds))
}

/** What of the chain the client does not have yet, as its hello says (CCRT, CCS). */
function compressedChain(
  cached: Uint8Array | undefined,
  commonSets: Uint8Array | undefined,
  key: CertifiedKey,
  secrets: ServerHandshakeSecrets
): Uint8Array {
  return certifiedChain(key).compressedFor(cached, secrets.commonCertificates?.shared(commonSets))
}

function setProof(
  message: HandshakeMessage,
  chain: Uint8Array,
  signature: Uint8Array,
  timestamps: Uint8Array | undefined
): void {
  message.set(Tag.CRT, chain).set(Tag.PROF, signature)
  if (timestamps !== undefined) message.set(Tag.CSCT, timestamps)
}

function hashOf(chlo: HandshakeMessage): Uint8Array {
  return hash('sha256', chlo.serialize(), 'buffer')
}

function sign(key: CertifiedKey, chloHash: Uint8Array, scfg: Uint8Array): Uint8Array {
  try {
    return key.sign(signedProofData(chloHash, scfg))
  } catch {
    throw new QuicError(QuicErrorCode.HANDSHAKE_FAILED, 'Failed to get proof')
  }
}
