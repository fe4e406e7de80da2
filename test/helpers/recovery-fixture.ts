/** Drives a SentPacketManager as a connection would, and records what becomes of every frame. */
import type { FrameFateListener, SentFrame } from '../../src/quic/recovery/sent-frame.js'
import { SentFrameKind, SentFramePool } from '../../src/quic/recovery/sent-frame.js'
import type { SentPacketManagerOptions } from '../../src/quic/recovery/sent-packet-manager.js'
import { SentPacketManager } from '../../src/quic/recovery/sent-packet-manager.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import type { AckFrame } from '../../src/quic/wire/frames/frames.js'

export const MS = 1000

/** An ACK of these ranges, given as `[first, last]` with the highest first. */
export function ackOf(ranges: [number, number][], ackDelay = 0): AckFrame {
  return {
    largestAcked: ranges[0]![1],
    ackDelay,
    rangeCount: ranges.length,
    ranges: Float64Array.from(ranges.flat())
  }
}

/** Ranges, highest first, of a set of packet numbers. */
export function rangesOf(numbers: Iterable<number>): [number, number][] {
  const ranges: [number, number][] = []
  for (const n of [...numbers].sort((a, b) => b - a)) {
    const last = ranges.at(-1)
    if (last !== undefined && last[0] === n + 1) last[0] = n
    else ranges.push([n, n])
  }
  return ranges
}

/** One manager, a clock that does not start at zero, and a record of fates. A frame's `offset` is its packet's number. */
export class RecoveryFixture implements FrameFateListener {
  now = 5_000_000
  readonly pool = new SentFramePool()
  readonly manager: SentPacketManager
  readonly acked: number[] = []
  readonly lost: number[] = []

  constructor(options: Partial<SentPacketManagerOptions> = {}) {
    const perspective = Perspective.Server
    this.manager = new SentPacketManager({ perspective, framePool: this.pool, pacing: false, ...options })
    this.manager.onHandshakeConfirmed()
  }

  send(bytes = 1000, kind: SentFrameKind = SentFrameKind.Stream, level: EncryptionLevel = 2): number {
    const packetNumber = this.manager.largestSent + 1
    const frame = this.pool.take(kind, 5, level)
    frame.offset = packetNumber
    this.manager.onPacketSent(this.now, packetNumber, bytes, level, frame, kind === SentFrameKind.Crypto)
    return packetNumber
  }

  sendMany(count: number, bytes = 1000): void {
    for (let i = 0; i < count; i++) this.send(bytes)
  }

  sendAckOnly(): number {
    const packetNumber = this.manager.largestSent + 1
    this.manager.onPacketSent(this.now, packetNumber, 40, EncryptionLevel.ForwardSecure, null, false)
    return packetNumber
  }

  ack(...ranges: [number, number][]): boolean {
    return this.manager.onAck(this.now, ackOf(ranges), this)
  }

  /** Moves the clock to the next timeout and lets it happen; returns how long that took, µs. */
  timeout(): number {
    const at = this.manager.nextTimeout()
    const waited = at - this.now
    this.now = at
    this.manager.onTimeout(at, this)
    return waited
  }

  onFrameAcked(frame: SentFrame): void {
    this.acked.push(frame.offset)
  }

  onFrameLost(frame: SentFrame): void {
    this.lost.push(frame.offset)
  }
}
