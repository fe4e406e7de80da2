/**
 * Live against quic-go v0.10.2, both ways. A version takes part as soon as endpoints support it.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { QuicClient } from '../../src/endpoint/client.js'
import { QuicServer } from '../../src/endpoint/server.js'
import { sessionOptions } from '../../src/endpoint/transport-options.js'
import { CaProofVerifier, certifiedKeyFromPem, StaticProofSource } from '../../src/quic/crypto/proof.js'
import { openRequestStream } from '../../src/client/request-stream.js'
import type { HeaderList } from '../../src/quic/spdy/header-list.js'
import { QuicSpdyServerSession } from '../../src/quic/spdy/spdy-server-session.js'
import { QuicSpdyStream } from '../../src/quic/spdy/spdy-stream.js'
import { supportedVersions, versionByLabel } from '../../src/quic/wire/versions/registry.js'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { goBench, goClient, goPeerProblem, GoServer, goVersions } from '../helpers/go-peer.js'
import type { GoResult, GoTrust } from '../helpers/go-peer.js'
import { freeUdpPort, Program, quicgate, stopAll } from '../helpers/programs.js'
import { UdpRelay } from '../helpers/udp-relay.js'

const HOST = 'peer.example'
const BIG = 5_000_000
const problem = await goPeerProblem()
const why = problem === undefined ? '' : ` (skipped: ${problem})`
const active = goVersions.filter((label) => versionByLabel(label) !== undefined)
// Q044 asks in long headers, which endpoints answer only once they speak such a version.
const answered = goVersions.filter((label) => label !== 'Q044' || versionByLabel(label) !== undefined)
// Their long headers bear packet types that the peer does not know: it drops them and negotiates nothing.
const unheard = ['Q046', 'Q050']
const inactive = goVersions.filter((label) => versionByLabel(label) === undefined)

/** The peer's bodies: byte i is P[i mod 2^20], P[j] = (j*31 xor j>>8) mod 256. */
const pattern = Buffer.alloc(BIG)
for (let i = 0; i < BIG; i++) pattern[i] = ((i % 2 ** 20) * 31) ^ ((i % 2 ** 20) >> 8)
const hashOf = (length: number): string => sha256(pattern.subarray(0, length))

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

let dir: string
let cert: string
let key: string
let ca: string

beforeAll(async () => {
  if (problem !== undefined) return
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), HOST)
  ;[cert, key, ca] = ['cert.pem', 'key.pem', 'ca.pem'].map((name) => join(dir, 'certs', name))
  mkdirSync(join(dir, 'www'))
  writeFileSync(join(dir, 'www/small'), pattern.subarray(0, 1000))
  writeFileSync(join(dir, 'www/big'), pattern)
  writeFileSync(join(dir, 'upload'), pattern.subarray(0, 20_000))
  // The first build fetches modules and compiles the standard library.
  await (await GoServer.start({ cert, key })).stop()
}, 300_000)

afterAll(async () => {
  await stopAll()
  if (dir !== undefined) removeScratch(dir)
})

describe.skipIf(problem !== undefined)(`the peer by itself${why}`, () => {
  let server: GoServer
  let trust: GoTrust

  beforeAll(async () => {
    server = await GoServer.start({ cert, key })
    trust = { port: server.port, ca }
  })

  afterAll(() => server?.stop())

  it.each(goVersions)('carries requests in %s', async (label) => {
    const versions = [label]
    const got = await goClient({ ...trust, versions }, `https://${HOST}/bytes/${BIG}`, `https://${HOST}/headers`)
    const big = { version: label, status: 200, bodyLength: BIG, sha256: hashOf(BIG) }
    expect(got).toMatchObject({ code: 0, lines: [big, { version: label, status: 200 }] })
    const posted = await goClient({ ...trust, versions, flags: ['--data-bytes', '20000'] }, `https://${HOST}/echo`)
    expect(posted).toMatchObject({ code: 0, lines: [{ version: label, bodyLength: 20_000, sha256: hashOf(20_000) }] })
  })

  it('negotiates a version, and refuses a certificate for another name', async () => {
    const old = await GoServer.start({ cert, key, versions: ['Q039'] })
    const got = await goClient({ port: old.port, ca, versions: ['Q043', 'Q039'] }, `https://${HOST}/bytes/10`)
    await old.stop()
    expect(got.lines).toMatchObject([{ version: 'Q039', status: 200, bodyLength: 10 }])
    const other = await goClient(trust, 'https://other.example/bytes/10')
    expect(other).toMatchObject({ code: 1, lines: [{ error: 'ProofInvalid' }] })
  })

  it('is a reverse proxy and a load generator', async () => {
    const { upstream, url } = await startUpstream()
    const proxy = await GoServer.start({ cert, key, upstream: url })
    const load = { port: proxy.port, ca, flags: ['--connections', '2', '--streams', '5', '--requests', '100'] }
    const { code, lines } = await goBench(load, `https://${HOST}/bytes/1024`)
    const posted = await goClient({ port: proxy.port, ca, flags: ['--data-bytes', '20000'] }, `https://${HOST}/echo`)
    await Promise.all([proxy.stop(), upstream.stop()])
    expect([code, lines.length]).toEqual([0, 1])
    expect(lines[0]).toMatchObject({ mode: 'requests', done: 100, failed: 0, bytesReceived: 102_400, streams: 5 })
    expect(lines[0]!.p50).toBeGreaterThan(0)
    expect(posted).toMatchObject({ code: 0, lines: [{ bodyLength: 20_000, sha256: hashOf(20_000) }] })
  })
})

/** The sample upstream, an HTTP/1.1 server. */
async function startUpstream(): Promise<{ upstream: Program; url: string }> {
  const upstream = await Program.start(['sample-upstream', '--listen', '127.0.0.1:0'], /http:\/\/[^/]+\//)
  return { upstream, url: /http:\/\/[^/]+/.exec(upstream.stdout)![0] }
}

interface FetchLine {
  url: string
  version?: string
  status?: number
  bodyLength?: number
  sha256?: string
  error?: { code: string }
}

/** `quicgate fetch --json` of paths of the peer's server. */
async function fetch(
  port: number,
  versions: string[],
  paths: string[],
  ...flags: string[]
): Promise<{ code: number; lines: FetchLine[] }> {
  const offer = ['--quic-version', versions.join(',')]
  const urls = paths.map((path) => `https://${HOST}:${port}${path}`)
  const dial = ['--connect', `127.0.0.1:${port}`, '--ca', ca]
  const done = await quicgate(['fetch', ...urls, ...dial, ...offer, '--json', ...flags])
  const lines = done.stdout.toString().split('\n').filter((line) => line !== '')
  return { code: done.code, lines: lines.map((line) => JSON.parse(line) as FetchLine) }
}

interface LibraryResponse {
  version: string
  headers: HeaderList
  body: Buffer
}

/** One GET by the library's classes, on a connection of its own. */
async function libraryGet(port: number, labels: string[], path: string, ...own: HeaderList): Promise<LibraryResponse> {
  const verifier = new CaProofVerifier({ ca: [readFileSync(ca, 'utf8')] })
  const versions = labels.map((label) => versionByLabel(label)!)
  const client = await QuicClient.connect({ host: '127.0.0.1', port, serverName: HOST, verifier, versions })
  try {
    return await new Promise((resolve, reject) => {
      let headers: HeaderList = []
      const chunks: Uint8Array[] = []
      const stream = openRequestStream(client.session, {
        onResponse: (list) => (headers = list),
        onData() {
          for (let bytes = stream.read(); bytes !== undefined; bytes = stream.read()) chunks.push(bytes)
        },
        onTrailers: () => undefined,
        onWritable: () => undefined,
        onStopSending: () => undefined,
        onReset: (code) => reject(new Error(`reset with ${code}`)),
        onClose: () => resolve({ version: client.connection.version.label, headers, body: Buffer.concat(chunks) })
      })
      const pseudo: HeaderList = [[':method', 'GET'], [':authority', HOST], [':scheme', 'https'], [':path', path]]
      stream.writeHeaders([...pseudo, ...own], true)
    })
  } finally {
    await client.close()
  }
}

/** `quicgate serve`, the directory of this file's bodies. */
async function serve(...versions: string[]): Promise<{ program: Program; port: number }> {
  const port = await freeUdpPort()
  const files = ['--cert', cert, '--key', key, '--root', join(dir, 'www')]
  const args = ['serve', '--listen', `127.0.0.1:${port}`, ...files, '--quic-version', versions.join(',')]
  return { program: await Program.start(args, /^serving /m), port }
}

describe.skipIf(problem !== undefined)(`${active.length} of ${goVersions.length} versions are active`, () => {
  it('leaves none out that is supported, and none in that is not', async () => {
    const labels = supportedVersions.map(({ label }) => label)
    expect(active).toEqual(goVersions.filter((label) => labels.includes(label)))
    for (const label of inactive) {
      // Exit code 2: the program knows no such version.
      expect(await quicgate(['fetch', `https://${HOST}/`, '--quic-version', label])).toMatchObject({ code: 2 })
    }
  })

  it('ends with the right error where our client and the peer have no version in common', async () => {
    const server = await GoServer.start({ cert, key })
    const got = await fetch(server.port, ['Q036'], ['/bytes/10'])
    await server.stop()
    expect(got).toMatchObject({ code: 1, lines: [{ error: { code: 'QUIC_INVALID_VERSION' } }] })
  })

  it.each(answered)('tells a client of %s what our server has instead', async (label) => {
    const { program, port } = await serve('Q036')
    const got = await goClient({ port, ca, versions: [label] }, `https://${HOST}/small`)
    await program.stop()
    expect(got.code).toBe(1)
    expect(got.lines[0]!.error).toMatch(/^InvalidVersion/)
  })
})

describe.skipIf(problem !== undefined).each(active)('mechanism: our client and a live server: %s', (label) => {
  let server: GoServer

  beforeAll(async () => {
    server = await GoServer.start({ cert, key, versions: [label] })
  })

  afterAll(() => server?.stop())

  it('GET', async () => {
    const { code, lines } = await fetch(server.port, [label], ['/bytes/1000', '/headers', '/delay/50'])
    expect(code).toBe(0)
    expect(lines[0]).toMatchObject({ version: label, status: 200, bodyLength: 1000, sha256: hashOf(1000) })
    expect(lines.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  it('5 MB down', async () => {
    const { lines } = await fetch(server.port, [label], [`/bytes/${BIG}`])
    expect(lines).toMatchObject([{ version: label, status: 200, bodyLength: BIG, sha256: hashOf(BIG) }])
  })

  it('POST, also of 5 MB', async () => {
    const echo = await fetch(server.port, [label], ['/echo'], '--data', `@${join(dir, 'upload')}`)
    expect(echo.lines).toMatchObject([{ status: 200, bodyLength: 20_000, sha256: hashOf(20_000) }])
    const digest = await fetch(server.port, [label], ['/sha256'], '--data', `@${join(dir, 'www/big')}`)
    expect(digest.lines).toMatchObject([{ status: 200, sha256: sha256(Buffer.from(hashOf(BIG))) }])
  })

  it('10 in parallel', async () => {
    const paths = Array.from({ length: 10 }, (_, i) => `/bytes/${100_000 + i}`)
    const { lines } = await fetch(server.port, [label], paths, '--parallel', '10')
    const hashes = new Map(lines.map(({ url, sha256: hash }) => [new URL(url).pathname, hash]))
    expect(hashes).toEqual(new Map(paths.map((path, i) => [path, hashOf(100_000 + i)])))
  })

  const offered = supportedVersions.map((version) => version.label)
  const others = offered.filter((other) => other !== label && !unheard.includes(other))
  it.each(others)('negotiates it where %s was offered first', async (other) => {
    const { version, headers } = await libraryGet(server.port, [other, label], '/bytes/1000')
    expect(version).toBe(label)
    expect(headers).toContainEqual([':status', '200'])
  })

  it('passes own headers, as a library', async () => {
    const { version, headers, body } = await libraryGet(server.port, [label], '/headers', ['x-own', 'yes'])
    expect(version).toBe(label)
    expect(headers).toContainEqual([':status', '200'])
    expect(JSON.parse(body.toString())).toMatchObject({ method: 'GET', authority: HOST, headers: [['x-own', 'yes']] })
  })

  it('survives a path that loses 3 % and reorders', async () => {
    const relay = await UdpRelay.start({ serverPort: server.port, seed: 1, loss: 0.03, delayMs: 2, reorder: 0.02 })
    const down = await fetch(relay.port, [label], ['/bytes/1000000'])
    const up = await fetch(relay.port, [label], ['/echo'], '--data', `@${join(dir, 'upload')}`)
    relay.close()
    expect(down.lines).toMatchObject([{ version: label, status: 200, sha256: hashOf(1_000_000) }])
    expect(up.lines).toMatchObject([{ version: label, status: 200, sha256: hashOf(20_000) }])
    expect(relay.toClient.dropped).toBeGreaterThan(0)
  }, 60_000)
})

/** Answers with the hash of what was posted. */
class DigestStream extends QuicSpdyStream {
  private readonly hash = createHash('sha256')

  override onDataAvailable(): void {
    for (let bytes = this.read(); bytes !== undefined; bytes = this.read()) this.hash.update(bytes)
    if (!this.readEnded || this.writeEnded) return
    this.writeHeaders([[':status', '200']], false)
    this.write(Buffer.from(this.hash.digest('hex')), true)
  }
}

class DigestSession extends QuicSpdyServerSession {
  protected override createIncomingDynamicStream(id: number): DigestStream {
    return new DigestStream(id, this)
  }
}

describe.skipIf(problem !== undefined).each(active)('mechanism: a live client and our server: %s', (label) => {
  let server: { program: Program; port: number }
  let trust: GoTrust

  beforeAll(async () => {
    server = await serve(label)
    trust = { port: server.port, ca, versions: [label] }
  })

  afterAll(() => server?.program.stop())

  it('GET, with and without connection ids', async () => {
    for (const flags of [[], ['--keep-connection-id']]) {
      const { code, lines } = await goClient({ ...trust, flags }, `https://${HOST}/small`, `https://${HOST}/missing`)
      expect([code, lines[1]!.status]).toEqual([1, 404])
      expect(lines[0]).toMatchObject({ version: label, status: 200, bodyLength: 1000, sha256: hashOf(1000) })
    }
  })

  it('5 MB down', async () => {
    const { lines } = await goClient(trust, `https://${HOST}/big`)
    expect(lines).toMatchObject([{ version: label, status: 200, bodyLength: BIG, sha256: hashOf(BIG) }])
  })

  it('10 in parallel, and more in all than streams are allowed', async () => {
    const many = { ...trust, flags: ['--parallel', '10', '--repeat', '150'] }
    const { code, lines } = await goClient(many, `https://${HOST}/small`)
    expect([code, lines.length]).toEqual([0, 150])
    const good = (line: GoResult): boolean => line.status === 200 && line.sha256 === hashOf(1000)
    expect(lines.filter((line) => !good(line))).toEqual([])
  })

  it.each(answered.filter((other) => other !== label))('negotiates it where %s was offered first', async (other) => {
    const { lines } = await goClient({ ...trust, versions: [other, label] }, `https://${HOST}/small`)
    expect(lines).toMatchObject([{ version: label, status: 200, sha256: hashOf(1000) }])
  })

  it('survives a path that loses 3 % and reorders', async () => {
    const relay = await UdpRelay.start({ serverPort: server.port, seed: 2, loss: 0.03, delayMs: 2, reorder: 0.02 })
    const { lines } = await goClient({ ...trust, port: relay.port }, `https://${HOST}/big`)
    relay.close()
    expect(lines).toMatchObject([{ version: label, status: 200, sha256: hashOf(BIG) }])
    expect(relay.toClient.dropped).toBeGreaterThan(0)
  }, 90_000)

  it('POST of 5 MB to a server made with the library', async () => {
    const library = await QuicServer.listen({
      host: '127.0.0.1',
      port: 0,
      proofSource: new StaticProofSource([certifiedKeyFromPem(readFileSync(cert), readFileSync(key))]),
      versions: [versionByLabel(label)!],
      createSession: (connection) => new DigestSession(connection, sessionOptions('server', {}))
    })
    const flags = ['--data-bytes', String(BIG), '--parallel', '2', '--repeat', '2']
    const { code, lines } = await goClient({ ...trust, port: library.address.port, flags }, `https://${HOST}/`)
    await library.close()
    expect(code).toBe(0)
    expect(lines.map((line) => line.sha256)).toEqual(Array(2).fill(sha256(Buffer.from(hashOf(BIG)))))
  })

  it('through our gateway to an upstream', async () => {
    const { upstream, url } = await startUpstream()
    const port = await freeUdpPort()
    writeFileSync(join(dir, 'routes.yaml'), `routes:\n  - name: all\n    upstreams:\n      - ${url}\n`)
    const config = join(dir, 'gateway.yaml')
    const listener = `  - address: 127.0.0.1:${port}\n    certificates:\n      - cert: ${cert}\n        key: ${key}\n`
    writeFileSync(config, `listeners:\n${listener}routes: routes.yaml\n`)
    const gateway = await Program.start(['gateway', '--config', config], /listening for QUIC/)
    const echo = await goClient({ ...trust, port, flags: ['--data-bytes', '20000'] }, `https://${HOST}/echo`)
    const count = await goClient({ ...trust, port, flags: ['--data-bytes', String(BIG)] }, `https://${HOST}/count`)
    await Promise.all([gateway.stop(), upstream.stop()])
    expect(echo.lines).toMatchObject([{ version: label, status: 200, bodyLength: 20_000, sha256: hashOf(20_000) }])
    const answer = Buffer.from(`{"length":${BIG},"trailers":{}}`)
    expect(count.lines).toMatchObject([{ version: label, status: 200, sha256: sha256(answer) }])
  })
})
