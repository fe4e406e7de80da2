/**
 * Protection at level None: no secrecy, only a 12-byte hash before the payload that catches accidents.
 *
 *     header | hash (12) | payload        hash = low 96 bits of FNV-1a-128(header, payload, label), little-endian
 *
 * Through Q036 there is no label; later versions mix the sender's name in, so it is a parameter.
 * Source: null_encrypter.cc, null_decrypter.cc.
 */
import type { PacketBatch, PacketOpener, PacketSealer } from './protection.js'
import { Fnv1a96, NULL_HASH_LENGTH } from './fnv.js'

const NO_LABEL = new Uint8Array(0)

/** Writes the null hash. */
export class NullSealer implements PacketSealer {
  readonly prefixLength = NULL_HASH_LENGTH
  readonly suffixLength = 0
  private readonly hash = new Fnv1a96()

  /** @param label bytes hashed behind the payload */
  constructor(private readonly label: Uint8Array = NO_LABEL) {}

  seal(batch: PacketBatch): void {
    const { buffer, count } = batch
    const { hash, label } = this
    for (let i = 0; i < count; i++) {
      const payloadStart = batch.payloadStart[i]!
      const headerEnd = payloadStart - NULL_HASH_LENGTH
      hash.reset().update(buffer, batch.headerStart[i]!, headerEnd)
      hash.update(buffer, payloadStart, batch.payloadEnd[i]!).update(label, 0, label.length).write(buffer, headerEnd)
    }
  }
}

/** Checks the null hash. */
export class NullOpener implements PacketOpener {
  readonly prefixLength = NULL_HASH_LENGTH
  readonly suffixLength = 0
  private readonly hash = new Fnv1a96()

  /** @param label bytes hashed behind the payload */
  constructor(private readonly label: Uint8Array = NO_LABEL) {}

  open(buffer: Uint8Array, headerStart: number, headerEnd: number, end: number): number {
    const payloadStart = headerEnd + NULL_HASH_LENGTH
    if (payloadStart > end) return -1
    const { hash, label } = this
    hash.reset().update(buffer, headerStart, headerEnd).update(buffer, payloadStart, end)
    return hash.update(label, 0, label.length).matches(buffer, headerEnd) ? end - payloadStart : -1
  }
}
