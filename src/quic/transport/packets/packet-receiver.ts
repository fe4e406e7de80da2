/**
 * The incoming half of a connection: from a datagram to a packet's authenticated payload. What cannot be opened yet
 * waits here for its key.
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import { EncryptionLevel, type Micros, type PeerAddress, type Perspective } from '../../types.js'
import { isStatelessReset } from '../../wire/stateless-reset.js'
import { completePacketNumber } from '../../wire/packet-number.js'
import {
  createPacketHeader,
  type CleartextContext,
  type HeaderCodec,
  type PacketHeader,
  type QuicVersion
} from '../../wire/versions/version.js'
import type { ReceivedPacketManager } from '../acks/received-packet-manager.js'
import type { DatagramBatch } from '../datagram-batch.js'
import type { ObservedPacket, PacketDropReason } from '../observer.js'
import { PacketOpeners, UNDECRYPTABLE } from './packet-openers.js'
import { PacketsAhead, type AheadFilter, type AheadSource } from './packets-ahead.js'
import { UndecryptableQueue, type QueuedDatagram } from './undecryptable-queue.js'

/** The largest UDP payload this protocol knows, bytes (quic_protocol.h, kMaxPacketSize). */
export const MAX_PACKET = 1452

// A jump further than this is taken for an attack or a bug (kMaxPacketGap).
const MAX_PACKET_GAP = 5000

/** Filled by {@link PacketReceiver.openAhead} and read until the next one, whichever connection's. */
const packetsAhead = new PacketsAhead()

/** One a connection. The fields describe the last packet that {@link open} opened. */
export class PacketReceiver implements AheadSource {
  packetNumber = 0
  level: EncryptionLevel = EncryptionLevel.None
  /** Whether its number is the highest so far. */
  newest = false
  readonly openers: PacketOpeners
  /** Of the packet that was tried last. */
  header: PacketHeader

  /** Client: what a stateless reset of this connection ends in; undefined where there is none. */
  resetToken: Uint8Array | undefined
  /** Whether the last datagram was such a reset. */
  wasReset = false
  /** Why {@link open} last answered false. */
  dropReason: PacketDropReason = 'header_parse_error'
  packetsReceived = 0
  bytesReceived = 0
  undecryptableCount = 0
  duplicateCount = 0

  private readonly ownHeader = createPacketHeader()
  private readonly queue = new UndecryptableQueue()
  private largestOpened = 0
  private lastOpened = 0
  private keysChanged = false

  /**
   * @param perspective the side that receives
   * @param cleartext what protection at level None depends on
   */
  constructor(
    readonly perspective: Perspective,
    private version: QuicVersion,
    private readonly peer: Perspective,
    private readonly received: ReceivedPacketManager,
    private readonly cleartext: CleartextContext
  ) {
    this.header = this.ownHeader
    this.openers = new PacketOpeners(version.nullOpener(peer, cleartext))
  }

  /** Goes on in the version that negotiation chose, unprotected. */
  setVersion(version: QuicVersion): void {
    this.version = version
    this.openers.setOnly(EncryptionLevel.None, version.nullOpener(this.peer, this.cleartext))
  }

  /**
   * Opens the data packet that begins at `start` of a datagram, in place. It ends at `header.packetEnd`.
   * @param keepUnopened whether a packet that no key opens is worth keeping for a key to come
   * @returns whether it was opened; the rest is dropped, as nothing about it can be believed
   * @throws QuicError for an authentic packet that breaks a rule
   */
  open(now: Micros, from: PeerAddress, datagram: Uint8Array, start: number, keepUnopened: boolean): boolean {
    const { ownHeader: header, openers } = this
    this.header = header
    this.wasReset = false
    this.dropReason = 'header_parse_error'
    const codec = this.version.header
    if (!codec.parse(datagram, start, datagram.length, this.perspective, header)) {
      return this.checkReset(datagram, start)
    }
    if (header.versionTag !== 0 && header.versionTag !== this.version.tag) {
      this.dropReason = 'unexpected_version'
      return false
    }
    this.dropReason = 'payload_decrypt_error'
    const protector = openers.headerProtectorFor(header)
    if (!codec.reveal(datagram, start, this.perspective, protector, header)) {
      if (protector === undefined && keepUnopened) this.keep(now, from, datagram, start)
      return false
    }
    const number = this.numberOf(header)
    if (!this.isAwaiting(number)) return this.checkReset(datagram, start)
    const level = openers.open(datagram, start, header, header.packetEnd, number)
    if (level === UNDECRYPTABLE) {
      this.undecryptableCount++
      codec.conceal(datagram, start, protector, header)
      this.checkReset(datagram, start)
      if (keepUnopened) this.keep(now, from, datagram, start)
      return false
    }
    this.accept(number, level, datagram, start)
    return true
  }

  private numberOf(header: PacketHeader): number {
    return completePacketNumber(header.wirePacketNumber, header.packetNumberLength, this.largestOpened)
  }

  /** 0 is illegal; a number seen before, or given up by the peer, is not worth its decryption. */
  private isAwaiting(number: number): boolean {
    if (number === 0) return false
    if (this.received.isAwaiting(number)) return true
    this.duplicateCount++
    this.dropReason = 'duplicate'
    return false
  }

  private accept(number: number, level: EncryptionLevel, datagram: Uint8Array, start: number): void {
    if (Math.abs(number - this.lastOpened) > MAX_PACKET_GAP) {
      throw new QuicError(QuicErrorCode.INVALID_PACKET_HEADER, 'packet number out of bounds')
    }
    if (datagram.length > MAX_PACKET) {
      throw new QuicError(QuicErrorCode.PACKET_TOO_LARGE, `a packet of ${datagram.length} bytes`)
    }
    this.newest = number > this.largestOpened
    if (this.newest) this.largestOpened = number
    this.lastOpened = number
    this.packetNumber = number
    this.level = level
    this.packetsReceived++
    this.bytesReceived += this.header.packetEnd - start
  }

  get codec(): HeaderCodec {
    return this.version.header
  }

  /**
   * Opens the packets of datagrams `[first, end)` ahead of their turn, where that saves calls: those under the final key, so that
   * nothing that happens until then changes what opening them comes to.
   *
   * @returns how many datagrams, from the first on, it has seen to; they have to be taken next, in their order. Where
   *   {@link isOpenedAhead} says so {@link takeOpened} is to be called instead of {@link open}; the others are as they were
   */
  openAhead(datagrams: DatagramBatch, first: number, end: number, filter: AheadFilter): number {
    const slot = this.openers.finalSlot
    return slot === undefined ? 0 : packetsAhead.open(this, slot, datagrams, first, end, filter)
  }

  numberAhead(header: PacketHeader): number {
    const number = this.numberOf(header)
    return number !== 0 && this.received.isAwaiting(number) ? number : 0
  }

  /** Whether {@link openAhead} has opened the packet in the nth of its datagrams. */
  isOpenedAhead(n: number): boolean {
    return packetsAhead.isOpened(n)
  }

  /** What {@link open} does, at the turn of a packet that was opened ahead of it. */
  takeOpened(datagram: Uint8Array, n: number): boolean {
    const header = packetsAhead.headers[n]!
    this.header = header
    this.wasReset = false
    this.dropReason = 'payload_decrypt_error'
    const number = this.numberOf(header)
    if (!this.isAwaiting(number)) return this.checkReset(datagram, 0)
    // It was opened as the number that it is. Had it been this one's turn, a packet before it might have had it taken for
    // another, as which nothing opens it.
    const level = number === packetsAhead.numberOf(n) ? packetsAhead.accept(n, this.openers) : UNDECRYPTABLE
    if (level === UNDECRYPTABLE) {
      this.undecryptableCount++
      return this.checkReset(datagram, 0)
    }
    this.accept(number, level, datagram, 0)
    return true
  }

  /** Tells of the packet that was opened last. */
  describe(packet: ObservedPacket, datagram: Uint8Array, start: number): void {
    const { header, openers } = this
    packet.version = this.version
    packet.packetNumber = this.packetNumber
    packet.packetNumberLength = header.packetNumberLength
    packet.level = this.level
    packet.length = header.packetEnd - start
    packet.buffer = datagram
    packet.payloadStart = openers.payloadStart
    packet.payloadEnd = openers.payloadStart + openers.payloadLength
  }

  /** Looks whether a packet that nothing opens is the peer's word that it has forgotten the connection. */
  private checkReset(datagram: Uint8Array, start: number): false {
    const token = this.resetToken
    if (token !== undefined) this.wasReset = isStatelessReset(datagram, start, datagram.length, token)
    return false
  }

  private keep(now: Micros, from: PeerAddress, datagram: Uint8Array, start: number): void {
    this.queue.add(now, from, datagram.subarray(start, this.header.packetEnd))
  }

  /** A key was installed: what waits is worth another try. */
  onKeysChanged(): void {
    this.keysChanged = true
  }

  /** What waited for a key, if one came since the last call. */
  takeRetryable(): readonly QueuedDatagram[] | undefined {
    if (!this.keysChanged || this.queue.length === 0) return undefined
    this.keysChanged = false
    return this.queue.takeAll()
  }

  /** Forgets what waits. */
  clearQueue(): void {
    this.queue.clear()
  }
}
