/**
 * What a datagram is and whose, read without keys and before its version is settled.
 *
 *     first byte at a server   1xxxxxxx  long header: the version follows, then the connection ids
 *                              01xxxxxx  short header of Q046 and later: the connection id follows
 *                              x011xxxx  with bit 0x08 clear: short header of Q044, likewise
 *                              else      public header (through Q043)
 *
 * A client cannot tell like that, since what it receives may leave the connection id out: it goes by its version.
 * Source: quic_framer.cc (ProcessPublicHeader), quic_utils.cc and quic_dispatcher.cc of later QUICHE.
 */
import { Perspective } from '../types.js'
import { CONNECTION_ID_LENGTH, PublicFlag, VERSION_TAG_LENGTH } from './public-header.js'
import { readTag, tagOf } from './tags.js'

/** The shapes of a datagram that a receiver can tell apart without knowing the version. */
export const DatagramKind = { Data: 0, VersionNegotiation: 1, PublicReset: 2 } as const
export type DatagramKind = (typeof DatagramKind)[keyof typeof DatagramKind]

/** How a datagram's header is laid out, which is how it is answered. */
export const HeaderForm = {
  /** Through Q043. */
  Public: 0,
  /** A long header whose id lengths share a byte (Q044–Q048). */
  LongNibbles: 1,
  /** A long header with a length before each id: Q049, Q050, and every version unknown here. */
  LongPrefixed: 2,
  Short: 3
} as const
export type HeaderForm = (typeof HeaderForm)[keyof typeof HeaderForm]

const LONG_BIT = 0x80
const FIXED_BIT = 0x40
const Q044_SHORT = 0x30
/** In a byte of two id lengths n > 0 stands for n + 3 bytes. */
const NIBBLE_BIAS = 3

const nibbleVersions: ReadonlySet<number> = new Set(['Q044', 'Q045', 'Q046', 'Q047', 'Q048', 'T048'].map(tagOf))

/** What {@link peekDatagram} found. Make one for each receiver and reuse it. */
export class DatagramPeek {
  /** Client: whether the version in use has long headers ({@link VersionTraits.longHeaders}). */
  longHeaders = false
  kind: DatagramKind = DatagramKind.Data
  form: HeaderForm = HeaderForm.Public
  /** Whether it names its connection with an id of 8 bytes, the only ones there are here. */
  hasConnectionId = false
  /** The halves of the connection id as {@link ConnectionIdMap} takes them; 0 without one. */
  connectionIdLow = 0
  connectionIdHigh = 0
  /** Where the connection id stands in the buffer, -1 without one. */
  connectionIdOffset = -1
  /** Both ids of a long header, whatever their lengths, for the answer to echo. */
  destinationOffset = 0
  destinationLength = 0
  sourceOffset = 0
  sourceLength = 0
  /** The tag in a client's data packet or a long header, 0 without one. */
  versionTag = 0
  /** Where the rest begins: a list of versions, a reset message, or what a data header has left. */
  bodyStart = 0

  /** @param receiver the side that looks: the same bits mean different things to the two */
  constructor(readonly receiver: Perspective) {}
}

/**
 * Reads the part of a datagram `[start, end)` that tells what it is.
 *
 * @returns false for what is no such datagram: too short, contradicting flags, version negotiation at a server, or
 *   version negotiation or a public reset without a connection id
 */
export function peekDatagram(buffer: Uint8Array, start: number, end: number, out: DatagramPeek): boolean {
  if (start >= end) return false
  out.kind = DatagramKind.Data
  out.hasConnectionId = false
  out.connectionIdOffset = -1
  out.connectionIdLow = 0
  out.connectionIdHigh = 0
  out.destinationLength = 0
  out.sourceLength = 0
  out.versionTag = 0
  const first = buffer[start]!
  if (out.receiver === Perspective.Client && !out.longHeaders) return peekPublic(buffer, start, end, out)
  if ((first & LONG_BIT) !== 0) return peekLong(buffer, start, end, out)
  const q044Short = (first & PublicFlag.ConnectionId) === 0 && (first & Q044_SHORT) === Q044_SHORT
  if (out.receiver === Perspective.Client || (first & FIXED_BIT) !== 0 || q044Short) {
    return peekShort(buffer, start, end, out)
  }
  return peekPublic(buffer, start, end, out)
}

function peekLong(buffer: Uint8Array, start: number, end: number, out: DatagramPeek): boolean {
  let at = start + 1 + VERSION_TAG_LENGTH
  if (at >= end) return false
  out.versionTag = readTag(buffer, start + 1)
  const client = out.receiver === Perspective.Client
  if (out.versionTag === 0) {
    if (!client) return false
    out.kind = DatagramKind.VersionNegotiation
  }
  // The answer to a version that the server does not know has lengths before the ids, which for a client without an
  // id of its own begin with 0: never with the nibbles' 5.
  const nibbles = nibbleVersions.has(out.versionTag) || (out.versionTag === 0 && buffer[at] !== 0)
  out.form = nibbles ? HeaderForm.LongNibbles : HeaderForm.LongPrefixed
  if (nibbles) {
    const lengths = buffer[at]!
    out.destinationLength = nibbleLength(lengths >>> 4)
    out.sourceLength = nibbleLength(lengths & 15)
    out.destinationOffset = at + 1
    out.sourceOffset = out.destinationOffset + out.destinationLength
  } else {
    out.destinationLength = buffer[at]!
    out.destinationOffset = at + 1
    at = out.destinationOffset + out.destinationLength
    if (at >= end) return false
    out.sourceLength = buffer[at]!
    out.sourceOffset = at + 1
  }
  out.bodyStart = out.sourceOffset + out.sourceLength
  if (out.bodyStart > end) return false
  const length = client ? out.sourceLength : out.destinationLength
  if (length === CONNECTION_ID_LENGTH) takeId(buffer, client ? out.sourceOffset : out.destinationOffset, out)
  return out.kind === DatagramKind.Data || out.hasConnectionId
}

function nibbleLength(code: number): number {
  return code === 0 ? 0 : code + NIBBLE_BIAS
}

function peekShort(buffer: Uint8Array, start: number, end: number, out: DatagramPeek): boolean {
  out.form = HeaderForm.Short
  out.bodyStart = start + 1
  if (out.receiver === Perspective.Client) return true
  out.bodyStart += CONNECTION_ID_LENGTH
  if (out.bodyStart > end) return false
  takeId(buffer, start + 1, out)
  return true
}

function peekPublic(buffer: Uint8Array, start: number, end: number, out: DatagramPeek): boolean {
  out.form = HeaderForm.Public
  const flags = buffer[start]!
  const versioned = (flags & PublicFlag.Version) !== 0
  const reset = (flags & PublicFlag.Reset) !== 0
  if ((versioned && reset) || (flags & PublicFlag.Reserved) !== 0) return false
  let at = start + 1
  if ((flags & PublicFlag.ConnectionId) !== 0) {
    if (at + CONNECTION_ID_LENGTH > end) return false
    takeId(buffer, at, out)
    at += CONNECTION_ID_LENGTH
  }
  if (reset) {
    out.kind = DatagramKind.PublicReset
  } else if (versioned && out.receiver === Perspective.Client) {
    out.kind = DatagramKind.VersionNegotiation
  } else if (versioned) {
    if (at + VERSION_TAG_LENGTH > end) return false
    out.versionTag = readTag(buffer, at)
    at += VERSION_TAG_LENGTH
  }
  out.bodyStart = at
  return out.kind === DatagramKind.Data || out.hasConnectionId
}

function takeId(buffer: Uint8Array, at: number, out: DatagramPeek): void {
  out.hasConnectionId = true
  out.connectionIdOffset = at
  out.connectionIdLow = readTag(buffer, at)
  out.connectionIdHigh = readTag(buffer, at + 4)
}
