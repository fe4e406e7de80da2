/**
 * Header protection (RFC 9001 section 5.4): a mask made of a sample of the ciphertext hides the low bits of the first
 * byte and the packet number.
 */
import { createCipheriv, createSecretKey } from 'node:crypto'
import type { Cipher, KeyObject } from 'node:crypto'
import { HEADER_SAMPLE_LENGTH, MAX_OPEN_BATCH, type AeadName, type HeaderProtector, type MaskBatch } from './protection.js'

const MASK_LENGTH = 5

/** Written and read in one go. */
const gathered = new Uint8Array(MAX_OPEN_BATCH * HEADER_SAMPLE_LENGTH)

/** Masks by node:crypto. */
export function createNodeHeaderProtector(aead: AeadName, key: Uint8Array): HeaderProtector {
  return aead === 'AESG' ? new AesHeaderProtector(key) : new ChaChaHeaderProtector(key)
}

/** The mask is the sample, encrypted as one block. ECB keeps no state, so one object serves all packets. */
class AesHeaderProtector implements HeaderProtector {
  private readonly key: Uint8Array
  private made: Cipher | undefined

  constructor(key: Uint8Array) {
    this.key = Uint8Array.from(key)
  }

  private get cipher(): Cipher {
    return (this.made ??= createCipheriv('aes-128-ecb', this.key, null).setAutoPadding(false))
  }

  releaseMemory(): void {
    this.made = undefined
  }

  mask(buffer: Uint8Array, sampleOffset: number): Uint8Array {
    return this.cipher.update(buffer.subarray(sampleOffset, sampleOffset + HEADER_SAMPLE_LENGTH))
  }

  // The call costs more than the block does.
  maskBatch({ buffer, sampleOffset, count, masks }: MaskBatch): void {
    for (let n = 0, at = 0; n < count; n++) {
      const sample = sampleOffset[n]!
      for (let i = 0; i < HEADER_SAMPLE_LENGTH; i++) gathered[at++] = buffer[sample + i]!
    }
    masks.set(this.cipher.update(gathered.subarray(0, count * HEADER_SAMPLE_LENGTH)))
  }
}

/** The mask is key stream at the block counter and nonce that the sample spells. */
class ChaChaHeaderProtector implements HeaderProtector {
  private readonly key: KeyObject
  private readonly zeros = new Uint8Array(MASK_LENGTH)

  constructor(key: Uint8Array) {
    this.key = createSecretKey(key)
  }

  mask(buffer: Uint8Array, sampleOffset: number): Uint8Array {
    const sample = buffer.subarray(sampleOffset, sampleOffset + HEADER_SAMPLE_LENGTH)
    return createCipheriv('chacha20', this.key, sample).update(this.zeros)
  }
}
