/**
 * A gateway of several processes, with real sockets: needs the engine that can share them.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { QuicClient } from '../../src/endpoint/client.js'
import { socketOf } from '../../src/endpoint/datagram-engine.js'
import { loadAddon } from '../../src/endpoint/engines/native-addon.js'
import { systemHelper } from '../../src/endpoint/system.js'
import type { GatewayStatus } from '../../src/gateway/admin/status.js'
import { InsecureProofVerifier } from '../../src/quic/crypto/proof.js'
import { ClientSessionCache } from '../../src/quic/handshake/client/session-cache.js'
import { QuicSpdyStream } from '../../src/quic/spdy/spdy-stream.js'
import { supportedVersions, versionByLabel } from '../../src/quic/wire/versions/registry.js'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { Signal, startUpstream, stopUpstreams } from '../helpers/gateway-fixture.js'
import { freeUdpPort, Program, stopAll } from '../helpers/programs.js'
import { UdpRelay } from '../helpers/udp-relay.js'

const WORKERS = 2
const big = Buffer.alloc(3_000_000, 'quicgate')

function sharingEngineLoads(): boolean {
  if (process.env['QUICGATE_REQUIRE_TOOLS'] === '1') return true
  try {
    loadAddon()
    return true
  } catch {
    return false
  }
}

let dir: string
let port: number
let gateway: Program
let admin: string
let releaseSlow = new Signal()

class Get extends QuicSpdyStream {
  status = ''
  readonly chunks: Uint8Array[] = []
  readonly done = new Signal<number | undefined>()
  private resetWith: number | undefined

  override onInitialHeaders(headers: readonly (readonly [string, string])[]): void {
    this.status = headers.find(([name]) => name === ':status')?.[1] ?? ''
  }

  override onDataAvailable(): void {
    for (let bytes = this.read(); bytes !== undefined; bytes = this.read()) this.chunks.push(bytes)
  }

  override onReset(code: number): void {
    this.resetWith = code
  }

  override onClose(): void {
    this.done.done(this.resetWith)
  }
}

interface ConnectOptions {
  readonly worker?: number
  readonly to?: number
  readonly cache?: ClientSessionCache
  readonly options?: readonly string[]
  readonly version?: string
}

/** Connects with an id that belongs to a worker. */
async function connect({ worker, to = port, cache, options, version }: ConnectOptions = {}): Promise<QuicClient> {
  const randomBytes = (length: number): Uint8Array => {
    for (;;) {
      const bytes = systemHelper.randomBytes(length)
      if (worker === undefined || length !== 8 || socketOf(bytes, WORKERS) === worker) return bytes
    }
  }
  return QuicClient.connect({
    host: '127.0.0.1',
    port: to,
    serverName: 'localhost',
    serverPort: port,
    verifier: new InsecureProofVerifier(),
    helper: { ...systemHelper, randomBytes },
    sessionCache: cache,
    versions: version === undefined ? supportedVersions : [versionByLabel(version)!],
    transport: { connectionOptions: [...(options ?? [])] }
  })
}

function open(client: QuicClient, path: string): Get {
  const stream = client.session.openStream((id, session) => new Get(id, session))
  stream.writeHeaders([[':method', 'GET'], [':authority', 'localhost'], [':scheme', 'https'], [':path', path]], true)
  return stream
}

/** One request. */
async function get(client: QuicClient): Promise<void> {
  const stream = open(client, '/')
  expect(await stream.done.promise).toBeUndefined()
  expect(stream.status).toBe('200')
}

const status = async (): Promise<GatewayStatus> => (await fetch(`${admin}/status`)).json() as Promise<GatewayStatus>

/** The sum of all values of a metric. */
async function metric(name: string, labels = ''): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
  return lines.filter((line) => line.includes(labels)).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

const accesses = (): Record<string, unknown>[] => gateway.log.filter(({ log }) => log === 'access')
const workerOf = (client: QuicClient): unknown =>
  accesses().find(({ connection }) => connection === client.connection.connectionId.toString())?.['worker']

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 20_000; !(await what()); await sleep(20)) {
    if (Date.now() > deadline) throw new Error(`it did not happen: ${what.toString()}\n${gateway.summary}`)
  }
}

describe.skipIf(!sharingEngineLoads())('a gateway with two workers', () => {
  beforeAll(async () => {
    dir = scratch()
    await makeCertificates(join(dir, 'certs'))
    const upstream = await startUpstream((request, response) => {
      if (request.url === '/big') response.end(big)
      else if (request.url === '/slow') void releaseSlow.promise.then(() => response.end('slow'))
      else response.end('quick')
    })
    mkdirSync(join(dir, 'routes'))
    writeFileSync(join(dir, 'routes/all.yaml'), `routes: [{ name: all, upstreams: ["${upstream}"] }]\n`)
    port = await freeUdpPort()
    writeFileSync(
      join(dir, 'gateway.yaml'),
      `listeners:\n  - address: 127.0.0.1:${port}\n    certificates: [{ cert: certs/cert.pem, key: certs/key.pem }]\n` +
        `workers: ${WORKERS}\nadmin: { listen: "127.0.0.1:0" }\ndrainTimeout: 10s\nlog: { level: debug }\n`
    )
    const args = ['gateway', '--config', join(dir, 'gateway.yaml')]
    gateway = await Program.start(args, /operators find/, { QUICGATE_ENGINE: 'native' })
    admin = /http:\/\/[\d.]+:\d+/.exec(gateway.stdout)![0]
  }, 120_000)

  afterAll(async () => {
    releaseSlow.done()
    await stopAll()
    await stopUpstreams()
    removeScratch(dir)
  })

  it('gives connections to the worker of their id, in every version, and adds up what they count', async () => {
    expect(await (await fetch(`${admin}/readyz`)).text()).toBe('ready\n')
    const clients: QuicClient[] = []
    for (const { label } of supportedVersions) {
      for (const worker of [0, 1]) clients.push(await connect({ worker, version: label }))
    }
    for (const client of clients) await get(client)
    await until(() => accesses().length === clients.length)
    const wanted = clients.map(({ connection }) => socketOf(connection.connectionId.bytes, WORKERS))
    expect(clients.map(workerOf)).toEqual(wanted)
    expect(await metric('quicgate_requests_total', 'outcome="ok"')).toBe(clients.length)
    expect(await metric('quicgate_connections_open')).toBe(clients.length)
    expect(await metric('quicgate_info')).toBe(1)
    expect(await metric('process_resident_memory_bytes', 'worker="1"')).toBeGreaterThan(1e6)
    const { workers, connectionCount, connections } = await status()
    expect(workers.map(({ state, connections: count }) => [state, count])).toEqual([['running', 12], ['running', 12]])
    expect(connectionCount).toBe(clients.length)
    expect(new Set(connections.map(({ connection }) => connection)).size).toBe(clients.length)
    expect(await (await fetch(`${admin}/status?connections=3`)).json()).toMatchObject({ connections: { length: 3 } })
    for (const client of clients) await client.close()
  }, 60_000)

  it('keeps a client whose address changes with its worker', async () => {
    const relay = await UdpRelay.start({ serverPort: port, seed: 1 })
    const clients = [await connect({ worker: 0, to: relay.port }), await connect({ worker: 1, to: relay.port })]
    const before = accesses().length
    for (let move = 0; move < 6; move++) {
      const streams = clients.map((client) => open(client, '/big'))
      await sleep(10)
      relay.rebind()
      // A client that has nothing to say is heard of again after 15 s of silence (its PING): this one asks for something more.
      await Promise.all(clients.map((client) => get(client)))
      for (const stream of streams) {
        expect(await stream.done.promise).toBeUndefined()
        expect(Buffer.concat(stream.chunks).equals(big)).toBe(true)
      }
    }
    await until(() => accesses().length === before + 24)
    const seen = accesses().slice(before).map(({ connection, worker }) => `${String(connection)} ${String(worker)}`)
    expect(new Set(seen)).toEqual(new Set(clients.map(({ connection }, i) => `${connection.connectionId.toString()} ${i}`)))
    for (const client of clients) await client.close()
    relay.close()
  }, 60_000)

  it('accepts early requests with what another worker gave, and stateless rejects lead back to who made them', async () => {
    const cache = new ClientSessionCache()
    const first = await connect({ worker: 0, cache })
    await get(first)
    await first.close()
    for (const worker of [1, 0, 1]) {
      const client = await connect({ worker, cache })
      await get(client)
      expect(client.connection.describeHandshake()).toMatchObject({ helloCount: 1, earlyData: 'accepted' })
      await until(() => workerOf(client) === worker)
      await client.close()
    }
    for (let i = 0; i < 6; i++) {
      const client = await connect({ options: ['SREJ'] })
      await get(client)
      expect(client.connection.describeHandshake().rejections).toEqual([['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']])
      await client.close()
    }
    expect(await metric('quicgate_stateless_rejects_total')).toBe(6)
    expect(await metric('quicgate_handshakes_total', '0rtt')).toBe(3)
  }, 60_000)

  it('replaces a worker that dies, while the other goes on and nothing counted is lost', async () => {
    releaseSlow = new Signal()
    const cache = new ClientSessionCache()
    for (const worker of [0, 1]) {
      const client = await connect({ worker, cache })
      await get(client)
      await client.close()
    }
    const bystander = await connect({ worker: 1 })
    const slow = open(bystander, '/slow')
    const before = await metric('quicgate_requests_total')
    const old = (await status()).workers[0]!.pid!
    process.kill(old, 'SIGKILL')
    await gateway.waitFor(/worker 0 ended unasked \(SIGKILL\)/)
    // Who comes meanwhile finds the socket in its place, and waits for its reader.
    const early = await connect({ worker: 0 })
    await get(early)
    await until(async () => (await status()).workers[0]!.state === 'running')
    expect((await status()).workers[0]).toMatchObject({ restarts: 1 })
    expect((await status()).workers[0]!.pid).not.toBe(old)
    await get(bystander)
    releaseSlow.done()
    expect(await slow.done.promise).toBeUndefined()
    expect(slow.status).toBe('200')
    await until(async () => (await metric('quicgate_requests_total')) === before + 3)
    expect(await metric('quicgate_worker_restarts_total', 'worker="0"')).toBe(1)
    // The new worker does not know which hellos the old one accepted; the other one does.
    const again = [await connect({ worker: 0, cache }), await connect({ worker: 1, cache })]
    for (const client of again) await get(client)
    expect(again.map(({ connection }) => connection.describeHandshake().earlyData)).toEqual(['rejected', 'accepted'])
    expect(await metric('quicgate_handshake_rejections_total', 'CLIENT_NONCE_INVALID_TIME_FAILURE')).toBe(1)
    for (const client of [...again, early, bystander]) await client.close()
  }, 60_000)

  it('lets running requests finish when it stops, and leaves no process behind', async () => {
    releaseSlow = new Signal()
    const clients = [await connect({ worker: 0 }), await connect({ worker: 1 })]
    const slow = clients.map((client) => open(client, '/slow'))
    await until(async () => (await metric('quicgate_upstream_requests_running')) === 2)
    const pids = (await status()).workers.map(({ pid }) => pid!)
    const ended = gateway.stop('SIGTERM')
    await until(async () => (await fetch(`${admin}/readyz`)).status === 503)
    releaseSlow.done()
    for (const stream of slow) {
      expect(await stream.done.promise).toBeUndefined()
      expect(stream.status).toBe('200')
    }
    expect(await ended).toBe(0)
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    for (const line of gateway.stdout.split('\n').filter((text) => text !== '')) expect(() => JSON.parse(line) as unknown).not.toThrow()
    for (const client of clients) await client.close()
  }, 60_000)
})
