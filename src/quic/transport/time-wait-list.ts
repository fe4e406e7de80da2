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
/** What answers may take all together, bytes: the oldest ids then get resets instead. */
export const TIME_WAIT_MAX_BYTES = 32 * 1024 * 1024
const none: readonly Uint8Array[] = []

interface Entry {
  readonly id: ConnectionId
  readonly expiry: Micros
  /** What to answer with; empty for a reset. */
  terminationPackets: readonly Uint8Array[]
  packetsReceived: number
}

/** How a late packet is to be answered. */
export type TimeWaitAnswer = 'silence' | 'public-reset' | readonly Uint8Array[]

/** The list. Times are µs. */
export class TimeWaitList {
  private readonly entries = new ConnectionIdMap<Entry>()
  private queue: Entry[] = []
  private head = 0
  /** Entries of {@link queue} below this have lost their packets. */
  private stripped = 0
  private bytes = 0

  constructor(
    private readonly period: Micros = TIME_WAIT_PERIOD,
    private readonly capacity: number = TIME_WAIT_MAX_CONNECTIONS,
    private readonly maxBytes: number = TIME_WAIT_MAX_BYTES
  ) {}

  get size(): number {
    return this.entries.size
  }

  has(low: number, high: number): boolean {
    return this.entries.lookup(low, high) !== undefined
  }

  /** Remembers an id, with the packets that ended its connection if there are any. */
  add(now: Micros, id: ConnectionId, terminationPackets: readonly Uint8Array[] = none): void {
    if (this.entries.get(id) !== undefined) return
    while (this.entries.size >= this.capacity) this.dropOldest()
    const entry = { id, expiry: now + this.period, terminationPackets, packetsReceived: 0 }
    this.entries.set(id, entry)
    this.queue.push(entry)
    this.bytes += sizeOf(terminationPackets)
    if (this.stripped < this.head) this.stripped = this.head
    while (this.bytes > this.maxBytes) this.strip(this.queue[this.stripped++]!)
  }

  /** Counts a packet for a remembered id. Only the 1st, 2nd, 4th, 8th … is answered, so that two ends cannot ring. */
  onPacket(low: number, high: number): TimeWaitAnswer {
    const entry = this.entries.lookup(low, high)
    if (entry === undefined) return 'silence'
    const count = ++entry.packetsReceived
    if ((count & (count - 1)) !== 0) return 'silence'
    return entry.terminationPackets.length > 0 ? entry.terminationPackets : 'public-reset'
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
    if (entry !== undefined) {
      this.entries.delete(entry.id)
      this.strip(entry)
    }
    if (this.head > 1024 && this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head)
      this.stripped = Math.max(0, this.stripped - this.head)
      this.head = 0
    }
  }

  private strip(entry: Entry): void {
    this.bytes -= sizeOf(entry.terminationPackets)
    entry.terminationPackets = none
  }
}

function sizeOf(packets: readonly Uint8Array[]): number {
  return packets.reduce((sum, { length }) => sum + length, 0)
}
