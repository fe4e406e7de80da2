/**
 * Server nonces: in every rejection and server hello, and opaque to clients, they make the keys of each handshake
 * unique (quic_crypto_server_config.cc, NewServerNonce and ValidateServerNonce).
 *
 * A nonce is a {@link SecretBox} over `issued u32 big-endian | random(20)`: 48 bytes.
 */
import { RejectReason } from '../../wire/tags.js'
import { SecretBox } from './secret-box.js'

const RANDOM_LENGTH = 20
const PLAINTEXT_LENGTH = 4 + RANDOM_LENGTH
const WINDOW_SECONDS = 120
/** Nonces remembered as used; beyond that, new ones are refused until old ones have run out. */
const MAX_USED = 1024

/** Issues nonces and, for versions that know no other protection from replay, accepts each of them once. */
export class ServerNonces {
  private readonly box: SecretBox
  /** Random parts of nonces used, with when they were issued; a Map keeps the order in which they came. */
  private readonly used = new Map<string, number>()

  /** @param random gives that many unpredictable bytes; also makes the key, so nonces end with the process */
  constructor(private readonly random: (length: number) => Uint8Array) {
    this.box = new SecretBox(random(16), random)
  }

  /** A new nonce. `wallSeconds` is the time since the UNIX epoch. */
  issue(wallSeconds: number): Uint8Array {
    const plaintext = Buffer.alloc(PLAINTEXT_LENGTH)
    plaintext.writeUInt32BE(wallSeconds >>> 0, 0)
    plaintext.set(this.random(RANDOM_LENGTH), 4)
    return this.box.seal(plaintext)
  }

  /** Undefined if the nonce is ours, at most two minutes old and new to us, else the {@link RejectReason}. */
  use(nonce: Uint8Array, wallSeconds: number): RejectReason | undefined {
    const plaintext = this.box.open(nonce)
    if (plaintext === undefined) return RejectReason.SERVER_NONCE_DECRYPTION_FAILURE
    if (plaintext.length !== PLAINTEXT_LENGTH) return RejectReason.SERVER_NONCE_INVALID_FAILURE
    const opened = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.length)
    const issued = opened.readUInt32BE(0)
    if (Math.abs(wallSeconds - issued) > WINDOW_SECONDS) return RejectReason.SERVER_NONCE_INVALID_TIME_FAILURE
    const key = opened.toString('latin1', 4)
    if (this.used.has(key)) return RejectReason.SERVER_NONCE_NOT_UNIQUE_FAILURE
    for (const [old, when] of this.used) {
      if (wallSeconds - when <= WINDOW_SECONDS) break
      this.used.delete(old)
    }
    if (this.used.size >= MAX_USED) return RejectReason.SERVER_NONCE_NOT_UNIQUE_FAILURE
    this.used.set(key, issued)
    return undefined
  }
}
