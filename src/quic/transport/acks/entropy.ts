/**
 * Entropy of Q032 and Q033: every packet has a random bit, and whoever acknowledges packets proves with the sum of
 * their bits that they really came. Packet n with bit e counts for `e << (n mod 8)`, and sums are XOR.
 * Source: quic_sent_entropy_manager.cc, quic_received_packet_manager.cc (EntropyTracker).
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import type { AckFrame } from '../../wire/frames/frames.js'
import type { AckEntropySource } from '../../wire/versions/version.js'

/** kMaxTrackedPackets: as many numbers may lie between the first that is missing and the highest. */
const MAX_TRACKED_PACKETS = 10_000
const NOT_RECEIVED = -1

/** What a packet adds to a sum, 0 to 255. */
export function packetEntropy(packetNumber: number, bit: boolean): number {
  return bit ? 1 << (packetNumber % 8) : 0
}

/** Values by consecutive numbers, of which the lowest are dropped as the highest are added. */
class NumberWindow {
  private values: number[] = []
  private head = 0

  /** @param first the lowest number that is held, or will be */
  constructor(public first: number) {}

  /** One above the highest number held. */
  get end(): number {
    return this.first + this.values.length - this.head
  }

  get size(): number {
    return this.values.length - this.head
  }

  get(number: number): number {
    return this.values[this.head + number - this.first]!
  }

  set(number: number, value: number): void {
    this.values[this.head + number - this.first] = value
  }

  push(value: number): void {
    this.values.push(value)
  }

  dropFirst(): void {
    this.first++
    if (this.size > 0) this.head++
    if (this.head > 1024 && this.head * 2 > this.values.length) {
      this.values = this.values.slice(this.head)
      this.head = 0
    }
  }
}

/** The sending side: remembers the bits of what was sent, to check what the peer claims to have received. */
export class SentEntropy {
  /** By packet number the sum of it and all before. */
  private readonly sums = new NumberWindow(1)
  /** The sum of all before the first one held. */
  private base = 0

  /** Notes the bit of the next packet. Every number that is used must be noted, in order, sent or not. */
  record(packetNumber: number, bit: boolean): void {
    if (packetNumber !== this.sums.end) throw new RangeError(`packet ${packetNumber} comes after ${this.sums.end - 1}`)
    this.sums.push(this.sumUpTo(packetNumber - 1) ^ packetEntropy(packetNumber, bit))
  }

  /** The sum that a STOP_WAITING carries: of all packets below `leastUnacked`, which must not be forgotten yet. */
  hashBelow(leastUnacked: number): number {
    return this.sumUpTo(leastUnacked - 1)
  }

  /**
   * Whether `hash` is the sum of what `ack` says arrived. What it says is missing must not be forgotten yet, else the
   * answer is no; so it is for packets that were never sent. An ACK whose hash is wrong ends the connection with
   * INVALID_ACK_DATA.
   */
  matches(ack: AckFrame, hash: number): boolean {
    const { largestAcked, ranges, rangeCount } = ack
    if (largestAcked >= this.sums.end || largestAcked < this.sums.first - 1) return false
    let expected = this.sumUpTo(largestAcked)
    let above = largestAcked + 1
    for (let i = 0; i <= rangeCount; i++) {
      const below = i === rangeCount ? 0 : ranges[2 * i + 1]!
      if (below + 1 < above) {
        // Missing: from below + 1 to above - 1.
        if (below + 1 < this.sums.first) return false
        expected ^= this.sumUpTo(above - 1) ^ this.sumUpTo(below)
      }
      if (i < rangeCount) above = ranges[2 * i]!
    }
    return expected === hash
  }

  /** Forgets the packets below a number: the peer will neither miss them nor be told of their sum again. */
  forgetBelow(packetNumber: number): void {
    const { sums } = this
    while (sums.first < packetNumber && sums.size > 0) {
      this.base = sums.get(sums.first)
      sums.dropFirst()
    }
  }

  private sumUpTo(packetNumber: number): number {
    return packetNumber < this.sums.first ? this.base : this.sums.get(packetNumber)
  }
}

/** The receiving side: sums up what arrived, with the peer's word for what never will. */
export class ReceivedEntropy implements AckEntropySource {
  /** Below it the peer waits for nothing. */
  leastAwaited = 1
  private total = 0
  /** From the first number that is missing on: what it added, or {@link NOT_RECEIVED}. */
  private readonly window = new NumberWindow(1)

  /**
   * Adds a packet that was not added before.
   * @throws QuicError TOO_MANY_OUTSTANDING_RECEIVED_PACKETS if too much lies between it and the first missing one
   */
  record(packetNumber: number, bit: boolean): void {
    const { window } = this
    if (packetNumber < window.first) return
    if (packetNumber - window.first >= MAX_TRACKED_PACKETS) {
      throw new QuicError(
        QuicErrorCode.TOO_MANY_OUTSTANDING_RECEIVED_PACKETS,
        `more than ${MAX_TRACKED_PACKETS} packets above a missing one`
      )
    }
    const entropy = packetEntropy(packetNumber, bit)
    this.total ^= entropy
    while (window.end <= packetNumber) window.push(NOT_RECEIVED)
    window.set(packetNumber, entropy)
    this.dropReceived()
  }

  /** Takes the peer's sum of all packets below `leastUnacked`, of which some may be missing for good. */
  onStopWaiting(leastUnacked: number, hash: number): void {
    const { window } = this
    if (leastUnacked > this.leastAwaited) this.leastAwaited = leastUnacked
    // Nothing below is missing: the sum is complete as it is.
    if (leastUnacked <= window.first) return
    while (window.first < leastUnacked) window.dropFirst()
    this.total = hash
    for (let n = window.first; n < window.end; n++) this.total ^= Math.max(0, window.get(n))
    this.dropReceived()
  }

  hashUpTo(packetNumber: number): number {
    const { window } = this
    let hash = this.total
    for (let n = Math.max(packetNumber + 1, window.first); n < window.end; n++) hash ^= Math.max(0, window.get(n))
    return hash
  }

  private dropReceived(): void {
    const { window } = this
    while (window.size > 0 && window.get(window.first) !== NOT_RECEIVED) window.dropFirst()
  }
}
