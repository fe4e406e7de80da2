/**
 * Turns what a connection tells into qlog events.
 */
import type { ConnectionId } from '../../quic/connection-id.js'
import type { QuicError } from '../../quic/errors.js'
import type { LevelKeys } from '../../quic/handshake/level-keys.js'
import type { NegotiatedConfig } from '../../quic/handshake/negotiated-config.js'
import type {
  ConnectionObserver,
  ObservedConnection,
  ObservedPacket,
  ObservedState,
  PacketDropReason,
  RecoveryMetrics
} from '../../quic/transport/observer.js'
import { Perspective, type Micros, type PeerAddress } from '../../quic/types.js'
import type { QuicVersion } from '../../quic/wire/versions/version.js'
import * as events from './qlog-events.js'
import type { QlogEvent, QlogFact, ToldMetrics } from './qlog-events.js'

/** Where events go. */
export interface QlogSink {
  /** @param milestone whether it belongs to the few that explain the others */
  add(event: QlogEvent, milestone: boolean): void
  /** The connection is over; its last event has been added. */
  end(error: QuicError, openStreams: boolean): void
}

/** Observes one connection for one sink. */
export class QlogObserver implements ConnectionObserver {
  private readonly start: Micros
  private readonly told: ToldMetrics = {}
  private started = false
  private state: string | undefined

  /** @param localAddress asked at the first packet: a client's socket is opened later than its connection is made */
  constructor(
    private readonly facts: ObservedConnection,
    private readonly localAddress: () => PeerAddress | undefined,
    private readonly sink: QlogSink
  ) {
    this.start = facts.now
  }

  onPacketSent(now: Micros, packet: ObservedPacket): void {
    this.begin(now)
    this.add(now, events.packetEvent('packet_sent', packet))
  }

  onPacketReceived(now: Micros, packet: ObservedPacket): void {
    this.begin(now)
    this.add(now, events.packetEvent('packet_received', packet))
  }

  onPacketDropped(now: Micros, reason: PacketDropReason, length: number): void {
    this.add(now, events.packetDropped(reason, length))
  }

  onPacketLost(now: Micros, packetNumber: number): void {
    this.add(now, events.packetLost(packetNumber))
  }

  onMetricsUpdated(now: Micros, metrics: RecoveryMetrics): void {
    const fact = events.metricsUpdated(metrics, this.told)
    if (fact !== undefined) this.add(now, fact)
  }

  onKeys(now: Micros, keys: LevelKeys): void {
    for (const fact of events.keysUpdated(keys)) this.add(now, fact, true)
  }

  onHandshakeMessage(now: Micros, sent: boolean, message: Uint8Array): void {
    this.begin(now)
    this.add(now, events.handshakeMessage(sent ? 'local' : 'remote', message), true)
  }

  onVersionChanged(now: Micros, version: QuicVersion): void {
    this.add(now, events.versionInformation(this.facts, version), true)
  }

  onConnectionIdChanged(now: Micros, connectionId: ConnectionId): void {
    this.add(now, events.connectionIdUpdated(this.facts.connectionId, connectionId), true)
  }

  onConfigNegotiated(now: Micros, config: NegotiatedConfig): void {
    this.add(now, events.parametersSet(config), true)
  }

  onStateChanged(now: Micros, state: ObservedState): void {
    if (state === 'confirmed') this.enter(now, 'handshake_confirmed')
    else this.enter(now, this.facts.perspective === Perspective.Client ? 'early_write' : 'handshake_complete')
  }

  onPeerAddressChanged(now: Micros, from: PeerAddress, to: PeerAddress): void {
    this.add(now, events.peerAddressChanged(from, to), true)
  }

  onClosed(now: Micros, error: QuicError, fromPeer: boolean, openStreams: boolean): void {
    this.add(now, events.connectionClosed(error, fromPeer), true)
    this.enter(now, 'closed')
    this.sink.end(error, openStreams)
  }

  private begin(now: Micros): void {
    if (this.started) return
    this.started = true
    this.add(now, events.connectionStarted(this.facts, this.localAddress()), true)
    this.add(now, events.versionInformation(this.facts, this.facts.version), true)
    this.enter(now, 'attempted')
  }

  private enter(now: Micros, state: string): void {
    this.add(now, events.stateUpdated(state, this.state), true)
    this.state = state
  }

  private add(now: Micros, [name, data]: QlogFact, milestone = false): void {
    this.sink.add({ time: (now - this.start) / 1000, name, data }, milestone)
  }
}
