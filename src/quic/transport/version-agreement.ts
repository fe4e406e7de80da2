/**
 * Client: what follows from a version negotiation packet (quic_connection.cc, OnVersionNegotiationPacket).
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import { isReservedVersion, parseVersionNegotiation } from '../wire/version-negotiation.js'
import type { QuicVersion } from '../wire/versions/version.js'

/** A client's connection that no packet of its version has answered yet. */
export interface NegotiatingConnection {
  readonly version: QuicVersion
  readonly supportedVersions: readonly QuicVersion[]
  disconnect(errorCode: number, details: string): void
  goOnIn(version: QuicVersion, listedTags: readonly number[]): void
}

/**
 * Has the connection go on in its most preferred version of those that the server lists; ends it, without a word, if the
 * server lists the one that it refuses. A malformed packet is ignored.
 * @throws QuicError INVALID_VERSION if there is none
 */
export function takeVersionNegotiation(connection: NegotiatingConnection, datagram: Uint8Array, bodyStart: number): void {
  const listed = parseVersionNegotiation(datagram, bodyStart, datagram.length)
  if (listed === undefined) return
  const tags = listed.filter((tag) => !isReservedVersion(tag))
  const { version, supportedVersions } = connection
  if (tags.includes(version.tag)) {
    const details = `the server refuses ${version.label} yet lists it`
    connection.disconnect(QuicErrorCode.INVALID_VERSION_NEGOTIATION_PACKET, details)
    return
  }
  const agreed = supportedVersions.find((v) => tags.includes(v.tag))
  if (agreed === undefined) {
    const offered = supportedVersions.map((v) => v.label).join(', ')
    throw new QuicError(QuicErrorCode.INVALID_VERSION, `the server speaks none of ${offered}`)
  }
  connection.goOnIn(agreed, tags)
}
