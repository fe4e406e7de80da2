/**
 * Server nonces: in every rejection and server hello, and opaque to clients, they make the keys of each handshake
 * unique (quic_crypto_server_config.cc, NewServerNonce and ValidateServerNonce).
 *
 * A nonce is a {@link SecretBox} over `issued u32 big-endian | random(20)`: 48 bytes.
 */
import type { CryptoPrimitives } from '../../crypto/primitives.js'
import { RejectReason } from '../../wire/tags.js'
import { SecretBox } from './secret-box.js'
import { StrikeRegister, nonceSeconds } from './strike-register.js'

const RANDOM_LENGTH = 20
const PLAINTEXT_LENGTH = 4 + RANDOM_LENGTH
const WINDOW_SECONDS = 120

/** Issues nonces, and accepts each of them once. */
export class ServerNonces {
  private readonly box: SecretBox
  private register: StrikeRegister | undefined

  /**
   * @param random gives that many unpredictable bytes; also makes the key, so nonces end with the process
   * @param maxUsed nonces remembered as used; beyond that the oldest are refused (default 65,536)
   * @param primitives who seals them, node:crypto if missing
   */
  constructor(
    private readonly random: (length: number) => Uint8Array,
    private readonly maxUsed?: number,
    primitives?: CryptoPrimitives
  ) {
    this.box = new SecretBox(random(16), random, primitives)
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
    this.register ??= new StrikeRegister({
      wallSeconds,
      windowSeconds: WINDOW_SECONDS,
      maxEntries: this.maxUsed,
      hasPredecessor: false
    })
    switch (this.register.insert(nonceSeconds(plaintext), plaintext.subarray(4), wallSeconds)) {
      case 'time':
        return RejectReason.SERVER_NONCE_INVALID_TIME_FAILURE
      case 'used':
        return RejectReason.SERVER_NONCE_NOT_UNIQUE_FAILURE
      default:
        return undefined
    }
  }
}
