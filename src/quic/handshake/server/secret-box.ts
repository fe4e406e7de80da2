/**
 * Boxes that only their maker can open: how a server lets clients carry its state (crypto_secret_boxer.cc).
 */
import { nodePrimitives } from '../../crypto/node-primitives.js'
import { BOX_NONCE_LENGTH, type CryptoPrimitives, type GcmBox } from '../../crypto/primitives.js'

/** Seals and opens boxes under one key. */
export class SecretBox {
  private readonly box: GcmBox

  /**
   * @param key 16 bytes
   * @param random gives that many unpredictable bytes
   */
  constructor(
    key: Uint8Array,
    private readonly random: (length: number) => Uint8Array,
    primitives: CryptoPrimitives = nodePrimitives
  ) {
    this.box = primitives.gcmBox(key)
  }

  seal(plaintext: Uint8Array): Uint8Array {
    return this.box.seal(this.random(BOX_NONCE_LENGTH), plaintext)
  }

  /** The plaintext, undefined if the box is not of this key. */
  open(box: Uint8Array): Uint8Array | undefined {
    return this.box.open(box)
  }
}
