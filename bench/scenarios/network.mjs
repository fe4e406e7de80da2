/** A page and a download over paths with delay and loss: QUIC against HTTP/1.1 and HTTP/2 over TLS and TCP. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { goPeer } from '../peers/go.mjs'
import { Lane, missingLane, SERVER } from '../peers/lane.mjs'
import { child, cli, kill, message, ready, start } from '../processes.mjs'

const RTTS_MS = [50, 200]
const LOSSES = [0, 0.01, 0.03]
/** The bottleneck, Mbit/s, and the longest wait before it. */
const MBIT = 20
const QUEUE_MS = 100
/** Inside the lanes all ports are free. */
const PORT = 4433
const PAGE_DEADLINE_MS = 60_000
/** The page: its document, then these, in KB: 646 KB in 30 resources. */
const RESOURCE_KB = [30, ...Array.from({ length: 29 }, (_, i) => [4, 8, 12, 16, 32, 64][i % 6])]

const sides = [
  { name: 'QUIC', protocol: 'quic' },
  { name: 'QUIC, known server (0-RTT)', protocol: 'quic-0rtt' },
  { name: 'HTTP/2 (TLS 1.3, TCP)', protocol: 'h2' },
  { name: 'HTTP/1.1 (TLS 1.3, 6 × TCP)', protocol: 'h1' }
]

export const sizes = { downloadMegabytes: 10, downloadSeconds: 15, conditions: RTTS_MS.length * LOSSES.length }
export const quickSizes = { downloadMegabytes: 1, downloadSeconds: 2, conditions: 1 }

export async function* cases({ directory, certificates, engines, size }) {
  const peer = await goPeer()
  const missing = peer.missing ?? missingLane()
  if (missing !== undefined) {
    yield { name: 'network', title: 'slow and lossy paths', sides: [], notes: [`left out: ${missing}`] }
    return
  }
  const root = join(directory, 'network')
  writeFiles(root, size.downloadMegabytes)
  const env = engines.find((engine) => engine.missing === undefined && engine.name === 'node').env
  const runners = []
  try {
    for (const [i, { name, protocol }] of sides.entries()) {
      runners.push(await Runner.open(name, protocol, await Lane.open(peer.program, i), certificates.ecdsa, root, env))
    }
    const all = LOSSES.flatMap((loss) => RTTS_MS.map((rttMs) => ({ rttMs, loss, mbit: MBIT, queueMs: QUEUE_MS })))
    for (const path of all.slice(0, size.conditions)) {
      yield page(path, runners)
      yield download(path, size, runners.filter(({ protocol }) => protocol !== 'quic-0rtt'))
    }
  } finally {
    for (const runner of runners) await runner.close()
  }
}

function describe({ rttMs, loss, mbit }) {
  return `${rttMs} ms, ${loss * 100} % loss, ${mbit} Mbit/s`
}

/** What both kinds of cases have in common; each side has a path of its own, so they run at the same time. */
function common(kind, path, runners, measure) {
  return {
    name: `network-${kind}-${path.rttMs}ms-${path.loss * 100}%`,
    facts: { kind, rttMs: path.rttMs, loss: path.loss, mbit: path.mbit },
    warmUp: false,
    together: true,
    sides: runners.map((runner) => ({ name: runner.name, measure: ({ round }) => measure(runner, { ...path, seed: round }) }))
  }
}

function page(path, runners) {
  const paths = RESOURCE_KB.map((_, i) => `/${i}`)
  const measure = async (runner, set) => {
    const { ms, done } = await runner.visit(set, { paths, deadlineMs: PAGE_DEADLINE_MS })
    if (!done) throw new Error(`${runner.name}: no page in ${PAGE_DEADLINE_MS / 1000} s`)
    return { 'page s': ms / 1000 }
  }
  const title = `page of ${RESOURCE_KB.length} resources, ${RESOURCE_KB.reduce((sum, kb) => sum + kb)} KB, over ${describe(path)}`
  return { title, ...common('page', path, runners, measure) }
}

function download(path, { downloadMegabytes, downloadSeconds }, runners) {
  const measure = async (runner, set) => {
    const { ms, bytes } = await runner.visit(set, { paths: ['/large'], deadlineMs: downloadSeconds * 1000 })
    return { 'Mbit/s': (bytes * 8) / 1000 / ms }
  }
  const title = `download of ${downloadMegabytes} MB, of as much as comes in ${downloadSeconds} s, over ${describe(path)}`
  return { title, ...common('download', path, runners, measure) }
}

/** One protocol: its lane, the server at one end and the client at the other. */
class Runner {
  static async open(name, protocol, lane, { cert, key, ca }, root, env) {
    const runner = new Runner()
    Object.assign(runner, { name, protocol, lane })
    const listen = `${SERVER}:${PORT}`
    const quic = [cli, 'serve', '--listen', listen, '--cert', cert, '--key', key, '--root', root, '--files', '--quiet']
    const tls = [child('tls-server.mjs'), SERVER, String(PORT), cert, key, root]
    runner.server = start(protocol.startsWith('quic') ? quic : tls, { prefix: lane.at('server'), env })
    await ready(runner.server, listen)
    const args = [child('visit.mjs'), protocol, SERVER, String(PORT), ca]
    runner.client = start(args, { prefix: lane.at('client'), env })
    await message(runner.client, 'ready')
    // Once over a good path: programs warm up, and the client that is to know the server gets to know it.
    await runner.visit({ rttMs: 0, loss: 0, mbit: 1000, queueMs: 1000, seed: 0 }, { paths: ['/0', '/1'], deadlineMs: 20_000 })
    return runner
  }

  async visit(path, visit) {
    await this.lane.set(path)
    const visited = message(this.client, 'visited')
    this.client.send({ visit })
    return visited
  }

  async close() {
    await kill(this.client, this.server)
    await this.lane.close()
  }
}

function writeFiles(root, megabytes) {
  mkdirSync(root)
  RESOURCE_KB.forEach((kb, i) => writeFileSync(join(root, String(i)), Buffer.alloc(kb * 1000, i)))
  writeFileSync(join(root, 'large'), Buffer.alloc(megabytes * 1e6, 7))
}
