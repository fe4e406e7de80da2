/**
 * Rejections: what a client needs for its next hello (quic_crypto_server_config.cc, BuildRejection).
 */
import { createHash } from 'node:crypto'
import { signedProofData } from '../../crypto/proof.js'
import { QuicError, QuicErrorCode } from '../../errors.js'
import { HandshakeMessage } from '../../wire/handshake-message.js'
import { MessageTag, Tag } from '../../wire/tags.js'
import type { HandshakeHost } from '../handshake.js'
import { certifiedChain } from './certified-chain.js'
import type { CheckedClientHello, ServerHandshakeSecrets } from './client-hello-check.js'

/** How many times the bytes that came the proof may have before an address is proven (kMultiplier). */
const AMPLIFICATION = 3
/** What of a packet is not CHLO, by the reference's reckoning: the longest header, hash and frame header (Q034+). */
const FRAMING_OVERHEAD = 49
/** What of a rejection is neither chain nor signature, roughly (kREJOverheadBytes). */
const REJECTION_OVERHEAD = 166

/**
 * The answer to a CHLO that cannot be accepted: the primary server config, a token, a server nonce, the reasons, and
 * the proof if the client's address is proven or the proof is small next to the packet that the CHLO came in. Signs
 * at most once, and not at all where the chain alone is too large.
 *
 * @throws QuicError HANDSHAKE_FAILED if the proof cannot be made
 */
export function buildRejection(
  chlo: HandshakeMessage,
  checked: CheckedClientHello,
  host: HandshakeHost,
  secrets: ServerHandshakeSecrets
): HandshakeMessage {
  const config = secrets.configs.primary
  const wallSeconds = host.helper.wallSeconds()
  const rej = new HandshakeMessage(MessageTag.REJ)
    .set(Tag.SCFG, config.bytes)
    .set(Tag.STK, secrets.tokens.issue(host.peerAddress.address, wallSeconds, chlo.get(Tag.STK)))
    .set(Tag.SNO, secrets.serverNonces.issue(wallSeconds))
    .setUint32List(Tag.RREJ, checked.reasons)
    .setUint64(Tag.STTL, Math.max(0, config.expirySeconds - wallSeconds))

  const budget = AMPLIFICATION * (host.currentDatagramLength - FRAMING_OVERHEAD) - REJECTION_OVERHEAD
  const chain = certifiedChain(checked.certifiedKey).compressed
  if (!checked.addressProven && chain.length >= budget) return rej
  const signature = sign(checked, chlo, config.bytes)
  if (checked.addressProven || chain.length + signature.length < budget) {
    rej.set(Tag.CRT, chain).set(Tag.PROF, signature)
  }
  return rej
}

function sign(checked: CheckedClientHello, chlo: HandshakeMessage, scfg: Uint8Array): Uint8Array {
  const chloHash = createHash('sha256').update(chlo.serialize()).digest()
  try {
    return checked.certifiedKey.sign(signedProofData(chloHash, scfg))
  } catch {
    throw new QuicError(QuicErrorCode.HANDSHAKE_FAILED, 'Failed to get proof')
  }
}
