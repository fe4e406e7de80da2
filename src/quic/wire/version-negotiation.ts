/**
 * The packet with which a server answers a version that it does not speak. Unprotected, without a packet number.
 *
 *     0x0D | connection id(8) | version tag(4) × N, N ≥ 1, in the server's order of preference
 *
 * Source: quic_framer.cc (BuildVersionNegotiationPacket, ProcessVersionNegotiationPacket).
 */
import { ByteReader, ByteWriter } from './bytes.js'
import { CONNECTION_ID_LENGTH, PublicFlag, VERSION_TAG_LENGTH } from './public-header.js'

/** A whole version negotiation datagram. `versionTags` are little-endian numbers as in {@link QuicVersion.tag}. */
export function buildVersionNegotiation(connectionId: Uint8Array, versionTags: readonly number[]): Uint8Array {
  const out = new ByteWriter(
    false,
    new Uint8Array(1 + CONNECTION_ID_LENGTH + VERSION_TAG_LENGTH * versionTags.length)
  )
  out.uint8(PublicFlag.Version | PublicFlag.ConnectionId | PublicFlag.Nonce)
  out.bytes(connectionId)
  for (const tag of versionTags) out.uint32(tag)
  return out.buffer
}

/**
 * The version tags of a version negotiation datagram.
 *
 * @param bodyStart where the list begins ({@link DatagramPeek.bodyStart})
 * @returns undefined for an empty list or one with bytes left over: the packet is then to be ignored
 */
export function parseVersionNegotiation(buffer: Uint8Array, bodyStart: number, end: number): number[] | undefined {
  const length = end - bodyStart
  if (length < VERSION_TAG_LENGTH || length % VERSION_TAG_LENGTH !== 0) return undefined
  const reader = new ByteReader(false, buffer, bodyStart, end)
  const tags: number[] = []
  while (reader.remaining > 0) tags.push(reader.uint32())
  return tags
}
