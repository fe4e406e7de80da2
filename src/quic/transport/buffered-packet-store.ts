/**
 * Packets for connections that do not exist yet: what overtook its CHLO, and CHLOs beyond the number of connections
 * that one turn may make (quic_buffered_packet_store.cc).
 */
import { ConnectionIdMap, type ConnectionId } from '../connection-id.js'
import type { Micros, PeerAddress } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'
import type { QueuedDatagram } from './packets/undecryptable-queue.js'

const MAX_PACKETS_PER_CONNECTION = 10
const MAX_CONNECTIONS = 100
const MAX_CONNECTIONS_WITHOUT_CHLO = 50
const LIFETIME: Micros = 5_000_000

/** The packets of one connection to be. */
export interface BufferedConnection {
  readonly id: ConnectionId
  readonly version: QuicVersion
  readonly from: PeerAddress
  readonly expiry: Micros
  hasChlo: boolean
  /** The CHLO first, then the others as they came. */
  readonly packets: QueuedDatagram[]
}

/** The store, bounded in connections, packets and time. */
export class BufferedPacketStore {
  private readonly connections = new ConnectionIdMap<BufferedConnection>()
  private withChlo: BufferedConnection[] = []

  get size(): number {
    return this.connections.size
  }

  get hasChlos(): boolean {
    return this.withChlo.length > 0
  }

  has(low: number, high: number): boolean {
    return this.connections.lookup(low, high) !== undefined
  }

  /** Keeps a copy of a packet. @returns false if there is no room */
  add(now: Micros, id: ConnectionId, version: QuicVersion, from: PeerAddress, bytes: Uint8Array, chlo: boolean): boolean {
    let entry = this.connections.get(id)
    if (entry === undefined) {
      const withoutChlo = this.connections.size - this.withChlo.length
      if (this.connections.size >= MAX_CONNECTIONS) return false
      if (!chlo && withoutChlo >= MAX_CONNECTIONS_WITHOUT_CHLO) return false
      entry = { id, version, from, expiry: now + LIFETIME, hasChlo: false, packets: [] }
      this.connections.set(id, entry)
    }
    const packet = { receivedAt: now, from, bytes: Uint8Array.from(bytes) }
    if (chlo && !entry.hasChlo) {
      entry.hasChlo = true
      entry.packets.unshift(packet)
      this.withChlo.push(entry)
      return true
    }
    const besidesChlo = entry.packets.length - (entry.hasChlo ? 1 : 0)
    if (besidesChlo >= MAX_PACKETS_PER_CONNECTION) return false
    entry.packets.push(packet)
    return true
  }

  /** Takes out what is kept for an id: its CHLO has come. */
  take(id: ConnectionId): BufferedConnection | undefined {
    const entry = this.connections.get(id)
    if (entry !== undefined) this.remove(entry)
    return entry
  }

  /** Takes out the connection whose CHLO has waited longest. */
  takeNextWithChlo(): BufferedConnection | undefined {
    const entry = this.withChlo[0]
    if (entry !== undefined) this.remove(entry)
    return entry
  }

  nextExpiry(): Micros {
    // Asked after every turn, and hardly ever is there one.
    if (this.connections.size === 0) return Infinity
    let next = Infinity
    for (const entry of this.connections.values()) next = Math.min(next, entry.expiry)
    return next
  }

  /** Takes out everything that has waited too long. */
  takeExpired(now: Micros): BufferedConnection[] {
    const expired = [...this.connections.values()].filter((entry) => entry.expiry <= now)
    for (const entry of expired) this.remove(entry)
    return expired
  }

  private remove(entry: BufferedConnection): void {
    this.connections.delete(entry.id)
    if (entry.hasChlo) this.withChlo = this.withChlo.filter((other) => other !== entry)
  }
}
