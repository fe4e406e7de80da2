/**
 * The incoming half of a connection: from a datagram to a packet's authenticated payload. What cannot be opened yet
 * waits here for its key.
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import { EncryptionLevel, type Micros, type PeerAddress, type Perspective } from '../../types.js'
import { completePacketNumber } from '../../wire/packet-number.js'
import { createPacketHeader } from '../../wire/versions/version.js'
import type { PacketHeader, QuicVersion } from '../../wire/versions/version.js'
import type { ReceivedPacketManager } from '../acks/received-packet-manager.js'
import { PacketOpeners, UNDECRYPTABLE } from './packet-openers.js'
import { UndecryptableQueue, type QueuedDatagram } from './undecryptable-queue.js'

/** The largest UDP payload this protocol knows, bytes (quic_protocol.h, kMaxPacketSize). */
export const MAX_PACKET = 1452

// A jump further than this is taken for an attack or a bug (kMaxPacketGap).
const MAX_PACKET_GAP = 5000

/** One a connection. The fields describe the last packet that {@link open} opened. */
export class PacketReceiver {
  packetNumber = 0
  level: EncryptionLevel = EncryptionLevel.None
  /** Whether its number is the highest so far. */
  newest = false
  readonly openers: PacketOpeners
  readonly header: PacketHeader = createPacketHeader()

  packetsReceived = 0
  bytesReceived = 0
  undecryptableCount = 0
  duplicateCount = 0

  private readonly queue = new UndecryptableQueue()
  private largestOpened = 0
  private lastOpened = 0
  private keysChanged = false

  /** @param perspective the side that receives */
  constructor(
    private readonly perspective: Perspective,
    private version: QuicVersion,
    private readonly peer: Perspective,
    private readonly received: ReceivedPacketManager
  ) {
    this.openers = new PacketOpeners(version.nullOpener(peer))
  }

  /** Goes on in the version that negotiation chose, unprotected. */
  setVersion(version: QuicVersion): void {
    this.version = version
    this.openers.setOnly(EncryptionLevel.None, version.nullOpener(this.peer))
  }

  /**
   * Opens a data packet in place.
   * @param keepUnopened whether a packet that no key opens is worth keeping for a key to come
   * @returns whether it was opened; the rest is dropped, as nothing about it can be believed
   * @throws QuicError for an authentic packet that breaks a rule
   */
  open(now: Micros, from: PeerAddress, datagram: Uint8Array, keepUnopened: boolean): boolean {
    const { header, version } = this
    if (!version.header.parse(datagram, 0, datagram.length, this.perspective, header)) return false
    if (header.versionTag !== 0 && header.versionTag !== version.tag) return false
    const number = completePacketNumber(header.wirePacketNumber, header.packetNumberLength, this.largestOpened)
    // 0 is illegal; a number seen before, or given up by the peer, is not worth its decryption.
    if (number === 0) return false
    if (!this.received.isAwaiting(number)) {
      this.duplicateCount++
      return false
    }
    const level = this.openers.open(datagram, 0, header, datagram.length, number)
    if (level === UNDECRYPTABLE) {
      this.undecryptableCount++
      if (keepUnopened) this.queue.add(now, from, datagram)
      return false
    }
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
    this.bytesReceived += datagram.length
    return true
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
