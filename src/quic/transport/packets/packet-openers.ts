/**
 * Which keys an endpoint tries on an incoming packet, in which order, and what success changes (§ "trial decryption" of
 * quic_framer.cc: a primary decrypter, one alternative, and the rule that swaps or latches them).
 */
import type { PacketOpener } from '../../crypto/protection.js'
import { EncryptionLevel } from '../../types.js'
import type { PacketHeader } from '../../wire/versions/version.js'

/** Makes the opener for a key that depends on the nonce in the packet's header. */
export type DeriveOpener = (nonce: Uint8Array) => PacketOpener

/** Returned by {@link PacketOpeners.open} where no key opens the packet. */
export const UNDECRYPTABLE = -1

/** The keys of one direction of one connection. */
export class PacketOpeners {
  /** Where the plaintext of the last opened packet stands in its buffer, and its length in bytes. */
  payloadStart = 0
  payloadLength = 0

  private level: EncryptionLevel = EncryptionLevel.None
  private opener: PacketOpener
  private alternativeLevel: EncryptionLevel = EncryptionLevel.None
  private alternative: PacketOpener | undefined
  private latch = false
  private derive: DeriveOpener | undefined

  constructor(nullOpener: PacketOpener) {
    this.opener = nullOpener
  }

  /** The only key from now on. */
  setOnly(level: EncryptionLevel, opener: PacketOpener): void {
    this.level = level
    this.opener = opener
    this.clearAlternative()
  }

  /** A second key; on its first success it replaces the primary (`latch`) or swaps places with it. */
  setAlternative(level: EncryptionLevel, opener: PacketOpener, latch: boolean): void {
    this.clearAlternative()
    this.alternativeLevel = level
    this.alternative = opener
    this.latch = latch
  }

  /** Like {@link setAlternative} with latch, for a key that needs the nonce of the packet it opens. */
  setDiversified(level: EncryptionLevel, derive: DeriveOpener): void {
    this.clearAlternative()
    this.alternativeLevel = level
    this.derive = derive
    this.latch = true
  }

  /**
   * Opens one packet in place.
   * @returns the level of the key that opened it, or {@link UNDECRYPTABLE}
   */
  open(
    buffer: Uint8Array,
    start: number,
    header: PacketHeader,
    end: number,
    packetNumber: number
  ): EncryptionLevel | typeof UNDECRYPTABLE {
    if (this.tryOpener(this.opener, buffer, start, header, end, packetNumber)) return this.level
    const alternative = this.alternative ?? this.deriveFor(buffer, header)
    if (alternative === undefined || !this.tryOpener(alternative, buffer, start, header, end, packetNumber)) {
      return UNDECRYPTABLE
    }
    const level = this.alternativeLevel
    this.promote(alternative)
    return level
  }

  // Derived for each attempt: a forged first nonce must not spoil the key for the genuine packets.
  private deriveFor(buffer: Uint8Array, header: PacketHeader): PacketOpener | undefined {
    if (this.derive === undefined || header.nonceOffset < 0) return undefined
    return this.derive(buffer.subarray(header.nonceOffset, header.nonceOffset + 32))
  }

  private tryOpener(
    opener: PacketOpener,
    buffer: Uint8Array,
    start: number,
    header: PacketHeader,
    end: number,
    packetNumber: number
  ): boolean {
    const length = opener.open(buffer, start, header.headerEnd, end, packetNumber)
    if (length < 0) return false
    this.payloadStart = header.headerEnd + opener.prefixLength
    this.payloadLength = length
    return true
  }

  private promote(alternative: PacketOpener): void {
    if (this.latch) {
      this.setOnly(this.alternativeLevel, alternative)
      return
    }
    const [level, opener] = [this.level, this.opener]
    this.level = this.alternativeLevel
    this.opener = alternative
    this.alternativeLevel = level
    this.alternative = opener
  }

  private clearAlternative(): void {
    this.alternative = undefined
    this.derive = undefined
    this.latch = false
  }
}
