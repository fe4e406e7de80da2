/** What a second process brings: the gateway with one worker and with two. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startGateway } from '../gateway.mjs'
import { startUpstream } from '../peers/upstream.mjs'
import { child, childrenMicros, kill, runLoad, stop } from '../processes.mjs'

const VERSION = 'Q043'
const COUNTS = [1, 2]
/** With fewer cores than this the load takes from the gateway what a second worker would bring. */
const ENOUGH_CORES = 6

export const sizes = { workerRequests: 100_000, workerConnections: 64, workerStreams: 8 }
export const quickSizes = { workerRequests: 40, workerConnections: 4, workerStreams: 2 }

export async function* cases({ directory, certificates, engines, size, pin }) {
  const { workerRequests: requests, workerConnections: connections, workerStreams: streams } = size
  const pins = pinsFor(pin)
  const load = engines.filter(({ missing }) => missing === undefined).at(-1)
  const upstream = await startUpstream(join(directory, 'workers-upstream'), pins.load)
  const gateways = []

  /**
   * The side of one engine and number of workers; `missing` if the gateway does not start so. Every request has a place
   * among the connections to the upstream: by default each worker has 256, and two would be compared on twice as many.
   */
  async function side({ name: engine, env, missing }, workers) {
    const name = `${workers} ${workers === 1 ? 'worker' : 'workers'} (${engine})`
    if (missing !== undefined) return { name, missing }
    let gateway
    try {
      const extra = workers === 1 ? '' : `workers: ${workers}\n`
      const options = { upstreams: `  maxConnections: ${connections * streams}\n`, extra, env, pin: pins.gateway }
      gateway = await startGateway(join(directory, `workers-${engine}-${workers}`), certificates.ecdsa, upstream.port, options)
    } catch (error) {
      const reason = error.message.split('\n').filter((line) => line.includes('workers')).at(-1)
      return { name, missing: reason?.replace(/^.*\.yaml:[\d:]* /, '').trim() ?? 'the gateway did not start' }
    }
    gateways.push(gateway.process)
    return { name, measure: () => measure(gateway) }
  }

  async function measure({ process: gateway, port }) {
    const args = [child('quic-load.mjs'), port, certificates.ecdsa.ca, VERSION, requests, connections, streams]
    const before = childrenMicros(gateway)
    const { seconds, p50, p99, clientMicros, serverMicros } = await runLoad(args.map(String), [gateway], { pin: pins.load, env: load.env })
    const workers = [...childrenMicros(gateway)].map(([pid, micros]) => micros - (before.get(pid) ?? 0))
    const total = workers.reduce((sum, micros) => sum + micros, serverMicros[0])
    const busiest = Math.max(serverMicros[0], ...workers)
    return {
      'requests/s': requests / seconds,
      // What the load and the upstream leave of the machine's cores does not matter here.
      'requests/s with a core each': requests / (busiest / 1e6),
      'p50 ms': p50,
      'p99 ms': p99,
      'all gateway CPU µs/request': total / requests,
      'busiest process, % of it': (busiest / total) * 100,
      'load CPU µs/request': clientMicros / requests
    }
  }

  try {
    const sides = []
    for (const engine of engines) for (const workers of COUNTS) sides.push(await side(engine, workers))
    const present = (name) => sides.some((one) => one.name === name && one.missing === undefined)
    const compare = engines.map(({ name }) => [`2 workers (${name})`, `1 worker (${name})`])
    yield {
      name: 'workers',
      title: `${requests} requests for 1 KB, ${connections} connections × ${streams} streams, by worker processes`,
      facts: { upstream: upstream.what, version: VERSION, load: load.name, pins },
      sides,
      compare: compare.filter((pair) => pair.every(present))
    }
  } finally {
    await kill(...gateways)
    await stop(upstream.process)
  }
}

/**
 * Which CPUs (lists for taskset) the gateway gets, and which the load and the upstream get. On a small machine all
 * workers share one core, so that they are what limits, as on a large one: workers that wait cost more for each request.
 */
function pinsFor(pin) {
  const cpus = process.platform === 'linux' ? allowedCpus() : []
  if (pin !== undefined || cpus.length < 2 || cpus.length >= ENOUGH_CORES) return { gateway: pin, load: pin }
  const [first, ...others] = cpus
  return { gateway: String(first), load: others.join(',') }
}

/** The numbers of the CPUs that this process may use. */
function allowedCpus() {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return list.split(',').flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
}
