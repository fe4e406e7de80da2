/**
 * Packet protection by the addon: the OpenSSL that Node carries, with a context kept for each key.
 */
import { aeadKeyLength } from '../../quic/crypto/key-schedule.js'
import { requireLength } from '../../quic/crypto/primitives.js'
import { CLASSIC_PROTECTION, MAX_BATCH_PACKETS, MAX_OPEN_BATCH, PacketBatch } from '../../quic/crypto/protection.js'
import type {
  AeadName,
  AeadProvider,
  HeaderProtector,
  MaskBatch,
  OpenBatch,
  PacketOpener,
  PacketSealer,
  ProtectionStyle
} from '../../quic/crypto/protection.js'
import {
  DESCRIPTOR_WORDS,
  NativeAead,
  OPEN_DESCRIPTOR_WORDS,
  type NativeAddon,
  type NativeAeadKey,
  type NativeHeaderMask
} from './native-addon.js'
import { writeDescriptors } from './native-sealings.js'
import { NativePrimitives } from './native-primitives.js'

const MASK_LENGTH = 16
/** Bytes of a packet that speed is measured with. */
const SPEED_TEST_SIZE = 1350
/** One for all keys: nothing is left in it between calls. */
const descriptors = new Float64Array(MAX_BATCH_PACKETS * DESCRIPTOR_WORDS)
const openDescriptors = new Float64Array(MAX_OPEN_BATCH * OPEN_DESCRIPTOR_WORDS)

/** AEADs by the addon. Buffers given are read and written in place; the tag stands behind the payload. */
export class NativeAeadProvider implements AeadProvider {
  readonly preference: readonly AeadName[]
  readonly primitives: NativePrimitives

  /** @param preference measured if missing: AES is far ahead where the CPU has instructions for it, and behind elsewhere */
  constructor(
    private readonly addon: NativeAddon,
    preference?: readonly AeadName[]
  ) {
    this.primitives = new NativePrimitives(addon)
    this.preference = preference ?? this.bySpeed()
  }

  /** @throws RangeError if key (16 or 32 bytes), IV (the style's length) or header key have the wrong length */
  createSealer(
    aead: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    style = CLASSIC_PROTECTION,
    headerKey?: Uint8Array
  ): PacketSealer {
    const maskKey = requireLengths(aead, key, iv, style, headerKey)
    return new NativeSealer(new this.addon.AeadKey(NativeAead[aead], 1, key, iv, style.tagLength, maskKey), style)
  }

  /** @throws RangeError if key (16 or 32 bytes), IV (the style's length) or header key have the wrong length */
  createOpener(
    aead: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    style = CLASSIC_PROTECTION,
    headerKey?: Uint8Array
  ): PacketOpener {
    const maskKey = requireLengths(aead, key, iv, style, headerKey)
    const protector = maskKey && this.createHeaderProtector(aead, maskKey)
    return new NativeOpener(
      new this.addon.AeadKey(NativeAead[aead], 0, key, iv, style.tagLength, undefined),
      style,
      protector
    )
  }

  /** @throws RangeError if the key (16 or 32 bytes) has the wrong length */
  createHeaderProtector(aead: AeadName, headerKey: Uint8Array): HeaderProtector {
    requireLength(`a header key for ${aead}`, headerKey, aeadKeyLength(aead))
    return new NativeHeaderProtector(new this.addon.HeaderMask(NativeAead[aead], headerKey))
  }

  private bySpeed(): AeadName[] {
    return this.sealTime('AESG') <= this.sealTime('CC20') ? ['AESG', 'CC20'] : ['CC20', 'AESG']
  }

  /** The shortest of some times, ms, that a batch of full packets took. */
  private sealTime(aead: AeadName): number {
    const sealer = this.createSealer(aead, new Uint8Array(aeadKeyLength(aead)), new Uint8Array(4))
    const batch = new PacketBatch()
    batch.buffer = new Uint8Array(MAX_BATCH_PACKETS * SPEED_TEST_SIZE)
    for (let i = 0, at = 0; i < MAX_BATCH_PACKETS; i++, at += SPEED_TEST_SIZE) {
      batch.add(at, at + 20, at + SPEED_TEST_SIZE - sealer.suffixLength, i)
    }
    let shortest = Infinity
    for (let round = 0; round < 8; round++) {
      const start = performance.now()
      sealer.seal(batch)
      shortest = Math.min(shortest, performance.now() - start)
    }
    return shortest
  }
}

const NO_KEY = new Uint8Array(0)
/** The last one that was made. */
const mask = new Uint8Array(MASK_LENGTH)

/** The header key, where the style has one. */
function requireLengths(
  aead: AeadName,
  key: Uint8Array,
  iv: Uint8Array,
  style: ProtectionStyle,
  headerKey: Uint8Array = NO_KEY
): Uint8Array | undefined {
  requireLength(`a ${aead} key`, key, aeadKeyLength(aead))
  requireLength('an IV', iv, style.ivLength)
  if (!style.headerProtection) return undefined
  requireLength(`a header key for ${aead}`, headerKey, aeadKeyLength(aead))
  return headerKey
}

/** Seals with one key of the addon's. */
export class NativeSealer implements PacketSealer {
  readonly prefixLength = 0
  readonly suffixLength: number
  /** See {@link NativeAeadKey.id}. */
  readonly keyId: number

  constructor(
    readonly key: NativeAeadKey,
    style: ProtectionStyle
  ) {
    this.suffixLength = style.tagLength
    this.keyId = key.id()
  }

  seal(batch: PacketBatch): void {
    writeDescriptors(descriptors, 0, batch, 0)
    this.key.seal(batch.buffer, descriptors, batch.count)
  }

  releaseMemory(): void {
    this.key.release()
  }
}

class NativeOpener implements PacketOpener {
  readonly prefixLength = 0
  readonly suffixLength: number

  constructor(
    private readonly key: NativeAeadKey,
    style: ProtectionStyle,
    readonly headerProtector: HeaderProtector | undefined
  ) {
    this.suffixLength = style.tagLength
  }

  open(buffer: Uint8Array, headerStart: number, headerEnd: number, end: number, packetNumber: number): number {
    return this.key.open(buffer, headerStart, headerEnd, end, packetNumber)
  }

  openBatch(batch: OpenBatch): void {
    const { count } = batch
    for (let i = 0, at = 0; i < count; i++) {
      openDescriptors[at++] = batch.headerStart[i]!
      openDescriptors[at++] = batch.headerEnd[i]!
      openDescriptors[at++] = batch.end[i]!
      openDescriptors[at++] = batch.packetNumber[i]!
    }
    this.key.openMany(batch.buffer, openDescriptors, count, batch.length)
  }

  releaseMemory(): void {
    this.key.release()
    this.headerProtector?.releaseMemory?.()
  }
}

class NativeHeaderProtector implements HeaderProtector {
  constructor(private readonly native: NativeHeaderMask) {}

  mask(buffer: Uint8Array, sampleOffset: number): Uint8Array {
    this.native.make(buffer, sampleOffset, mask)
    return mask
  }

  releaseMemory(): void {
    this.native.release()
  }

  maskBatch(batch: MaskBatch): void {
    this.native.makeMany(batch.buffer, batch.sampleOffset, batch.count, batch.masks)
  }
}
