/**
 * Opens packets ahead of their turn: those of one connection that arrived together, and whose key is its last one, with
 * one call for all of them, or at least with one call for all masks of their headers. What opens is the packet that it
 * says it is, whatever the packets before it turn out to do: its number went into the nonce. Everything else is left as
 * it was.
 */
import {
  HEADER_SAMPLE_LENGTH,
  MAX_OPEN_BATCH,
  MaskBatch,
  OpenBatch,
  type HeaderProtector,
  type PacketOpener
} from '../../crypto/protection.js'
import { EncryptionLevel, type Perspective } from '../../types.js'
import { ANY_LEVEL, createPacketHeader, type HeaderCodec, type PacketHeader } from '../../wire/versions/version.js'
import type { DatagramBatch } from '../datagram-batch.js'
import type { KeySlot, PacketOpeners, UNDECRYPTABLE } from './packet-openers.js'

const NO_BYTES = new Uint8Array(0)
/** With fewer there is nothing to save. */
const MIN_AHEAD = 2

/** Whose packets they are. */
export interface AheadSource {
  readonly codec: HeaderCodec
  /** The side that receives. */
  readonly perspective: Perspective
  /** A packet's whole number, going by those that were opened so far; 0 if it is not worth opening. */
  numberAhead(header: PacketHeader): number
}

/** Tells which datagrams may hold such packets. */
export interface AheadFilter {
  /** Whether it is data of the connection. */
  holdsData(datagram: Uint8Array): boolean
}

/** Gives out masks that were made before, one after the other. */
class MadeMasks implements HeaderProtector {
  n = 0

  constructor(private readonly batch: MaskBatch) {}

  mask(): Uint8Array {
    return this.batch.mask[this.n]!
  }
}

/** See the file comment. Filled anew by each {@link open}; one does for all connections. */
export class PacketsAhead {
  /** Of each datagram that {@link open} has seen to. */
  readonly headers = Array.from({ length: MAX_OPEN_BATCH }, createPacketHeader)
  private readonly batch = new OpenBatch()
  private readonly maskBatch = new MaskBatch()
  private readonly madeMasks = new MadeMasks(this.maskBatch)
  /** Samples of datagrams that share no memory. */
  private readonly samples = new Uint8Array(MAX_OPEN_BATCH * HEADER_SAMPLE_LENGTH)
  /** Where each datagram begins in the memory that they share; 0 if they share none. */
  private readonly start = new Int32Array(MAX_OPEN_BATCH)
  /** Which packet of the batch is in it; -1 if none that was opened is. */
  private readonly packetIn = new Int32Array(MAX_OPEN_BATCH)
  private slot: KeySlot | undefined

  /**
   * Opens what can be opened of the datagrams `[first, end)`.
   * @param slot the source's last key
   * @returns how many datagrams it has seen to
   */
  open(
    source: AheadSource,
    slot: KeySlot,
    datagrams: DatagramBatch,
    first: number,
    end: number,
    filter: AheadFilter
  ): number {
    const { batch, maskBatch } = this
    const { bytes } = datagrams
    const { opener, headerProtector } = slot
    if (opener === undefined) return 0
    const memory = opener.openBatch === undefined ? undefined : datagrams.memory
    if (memory === undefined && headerProtector?.maskBatch === undefined) return 0
    batch.buffer = memory ?? NO_BYTES
    maskBatch.buffer = memory ?? this.samples
    batch.count = maskBatch.count = 0
    const most = Math.min(end - first, MAX_OPEN_BATCH)
    let count = 0
    for (; count < most; count++) {
      const datagram = bytes[first + count]!
      if (!filter.holdsData(datagram) || !this.look(source, slot, memory, datagram, count)) break
    }
    if (count < MIN_AHEAD) return 0
    headerProtector?.maskBatch!(maskBatch)
    for (let n = 0; n < count; n++) this.prepare(source, headerProtector, bytes[first + n]!, n)
    if (memory !== undefined) opener.openBatch!(batch)
    else for (let n = 0; n < count; n++) this.openAlone(opener, bytes[first + n]!, n)
    for (let n = 0; n < count; n++) this.putBack(source.codec, bytes[first + n]!, n)
    this.slot = slot
    return count
  }

  /** Whether the packet in a datagram, alone in it, is one that the last key opens or nothing does. */
  private look(
    { codec, perspective }: AheadSource,
    { headerProtector }: KeySlot,
    memory: Uint8Array | undefined,
    datagram: Uint8Array,
    n: number
  ): boolean {
    const header = this.headers[n]!
    if (!codec.parse(datagram, 0, datagram.length, perspective, header)) return false
    if (header.versionTag !== 0 || header.nonceOffset >= 0 || header.packetEnd !== datagram.length) return false
    if (header.keyLevel !== ANY_LEVEL && header.keyLevel !== EncryptionLevel.ForwardSecure) return false
    const start = memory === undefined ? 0 : datagram.byteOffset - memory.byteOffset
    this.start[n] = start
    if (headerProtector === undefined) return true
    const sample = codec.sampleOffset(perspective, header)
    if (sample < 0) return false
    this.maskBatch.add(memory === undefined ? this.copySample(datagram, sample, n) : start + sample)
    return true
  }

  private copySample(datagram: Uint8Array, from: number, n: number): number {
    const at = n * HEADER_SAMPLE_LENGTH
    for (let i = 0; i < HEADER_SAMPLE_LENGTH; i++) this.samples[at + i] = datagram[from + i]!
    return at
  }

  /** Has the packet opened, if it is worth it, without the protection of its header. */
  private prepare(source: AheadSource, protector: HeaderProtector | undefined, datagram: Uint8Array, n: number): void {
    const { batch, madeMasks } = this
    const header = this.headers[n]!
    const start = this.start[n]!
    madeMasks.n = n
    if (protector !== undefined) source.codec.reveal(datagram, 0, source.perspective, madeMasks, header)
    const number = source.numberAhead(header)
    this.packetIn[n] = -1
    if (number === 0) {
      source.codec.conceal(datagram, 0, madeMasks, header)
      return
    }
    this.packetIn[n] = batch.count
    batch.add(start, start + header.headerEnd, start + header.packetEnd, number)
  }

  private openAlone(opener: PacketOpener, datagram: Uint8Array, n: number): void {
    const { headerStart, headerEnd, end, packetNumber, length } = this.batch
    const packet = this.packetIn[n]!
    if (packet < 0) return
    length[packet] = opener.open(datagram, headerStart[packet]!, headerEnd[packet]!, end[packet]!, packetNumber[packet]!)
  }

  /** What was not opened gets the protection of its header back. */
  private putBack(codec: HeaderCodec, datagram: Uint8Array, n: number): void {
    const packet = this.packetIn[n]!
    if (packet < 0 || this.batch.length[packet]! >= 0) return
    this.packetIn[n] = -1
    this.madeMasks.n = n
    codec.conceal(datagram, 0, this.madeMasks, this.headers[n]!)
  }

  /** Whether the packet in the nth datagram was opened. */
  isOpened(n: number): boolean {
    return this.packetIn[n]! >= 0
  }

  /** Its number. */
  numberOf(n: number): number {
    return this.batch.packetNumber[this.packetIn[n]!]!
  }

  /** Has openers take it, see {@link PacketOpeners.accept}. */
  accept(n: number, openers: PacketOpeners): EncryptionLevel | typeof UNDECRYPTABLE {
    const slot = this.slot!
    const payloadStart = this.headers[n]!.headerEnd + slot.opener!.prefixLength
    return openers.accept(slot, payloadStart, this.batch.length[this.packetIn[n]!]!)
  }
}
