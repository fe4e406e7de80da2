/**
 * FNV-1a hashes: the 128-bit one, cut to 96 bits, guards packets at level None; the 64-bit one names certificates.
 * Source: quic_utils.cc (FNV1a_128_Hash_Two, FNV1a_64_Hash, SerializeUint128Short).
 */

/** Bytes of the hash that stands before a payload at level None. */
export const NULL_HASH_LENGTH = 12

const LIMB_MASK = 0x3fffff
const PRIME_LOW = 0x13b

// The offset basis 0x6c62272e07bb014262b821756295c58d mod 2^96, in limbs of 22, 22, 22, 22 and 8 bits.
const BASIS = 0x6c62272e07bb014262b821756295c58dn
const limbOfBasis = (i: number): number => Number((BASIS >> BigInt(22 * i)) & BigInt(i < 4 ? LIMB_MASK : 0xff))
const BASIS_0 = limbOfBasis(0)
const BASIS_1 = limbOfBasis(1)
const BASIS_2 = limbOfBasis(2)
const BASIS_3 = limbOfBasis(3)
const BASIS_4 = limbOfBasis(4)

/**
 * The low 96 bits of FNV-1a-128 over any number of byte ranges. Reusable and free of allocation.
 *
 * Multiplication modulo 2^96 never looks at higher bits, so they are not kept. Limbs of 22 bits make every product
 * with the low part of the prime (9 bits) fit an int32, and the prime's other part, 2^88, is exactly four limbs: it
 * adds limb 0 to limb 4.
 */
export class Fnv1a96 {
  private a = BASIS_0
  private b = BASIS_1
  private c = BASIS_2
  private d = BASIS_3
  private e = BASIS_4

  /** Starts over. */
  reset(): this {
    this.a = BASIS_0
    this.b = BASIS_1
    this.c = BASIS_2
    this.d = BASIS_3
    this.e = BASIS_4
    return this
  }

  /** Adds the bytes `[start, end)` of `buffer`. */
  update(buffer: Uint8Array, start: number, end: number): this {
    let { a, b, c, d, e } = this
    for (let i = start; i < end; i++) {
      const x = a ^ buffer[i]!
      let t = x * PRIME_LOW
      a = t & LIMB_MASK
      t = (t >>> 22) + b * PRIME_LOW
      b = t & LIMB_MASK
      t = (t >>> 22) + c * PRIME_LOW
      c = t & LIMB_MASK
      t = (t >>> 22) + d * PRIME_LOW
      d = t & LIMB_MASK
      e = ((t >>> 22) + e * PRIME_LOW + x) & 0xff
    }
    this.a = a
    this.b = b
    this.c = c
    this.d = d
    this.e = e
    return this
  }

  /** Writes the hash as 12 little-endian bytes at `at`. */
  write(out: Uint8Array, at: number): void {
    const w0 = this.word0
    const w1 = this.word1
    const w2 = this.word2
    for (let i = 0; i < 4; i++) {
      out[at + i] = w0 >>> (8 * i)
      out[at + 4 + i] = w1 >>> (8 * i)
      out[at + 8 + i] = w2 >>> (8 * i)
    }
  }

  /** Whether the 12 bytes at `at` are the hash. */
  matches(buffer: Uint8Array, at: number): boolean {
    const w0 = this.word0
    const w1 = this.word1
    const w2 = this.word2
    let difference = 0
    for (let i = 0; i < 4; i++) {
      difference |= (buffer[at + i]! ^ (w0 >>> (8 * i))) & 0xff
      difference |= (buffer[at + 4 + i]! ^ (w1 >>> (8 * i))) & 0xff
      difference |= (buffer[at + 8 + i]! ^ (w2 >>> (8 * i))) & 0xff
    }
    return difference === 0
  }

  // Bits 0–31, 32–63 and 64–95 of the five limbs, which begin at bits 0, 22, 44, 66 and 88.
  private get word0(): number {
    return this.a | (this.b << 22)
  }

  private get word1(): number {
    return (this.b >>> 10) | (this.c << 12)
  }

  private get word2(): number {
    return (this.c >>> 20) | (this.d << 2) | (this.e << 24)
  }
}

const PRIME_64 = 0x100000001b3n
const BASIS_64 = 0xcbf29ce484222325n

/** FNV-1a-64 of a whole array: for certificates and other rare, small inputs, since it computes with BigInt. */
export function fnv1a64(bytes: Uint8Array): bigint {
  let hash = BASIS_64
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME_64)
  return hash
}
