/**
 * How a server from Q044 on says that it does not know a connection: a packet that looks like any with a short header
 * and ends in a token that only its client knows, from the SHLO's SRST.
 *
 *     0x70 | random bytes | token(16)
 *
 * Source: quic_framer.cc of later QUICHE (BuildIetfStatelessResetPacket); RFC 9000 section 10.3.
 */

/** Bytes of a token. */
export const RESET_TOKEN_LENGTH = 16
/** Random bytes that the reference puts before the token. */
export const RESET_RANDOM_LENGTH = 24
const FIRST_BYTE = 0x70

/** A whole stateless reset datagram. */
export function buildStatelessReset(token: Uint8Array, random: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(1 + random.length + RESET_TOKEN_LENGTH)
  datagram[0] = FIRST_BYTE
  datagram.set(random, 1)
  datagram.set(token, 1 + random.length)
  return datagram
}

/**
 * Whether a datagram `[start, end)` that no key opens is a reset of the connection with this token. Takes the same
 * time wherever the first difference is, so that a forger learns nothing by trying.
 */
export function isStatelessReset(buffer: Uint8Array, start: number, end: number, token: Uint8Array): boolean {
  // A long header has other ways to be refused.
  if (end - start <= RESET_TOKEN_LENGTH || (buffer[start]! & 0x80) !== 0) return false
  let difference = 0
  const at = end - RESET_TOKEN_LENGTH
  for (let i = 0; i < RESET_TOKEN_LENGTH; i++) difference |= buffer[at + i]! ^ token[i]!
  return difference === 0
}
