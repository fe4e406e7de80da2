/**
 * Connection ids that are over: a server remembers them for a while, so that late packets neither start a new
 * connection nor go without an answer (quic_time_wait_list_manager.cc).
 */
import { ConnectionIdMap, type ConnectionId } from '../connection-id.js'
import type { Micros } from '../types.js'

/** How long an id is remembered, µs (FLAGS_quic_time_wait_list_seconds, 200 s). */
export const TIME_WAIT_PERIOD: Micros = 200_000_000
/** How many ids are remembered; the oldest go first (FLAGS_quic_time_wait_list_max_connections). */
export const TIME_WAIT_MAX_CONNECTIONS = 600_000

interface Entry {
  readonly id: ConnectionId
  readonly expiry: Micros
  /** What to answer with; undefined for a public reset. */
  readonly terminationPacket: Uint8Array | undefined
  packetsReceived: number
}

/** How a late packet is to be answered. */
export type TimeWaitAnswer = 'silence' | 'public-reset' | Uint8Array

/** The list. Times are µs. */
export class TimeWaitList {
  private readonly entries = new ConnectionIdMap<Entry>()
  private queue: Entry[] = []
  private head = 0

  constructor(
    private readonly period: Micros = TIME_WAIT_PERIOD,
    private readonly capacity: number = TIME_WAIT_MAX_CONNECTIONS
  ) {}

  get size(): number {
    return this.entries.size
  }

  has(low: number, high: number): boolean {
    return this.entries.lookup(low, high) !== undefined
  }

  /** Remembers an id, with the packet that ended its connection if there is one. */
  add(now: Micros, id: ConnectionId, terminationPacket: Uint8Array | undefined): void {
    if (this.entries.get(id) !== undefined) return
    while (this.entries.size >= this.capacity) this.dropOldest()
    const entry = { id, expiry: now + this.period, terminationPacket, packetsReceived: 0 }
    this.entries.set(id, entry)
    this.queue.push(entry)
  }

  /** Counts a packet for a remembered id. Only the 1st, 2nd, 4th, 8th … is answered, so that two ends cannot ring. */
  onPacket(low: number, high: number): TimeWaitAnswer {
    const entry = this.entries.lookup(low, high)
    if (entry === undefined) return 'silence'
    const count = ++entry.packetsReceived
    if ((count & (count - 1)) !== 0) return 'silence'
    return entry.terminationPacket ?? 'public-reset'
  }

  /** When the oldest entry is to go; Infinity if there is none. */
  nextExpiry(): Micros {
    return this.queue[this.head]?.expiry ?? Infinity
  }

  /** Forgets what has been there long enough. */
  expire(now: Micros): void {
    while (this.nextExpiry() <= now) this.dropOldest()
  }

  private dropOldest(): void {
    const entry = this.queue[this.head++]
    if (entry !== undefined) this.entries.delete(entry.id)
    if (this.head > 1024 && this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head)
      this.head = 0
    }
  }
}
