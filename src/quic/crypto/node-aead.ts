/**
 * Packet protection on node:crypto: one cipher object a packet, which is what that interface offers
 * (aead_base_encrypter.cc, aead_base_decrypter.cc).
 */
import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import type { CipherGCMTypes, KeyObject } from 'node:crypto'
import { createNodeHeaderProtector } from './header-protection.js'
import { aeadKeyLength } from './key-schedule.js'
import { nodePrimitives } from './node-primitives.js'
import { requireLength } from './primitives.js'
import {
  CLASSIC_PROTECTION,
  HEADER_SAMPLE_DISTANCE,
  MaskBatch,
  makeMasks,
  maskedBits
} from './protection.js'
import type {
  AeadName,
  AeadProvider,
  HeaderProtector,
  PacketBatch,
  PacketOpener,
  PacketSealer,
  ProtectionStyle
} from './protection.js'

const NONCE_LENGTH = 12
const NUMBER_OFFSET = 4
const TWO_32 = 0x1_0000_0000
const TAG_OF_12 = { authTagLength: 12 }
const TAG_OF_16 = { authTagLength: 16 }

/** AEADs by node:crypto. Buffers given are read and written in place; the tag stands behind the payload. */
export class NodeAeadProvider implements AeadProvider {
  readonly primitives = nodePrimitives

  /** @param preference AES first by default: with this engine it is a tenth faster than ChaCha20 */
  constructor(readonly preference: readonly AeadName[] = ['AESG', 'CC20']) {}

  /** @throws RangeError if key (16 or 32 bytes), IV (the style's length) or header key have the wrong length */
  createSealer(
    aead: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    style = CLASSIC_PROTECTION,
    headerKey?: Uint8Array
  ): PacketSealer {
    return new NodeSealer(aead, key, iv, style, this.protector(aead, style, headerKey))
  }

  /** @throws RangeError if key (16 or 32 bytes), IV (the style's length) or header key have the wrong length */
  createOpener(
    aead: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    style = CLASSIC_PROTECTION,
    headerKey?: Uint8Array
  ): PacketOpener {
    return new NodeOpener(aead, key, iv, style, this.protector(aead, style, headerKey))
  }

  /** @throws RangeError if the key (16 or 32 bytes) has the wrong length */
  createHeaderProtector(aead: AeadName, headerKey: Uint8Array): HeaderProtector {
    requireLength(`a header key for ${aead}`, headerKey, aeadKeyLength(aead))
    return createNodeHeaderProtector(aead, headerKey)
  }

  private protector(aead: AeadName, style: ProtectionStyle, headerKey?: Uint8Array): HeaderProtector | undefined {
    return style.headerProtection ? this.createHeaderProtector(aead, headerKey ?? NO_KEY) : undefined
  }
}

const NO_KEY = new Uint8Array(0)

/** Written for each packet, and read before the next one. */
const nonce = new Uint8Array(NONCE_LENGTH)
/** The same for the headers of a batch. */
const maskBatch = new MaskBatch()

/** What both directions keep for a key. */
class AeadKey {
  readonly prefixLength = 0
  readonly suffixLength: number
  // ChaCha20-Poly1305 takes the same options and calls here; its own overload only asks for fewer.
  protected readonly algorithm: CipherGCMTypes
  // A raw key would be wrapped anew for every packet, which on some Node versions costs four times the sealing.
  protected readonly key: KeyObject
  protected readonly options: { readonly authTagLength: number }
  // An array of numbers takes a third of the memory of a typed one this small.
  private readonly iv: readonly number[]

  constructor(
    aead: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    style: ProtectionStyle,
    readonly headerProtector: HeaderProtector | undefined
  ) {
    requireLength(`a ${aead} key`, key, aeadKeyLength(aead))
    requireLength('an IV', iv, style.ivLength)
    this.algorithm = (aead === 'AESG' ? 'aes-128-gcm' : 'chacha20-poly1305') as CipherGCMTypes
    this.key = createSecretKey(key)
    this.iv = Array.from(iv)
    this.options = style.tagLength === 12 ? TAG_OF_12 : TAG_OF_16
    this.suffixLength = style.tagLength
  }

  releaseMemory(): void {
    this.headerProtector?.releaseMemory?.()
  }

  /**
   * Nonce = IV of 4 bytes, then the full packet number as 8 little-endian bytes; or IV of 12 bytes, whose last 8 are
   * XORed with the big-endian packet number.
   */
  protected setNonce(packetNumber: number): void {
    const { iv } = this
    for (let i = 0; i < NUMBER_OFFSET; i++) nonce[i] = iv[i]!
    let low = packetNumber % TWO_32
    let high = (packetNumber - low) / TWO_32
    if (iv.length === NUMBER_OFFSET) {
      for (let i = NUMBER_OFFSET; i < NONCE_LENGTH; i++) {
        nonce[i] = low
        low = (low >>> 8) | (high << 24)
        high >>>= 8
      }
    } else {
      for (let i = NONCE_LENGTH - 1; i >= NUMBER_OFFSET; i--) {
        nonce[i] = iv[i]! ^ low
        low = (low >>> 8) | (high << 24)
        high >>>= 8
      }
    }
  }
}

class NodeSealer extends AeadKey implements PacketSealer {
  seal(batch: PacketBatch): void {
    const buffer = batch.buffer
    for (let i = 0; i < batch.count; i++) {
      const payloadStart = batch.payloadStart[i]!
      const payloadEnd = batch.payloadEnd[i]!
      this.setNonce(batch.packetNumber[i]!)
      const cipher = createCipheriv(this.algorithm, this.key, nonce, this.options)
      cipher.setAAD(buffer.subarray(batch.headerStart[i]!, payloadStart))
      buffer.set(cipher.update(buffer.subarray(payloadStart, payloadEnd)), payloadStart)
      cipher.final()
      buffer.set(cipher.getAuthTag(), payloadEnd)
    }
    if (this.headerProtector !== undefined) this.protectHeaders(batch, this.headerProtector)
  }

  private protectHeaders(batch: PacketBatch, protector: HeaderProtector): void {
    const { buffer, count } = batch
    maskBatch.buffer = buffer
    maskBatch.count = 0
    for (let i = 0; i < count; i++) maskBatch.add(sampleOffset(batch, i))
    makeMasks(protector, maskBatch)
    for (let i = 0; i < count; i++) {
      const mask = maskBatch.mask[i]!
      const start = batch.headerStart[i]!
      const numberOffset = batch.packetNumberOffset[i]!
      const length = numberLength(batch, i)
      buffer[start]! ^= mask[0]! & maskedBits(buffer[start]!)
      for (let n = 0; n < length; n++) buffer[numberOffset + n]! ^= mask[1 + n]!
    }
  }
}

/** Bytes of packet i's number, whose header is not protected yet. */
function numberLength(batch: PacketBatch, i: number): number {
  return (batch.buffer[batch.headerStart[i]!]! & 3) + 1
}

function sampleOffset(batch: PacketBatch, i: number): number {
  const numberOffset = batch.packetNumberOffset[i]!
  // What stands between packet number and payload, the nonce of some packets, is neither masked nor sampled.
  const between = batch.payloadStart[i]! - numberOffset - numberLength(batch, i)
  return numberOffset + HEADER_SAMPLE_DISTANCE + between
}

class NodeOpener extends AeadKey implements PacketOpener {
  open(buffer: Uint8Array, headerStart: number, headerEnd: number, end: number, packetNumber: number): number {
    const tagStart = end - this.suffixLength
    if (tagStart < headerEnd) return -1
    this.setNonce(packetNumber)
    const decipher = createDecipheriv(this.algorithm, this.key, nonce, this.options)
    decipher.setAuthTag(buffer.subarray(tagStart, end))
    decipher.setAAD(buffer.subarray(headerStart, headerEnd))
    const plaintext = decipher.update(buffer.subarray(headerEnd, tagStart))
    try {
      decipher.final()
    } catch {
      return -1
    }
    buffer.set(plaintext, headerEnd)
    return plaintext.length
  }
}
