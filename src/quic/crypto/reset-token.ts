/**
 * Tokens of stateless resets: derived from the connection id and a secret, so that a server that has forgotten a
 * connection, or was restarted, still knows its token (RFC 9000 section 10.3.2).
 */
import { createHmac } from 'node:crypto'

const TOKEN_LENGTH = 16

/** Makes the function from connection id to token, 16 bytes, of one secret of any length. */
export function resetTokens(secret: Uint8Array): (connectionId: Uint8Array) => Uint8Array {
  const key = createHmac('sha256', secret).update('quicgate stateless reset').digest()
  return (connectionId) => createHmac('sha256', key).update(connectionId).digest().subarray(0, TOKEN_LENGTH)
}
