/**
 * Boxes that only their maker can open: how a server lets clients carry its state (crypto_secret_boxer.cc).
 *
 *     nonce(12) | AES-128-GCM ciphertext | tag(12)
 */
import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

const CIPHER = 'aes-128-gcm'
const NONCE_LENGTH = 12
const TAG_LENGTH = 12
const options = { authTagLength: TAG_LENGTH }

/** Seals and opens boxes under one key. */
export class SecretBox {
  private readonly key: KeyObject

  /**
   * @param key 16 bytes
   * @param random gives that many unpredictable bytes
   */
  constructor(
    key: Uint8Array,
    private readonly random: (length: number) => Uint8Array
  ) {
    this.key = createSecretKey(key)
  }

  seal(plaintext: Uint8Array): Uint8Array {
    const nonce = this.random(NONCE_LENGTH)
    const cipher = createCipheriv(CIPHER, this.key, nonce, options)
    return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  }

  /** The plaintext, undefined if the box is not of this key. */
  open(box: Uint8Array): Uint8Array | undefined {
    const end = box.length - TAG_LENGTH
    if (end < NONCE_LENGTH) return undefined
    const decipher = createDecipheriv(CIPHER, this.key, box.subarray(0, NONCE_LENGTH), options)
    decipher.setAuthTag(box.subarray(end))
    const plaintext = decipher.update(box.subarray(NONCE_LENGTH, end))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return plaintext
  }
}
