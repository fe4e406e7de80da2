/**
 * Packets that overtook the key that opens them: forward-secure responses ahead of the SHLO, or requests ahead of the
 * CHLO. Kept whole and tried again when a key arrives (quic_connection.cc, kDefaultMaxUndecryptablePackets).
 */
import type { Micros, PeerAddress } from '../../types.js'

/** A datagram that waits for its key. */
export interface QueuedDatagram {
  readonly receivedAt: Micros
  readonly from: PeerAddress
  readonly bytes: Uint8Array
}

const MAX_QUEUED_DATAGRAMS = 10

/** At most ten datagrams, in the order in which they came. */
export class UndecryptableQueue {
  private queue: QueuedDatagram[] = []

  get length(): number {
    return this.queue.length
  }

  /** Keeps a copy, since the caller's buffer is only lent. @returns false if the queue is full */
  add(receivedAt: Micros, from: PeerAddress, datagram: Uint8Array): boolean {
    if (this.queue.length >= MAX_QUEUED_DATAGRAMS) return false
    this.queue.push({ receivedAt, from, bytes: Uint8Array.from(datagram) })
    return true
  }

  /** Empties the queue and returns what was in it. */
  takeAll(): QueuedDatagram[] {
    const all = this.queue
    this.queue = []
    return all
  }

  clear(): void {
    if (this.queue.length > 0) this.queue = []
  }
}
