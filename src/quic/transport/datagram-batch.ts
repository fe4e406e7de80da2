/**
 * Datagrams that arrived together, on their way into an endpoint.
 */
import type { Micros, PeerAddress } from '../types.js'

/** The most datagrams of one batch. */
export const MAX_DATAGRAMS = 32

const NO_BYTES = new Uint8Array(0)

/** Datagrams in the order in which they came, at most 32. */
export class DatagramBatch {
  count = 0
  /** What all {@link bytes} are views into; undefined if there is no such thing. */
  memory: Uint8Array | undefined
  readonly from: PeerAddress[] = []
  readonly bytes: Uint8Array[] = []
  /** When each arrived. Never goes back. */
  readonly receivedAt: Micros[] = []

  add(from: PeerAddress, bytes: Uint8Array, receivedAt: Micros): void {
    const i = this.count++
    this.from[i] = from
    this.bytes[i] = bytes
    this.receivedAt[i] = receivedAt
  }

  /** Empties it, and lets go of the bytes. */
  clear(): void {
    for (let i = 0; i < this.count; i++) this.bytes[i] = NO_BYTES
    this.count = 0
    this.memory = undefined
  }
}
