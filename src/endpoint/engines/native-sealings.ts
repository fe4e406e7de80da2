/**
 * Packets that stand in an arena unsealed until the call that sends them seals them first.
 */
import { MAX_BATCH_PACKETS, type PacketBatch } from '../../quic/crypto/protection.js'
import { BATCH_WORDS, DESCRIPTOR_WORDS, MAX_TRANSMITS, type NativeAeadKey } from './native-addon.js'

/**
 * Writes the descriptors of a batch whose buffer begins at `offset` of the memory that is to be sealed.
 * @returns the place behind them
 */
export function writeDescriptors(words: Float64Array, at: number, batch: PacketBatch, offset: number): number {
  const { count } = batch
  for (let i = 0; i < count; i++) {
    words[at++] = offset + batch.headerStart[i]!
    words[at++] = offset + batch.payloadStart[i]!
    words[at++] = offset + batch.payloadEnd[i]!
    words[at++] = batch.packetNumber[i]!
    words[at++] = offset + batch.packetNumberOffset[i]!
  }
  return at
}

/**
 * Batches that wait, each with its key; and behind them one that is only noted, because nobody has yet said that its
 * buffer is to be sent.
 */
export class SealingList {
  /** For each batch the id of its key and how many packets it has, then their descriptors. */
  readonly words = new Float64Array(MAX_TRANSMITS * (BATCH_WORDS + MAX_BATCH_PACKETS * DESCRIPTOR_WORDS))
  // An id says nothing any more when its key is gone, so keys are held as long as their batches wait.
  private readonly keys: (NativeAeadKey | undefined)[] = new Array<undefined>(MAX_TRANSMITS).fill(undefined)
  private waiting = 0
  private end = 0
  private notedEnd = 0

  /** Whether a batch is noted. */
  get noted(): boolean {
    return this.notedEnd > this.end
  }

  /** Notes a batch whose buffer begins at `offset`, in place of any that is noted. */
  note(key: NativeAeadKey, keyId: number, batch: PacketBatch, offset: number): void {
    const { words, end } = this
    words[end] = keyId
    words[end + 1] = batch.count
    this.keys[this.waiting] = key
    this.notedEnd = writeDescriptors(words, end + BATCH_WORDS, batch, offset)
  }

  /** The buffer of what is noted is to be sent: it waits with the others. */
  takeNoted(): void {
    if (!this.noted) return
    this.waiting++
    this.end = this.notedEnd
  }

  /** Seals what is noted, if anything is, here and now; it stands in `bytes`. */
  sealNoted(bytes: Uint8Array): void {
    if (!this.noted) return
    const { words, end } = this
    this.keys[this.waiting]!.seal(bytes, words.subarray(end + BATCH_WORDS, this.notedEnd), words[end + 1]!)
    this.notedEnd = end
  }

  /** How many wait, for whoever seals them before anything else happens: none of them waits any more. */
  giveOut(): number {
    const { waiting } = this
    this.waiting = 0
    this.end = 0
    this.notedEnd = 0
    return waiting
  }

  /** Lets go of everything. */
  clear(): void {
    this.giveOut()
    for (let i = 0; i < MAX_TRANSMITS && this.keys[i] !== undefined; i++) this.keys[i] = undefined
  }
}
