import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { rotateSecrets, defaultSecretsPolicy, parseSecrets } from '../../../src/endpoint/server-secrets.js'
import type { ServerEvent } from '../../../src/endpoint/server.js'
import { systemHelper } from '../../../src/endpoint/system.js'
import type { AccessRecord } from '../../../src/gateway/access-log.js'
import { ConnectionTally } from '../../../src/gateway/metrics/connection-tally.js'
import { gatewayMetrics } from '../../../src/gateway/metrics/gateway-metrics.js'
import { RequestTally } from '../../../src/gateway/metrics/request-tally.js'
import { UpstreamPools } from '../../../src/gateway/upstream-pools.js'
import { SecretsForWorkers } from '../../../src/gateway/workers/handed-secrets.js'
import { primaryMetrics } from '../../../src/gateway/workers/primary-metrics.js'
import { Supervisor } from '../../../src/gateway/workers/supervisor.js'
import { WorkerMetrics } from '../../../src/gateway/workers/worker-metrics.js'
import { metricsText, type MetricSnapshot } from '../../../src/observe/metrics/metric-set.js'
import { QuicError } from '../../../src/quic/errors.js'
import { TestGateway, deadAddress, startUpstream, stopUpstreams } from '../../helpers/gateway-fixture.js'

const requests = new RequestTally({ write: () => undefined })
const connections = new ConnectionTally()
const upstreams = new UpstreamPools({ maxConnections: 1, maxWaiting: 1 })
const set = gatewayMetrics({ version: '1.2.3', engine: 'node', servers: [], connections, requests, upstreams })

const text = async (): Promise<string> => metricsText(await set.read())

function record(over: Partial<AccessRecord>): AccessRecord {
  return {
    client: '', forwardedFor: undefined, method: 'GET', host: undefined, path: undefined, route: 'r', upstream: undefined,
    status: 200, pushed: undefined, outcome: 'ok', reason: undefined,
    ms: { queue: undefined, connect: undefined, firstByte: undefined, clientStall: undefined, total: 1 },
    bytesIn: 1, bytesOut: 2, attempts: 1, informational: undefined, droppedTrailers: undefined,
    quic: 'Q050', connection: '', stream: 5, rtt: 1, channelId: undefined, ...over
  }
}

describe('docs/observability.md', () => {
  it('has every metric, with its type, its labels and what is said of it, and no other', () => {
    const own = primaryMetrics(new Supervisor(0, () => expect.unreachable(), undefined as never))
    const rows = [...set.definitions, ...own.definitions].map(
      ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`
    )
    const table = readFileSync('docs/observability.md', 'utf8').split('\n').filter((line) => line.startsWith('| `quicgate_'))
    expect(table).toEqual(rows)
    expect(rows.length).toBeGreaterThan(30)
  })
})

describe('requests', () => {
  it('are counted by labels that clients cannot multiply', async () => {
    for (const method of ['GET', 'GET', 'BREW', 'WHEN', undefined]) requests.write(record({ method }))
    requests.write(record({ route: undefined, status: 404, outcome: 'no_route' }))
    requests.write(record({ status: undefined, outcome: 'client_gone' }))
    const lines = (await text()).split('\n')
    expect(lines).toContain('quicgate_requests_total{route="r",method="GET",status="2xx",outcome="ok"} 2')
    expect(lines).toContain('quicgate_requests_total{route="r",method="other",status="2xx",outcome="ok"} 3')
    expect(lines).toContain('quicgate_requests_total{route="none",method="GET",status="4xx",outcome="no_route"} 1')
    expect(lines).toContain('quicgate_requests_total{route="r",method="GET",status="none",outcome="client_gone"} 1')
    expect(lines).toContain('quicgate_response_content_bytes_total{route="r"} 12')
  })

  it('fall into cumulated buckets of duration', async () => {
    for (const total of [1, 1.5, 200, 70_000]) requests.write(record({ route: 'slow', ms: { ...record({}).ms, total } }))
    const lines = (await text()).split('\n').filter((line) => line.includes('duration_seconds') && line.includes('"slow"'))
    const value = (le: string): string | undefined => lines.find((line) => line.includes(`le="${le}"`))?.split(' ')[1]
    expect(['0.001', '0.0025', '0.1', '0.25', '60', '+Inf'].map(value)).toEqual(['1', '2', '2', '3', '3', '4'])
    expect(lines).toContain('quicgate_request_duration_seconds_sum{route="slow"} 70.2025')
    expect(lines).toContain('quicgate_request_duration_seconds_count{route="slow"} 4')
  })
})

describe('tries at upstreams', () => {
  it('are counted with what failed', async () => {
    const dead = await deadAddress()
    const alive = await startUpstream((_request, response) => response.end())
    const gateway = new TestGateway([{ name: 'all', upstreams: [dead, alive] }])
    await gateway.get('/')
    await gateway.upstreams.destroy()
    const counts = [...gateway.upstreams.all()].map(({ attempts, failures }) => [attempts, Object.fromEntries(failures)])
    expect(counts).toEqual([[1, { upstream_refused: 1 }], [1, {}]])
    await stopUpstreams()
  })
})

describe('connections', () => {
  it('keep what they carried when they are over, once, and unknown errors are one', () => {
    const stats = { packetsReceived: 3, bytesReceived: 30, packetsSent: 1, bytesSent: 10, packetsLost: 1, packetsRetransmitted: 2 }
    const rest = { packetsRetransmittedSpuriously: 0, tailLossProbes: 0, retransmissionTimeouts: 0, undecryptable: 0, duplicates: 0 }
    const connection = { version: { label: 'Q043' }, stats: { ...stats, ...rest }, connected: true } as never
    const tally = new ConnectionTally()
    tally.onEvent({ type: 'connection-opened', connection })
    expect(tally.totals([connection]).packetsReceived).toBe(3)
    for (const code of [987_654, 987_655]) {
      const closed: ServerEvent = { type: 'connection-closed', connection, error: new QuicError(code, ''), fromPeer: true }
      tally.onEvent(closed)
    }
    Object.assign(connection, { connected: false })
    expect(tally.totals([connection]).packetsReceived).toBe(6)
    expect([...tally.closings()]).toEqual([{ error: 'QUIC_UNKNOWN_ERROR', by: 'client', count: 2 }])
  })
})

describe('the metrics of several workers', () => {
  const of = (count: number, open: number, worker: string): MetricSnapshot[] => [
    { name: 'c_total', help: 'c', type: 'counter', aggregator: 'sum', values: [{ value: count, labels: {} }] },
    { name: 'g', help: 'g', type: 'gauge', aggregator: 'sum', values: [{ value: open, labels: {} }] },
    { name: 'p', help: 'p', type: 'counter', aggregator: 'sum', values: [{ value: 1, labels: { worker } }] }
  ]
  const values = (metrics: WorkerMetrics, name: string): number[] =>
    metrics.merged([]).find((metric) => metric.name === name)?.values.map(({ value }) => value) ?? []

  it('add up, and counters never fall when a worker dies', () => {
    const metrics = new WorkerMetrics()
    metrics.onMetrics(0, of(10, 4, '0'))
    metrics.onMetrics(1, of(5, 2, '1'))
    expect([values(metrics, 'c_total'), values(metrics, 'g'), values(metrics, 'p')]).toEqual([[15], [6], [1, 1]])
    metrics.onDeath(0)
    expect([values(metrics, 'c_total'), values(metrics, 'g'), values(metrics, 'p')]).toEqual([[15], [2], [1]])
    metrics.onMetrics(0, of(1, 1, '0'))
    metrics.onDeath(1)
    metrics.onDeath(1)
    expect([values(metrics, 'c_total'), values(metrics, 'g')]).toEqual([[16], [1]])
  })
})

describe('secrets for workers', () => {
  const ingredients = { random: systemHelper.randomBytes, aeads: ['AESG'] as const }
  const now = 1_000_000

  it('are fresh for a first worker, and those that a dead one knew are not for its successor', () => {
    const secrets = rotateSecrets(undefined, now, defaultSecretsPolicy, ingredients)
    const handed = new SecretsForWorkers(2, secrets)
    const freshFor = (index: number): boolean[] => {
      const { text: file, fresh } = handed.of(index)
      return parseSecrets(file, undefined, (id) => fresh.includes(Buffer.from(id).toString('hex'))).configs.map((config) => config.fresh)
    }
    expect([freshFor(0), freshFor(1)]).toEqual([[true], [true]])
    handed.onDeath(0)
    expect([freshFor(0), freshFor(1)]).toEqual([[false], [true]])
    handed.use(rotateSecrets(secrets, now + 86_000, defaultSecretsPolicy, ingredients))
    expect([freshFor(0), freshFor(1)]).toEqual([[false, true], [true, true]])
  })

  it('of an earlier run are fresh for nobody', () => {
    const made = new SecretsForWorkers(1, rotateSecrets(undefined, now, defaultSecretsPolicy, ingredients))
    const restored = new SecretsForWorkers(1, parseSecrets(made.of(0).text))
    expect(restored.of(0).fresh).toEqual([])
  })
})
