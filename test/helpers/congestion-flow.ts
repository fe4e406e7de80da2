/** A congestion controller with a sender that fills its window, and a path that answers as a test says. */
import type { CongestionController } from '../../src/quic/recovery/congestion-controller.js'
import { CubicSender, type CubicSenderKind } from '../../src/quic/recovery/cubic-sender.js'
import { PacketList } from '../../src/quic/recovery/packet-list.js'
import { RttStats } from '../../src/quic/recovery/rtt-stats.js'

/** The segment that windows are counted in. */
export const MSS = 1460

const none = new PacketList()

/** Packets are acknowledged and lost in order. */
export class Flow<C extends CongestionController = CubicSender> {
  now = 1_000_000
  sent = 0
  acked = 0
  inFlight = 0

  constructor(
    readonly sender: C,
    readonly rtt: RttStats
  ) {}

  /** A CUBIC or Reno sender. */
  static of(kind: CubicSenderKind = {}, windowPackets?: number): Flow {
    const rtt = new RttStats()
    return new Flow(new CubicSender(rtt, kind, windowPackets), rtt)
  }

  /** Sends as much as the window lets go; returns how many packets that were. */
  fill(bytes = MSS): number {
    let count = 0
    for (; this.sender.canSend(this.inFlight); count++) {
      this.sender.onPacketSent(this.now, ++this.sent, bytes, this.inFlight)
      this.inFlight += bytes
    }
    return count
  }

  /** The next `count` packets are acknowledged, `rttMs` later. */
  ack(count: number, rttMs = 60, bytes = MSS): void {
    this.now += rttMs * 1000
    this.rtt.update(rttMs * 1000, 0)
    const acked = new PacketList()
    for (let i = 0; i < count; i++) acked.add(++this.acked, bytes)
    const prior = this.inFlight
    this.inFlight -= count * bytes
    this.sender.onCongestionEvent(this.now, true, prior, acked, none)
  }

  /** The next `count` packets are lost. */
  lose(count: number, bytes = MSS): void {
    const lost = new PacketList()
    for (let i = 0; i < count; i++) lost.add(++this.acked, bytes)
    const prior = this.inFlight
    this.inFlight -= count * bytes
    this.sender.onCongestionEvent(this.now, false, prior, none, lost)
  }
}
