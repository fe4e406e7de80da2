/**
 * A network path as a row of nodes, each of which does one bad thing to the datagrams that pass it.
 */
import type { Micros } from '../../../src/quic/types.js'
import type { SeededRandom } from './seeded-random.js'

/** A datagram on its way: what it holds, and when it leaves the node before. */
export interface InTransit {
  at: Micros
  bytes: Uint8Array
}

/** One step of a path. */
export interface NetworkNode {
  /** Calls `emit` for whatever leaves the node because of `packet`: nothing, the packet, or more. */
  pass(packet: InTransit, random: SeededRandom, emit: (packet: InTransit) => void): void
}

const MS = 1000

/** Everything takes `ms` milliseconds, give or take up to `jitterMs`; jitter alone never changes the order. */
export class Delay implements NetworkNode {
  private lastArrival = 0

  constructor(
    private readonly ms: number,
    private readonly jitterMs = 0
  ) {}

  pass(packet: InTransit, random: SeededRandom, emit: (packet: InTransit) => void): void {
    const jitter = this.jitterMs > 0 ? (2 * random.unit() - 1) * this.jitterMs : 0
    const at = Math.round(packet.at + Math.max(0, this.ms + jitter) * MS)
    this.lastArrival = Math.max(at, this.lastArrival)
    emit({ ...packet, at: this.lastArrival })
  }
}

/** What leaves within `ms` milliseconds arrives at one time. */
export class Together implements NetworkNode {
  constructor(private readonly ms: number) {}

  pass(packet: InTransit, _random: SeededRandom, emit: (packet: InTransit) => void): void {
    const step = this.ms * MS
    emit({ ...packet, at: Math.ceil(packet.at / step) * step })
  }
}

/** Drops the given share of packets. */
export class Loss implements NetworkNode {
  dropped = 0

  constructor(private readonly share: number) {}

  pass(packet: InTransit, random: SeededRandom, emit: (packet: InTransit) => void): void {
    if (random.chance(this.share)) this.dropped++
    else emit(packet)
  }
}

/** Holds the given share of packets back by up to `ms` milliseconds, so that later ones overtake them. */
export class Reorder implements NetworkNode {
  constructor(
    private readonly share: number,
    private readonly ms: number
  ) {}

  pass(packet: InTransit, random: SeededRandom, emit: (packet: InTransit) => void): void {
    if (!random.chance(this.share)) emit(packet)
    else emit({ ...packet, at: packet.at + 1 + random.below(this.ms * MS) })
  }
}

/** Delivers the given share of packets twice, the second up to `ms` milliseconds later. */
export class Duplicate implements NetworkNode {
  constructor(
    private readonly share: number,
    private readonly ms = 20
  ) {}

  pass(packet: InTransit, random: SeededRandom, emit: (packet: InTransit) => void): void {
    emit(packet)
    if (random.chance(this.share)) {
      emit({ at: packet.at + random.below(this.ms * MS), bytes: packet.bytes.slice() })
    }
  }
}

/** Damages the given share of packets: bits flipped, cut short, or made longer. */
export class Corrupt implements NetworkNode {
  corrupted = 0

  /** @param spares tells what is never damaged */
  constructor(
    private readonly share: number,
    private readonly spares: (bytes: Uint8Array) => boolean = () => false
  ) {}

  pass(packet: InTransit, random: SeededRandom, emit: (packet: InTransit) => void): void {
    if (!random.chance(this.share) || this.spares(packet.bytes)) {
      emit(packet)
      return
    }
    this.corrupted++
    const kind = random.below(10)
    let bytes = packet.bytes.slice()
    if (kind === 0) bytes = bytes.slice(0, random.below(bytes.length))
    else if (kind === 1) bytes = Uint8Array.from([...bytes, ...random.bytes(1 + random.below(40))])
    else for (let n = random.below(3); n >= 0; n--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8)
    emit({ ...packet, bytes })
  }
}

/** Drops what is larger than the path carries (there is no fragmentation, and no message about it). */
export class Mtu implements NetworkNode {
  /** @param payload largest UDP payload, bytes */
  constructor(private readonly payload: number) {}

  pass(packet: InTransit, _random: SeededRandom, emit: (packet: InTransit) => void): void {
    if (packet.bytes.length <= this.payload) emit(packet)
  }
}

/** A link of limited rate with a queue before it; what finds the queue full is dropped. */
export class Bottleneck implements NetworkNode {
  dropped = 0
  private freeAt: Micros = 0

  constructor(
    private readonly bytesPerSecond: number,
    private readonly queueBytes: number
  ) {}

  pass(packet: InTransit, _random: SeededRandom, emit: (packet: InTransit) => void): void {
    const start = Math.max(packet.at, this.freeAt)
    const queued = ((start - packet.at) / 1e6) * this.bytesPerSecond
    if (queued + packet.bytes.length > this.queueBytes) {
      this.dropped++
      return
    }
    this.freeAt = start + Math.ceil((packet.bytes.length / this.bytesPerSecond) * 1e6)
    emit({ ...packet, at: this.freeAt })
  }
}

/** Drops what `drop` says to drop: for scenarios that need one certain packet to be lost, or all for a while. */
export class DropIf implements NetworkNode {
  private count = 0

  /** @param drop gets the packet, its number on this node from 0, and the time */
  constructor(private readonly drop: (bytes: Uint8Array, index: number, at: Micros) => boolean) {}

  pass(packet: InTransit, _random: SeededRandom, emit: (packet: InTransit) => void): void {
    if (!this.drop(packet.bytes, this.count++, packet.at)) emit(packet)
  }
}

/** Holds back what `which` says by `ms` milliseconds: later packets overtake it. */
export class HoldBack implements NetworkNode {
  private count = 0

  /** @param which gets the packet's number on this node from 0 */
  constructor(
    private readonly which: (index: number) => boolean,
    private readonly ms: number
  ) {}

  pass(packet: InTransit, _random: SeededRandom, emit: (packet: InTransit) => void): void {
    emit(this.which(this.count++) ? { ...packet, at: packet.at + Math.round(this.ms * MS) } : packet)
  }
}

/** Keeps a copy of all that passes. */
export class Recorder implements NetworkNode {
  readonly seen: Uint8Array[] = []

  pass(packet: InTransit, _random: SeededRandom, emit: (packet: InTransit) => void): void {
    this.seen.push(packet.bytes.slice())
    emit(packet)
  }
}

/** One direction of a path. */
export class Path {
  private readonly random: SeededRandom

  constructor(
    private readonly nodes: readonly NetworkNode[],
    random: SeededRandom
  ) {
    this.random = random.fork()
  }

  /** Sends one datagram; `deliver` is called for each copy that arrives, with its time of arrival. */
  send(at: Micros, bytes: Uint8Array, deliver: (packet: InTransit) => void): void {
    this.step(0, { at, bytes }, deliver)
  }

  private step(index: number, packet: InTransit, deliver: (packet: InTransit) => void): void {
    const node = this.nodes[index]
    if (node === undefined) deliver(packet)
    else node.pass(packet, this.random, (next) => this.step(index + 1, next, deliver))
  }
}
