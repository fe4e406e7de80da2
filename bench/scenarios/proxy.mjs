/** Many small requests through a gateway, against the reverse proxies that there are. */
import { join } from 'node:path'
import { byEngine, compareEngines } from '../engines.mjs'
import { startGateway } from '../gateway.mjs'
import { goPeer, startGoServer } from '../peers/go.mjs'
import { missingNginx, startNginx } from '../peers/nginx.mjs'
import { startUpstream } from '../peers/upstream.mjs'
import { child, freePort, ready, runLoad, start, stop } from '../processes.mjs'

/** One that quic-go v0.10.2 speaks too. */
const VERSION = 'Q043'
const YARDSTICKS = {
  go: 'quic-go ReverseProxy',
  bare: 'undici → node:http (HTTP/1.1)',
  nginx: 'nginx (HTTP/1.1)'
}
/** An HTTP/1.1 connection carries one request at a time; more of them than this would measure the kernel. */
const MAX_TCP_CONNECTIONS = 256

export const sizes = { requests: 20_000, connections: 100, streams: 50, combinations: 6 }
export const quickSizes = { requests: 40, connections: 3, streams: 4, combinations: 2 }

export async function* cases({ directory, certificates, engines, size, pin }) {
  const bench = new Proxies(join(directory, 'proxy'), certificates.ecdsa, engines, pin)
  try {
    await bench.start()
    for (const [connections, streams] of combinations(size)) {
      // One at a time is slow: a quarter of the requests tells as much.
      const requests = connections * streams === 1 ? Math.ceil(size.requests / 4) : size.requests
      yield {
        name: `proxy-${connections}x${streams}`,
        title: `${requests} requests for 1 KB, ${connections} connections × ${streams} streams`,
        facts: { connections, streams, upstream: bench.upstream.what, version: VERSION },
        sides: bench.sides(requests, connections, streams),
        compare: compareEngines(engines, (name) => `gateway (${name})`, Object.values(YARDSTICKS))
      }
    }
  } finally {
    await bench.close()
  }
}

/** Pairs of connections and streams on each: the one that most goals are about first. */
function combinations({ connections, streams, combinations: count }) {
  const some = Math.max(1, Math.round(connections / 10))
  const all = [[1, streams], [connections, streams], [1, 1], [some, 1], [some, streams], [connections, 1]]
  return all.slice(0, count)
}

/** The proxies, which all run all the time. */
class Proxies {
  constructor(directory, certificates, engines, pin) {
    this.directory = directory
    this.certificates = certificates
    this.engines = engines
    this.pin = pin
    this.running = new Map()
  }

  async start() {
    const { pin, certificates } = this
    this.upstream = await startUpstream(`${this.directory}-upstream`, pin)
    for (const { name, env } of this.engines.filter(({ missing }) => missing === undefined)) {
      this.running.set(name, await startGateway(`${this.directory}-${name}`, certificates, this.upstream.port, { env, pin }))
    }
    this.peer = await goPeer()
    if (this.peer.program !== undefined) {
      const flags = ['--upstream', `http://127.0.0.1:${this.upstream.port}`]
      this.running.set('go', await startGoServer(this.peer.program, 'proxy', certificates, { flags, pin }))
    }
    const port = await freePort('tcp')
    const bare = start([child('http-proxy.mjs'), String(port), String(this.upstream.port)], { pin })
    this.running.set('bare', { process: bare, port })
    await ready(bare, String(port))
    if (missingNginx() === undefined) {
      const nginxPort = await freePort('tcp')
      const nginx = await startNginx(`${this.directory}-nginx`, nginxPort, { upstream: this.upstream.port }, { pin })
      this.running.set('nginx', { process: nginx, port: nginxPort })
    }
  }

  sides(requests, connections, streams) {
    const quic = (name, env) => {
      const { port } = this.running.get(name)
      const args = [child('quic-load.mjs'), port, this.certificates.ca, VERSION, requests, connections, streams]
      return this.side(name, requests, args.map(String), env)
    }
    const http = (name) => {
      const tcpConnections = Math.min(MAX_TCP_CONNECTIONS, connections * streams)
      const args = [child('http-load.mjs'), this.running.get(name).port, requests, tcpConnections]
      return this.side(name, requests, args.map(String))
    }
    // The load always comes from the same program, so that it weighs the same on every side.
    const load = { QUICGATE_ENGINE: 'node' }
    return [
      ...byEngine(this.engines, (name) => `gateway (${name})`, ({ name }) => quic(name, load)),
      { name: YARDSTICKS.go, ...(this.peer.missing === undefined ? quic('go', load) : this.peer) },
      { name: YARDSTICKS.bare, ...http('bare') },
      { name: YARDSTICKS.nginx, ...(this.running.has('nginx') ? http('nginx') : { missing: missingNginx() }) }
    ]
  }

  side(name, requests, args, env) {
    const { process } = this.running.get(name)
    const measure = async () => {
      const measured = await runLoad(args, [process, this.upstream.process], { pin: this.pin, env })
      const { seconds, p50, p99, p999, clientMicros, serverMicros } = measured
      return {
        'requests/s': requests / seconds,
        'p50 ms': p50,
        'p99 ms': p99,
        'p99.9 ms': p999,
        'proxy CPU µs/request': serverMicros[0] / requests,
        'load CPU µs/request': clientMicros / requests,
        'upstream CPU µs/request': serverMicros[1] / requests
      }
    }
    return { measure }
  }

  async close() {
    await stop(...[...this.running.values()].map(({ process }) => process), this.upstream.process)
  }
}
