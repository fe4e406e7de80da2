import { createSocket } from 'node:dgram'
import type { AddressInfo } from 'node:net'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadGatewayConfig } from '../../../src/config/gateway-config.js'
import { QuicClient } from '../../../src/endpoint/client.js'
import { defaultEngine } from '../../../src/endpoint/engines/select-engine.js'
import { Gateway } from '../../../src/gateway/gateway.js'
import { createLogger } from '../../../src/observe/logger.js'
import { InsecureProofVerifier } from '../../../src/quic/crypto/proof.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { QuicSpdyStream } from '../../../src/quic/spdy/spdy-stream.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { Signal, startUpstream, stopUpstreams } from '../../helpers/gateway-fixture.js'
import { certificateOne, expiredCertificate } from '../../helpers/static-certificates.js'

let root: string
const running: { close(): Promise<void> }[] = []

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quicgate-gateway-'))
  mkdirSync(join(root, 'routes'))
  for (const [name, text] of Object.entries({
    'c.pem': certificateOne.cert,
    'k.pem': certificateOne.key,
    'ec.pem': expiredCertificate.cert,
    'ek.pem': expiredCertificate.key
  })) {
    writeFileSync(join(root, name), text)
  }
})

afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.close()
  await stopUpstreams()
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

interface Line {
  [key: string]: unknown
}

/** Starts a gateway with these files and gives its log, parsed. */
async function start(
  upstream: string,
  extra = '',
  listener = 'address: 127.0.0.1:0',
  pair = ['c', 'k']
): Promise<{ gateway: Gateway; log: Line[] }> {
  writeFileSync(join(root, 'routes/all.yaml'), `routes:\n  - { name: all, upstreams: ["${upstream}"] }\n`)
  writeFileSync(
    join(root, 'g.yaml'),
    `listeners:\n  - ${listener}\n    certificates: [{ cert: ${pair[0]}.pem, key: ${pair[1]}.pem }]\n${extra}`
  )
  const log: Line[] = []
  const logger = createLogger({
    level: 'debug',
    destination: { write: (text) => void log.push(JSON.parse(text) as Line) }
  })
  const gateway = await Gateway.start(loadGatewayConfig(join(root, 'g.yaml')), logger)
  running.push(gateway)
  return { gateway, log }
}

class Fetch extends QuicSpdyStream {
  headers: HeaderList = []
  trailers: HeaderList = []
  readonly chunks: Uint8Array[] = []
  readonly done = new Signal()
  readonly gotHeaders = new Signal()
  resetWith: number | undefined

  override onInitialHeaders(headers: HeaderList): void {
    this.headers = headers
    this.gotHeaders.done()
  }

  override onTrailers(headers: HeaderList): void {
    this.trailers = headers
  }

  override onDataAvailable(): void {
    for (let bytes = this.read(); bytes !== undefined; bytes = this.read()) this.chunks.push(bytes)
  }

  override onReset(code: number): void {
    this.resetWith = code
  }

  override onClose(): void {
    this.done.done()
  }
}

async function connect(gateway: Gateway, connectTimeoutMs?: number): Promise<QuicClient> {
  const [address] = gateway.addresses
  const client = await QuicClient.connect({
    connectTimeoutMs,
    host: address.host,
    port: address.port,
    serverName: 'localhost',
    verifier: new InsecureProofVerifier()
  })
  running.push(client)
  return client
}

function open(client: QuicClient, method: string, path: string, fields: HeaderList = [], body?: Uint8Array): Fetch {
  const stream = client.session.openStream((id, session) => new Fetch(id, session))
  stream.writeHeaders(
    [[':method', method], [':authority', 'localhost'], [':scheme', 'https'], [':path', path], ...fields],
    body === undefined
  )
  if (body !== undefined) stream.write(body, true)
  return stream
}

describe('the gateway on a socket', () => {
  it('carries requests to an upstream and back', async () => {
    const upstream = await startUpstream((request, response) => {
      response.writeHead(200, { trailer: 'x-end' })
      request.pipe(response, { end: false })
      request.on('end', () => {
        response.addTrailers({ 'x-end': 'yes' })
        response.end()
      })
    })
    const { gateway, log } = await start(upstream)
    const client = await connect(gateway)
    const body = Buffer.alloc(300_000, 'quicgate')
    const posts = [1, 2, 3].map(() => open(client, 'POST', '/echo', [], body))
    for (const post of posts) {
      await post.done.promise
      expect(Buffer.concat(post.chunks).equals(body)).toBe(true)
      expect(post.headers[0]).toEqual([':status', '200'])
      expect(post.trailers).toEqual([['x-end', 'yes']])
    }
    await waitFor(() => log.filter((line) => line['log'] === 'access').length === 3)
    const lines = log.filter((line) => line['log'] === 'access')
    expect(lines[0]).toMatchObject({
      outcome: 'ok',
      bytesIn: 300_000,
      bytesOut: 300_000,
      quic: supportedVersions[0].label,
      route: 'all',
      status: 200
    })
    expect(lines[0]['connection']).toBe(client.connection.connectionId.toString())
    expect(log[0]['msg']).toMatch(/^listening for QUIC on 127\.0\.0\.1:\d+ \(UDP\)$/)
    expect(log[0]['engine']).toBe(defaultEngine().name)
  })

  it('lets running requests finish when it stops, and takes no new ones', async () => {
    const [arrived, go] = [new Signal(), new Signal()]
    const upstream = await startUpstream((_, response) => {
      response.write('first ')
      arrived.done()
      void go.promise.then(() => response.end('last'))
    })
    const { gateway } = await start(upstream)
    const client = await connect(gateway)
    const stream = open(client, 'GET', '/')
    await arrived.promise
    await stream.gotHeaders.promise
    const closed = gateway.close({ drainMs: 10_000 })
    await waitFor(() => client.session.goAwayReceived)
    expect(client.session.canOpenStream).toBe(false)
    await expect(connect(gateway, 300)).rejects.toMatchObject({ code: 'QUIC_HANDSHAKE_TIMEOUT' })
    go.done()
    await stream.done.promise
    await closed
    expect(Buffer.concat(stream.chunks).toString()).toBe('first last')
    expect((await client.closed).error.code).toBe('QUIC_PEER_GOING_AWAY')
  })

  it('cuts what does not finish in time, and says so in the log', async () => {
    const upstream = await startUpstream((_, response) => void response.write('x'))
    const { gateway, log } = await start(upstream)
    const client = await connect(gateway)
    const stream = open(client, 'GET', '/')
    await stream.gotHeaders.promise
    await gateway.close({ drainMs: 50 })
    expect(log.find((line) => line['log'] === 'access')).toMatchObject({ outcome: 'gateway_stopping' })
  })

  it('takes a name for an address, if it is one of this machine', async () => {
    const { gateway } = await start('http://127.0.0.1:1', '', 'address: localhost:0')
    expect(['127.0.0.1', '::1']).toContain(gateway.addresses[0].host)
    await expect(start('http://127.0.0.1:1', '', 'address: no-such-host.invalid:0')).rejects.toThrow(
      /:2:14: "no-such-host\.invalid" does not resolve; name an IP address of this machine$/
    )
    await expect(start('http://127.0.0.1:1', '', 'address: 192.0.2.1:0')).rejects.toThrow(
      /:2:14: this machine has no address 192\.0\.2\.1; name one of its own, 0\.0\.0\.0 or \[::\]$/
    )
  })

  it('says where a port is in use', async () => {
    const taken = createSocket('udp4')
    await new Promise<void>((resolve) => taken.bind(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    await expect(start('http://127.0.0.1:1', '', `address: 127.0.0.1:${port}`)).rejects.toThrow(
      `${join(root, 'g.yaml')}:2:14: 127.0.0.1:${port} (UDP) is in use by another program; stop that one or choose another port`
    )
    taken.close()
  })

  it('says where a state directory cannot be used', async () => {
    writeFileSync(join(root, 'file'), '')
    await expect(start(
      'http://127.0.0.1:1',
      'stateDir: file/state\n'
    )).rejects.toThrow(/g\.yaml:4:11: stateDir: cannot keep secrets in .*file\/state: ENOTDIR/)
  })

  it('keeps its server config over a restart', async () => {
    const files = (): string => readFileSync(join(root, 'state/secrets.json'), 'utf8')
    const first = await start('http://127.0.0.1:1', 'stateDir: state\n')
    const before = files()
    await first.gateway.close()
    await start('http://127.0.0.1:1', 'stateDir: state\n')
    expect(files()).toBe(before)
  })

  it('warns of a certificate that has ended', async () => {
    const { log } = await start('http://127.0.0.1:1', '', 'address: 127.0.0.1:0', ['ec', 'ek'])
    expect(log[0]).toMatchObject({
      level: 40,
      msg: expect.stringMatching(/certificate .*ec\.pem has expired: clients will refuse it; renew it/) as string
    })
  })
})

async function waitFor(test: () => boolean): Promise<void> {
  while (!test()) await new Promise((resolve) => setTimeout(resolve, 5))
}
