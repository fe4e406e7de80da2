/** What a program with an HTTP/1.1 client of its own sees: forwarder, gateway and upstream, against nginx as one proxy. */
import { join } from 'node:path'
import { byEngine, compareEngines } from '../engines.mjs'
import { startGateway } from '../gateway.mjs'
import { missingNginx, startNginx } from '../peers/nginx.mjs'
import { startUpstream } from '../peers/upstream.mjs'
import { child, cli, freePort, ready, runLoad, start, stop } from '../processes.mjs'

export const sizes = { requests: 20_000, tcpConnections: 50 }
export const quickSizes = { requests: 40, tcpConnections: 4 }

export async function* cases({ directory, certificates, engines, size, pin }) {
  const { requests, tcpConnections } = size
  const { ecdsa } = certificates
  const started = []
  const upstream = await startUpstream(join(directory, 'chain-upstream'), pin)
  started.push(upstream.process)

  /** The side whose proxies are `parts`, the first of which autocannon talks to. */
  function side(port, parts) {
    const args = [child('autocannon.mjs'), String(port), String(requests), String(tcpConnections)]
    const measure = async () => {
      const programs = [...Object.values(parts), upstream.process]
      const { seconds, p50, p99, p999, clientMicros, serverMicros } = await runLoad(args, programs, { pin })
      const result = { 'requests/s': requests / seconds, 'p50 ms': p50, 'p99 ms': p99, 'p99.9 ms': p999 }
      Object.keys(parts).forEach((part, i) => (result[`${part} CPU µs/request`] = serverMicros[i] / requests))
      result['autocannon CPU µs/request'] = clientMicros / requests
      result['upstream CPU µs/request'] = serverMicros.at(-1) / requests
      return result
    }
    return { measure }
  }

  async function ours({ name, env }) {
    const gateway = await startGateway(join(directory, `chain-${name}`), ecdsa, upstream.port, { env, pin })
    const port = await freePort('tcp')
    const to = ['--to', 'https://bench.example', '--connect', `127.0.0.1:${gateway.port}`, '--ca', ecdsa.ca]
    const forwarder = start([cli, 'forward', '--listen', `127.0.0.1:${port}`, ...to], { env, pin })
    started.push(gateway.process, forwarder)
    await ready(forwarder, String(port))
    return side(port, { forwarder, gateway: gateway.process })
  }

  async function nginx() {
    const port = await freePort('tcp')
    const process = await startNginx(join(directory, 'chain-nginx'), port, { upstream: upstream.port }, { pin })
    started.push(process)
    return side(port, { nginx: process })
  }

  try {
    const made = new Map()
    for (const engine of engines) if (engine.missing === undefined) made.set(engine.name, await ours(engine))
    yield {
      name: 'chain',
      title: `${requests} requests for 1 KB by autocannon, ${tcpConnections} connections`,
      facts: { upstream: upstream.what },
      compare: compareEngines(engines, (name) => `forwarder → gateway (${name})`, ['nginx']),
      sides: [
        ...byEngine(engines, (name) => `forwarder → gateway (${name})`, ({ name }) => made.get(name)),
        { name: 'nginx', ...(missingNginx() === undefined ? await nginx() : { missing: missingNginx() }) }
      ]
    }
  } finally {
    await stop(...started)
  }
}
