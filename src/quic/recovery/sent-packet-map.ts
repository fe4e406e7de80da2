/**
 * Every sent packet that is still of interest, in a ring of typed arrays indexed by packet number.
 *
 * ```
 *   gone      in flight   acked   lost     in flight  only for RTT
 *  … 3   4  |    5          6       7          8          9      | 10 …
 *            first ───────────────▶ 7 ───────▶ 8 ───────▶ 9 = last, largestSent
 * ```
 *
 * A doubly linked list threads the packets that nobody has acknowledged yet, so that an acknowledgement costs what it
 * newly acknowledges and the holes below it, not the size of the window.
 */
import type { EncryptionLevel, Micros } from '../types.js'
import type { SentFrame, SentFramePool } from './sent-frame.js'

/** What a tracked packet is kept for. */
export const PacketState = {
  Gone: 0,
  /** Not congestion controlled, or abandoned: it can still give an RTT sample. */
  Idle: 1,
  InFlight: 2,
  /** Taken out of flight and its frames given back, yet a late acknowledgement may still retire them. */
  Lost: 3
} as const
export type PacketState = (typeof PacketState)[keyof typeof PacketState]

const FLAG_CRYPTO = 1
/** Its frames have been given back for retransmission: that happens once in a packet's life. */
const FLAG_REQUEUED = 2
/** In flight without frames: it only asks whether its size passes. */
const FLAG_PROBE = 4

/** Small enough for arrays of numbers to lie in V8's own heap: others cost a handshake more than they save later. */
const INITIAL_CAPACITY = 8

/** The ring. Methods take packet numbers of tracked packets; {@link contains} tells which those are. */
export class SentPacketMap {
  /** Highest packet number sent, 0 before the first. */
  largestSent = 0
  /** Highest packet number sent that was congestion controlled. */
  largestSentInFlight = 0
  bytesInFlight = 0
  packetsInFlight = 0
  /** Packets in flight whose frames have not been given back yet. */
  retransmittableInFlight = 0
  /** Those of them that hold crypto data. */
  cryptoInFlight = 0
  /** MTU probes in flight. */
  probesInFlight = 0
  /** Lowest tracked packet that is not acknowledged, 0 if there is none. */
  first = 0
  private last = 0
  private capacity = INITIAL_CAPACITY
  private mask = INITIAL_CAPACITY - 1
  private sentTimes = new Float64Array(INITIAL_CAPACITY)
  private sizes = new Int32Array(INITIAL_CAPACITY)
  private states = new Uint8Array(INITIAL_CAPACITY)
  private flags = new Uint8Array(INITIAL_CAPACITY)
  private levels = new Uint8Array(INITIAL_CAPACITY)
  private nexts = new Float64Array(INITIAL_CAPACITY)
  private previouses = new Float64Array(INITIAL_CAPACITY)
  /** Lost packets: the largest packet sent when that was decided. */
  private lostAt = new Float64Array(INITIAL_CAPACITY)
  private lostTimes = new Float64Array(INITIAL_CAPACITY)
  /** The largest packet that the packet's own ACK acknowledged, 0 without one. */
  private carriedAcks = new Float64Array(INITIAL_CAPACITY)
  private frameLists: (SentFrame | null)[] = new Array<SentFrame | null>(INITIAL_CAPACITY).fill(null)

  /** @param pool where frame lists go when their packet leaves the map */
  constructor(private readonly pool: SentFramePool) {}

  /** The smallest packet number still tracked; the next one to be sent if none is. */
  get leastUnacked(): number {
    return this.first !== 0 ? this.first : this.largestSent + 1
  }

  /** Slots in the ring, for tests of its growth. */
  get slots(): number {
    return this.capacity
  }

  /**
   * Takes over `frames`. Packet numbers must rise; skipped ones are never tracked.
   * @param inFlight with no frames, the packet is an MTU probe
   * @param carriedAck the largest packet that an ACK in it acknowledges, 0 for none
   */
  add(
    packetNumber: number,
    now: Micros,
    bytes: number,
    level: EncryptionLevel,
    frames: SentFrame | null,
    hasCrypto: boolean,
    inFlight: boolean,
    carriedAck = 0
  ): void {
    while (packetNumber - (this.first || packetNumber) >= this.capacity) this.grow()
    const slot = packetNumber & this.mask
    this.sentTimes[slot] = now
    this.sizes[slot] = bytes
    this.levels[slot] = level
    this.flags[slot] = hasCrypto ? FLAG_CRYPTO : 0
    this.states[slot] = inFlight ? PacketState.InFlight : PacketState.Idle
    this.frameLists[slot] = frames
    this.carriedAcks[slot] = carriedAck
    this.nexts[slot] = 0
    this.previouses[slot] = this.last
    if (this.last !== 0) this.nexts[this.last & this.mask] = packetNumber
    else this.first = packetNumber
    this.last = packetNumber
    this.largestSent = packetNumber
    if (!inFlight) return
    this.largestSentInFlight = packetNumber
    this.bytesInFlight += bytes
    this.packetsInFlight++
    if (frames !== null) {
      this.retransmittableInFlight++
      if (hasCrypto) this.cryptoInFlight++
    } else {
      this.flags[slot]! |= FLAG_PROBE
      this.probesInFlight++
    }
  }

  /** Whether the packet is tracked and not acknowledged. */
  contains(packetNumber: number): boolean {
    return (
      this.first !== 0 &&
      packetNumber >= this.first &&
      packetNumber <= this.largestSent &&
      this.states[packetNumber & this.mask] !== PacketState.Gone
    )
  }

  /** The next unacknowledged packet after this one, 0 at the end. */
  next(packetNumber: number): number {
    return this.nexts[packetNumber & this.mask]!
  }

  state(packetNumber: number): PacketState {
    return this.states[packetNumber & this.mask] as PacketState
  }

  sentTime(packetNumber: number): Micros {
    return this.sentTimes[packetNumber & this.mask]!
  }

  bytes(packetNumber: number): number {
    return this.sizes[packetNumber & this.mask]!
  }

  level(packetNumber: number): EncryptionLevel {
    return this.levels[packetNumber & this.mask] as EncryptionLevel
  }

  frames(packetNumber: number): SentFrame | null {
    return this.frameLists[packetNumber & this.mask]!
  }

  hasCrypto(packetNumber: number): boolean {
    return (this.flags[packetNumber & this.mask]! & FLAG_CRYPTO) !== 0
  }

  /** Whether it went out to learn whether its size passes, and carries nothing else. */
  isProbe(packetNumber: number): boolean {
    return (this.flags[packetNumber & this.mask]! & FLAG_PROBE) !== 0
  }

  /** The largest packet that the packet's own ACK acknowledged, 0 without one. */
  carriedAck(packetNumber: number): number {
    return this.carriedAcks[packetNumber & this.mask]!
  }

  /** Whether the packet's frames have been given back already. */
  isRequeued(packetNumber: number): boolean {
    return (this.flags[packetNumber & this.mask]! & FLAG_REQUEUED) !== 0
  }

  /** Whether it has frames that nobody has given back yet. */
  isRetransmittable(packetNumber: number): boolean {
    return this.frames(packetNumber) !== null && !this.isRequeued(packetNumber)
  }

  /** The largest packet sent when this one was found lost: once a later one is acked, a late ack is unlikely. */
  lostSince(packetNumber: number): number {
    return this.lostAt[packetNumber & this.mask]!
  }

  /** When this packet was found lost. */
  lostTime(packetNumber: number): Micros {
    return this.lostTimes[packetNumber & this.mask]!
  }

  /** Its frames are given back; the packet stays in flight if it was. */
  markRequeued(packetNumber: number): void {
    const slot = packetNumber & this.mask
    if (this.states[slot] === PacketState.InFlight) this.uncountRetransmittable(slot)
    this.flags[slot]! |= FLAG_REQUEUED
  }

  /** Takes the packet out of flight and keeps it for a late acknowledgement. */
  markLost(packetNumber: number, now: Micros): void {
    const slot = packetNumber & this.mask
    this.leaveFlight(slot)
    this.states[slot] = PacketState.Lost
    this.lostAt[slot] = this.largestSent
    this.lostTimes[slot] = now
  }

  /** Undoes {@link markRequeued} and {@link markLost}: the packet is in flight again, with its frames. */
  restore(packetNumber: number): void {
    const slot = packetNumber & this.mask
    this.states[slot] = PacketState.InFlight
    this.flags[slot]! &= ~FLAG_REQUEUED
    this.bytesInFlight += this.sizes[slot]!
    this.packetsInFlight++
    this.retransmittableInFlight++
    if ((this.flags[slot]! & FLAG_CRYPTO) !== 0) this.cryptoInFlight++
  }

  /** Takes the packet out of flight and forgets its frames; only its time of sending is kept. */
  abandon(packetNumber: number): void {
    const slot = packetNumber & this.mask
    this.leaveFlight(slot)
    this.states[slot] = PacketState.Idle
    this.releaseFrames(slot)
  }

  /** The packet is acknowledged or obsolete. Its frame list must not be used afterwards. */
  remove(packetNumber: number): void {
    const slot = packetNumber & this.mask
    this.leaveFlight(slot)
    this.states[slot] = PacketState.Gone
    this.releaseFrames(slot)
    const next = this.nexts[slot]!
    const previous = this.previouses[slot]!
    if (next !== 0) this.previouses[next & this.mask] = previous
    else this.last = previous
    if (previous !== 0) this.nexts[previous & this.mask] = next
    else this.first = next
  }

  /**
   * Frees the ring of a connection that has come to rest: with nothing in flight, what is left in it could only give
   * samples of an RTT that has passed. The next packet makes a new one.
   */
  releaseMemory(): void {
    if (this.packetsInFlight > 0 || this.capacity === 0) return
    for (let at = this.first; at !== 0; at = this.next(at)) this.releaseFrames(at & this.mask)
    this.first = 0
    this.last = 0
    this.allocate(0)
  }

  private leaveFlight(slot: number): void {
    if (this.states[slot] !== PacketState.InFlight) return
    this.uncountRetransmittable(slot)
    if ((this.flags[slot]! & FLAG_PROBE) !== 0) this.probesInFlight--
    this.bytesInFlight -= this.sizes[slot]!
    this.packetsInFlight--
  }

  private uncountRetransmittable(slot: number): void {
    if (this.frameLists[slot] === null || (this.flags[slot]! & FLAG_REQUEUED) !== 0) return
    this.retransmittableInFlight--
    if ((this.flags[slot]! & FLAG_CRYPTO) !== 0) this.cryptoInFlight--
  }

  private releaseFrames(slot: number): void {
    this.pool.release(this.frameLists[slot]!)
    this.frameLists[slot] = null
  }

  private grow(): void {
    const oldMask = this.mask
    const capacity = Math.max(INITIAL_CAPACITY, this.capacity * 2)
    const old = this.columns()
    const oldFrames = this.frameLists
    this.allocate(capacity)
    const { mask } = this
    const fresh = this.columns()
    for (let at = this.first; at !== 0; at = old.nexts[at & oldMask]!) {
      for (const name of columnNames) fresh[name][at & mask] = old[name][at & oldMask]!
      this.frameLists[at & mask] = oldFrames[at & oldMask]!
    }
  }

  private allocate(capacity: number): void {
    this.sentTimes = doubles(capacity)
    this.sizes = capacity === 0 ? NO_INTS : new Int32Array(capacity)
    this.states = bytes(capacity)
    this.flags = bytes(capacity)
    this.levels = bytes(capacity)
    this.nexts = doubles(capacity)
    this.previouses = doubles(capacity)
    this.lostAt = doubles(capacity)
    this.lostTimes = doubles(capacity)
    this.carriedAcks = doubles(capacity)
    this.frameLists = new Array<SentFrame | null>(capacity).fill(null)
    this.capacity = capacity
    this.mask = capacity - 1
  }

  private columns(): Record<(typeof columnNames)[number], Float64Array | Int32Array | Uint8Array> {
    return {
      sentTimes: this.sentTimes,
      sizes: this.sizes,
      states: this.states,
      flags: this.flags,
      levels: this.levels,
      nexts: this.nexts,
      previouses: this.previouses,
      lostAt: this.lostAt,
      lostTimes: this.lostTimes,
      carriedAcks: this.carriedAcks
    }
  }
}

const NO_DOUBLES = new Float64Array(0)
const NO_INTS = new Int32Array(0)
const NO_BYTES = new Uint8Array(0)

function doubles(length: number): Float64Array<ArrayBuffer> {
  return length === 0 ? NO_DOUBLES : new Float64Array(length)
}

function bytes(length: number): Uint8Array<ArrayBuffer> {
  return length === 0 ? NO_BYTES : new Uint8Array(length)
}

const columnNames = [
  'sentTimes',
  'sizes',
  'states',
  'flags',
  'levels',
  'nexts',
  'previouses',
  'lostAt',
  'lostTimes',
  'carriedAcks'
] as const
