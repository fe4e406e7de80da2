/**
 * How often a client's connection began anew under another id, and what it was told each time.
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { HandshakeDescription } from '../handshake/handshake.js'

/** Stateless rejects that a client follows, as many as a connection's hellos. */
const MAX_RESTARTS = 3

/** One a connection. */
export class Restarts {
  private count = 0
  private readonly rejections: (readonly string[])[] = []

  /**
   * Counts one, and keeps what the handshake that it ends was told.
   * @throws QuicError CRYPTO_TOO_MANY_REJECTS
   */
  add(ended: HandshakeDescription): void {
    this.rejections.push(...ended.rejections)
    if (++this.count <= MAX_RESTARTS) return
    const details = `${this.count} stateless rejects, the last for ${this.rejections.at(-1)?.join(', ')}`
    throw new QuicError(QuicErrorCode.CRYPTO_TOO_MANY_REJECTS, details)
  }

  /** The description of the handshake at hand, with the rejections of those before it. */
  describe(description: HandshakeDescription): HandshakeDescription {
    if (this.count === 0) return description
    return { ...description, rejections: [...this.rejections, ...description.rejections] }
  }
}
