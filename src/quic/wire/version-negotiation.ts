/**
 * The packet with which a server answers a version that it does not speak, in the form of the packet that it answers.
 * Unprotected, without a packet number.
 *
 *     public header   0x0D | connection id(8) | tags
 *     nibbles         1xxxxxxx | 00000000 | id lengths(1) | ids | tags
 *     lengths first   1xxxxxxx | 00000000 | length(1), destination id | length(1), source id | tags
 *
 *     tags: version tag(4) × N, N ≥ 1, in the server's order of preference. The ids are those of the packet answered,
 *     with their roles exchanged. The list may hold versions that exist to be ignored.
 *
 * Source: quic_framer.cc (BuildVersionNegotiationPacket, ProcessVersionNegotiationPacket; later QUICHE for the forms
 * with long headers).
 */
import { ByteReader, ByteWriter } from './bytes.js'
import { HeaderForm, type DatagramPeek } from './datagram-peek.js'
import { CONNECTION_ID_LENGTH, PublicFlag, VERSION_TAG_LENGTH } from './public-header.js'
import { writeTag } from './tags.js'

/** As the reference begins its long form; other servers fill the low bits at random. */
const LONG_FIRST_BYTE = 0xc0
const NIBBLE_BIAS = 3

/**
 * A whole version negotiation datagram with a public header. `versionTags` are little-endian numbers as in
 * {@link QuicVersion.tag}.
 */
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
 * A whole version negotiation datagram that answers `datagram`.
 *
 * @param peek what {@link peekDatagram} found in it at a server: a data packet that names a version
 */
export function answerVersion(datagram: Uint8Array, peek: DatagramPeek, versionTags: readonly number[]): Uint8Array {
  const id = (offset: number, length: number): Uint8Array => datagram.subarray(offset, offset + length)
  if (peek.form === HeaderForm.Public) {
    return buildVersionNegotiation(id(peek.connectionIdOffset, CONNECTION_ID_LENGTH), versionTags)
  }
  const destination = id(peek.sourceOffset, peek.sourceLength)
  const source = id(peek.destinationOffset, peek.destinationLength)
  const lengths =
    peek.form === HeaderForm.LongNibbles
      ? [[(nibble(destination.length) << 4) | nibble(source.length), ...destination], source]
      : [[destination.length, ...destination], [source.length, ...source]]
  const out = new Uint8Array(1 + VERSION_TAG_LENGTH + lengths[0]!.length + lengths[1]!.length + 4 * versionTags.length)
  out[0] = LONG_FIRST_BYTE
  let at = 1 + VERSION_TAG_LENGTH
  for (const part of lengths) {
    out.set(part, at)
    at += part.length
  }
  for (const tag of versionTags) {
    writeTag(out, at, tag)
    at += VERSION_TAG_LENGTH
  }
  return out
}

function nibble(length: number): number {
  return length === 0 ? 0 : length - NIBBLE_BIAS
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

/**
 * Whether a tag stands for no version, now or ever, and is listed only so that nobody relies on the list: every byte
 * of it has the low bits 1010. To be left out before lists are compared.
 */
export function isReservedVersion(tag: number): boolean {
  return (tag & 0x0f0f0f0f) === 0x0a0a0a0a
}
