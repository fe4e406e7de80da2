/**
 * Which keys an endpoint tries on an incoming packet, and what success changes. Through Q046 a primary key and one
 * alternative are tried in turn (quic_framer.cc, DecryptPayload); from Q050 on the header names the level.
 */
import type { HeaderProtector, PacketOpener } from '../../crypto/protection.js'
import { EncryptionLevel } from '../../types.js'
import { ANY_LEVEL, type PacketHeader } from '../../wire/versions/version.js'

/** Makes the opener for a key that depends on the nonce in the packet's header. */
export type DeriveOpener = (nonce: Uint8Array) => PacketOpener

/** Returned by {@link PacketOpeners.open} where no key opens the packet. */
export const UNDECRYPTABLE = -1

/** A key and what belongs to it. */
export interface KeySlot {
  readonly level: EncryptionLevel
  readonly opener: PacketOpener | undefined
  readonly derive: DeriveOpener | undefined
  readonly headerProtector: HeaderProtector | undefined
  /** On its first success it becomes the only one. */
  readonly latch: boolean
}

const NONCE_LENGTH = 32

/** The keys of one direction of one connection. */
export class PacketOpeners {
  /** Where the plaintext of the last opened packet stands in its buffer, and its length in bytes. */
  payloadStart = 0
  payloadLength = 0

  /** In the order in which they are tried: at most two where keys are tried in turn, one a level where they are not. */
  private slots: KeySlot[]

  constructor(nullOpener: PacketOpener) {
    this.slots = [keySlot(EncryptionLevel.None, nullOpener, false)]
  }

  /** The only key from now on. */
  setOnly(level: EncryptionLevel, opener: PacketOpener): void {
    this.slots = [keySlot(level, opener, false)]
  }

  /** Lets go of all keys but the one of this level. */
  keepOnly(level: EncryptionLevel): void {
    const slot = this.slots.find((candidate) => candidate.level === level)
    if (slot !== undefined) this.slots = [slot]
  }

  /** Frees what keys keep for traffic only. */
  releaseMemory(): void {
    for (const { opener } of this.slots) opener?.releaseMemory?.()
  }

  /** A second key; on its first success it replaces the primary (`latch`) or swaps places with it. */
  setAlternative(level: EncryptionLevel, opener: PacketOpener, latch: boolean): void {
    this.slots = [this.slots[0]!, keySlot(level, opener, latch)]
  }

  /**
   * Like {@link setAlternative} with latch, for a key that needs the nonce of the packet it opens.
   * @param headerProtector what uncovers that nonce, where headers are protected
   */
  setDiversified(level: EncryptionLevel, derive: DeriveOpener, headerProtector: HeaderProtector | undefined): void {
    this.slots = [this.slots[0]!, { level, opener: undefined, derive, headerProtector, latch: true }]
  }

  /** What takes the protection off this header; undefined if it has none, or if its key is not there. */
  headerProtectorFor(header: PacketHeader): HeaderProtector | undefined {
    return this.slots.find((slot) => slot.level === header.keyLevel)?.headerProtector
  }

  /** The first key, if it is the last that there will be: what it opens is then opened by it whatever happens before. */
  get finalSlot(): KeySlot | undefined {
    const slot = this.slots[0]!
    return slot.level === EncryptionLevel.ForwardSecure && !slot.latch ? slot : undefined
  }

  /**
   * Takes what {@link finalSlot} has opened as if {@link open} did it now.
   * @returns the key's level, or {@link UNDECRYPTABLE} if it is no longer among those to be tried
   */
  accept(slot: KeySlot, payloadStart: number, payloadLength: number): EncryptionLevel | typeof UNDECRYPTABLE {
    if (slot !== this.slots[0]) {
      if (!this.slots.includes(slot)) return UNDECRYPTABLE
      this.slots = [slot, this.slots[0]!]
    }
    this.payloadStart = payloadStart
    this.payloadLength = payloadLength
    return slot.level
  }

  /**
   * Opens one packet in place.
   * @param end where the packet ends in the buffer
   * @returns the level of the key that opened it, or {@link UNDECRYPTABLE}
   */
  open(
    buffer: Uint8Array,
    start: number,
    header: PacketHeader,
    end: number,
    packetNumber: number
  ): EncryptionLevel | typeof UNDECRYPTABLE {
    const { slots } = this
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!
      if (header.keyLevel !== ANY_LEVEL && header.keyLevel !== slot.level) continue
      const opener = slot.opener ?? deriveFor(slot, buffer, header)
      if (opener === undefined || !this.tryOpener(opener, buffer, start, header, end, packetNumber)) continue
      if (slot.latch) this.setOnly(slot.level, opener)
      else if (i > 0) this.slots = [slot, slots[0]!]
      return slot.level
    }
    return UNDECRYPTABLE
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
}

function keySlot(level: EncryptionLevel, opener: PacketOpener, latch: boolean): KeySlot {
  return { level, opener, derive: undefined, headerProtector: opener.headerProtector, latch }
}

// Derived for each attempt: a forged first nonce must not spoil the key for the genuine packets.
function deriveFor(slot: KeySlot, buffer: Uint8Array, header: PacketHeader): PacketOpener | undefined {
  if (slot.derive === undefined || header.nonceOffset < 0) return undefined
  return slot.derive(buffer.subarray(header.nonceOffset, header.nonceOffset + NONCE_LENGTH))
}
