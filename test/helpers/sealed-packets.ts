/**
 * Packets to seal, and the keys to seal them with.
 */
import { PacketBatch } from '../../src/quic/crypto/protection.js'
import type { AeadName, ProtectionStyle } from '../../src/quic/crypto/protection.js'

/** Length of a header, bytes. */
export const HEADER = 12

/** The parameters of one key. */
export interface Keyed {
  readonly aead: AeadName
  readonly style: ProtectionStyle
  readonly seed: number
}

/** What an AEAD provider makes sealers and openers of. */
export function secrets({ aead, style, seed }: Keyed): [AeadName, Uint8Array, Uint8Array, ProtectionStyle, Uint8Array] {
  const length = aead === 'AESG' ? 16 : 32
  return [aead, new Uint8Array(length).fill(seed), new Uint8Array(style.ivLength).fill(seed), style, new Uint8Array(length).fill(seed + 1)]
}

/** Writes packets of `size` bytes, tag included, side by side from `at` on: a header that ends with their number, then `P`s. */
export function writePackets(buffer: Uint8Array, at: number, size: number, tagLength: number, numbers: readonly number[]): PacketBatch {
  const batch = new PacketBatch()
  batch.buffer = buffer
  for (const number of numbers) {
    buffer.fill(0x40, at, at + HEADER)
    // The length of the number, 4 bytes, where header protection looks for it.
    buffer[at] = 0x43
    new DataView(buffer.buffer, buffer.byteOffset).setUint32(at + HEADER - 4, number)
    buffer.fill(0x50, at + HEADER, at + size - tagLength)
    batch.add(at, at + HEADER, at + size - tagLength, number, at + HEADER - 4)
    at += size
  }
  return batch
}
