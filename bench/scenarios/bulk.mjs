/** One large file in one request: `quicgate serve` and `quicgate fetch`, against quic-go and against node:http. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { byEngine, compareEngines } from '../engines.mjs'
import { goPeer, startGoServer } from '../peers/go.mjs'
import { child, cli, cpuDuring, freePort, ready, run, runOther, start, stop } from '../processes.mjs'

const MB = 1e6
const AEADS = ['AESG', 'CC20']
const GO_PAIR = 'quic-go, both ends'
const TCP_PAIR = 'plain TCP: node:http, undici'

export const sizes = { megabytes: 200, aeadMegabytes: 50 }
export const quickSizes = { megabytes: 1, aeadMegabytes: 1 }

export async function* cases({ directory, certificates, engines, size, pin }) {
  const bench = new Bulk(join(directory, 'bulk'), certificates.ecdsa, pin)
  const { megabytes, aeadMegabytes } = size
  try {
    await bench.start(engines)
    const get = (engine) => bench.ours(engine, 'get', megabytes)
    const post = (engine) => bench.ours(engine, 'post', megabytes)
    const toGo = (engine) => bench.toGoClient(engine, megabytes)
    yield {
      name: 'bulk-get',
      title: `GET of ${megabytes} MB`,
      compare: compareEngines(engines, (name) => `serve → fetch (${name})`, [GO_PAIR, TCP_PAIR]),
      sides: [
        ...byEngine(engines, (name) => `serve → fetch (${name})`, get),
        bench.goPair('get', megabytes),
        ...byEngine(engines, (name) => `serve (${name}) → quic-go`, toGo),
        bench.http('get', megabytes)
      ]
    }
    yield {
      name: 'bulk-post',
      title: `POST of ${megabytes} MB`,
      compare: compareEngines(engines, (name) => `fetch → serve (${name})`, [GO_PAIR, TCP_PAIR]),
      sides: [
        ...byEngine(engines, (name) => `fetch → serve (${name})`, post),
        bench.goPair('post', megabytes),
        bench.http('post', megabytes)
      ]
    }
    yield {
      name: 'bulk-aead',
      title: `GET of ${aeadMegabytes} MB by AEAD, which the client chooses`,
      compare: engines.map(({ name }) => AEADS.map((aead) => `${aead} (${name})`)),
      sides: AEADS.flatMap((aead) => {
        const get = (engine) => bench.withAead(engine, aead, aeadMegabytes)
        return byEngine(engines, (name) => `${aead} (${name})`, get)
      })
    }
  } finally {
    await bench.close()
  }
}

/** The servers, which run all the time, and the clients, of which each transfer starts one. */
class Bulk {
  constructor(directory, certificates, pin) {
    this.certificates = certificates
    this.pin = pin
    this.servers = new Map()
    this.written = new Set()
    this.root = join(directory, 'files')
    this.recordings = join(directory, 'recorded')
    this.usageFile = join(directory, 'usage.json')
    mkdirSync(this.root, { recursive: true })
    mkdirSync(join(this.recordings, 'bench.example'), { recursive: true })
    writeFileSync(join(this.root, 'small'), 'x')
    // What uploads are sent to: a server of recorded responses reads a request to its end before it answers.
    writeFileSync(join(this.recordings, 'bench.example', 'upload'), 'HTTP/1.1 200 OK\r\n\r\nok')
  }

  async start(engines) {
    const { cert, key } = this.certificates
    for (const { name, env } of engines.filter(({ missing }) => missing === undefined)) {
      for (const [kind, root, flag] of [['get', this.root, '--files'], ['post', this.recordings, '--recorded']]) {
        const port = await freePort('udp')
        const args = ['serve', '--listen', `127.0.0.1:${port}`, '--cert', cert, '--key', key, '--root', root, flag]
        this.servers.set(`${name} ${kind}`, { port, process: start([cli, ...args], { pin: this.pin, env }) })
      }
    }
    this.peer = await goPeer()
    if (this.peer.program !== undefined) {
      this.servers.set('go', await startGoServer(this.peer.program, 'server', this.certificates, { pin: this.pin }))
    }
    const port = await freePort('tcp')
    const http = start([child('http-server.mjs'), String(port), this.root], { pin: this.pin })
    this.servers.set('http', { port, process: http })
    for (const server of this.servers.values()) await ready(server.process, String(server.port))
  }

  /** `quicgate fetch` with `quicgate serve`. */
  ours(engine, kind, megabytes) {
    const { process, port } = this.servers.get(`${engine.name} ${kind}`)
    const dial = ['--connect', `127.0.0.1:${port}`, '--ca', this.certificates.ca, '--json']
    const transfer = (file) => {
      const upload = ['https://bench.example/upload', '--data', `@${join(this.root, file)}`]
      const what = kind === 'get' ? [`https://bench.example/${file}`] : upload
      return this.runNode([cli, 'fetch', ...what, ...dial], engine.env)
    }
    return this.side({ megabytes, server: process, transfer, kind })
  }

  /** A client on the library that takes one AEAD only, with `quicgate serve`. */
  withAead(engine, aead, megabytes) {
    const { process, port } = this.servers.get(`${engine.name} get`)
    const args = [child('quic-get.mjs'), String(port), this.certificates.ca, aead]
    const transfer = (file) => this.runNode([...args, `/${file}`], engine.env)
    return this.side({ megabytes, server: process, transfer, kind: 'get' })
  }

  /** quic-go's client with quic-go's server. */
  goPair(kind, megabytes) {
    if (this.peer.program === undefined) return { name: GO_PAIR, missing: this.peer.missing }
    const { process, port } = this.servers.get('go')
    const transfer = (_file, length) => {
      const post = ['--data-bytes', String(length), 'https://bench.example/discard']
      return this.runGo(port, kind === 'get' ? [`https://bench.example/bytes/${length}`] : post)
    }
    return { name: GO_PAIR, ...this.side({ megabytes, server: process, transfer, kind }) }
  }

  /** quic-go's client with `quicgate serve`. */
  toGoClient(engine, megabytes) {
    if (this.peer.program === undefined) return { missing: this.peer.missing }
    const { process, port } = this.servers.get(`${engine.name} get`)
    const transfer = (file) => this.runGo(port, [`https://bench.example/${file}`])
    return this.side({ megabytes, server: process, transfer, kind: 'get' })
  }

  /** undici with node:http: TCP, nothing encrypted. */
  http(kind, megabytes) {
    const { process, port } = this.servers.get('http')
    const transfer = (file) => {
      const upload = kind === 'post' ? [join(this.root, file)] : []
      return this.runNode([child('http-client.mjs'), `http://127.0.0.1:${port}/${file}`, ...upload], {})
    }
    return { name: TCP_PAIR, ...this.side({ megabytes, server: process, transfer, kind }) }
  }

  async runNode(args, env) {
    const { output: printed, cpuMicros: micros } = await run(args, { pin: this.pin, usageFile: this.usageFile, env })
    return { ...JSON.parse(printed.split('\n').find((line) => line.startsWith('{'))), clientMicros: micros }
  }

  async runGo(port, args) {
    const dial = ['--connect', `127.0.0.1:${port}`, '--ca', this.certificates.ca, '--timeout', '4m']
    const printed = await runOther([this.peer.program, 'client', ...dial, '--cpu', ...args], { pin: this.pin })
    const [request, { cpuSeconds }] = printed.trim().split('\n').map((line) => JSON.parse(line))
    return { ...request, timings: { total: request.ms }, clientMicros: cpuSeconds * 1e6 }
  }

  /**
   * How one side is measured. `transfer` moves the file of that name, so many bytes, and resolves to what the client
   * tells of it; GETs prove themselves by the body's length, POSTs by the status.
   */
  side({ megabytes, server, transfer, kind }) {
    let startupMicros
    const measure = async ({ warmUp }) => {
      // Starting the client is no part of the transfer: a one-byte transfer tells what it costs.
      startupMicros ??= (await transfer('small', 1)).clientMicros
      const length = warmUp ? Math.ceil(megabytes / 10) : megabytes
      const file = this.fileOf(length)
      const { result, micros } = await cpuDuring([server], () => transfer(file, length * MB))
      if (result.status !== 200 || (kind === 'get' && result.bodyLength !== length * MB)) {
        throw new Error(`expected status 200 and ${length * MB} bytes: ${JSON.stringify(result)}`)
      }
      const clientMicros = result.clientMicros - startupMicros
      const packets = packetsOf(result)
      return {
        'MB/s': length / (result.timings.total / 1000),
        'server CPU µs/MB': micros[0] / length,
        'client CPU µs/MB': clientMicros / length,
        // Of both ends' packets, acknowledgements included: each of them is made by one and taken by the other.
        'server CPU µs/packet': packets && micros[0] / packets,
        'client CPU µs/packet': packets && clientMicros / packets
      }
    }
    return { measure }
  }

  /** The name of the file of so many MB below `root`, written when first asked for. */
  fileOf(megabytes) {
    const name = `${megabytes}MB`
    if (!this.written.has(name)) writePattern(join(this.root, name), megabytes * MB)
    this.written.add(name)
    return name
  }

  async close() {
    await stop(...[...this.servers.values()].map(({ process }) => process))
  }
}

/** Packets that went either way, where the client tells of them. */
function packetsOf({ path }) {
  return path && path.packetsSent + path.packetsReceived
}

function writePattern(path, length) {
  const file = openSync(path, 'w')
  const block = Buffer.alloc(1 << 20)
  for (let i = 0; i < block.length; i++) block[i] = (i * 31 + (i >> 8)) & 0xff
  for (let at = 0; at < length; at += block.length) writeSync(file, block)
  ftruncateSync(file, length)
  closeSync(file)
}
