/** What a gateway tells Prometheus. docs/observability.md lists it. */
import type { QuicServer } from '../../endpoint/server.js'
import { MetricSet } from '../../observe/metrics/metric-set.js'
import type { ConnectionStats } from '../../quic/transport/connection.js'
import type { DispatcherStats } from '../../quic/transport/dispatcher.js'
import { rejectReasonName } from '../../quic/wire/tags.js'
import type { UpstreamPools } from '../upstream-pools.js'
import type { ConnectionTally } from './connection-tally.js'
import { durationBounds, type RequestTally } from './request-tally.js'

/** Where the numbers are. */
export interface MetricSources {
  /** What the program is: its version, and the engine that moves its datagrams. */
  readonly version: string
  readonly engine: string
  readonly servers: readonly QuicServer[]
  readonly connections: ConnectionTally
  readonly requests: RequestTally
  readonly upstreams: UpstreamPools
}

/** The metrics of the gateway in this process. */
export function gatewayMetrics(sources: MetricSources): MetricSet {
  const set = new MetricSet()
  const { version, engine } = sources
  set.info('quicgate_info', 'What runs; always 1', { version, engine })
  addConnections(set, sources)
  addHandshakes(set, sources)
  addDatagrams(set, sources)
  addPackets(set, sources)
  addRequests(set, sources)
  addUpstreams(set, sources)
  return set
}

function addConnections(set: MetricSet, { servers, connections }: MetricSources): void {
  set.counter('quicgate_connections_opened_total', 'Connections that began', ['quic'], (add) => {
    for (const [quic, count] of connections.opened) add(count, quic)
  })
  set.gauge('quicgate_connections_open', 'Connections now', ['quic'], (add) => {
    // Versions stay listed, so that a count which falls to nothing says so.
    const open = new Map(Array.from(connections.opened.keys(), (quic) => [quic, 0]))
    for (const server of servers) {
      for (const { version } of server.connections()) open.set(version.label, (open.get(version.label) ?? 0) + 1)
    }
    for (const [quic, count] of open) add(count, quic)
  })
  set.counter('quicgate_connections_closed_total', 'Connections that ended, by error and by who closed them', ['error', 'by'], (add) => {
    for (const { error, by, count } of connections.closings()) add(count, error, by)
  })
  set.gauge('quicgate_streams_open', 'Streams open now, on all connections', [], (add) => {
    let open = 0
    for (const server of servers) for (const session of server.sessions()) open += session.openStreamCount
    add(open)
  })
}

function addHandshakes(set: MetricSet, { servers }: MetricSources): void {
  const sum = (pick: (stats: QuicServer['handshakeStats']) => number): number =>
    servers.reduce((total, server) => total + pick(server.handshakeStats), 0)
  set.counter('quicgate_handshakes_total', 'Hellos accepted: after a round trip (full) or at first sight (0rtt)', ['kind'], (add) => {
    add(sum(({ accepted }) => accepted), 'full')
    add(sum(({ earlyAccepted }) => earlyAccepted), '0rtt')
  })
  set.counter('quicgate_handshakes_confirmed_total', 'Handshakes that both sides have seen the end of', [], (add) =>
    add(sum(({ confirmed }) => confirmed))
  )
  set.counter('quicgate_early_data_rejected_total', 'Hellos rejected that requests came behind (0-RTT)', [], (add) =>
    add(sum(({ earlyRejected }) => earlyRejected))
  )
  set.counter('quicgate_handshake_rejections_total', 'Hellos rejected, by reason; one may have several', ['reason'], (add) => {
    const reasons = new Map<number, number>()
    for (const { handshakeStats } of servers) {
      for (const [reason, count] of handshakeStats.rejections) reasons.set(reason, (reasons.get(reason) ?? 0) + count)
    }
    for (const [reason, count] of reasons) add(count, rejectReasonName(reason))
  })
}

function addDatagrams(set: MetricSet, { servers }: MetricSources): void {
  const counter = (name: string, help: string, field: keyof DispatcherStats): void =>
    set.counter(name, help, [], (add) => add(servers.reduce((total, { stats }) => total + stats[field], 0)))
  counter('quicgate_datagrams_received_total', 'Datagrams received', 'datagramsReceived')
  counter('quicgate_received_bytes_total', 'UDP payload received', 'bytesReceived')
  counter('quicgate_datagrams_sent_total', 'Datagrams sent', 'datagramsSent')
  counter('quicgate_sent_bytes_total', 'UDP payload sent', 'bytesSent')
  counter('quicgate_datagrams_dropped_total', 'Datagrams that are no connection\'s and not worth an answer', 'datagramsDropped')
  counter('quicgate_version_negotiations_total', 'Answers to clients that offered a version not spoken here', 'versionNegotiationsSent')
  counter('quicgate_resets_sent_total', 'Resets sent for connections that are not known, public and stateless ones', 'publicResetsSent')
  counter('quicgate_stateless_rejects_total', 'Hellos answered without making a connection', 'statelessRejects')
  set.counter('quicgate_kernel_drops_total', 'Datagrams lost because the kernel\'s receive buffer was full', [], (add) => {
    const drops = servers.map(({ kernelDrops }) => kernelDrops).filter((count) => count !== undefined)
    if (drops.length > 0) add(drops.reduce((total, count) => total + count, 0))
  })
}

function addPackets(set: MetricSet, { servers, connections }: MetricSources): void {
  let known: ConnectionStats | undefined
  // All metrics of one reading are collected in one go: the connections are gone through once for all of them.
  const totals = (): ConnectionStats => {
    if (known === undefined) queueMicrotask(() => (known = undefined))
    return (known ??= connections.totals(servers.flatMap((server) => [...server.connections()])))
  }
  const counter = (name: string, help: string, field: keyof ConnectionStats): void =>
    set.counter(name, help, [], (add) => add(totals()[field]))
  counter('quicgate_packets_received_total', 'Packets of connections that were opened', 'packetsReceived')
  counter('quicgate_packets_sent_total', 'Packets of connections that were sent', 'packetsSent')
  counter('quicgate_packets_lost_total', 'Packets sent that loss detection gave up', 'packetsLost')
  counter('quicgate_packets_retransmitted_total', 'Packets whose content was sent again', 'packetsRetransmitted')
  counter('quicgate_packets_retransmitted_spuriously_total', 'Those of them that arrived after all', 'packetsRetransmittedSpuriously')
  counter('quicgate_retransmission_timeouts_total', 'Retransmission timeouts', 'retransmissionTimeouts')
  counter('quicgate_tail_loss_probes_total', 'Probes sent because the last packets were not acknowledged', 'tailLossProbes')
  counter('quicgate_packets_undecryptable_total', 'Packets of connections that no key opened when they came', 'undecryptable')
  counter('quicgate_packets_duplicate_total', 'Packets that came more than once', 'duplicates')
}

function addRequests(set: MetricSet, { requests }: MetricSources): void {
  set.counter('quicgate_requests_total', 'Requests that ended', ['route', 'method', 'status', 'outcome'], (add) => {
    for (const { route, method, status, outcome, count } of requests.counts()) add(count, route, method, status, outcome)
  })
  set.histogram(
    'quicgate_request_duration_seconds',
    'From a request\'s header block to the end of its stream',
    ['route'],
    durationBounds,
    (add) => {
      for (const [route, { durations, durationSumMs }] of requests.byRoute()) add(durations, durationSumMs / 1000, route)
    }
  )
  set.counter('quicgate_request_content_bytes_total', 'Content of requests received', ['route'], (add) => {
    for (const [route, { bytesIn }] of requests.byRoute()) add(bytesIn, route)
  })
  set.counter('quicgate_response_content_bytes_total', 'Content of responses sent', ['route'], (add) => {
    for (const [route, { bytesOut }] of requests.byRoute()) add(bytesOut, route)
  })
}

function addUpstreams(set: MetricSet, { upstreams }: MetricSources): void {
  set.counter('quicgate_upstream_attempts_total', 'Requests tried at an upstream', ['upstream'], (add) => {
    for (const { authority, attempts } of upstreams.all()) add(attempts, authority)
  })
  set.counter('quicgate_upstream_failures_total', 'Tries that failed, by what failed', ['upstream', 'failure'], (add) => {
    for (const { authority, failures } of upstreams.all()) {
      for (const [failure, count] of failures) add(count, authority, failure)
    }
  })
  set.gauge('quicgate_upstream_requests_running', 'Connections to an upstream that carry a request now', ['upstream'], (add) => {
    for (const { authority, busyCount } of upstreams.all()) add(busyCount, authority)
  })
  set.gauge('quicgate_upstream_requests_waiting', 'Requests that wait for a connection to an upstream', ['upstream'], (add) => {
    for (const { authority, waitingCount } of upstreams.all()) add(waitingCount, authority)
  })
}
