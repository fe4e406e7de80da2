/**
 * How packets are protected: one sealer and one opener per key, in place, shaped for batches so that an engine which
 * handles many packets in one call can stand behind the same interface.
 */

import type { CryptoPrimitives } from './primitives.js'

/** AEADs as the handshake names them: AES-128-GCM and ChaCha20-Poly1305. */
export type AeadName = 'AESG' | 'CC20'

/** What distinguishes the AEADs of version families. */
export interface ProtectionStyle {
  /** 4: the fixed part of a nonce, before the packet number. 12: the whole nonce, mixed with it. */
  readonly ivLength: 4 | 12
  readonly tagLength: 12 | 16
  /** Parts of the header are masked with a key of their own. */
  readonly headerProtection: boolean
}

/** AEADs through Q046. */
export const CLASSIC_PROTECTION: ProtectionStyle = { ivLength: 4, tagLength: 12, headerProtection: false }
/** AEADs from Q050 on, as in IETF QUIC. */
export const IETF_PROTECTION: ProtectionStyle = { ivLength: 12, tagLength: 16, headerProtection: true }

/** Bytes of ciphertext from which header protection makes its mask. */
export const HEADER_SAMPLE_LENGTH = 16
/** From the beginning of the packet number, whatever its length, to the sample (a nonce between them not counted). */
export const HEADER_SAMPLE_DISTANCE = 4

/** Which bits of a packet's first byte are masked: of a long header the low four, of a short one the low five. */
export function maskedBits(firstByte: number): number {
  return (firstByte & 0x80) !== 0 ? 0x0f : 0x1f
}

/** The most packets that are opened with one call. */
export const MAX_OPEN_BATCH = 32

/**
 * Packets that stand anywhere in one buffer, waiting to be opened. Packet i has its header, without protection, in
 * `[headerStart[i], headerEnd[i])` and its protected payload in `[headerEnd[i], end[i])`.
 */
export class OpenBatch {
  buffer: Uint8Array = new Uint8Array(0)
  count = 0
  readonly headerStart = new Int32Array(MAX_OPEN_BATCH)
  readonly headerEnd = new Int32Array(MAX_OPEN_BATCH)
  readonly end = new Int32Array(MAX_OPEN_BATCH)
  /** Full packet numbers, below 2^53. */
  readonly packetNumber = new Float64Array(MAX_OPEN_BATCH)
  /** What opening comes to: the plaintext's length in bytes, or -1 if the packet does not authenticate. */
  readonly length = new Int32Array(MAX_OPEN_BATCH)

  add(headerStart: number, headerEnd: number, end: number, packetNumber: number): void {
    const i = this.count++
    this.headerStart[i] = headerStart
    this.headerEnd[i] = headerEnd
    this.end[i] = end
    this.packetNumber[i] = packetNumber
  }
}

/** Samples of ciphertext that stand anywhere in one buffer, and the masks of header protection that are made of them. */
export class MaskBatch {
  buffer: Uint8Array = new Uint8Array(0)
  count = 0
  readonly sampleOffset = new Int32Array(MAX_OPEN_BATCH)
  /** Side by side, 16 bytes each. */
  readonly masks = new Uint8Array(MAX_OPEN_BATCH * HEADER_SAMPLE_LENGTH)
  /** The masks one by one. */
  readonly mask = Array.from({ length: MAX_OPEN_BATCH }, (_, i) =>
    this.masks.subarray(i * HEADER_SAMPLE_LENGTH, (i + 1) * HEADER_SAMPLE_LENGTH)
  )

  add(sampleOffset: number): void {
    this.sampleOffset[this.count++] = sampleOffset
  }
}

/** Makes the masks of header protection with one key. */
export interface HeaderProtector {
  /** The mask (at least 5 bytes) for the sample of 16 bytes at `sampleOffset`; valid until the next call. */
  mask(buffer: Uint8Array, sampleOffset: number): Uint8Array
  /** Makes the masks of all samples of the batch. Missing where that is not cheaper than one by one. */
  maskBatch?(batch: MaskBatch): void
  /** Frees what only traffic needs; the next mask makes it anew. */
  releaseMemory?(): void
}

/** Makes the masks of all samples of the batch, with one call where the protector has one. */
export function makeMasks(protector: HeaderProtector, batch: MaskBatch): void {
  if (protector.maskBatch !== undefined) {
    protector.maskBatch(batch)
    return
  }
  const { buffer, count, sampleOffset, mask } = batch
  for (let i = 0; i < count; i++) mask[i]!.set(protector.mask(buffer, sampleOffset[i]!).subarray(0, HEADER_SAMPLE_LENGTH))
}

/** The most packets that one batch, and so one transmit, holds. */
export const MAX_BATCH_PACKETS = 16

/**
 * Packets laid out in one buffer, waiting to be sealed. Packet i has its header at `headerStart[i]`, its plaintext at
 * `[payloadStart[i], payloadEnd[i])`, where `payloadStart[i]` leaves the sealer's `prefixLength` free behind the
 * header and the sealer's `suffixLength` bytes behind `payloadEnd[i]` are free too.
 */
export class PacketBatch {
  buffer: Uint8Array = new Uint8Array(0)
  count = 0
  readonly headerStart = new Int32Array(MAX_BATCH_PACKETS)
  readonly payloadStart = new Int32Array(MAX_BATCH_PACKETS)
  readonly payloadEnd = new Int32Array(MAX_BATCH_PACKETS)
  /** Full packet numbers, below 2^53. */
  readonly packetNumber = new Float64Array(MAX_BATCH_PACKETS)
  /** Where the packet number begins: what header protection masks. */
  readonly packetNumberOffset = new Int32Array(MAX_BATCH_PACKETS)

  /** @param packetNumberOffset only header protection wants to know */
  add(
    headerStart: number,
    payloadStart: number,
    payloadEnd: number,
    packetNumber: number,
    packetNumberOffset = headerStart
  ): void {
    const i = this.count++
    this.packetNumberOffset[i] = packetNumberOffset
    this.headerStart[i] = headerStart
    this.payloadStart[i] = payloadStart
    this.payloadEnd[i] = payloadEnd
    this.packetNumber[i] = packetNumber
  }
}

/** Protects outgoing packets with one key. */
export interface PacketSealer {
  /** Bytes that protection adds between header and payload (the null hash stands there). */
  readonly prefixLength: number
  /** Bytes that protection adds behind the payload (the AEAD tag stands there). */
  readonly suffixLength: number
  /**
   * Seals every packet of the batch in place, header protection included. The associated data is the packet's header,
   * complete.
   */
  seal(batch: PacketBatch): void
  /** Frees what only traffic needs; the next packet makes it anew. */
  releaseMemory?(): void
}

/** Opens incoming packets with one key. */
export interface PacketOpener {
  readonly prefixLength: number
  readonly suffixLength: number
  /** What has to be taken off the header first, if anything ({@link HeaderCodec.reveal}). */
  readonly headerProtector?: HeaderProtector | undefined
  /**
   * Authenticates and decrypts one packet in place: header in `[headerStart, headerEnd)`, protected payload in
   * `[headerEnd, end)`. The plaintext then stands at `headerEnd + prefixLength`.
   *
   * @returns the plaintext's length in bytes, or -1 if the packet does not authenticate (the buffer is then unchanged)
   */
  open(buffer: Uint8Array, headerStart: number, headerEnd: number, end: number, packetNumber: number): number
  /**
   * Does with every packet of the batch what {@link open} does. Missing where that is not cheaper than one by one; an
   * opener that has it, and a {@link headerProtector}, has one with {@link HeaderProtector.maskBatch}.
   */
  openBatch?(batch: OpenBatch): void
  /** Frees what only traffic needs, the header protector's included; the next packet makes it anew. */
  releaseMemory?(): void
}

/**
 * Makes sealers and openers; what an engine supplies of cryptography. Keys are 16 (AESG) or 32 (CC20) bytes, IVs as long as the style
 * says (default `CLASSIC_PROTECTION`), header keys as long as keys and needed where the style has header
 * protection.
 */
export interface AeadProvider {
  /** AEADs in order of speed on this engine: the order in which a server config advertises them. */
  readonly preference: readonly AeadName[]
  /** What handshakes on this engine compute their keys with. */
  readonly primitives: CryptoPrimitives
  createSealer(
    aead: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    style?: ProtectionStyle,
    headerKey?: Uint8Array
  ): PacketSealer
  createOpener(
    aead: AeadName,
    key: Uint8Array,
    iv: Uint8Array,
    style?: ProtectionStyle,
    headerKey?: Uint8Array
  ): PacketOpener
  /** For a header that has to be read before the key to its packet can be made (a diversified one). */
  createHeaderProtector(aead: AeadName, headerKey: Uint8Array): HeaderProtector
}
