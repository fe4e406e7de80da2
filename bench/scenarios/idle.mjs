/** What connections without traffic cost a server, and whether they outlive load on another connection. */
import { join } from 'node:path'
import { byEngine, compareEngines } from '../engines.mjs'
import { startGateway } from '../gateway.mjs'
import { goPeer, startGoServer } from '../peers/go.mjs'
import { startUpstream } from '../peers/upstream.mjs'
import { child, kill, memory, message, residentBytes, runLoad, start, stop } from '../processes.mjs'

/** One that quic-go v0.10.2 speaks too. */
const VERSION = 'Q043'
/** Longer than opening the connections can take. */
const IDLE_SECONDS = 600
const LOAD = { QUICGATE_ENGINE: 'node' }
/** Connections before the first measurement: what a server makes once, it has then. */
const FIRST = 100

export const sizes = { idle: 1000, idleMost: 10_000, idleRequests: 5000 }
export const quickSizes = { idle: 10, idleMost: 20, idleRequests: 40 }

export async function* cases({ directory, certificates, engines, size, pin }) {
  const { ecdsa } = certificates
  const upstream = await startUpstream(join(directory, 'idle-upstream'), pin)
  const peer = await goPeer()
  let serial = 0

  const gateway = ({ env }) => () => {
    const transport = `    transport: { idleTimeout: ${IDLE_SECONDS}s }\n`
    return startGateway(join(directory, `idle-${serial++}`), ecdsa, upstream.port, { transport, env, pin })
  }
  const goServer = () => {
    return startGoServer(peer.program, 'server', ecdsa, { flags: ['--idle-timeout', `${IDLE_SECONDS}s`], pin })
  }

  /** Opens connections to a server; the process that holds them. */
  async function hold(port, count, path) {
    const args = [child('quic-idle.mjs'), port, ecdsa.ca, VERSION, count, path, IDLE_SECONDS]
    const process = start(args.map(String), { pin, env: LOAD })
    await message(process, 'open')
    return process
  }

  /** One round: a server of its own, since memory once used is seldom given back. */
  function side(startServer, connections, { path, load }) {
    const measure = async () => {
      const server = await startServer()
      const holders = []
      try {
        holders.push(await hold(server.port, Math.min(FIRST, connections), path))
        const before = await used(server.process)
        holders.push(await hold(server.port, connections, path))
        const after = await used(server.process)
        const result = { 'RSS KB/connection': (after.resident - before.resident) / 1024 / connections }
        result['heap+external KB/connection'] = (after.inUse - before.inUse) / 1024 / connections
        if (load) result['requests/s beside them'] = await requestsPerSecond(server)
        const alive = message(holders[1], 'alive')
        holders[1].send('check')
        result.alive = await alive
        return result
      } finally {
        await kill(...holders, server.process)
      }
    }
    return { measure }
  }

  async function requestsPerSecond({ process, port }) {
    const args = [child('quic-load.mjs'), port, ecdsa.ca, VERSION, size.idleRequests, 1, 50]
    const { seconds } = await runLoad(args.map(String), [process], { pin, env: LOAD })
    return size.idleRequests / seconds
  }

  function sides(connections) {
    const ours = (engine) => side(gateway(engine), connections, { path: '/', load: true })
    const go = () => side(goServer, connections, { path: '/bytes/1024', load: false })
    return [
      ...byEngine(engines, (name) => `gateway (${name})`, ours),
      { name: 'quic-go server', ...(peer.program === undefined ? peer : go()) }
    ]
  }

  try {
    for (const connections of [size.idle, size.idleMost]) {
      yield {
        name: `idle-${connections}`,
        title: `${connections} idle connections, ${size.idleRequests} requests on another`,
        facts: { connections, version: VERSION },
        sides: sides(connections),
        compare: compareEngines(engines, (name) => `gateway (${name})`, ['quic-go server']),
        warmUp: false,
        // Each server is new and the numbers hardly differ; the many connections take their time.
        rounds: 1
      }
    }
  } finally {
    await stop(upstream.process)
  }
}

/** Bytes: resident, and in use on and off the JavaScript heap, which a program that is not Node does not tell. */
async function used(process) {
  if (!process.answers) return { resident: residentBytes(process), inUse: NaN }
  const { heapUsed, external } = await memory(process)
  return { resident: residentBytes(process), inUse: heapUsed + external }
}
