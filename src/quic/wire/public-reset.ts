/**
 * The packet that tells a peer that its connection is unknown here. Unprotected.
 *
 *     0x0E | connection id(8) | handshake message PRST { RNON u64, RSEQ u64, CADR socket address }
 *
 * Source: quic_framer.cc (BuildPublicResetPacket, ProcessPublicResetPacket).
 */
import { QuicError } from '../errors.js'
import type { PeerAddress } from '../types.js'
import { HandshakeMessage } from './handshake-message.js'
import { CONNECTION_ID_LENGTH, PublicFlag } from './public-header.js'
import { decodeSocketAddress, encodeSocketAddress } from './socket-address.js'
import { MessageTag, Tag } from './tags.js'

/** RNON as every reference server sends it, unchecked by any receiver (quic_time_wait_list_manager.cc). */
const NONCE_PROOF = 1010101
const NONCE_PROOF_LENGTH = 8

/** What a public reset says. */
export interface PublicReset {
  /** Eight bytes meant to prove that the sender saw the handshake; a constant in practice. */
  nonceProof: Uint8Array
  /** The packet that was refused, undefined if the reset does not say. */
  rejectedPacketNumber: number | undefined
  /** The receiver's address as the sender saw it. */
  clientAddress: PeerAddress | undefined
}

/**
 * A whole public reset datagram.
 *
 * @param reset `nonceProof` defaults to the reference's constant; `clientAddress` is left out if undefined
 */
export function buildPublicReset(
  connectionId: Uint8Array,
  reset: { nonceProof?: Uint8Array; rejectedPacketNumber: number; clientAddress?: PeerAddress }
): Uint8Array {
  const message = new HandshakeMessage(MessageTag.PRST)
  if (reset.nonceProof === undefined) message.setUint64(Tag.RNON, NONCE_PROOF)
  else message.set(Tag.RNON, reset.nonceProof)
  message.setUint64(Tag.RSEQ, reset.rejectedPacketNumber)
  if (reset.clientAddress !== undefined) message.set(Tag.CADR, encodeSocketAddress(reset.clientAddress))
  const body = message.serialize()
  const datagram = new Uint8Array(1 + CONNECTION_ID_LENGTH + body.length)
  datagram[0] = PublicFlag.Reset | PublicFlag.ConnectionId | PublicFlag.Nonce
  datagram.set(connectionId, 1)
  datagram.set(body, 1 + CONNECTION_ID_LENGTH)
  return datagram
}

/**
 * What a public reset datagram says.
 *
 * @param bodyStart where the message begins ({@link DatagramPeek.bodyStart})
 * @returns undefined if it is malformed (error INVALID_PUBLIC_RST_PACKET in the reference): ignore it then
 */
export function parsePublicReset(buffer: Uint8Array, bodyStart: number, end: number): PublicReset | undefined {
  try {
    // Copied, since the values are views of it and the datagram's buffer is reused. (Buffer's own slice does not copy.)
    const message = HandshakeMessage.parse(Uint8Array.from(buffer.subarray(bodyStart, end)))
    const nonceProof = message.get(Tag.RNON)
    if (message.tag !== MessageTag.PRST || nonceProof?.length !== NONCE_PROOF_LENGTH) return undefined
    const address = message.get(Tag.CADR)
    return {
      nonceProof,
      rejectedPacketNumber: message.get(Tag.RSEQ)?.length === 8 ? message.uint64(Tag.RSEQ) : undefined,
      clientAddress: address && decodeSocketAddress(address)
    }
  } catch (error) {
    if (error instanceof QuicError) return undefined
    throw error
  }
}
