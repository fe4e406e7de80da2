/**
 * What went over a simulated connection and when, told by its two ends: for scenarios that ask how something was sent and
 * not only whether it arrived.
 */
import { qlogFrames, type QlogFrame } from '../../../src/observe/qlog/qlog-frames.js'
import type { ConnectionObserver, ObservedPacket, ObserveConnection, RecoveryMetrics } from '../../../src/quic/transport/observer.js'
import { Perspective, type Micros } from '../../../src/quic/types.js'

/** A packet as one end saw it. */
export interface LoggedPacket {
  readonly at: Micros
  /** Sent by this end, or received. */
  readonly sent: boolean
  readonly packetNumber: number
  /** Bytes of UDP payload. */
  readonly length: number
  readonly frames: readonly QlogFrame[]
}

/** Packets that went at the same time. */
export type Burst = [LoggedPacket, ...LoggedPacket[]]

/** What recovery knew at some time: times in µs, sizes in bytes. */
export interface LoggedMetrics {
  readonly at: Micros
  readonly window: number
  readonly inFlight: number
  readonly threshold: number
  readonly latestRtt: Micros
  readonly smoothedRtt: Micros
  readonly rttDeviation: Micros
}

/** Frames that nobody acknowledges for their own sake. */
const SILENT = new Set(['ack', 'stop_waiting', 'padding'])

/** Everything that one end tells, in order. */
export class FlightLog implements ConnectionObserver {
  readonly packets: LoggedPacket[] = []
  readonly lost: { readonly at: Micros; readonly packetNumber: number }[] = []
  readonly metrics: LoggedMetrics[] = []

  onPacketSent = (now: Micros, packet: ObservedPacket): void => this.keep(now, true, packet)
  onPacketReceived = (now: Micros, packet: ObservedPacket): void => this.keep(now, false, packet)
  onPacketLost = (at: Micros, packetNumber: number): unknown => this.lost.push({ at, packetNumber })

  onMetricsUpdated = (at: Micros, { rtt, congestionWindow, bytesInFlight, controller }: RecoveryMetrics): unknown =>
    this.metrics.push({
      at,
      window: congestionWindow,
      inFlight: bytesInFlight,
      threshold: controller.slowStartThreshold,
      latestRtt: rtt.latest,
      smoothedRtt: rtt.smoothed,
      rttDeviation: rtt.meanDeviation
    })

  /** The packets that this end has sent after `since`. */
  sent(since: Micros = -1): LoggedPacket[] {
    return this.packets.filter(({ sent, at }) => sent && at > since)
  }

  /** The packets that have reached this end after `since`. */
  received(since: Micros = -1): LoggedPacket[] {
    return this.packets.filter(({ sent, at }) => !sent && at > since)
  }

  /** Those that it has sent after `since` and that want to be acknowledged. */
  asking(since: Micros = -1): LoggedPacket[] {
    return this.sent(since).filter(({ frames }) => frames.some(({ frame_type }) => !SILENT.has(frame_type)))
  }

  /** {@link asking}, those that went at the same time together. */
  bursts(since: Micros): Burst[] {
    const bursts: Burst[] = []
    for (const packet of this.asking(since)) {
      if (bursts.at(-1)?.[0].at === packet.at) bursts.at(-1)!.push(packet)
      else bursts.push([packet])
    }
    return bursts
  }

  /** What recovery knew at that time. */
  metricsAt(time: Micros): LoggedMetrics {
    return this.metrics.findLast(({ at }) => at <= time)!
  }

  private keep(at: Micros, sent: boolean, packet: ObservedPacket): void {
    const { packetNumber, length } = packet
    this.packets.push({ at, sent, packetNumber, length, frames: qlogFrames(packet) })
  }
}

/** The logs of a connection's ends, and what fills them. */
export interface FlightLogs {
  readonly client: FlightLog
  readonly server: FlightLog
  readonly observe: ObserveConnection
}

/** Logs for one connection. */
export function logFlights(): FlightLogs {
  const [client, server] = [new FlightLog(), new FlightLog()]
  return { client, server, observe: ({ perspective }) => (perspective === Perspective.Client ? client : server) }
}

/** One field of the frames of that type in a packet, in order. */
export function fieldsOf(packet: LoggedPacket, frameType: string, field: string): number[] {
  return packet.frames.filter(({ frame_type }) => frame_type === frameType).map((frame) => frame[field] as number)
}

/** The largest packet that a packet acknowledges; 0 if it acknowledges none. */
export function largestAckedBy(packet: LoggedPacket): number {
  const ack = packet.frames.find(({ frame_type }) => frame_type === 'ack')
  return (ack?.['acked_ranges'] as [number, number][] | undefined)?.at(-1)?.[1] ?? 0
}

/** How far into a stream the data of a packet reaches; 0 if it holds none of it. */
export function reachIn(packet: LoggedPacket, streamId: number): number {
  let reach = 0
  for (const frame of packet.frames) {
    if (frame.frame_type !== 'stream' || frame['stream_id'] !== streamId) continue
    reach = Math.max(reach, (frame['offset'] as number) + (frame['length'] as number))
  }
  return reach
}
