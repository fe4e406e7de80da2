/** Connections made and closed: what a server has to do before the first request. The client is the same for all servers. */
import { join } from 'node:path'
import { mkdirSync } from 'node:fs'
import { byEngine, compareEngines } from '../engines.mjs'
import { goPeer, startGoServer } from '../peers/go.mjs'
import { child, cli, freePort, ready, runLoad, start, stop } from '../processes.mjs'

/** One that quic-go v0.10.2 speaks too. */
const VERSION = 'Q043'

const kinds = [
  { name: 'ecdsa', title: 'full handshakes, ECDSA certificate', key: 'ecdsa', mode: 'full' },
  { name: 'rsa', title: 'full handshakes, RSA certificate', key: 'rsa', mode: 'full' },
  { name: '0rtt', title: '0-RTT handshakes, ECDSA certificate', key: 'ecdsa', mode: '0rtt' }
]

// As many again, and a few hundred, are made with each server before the first round that counts: one that compiles its
// program as it runs is measured as it runs for days.
export const sizes = { handshakes: 2000, parallel: 16 }
export const quickSizes = { handshakes: 8, parallel: 2 }

export async function* cases({ directory, certificates, engines, size, pin }) {
  const { handshakes, parallel } = size
  const root = join(directory, 'handshakes')
  mkdirSync(root)
  const peer = await goPeer()

  async function ours({ env }, { cert, key }) {
    const port = await freePort('udp')
    const args = ['--listen', `127.0.0.1:${port}`, '--cert', cert, '--key', key, '--root', root, '--files', '--quiet']
    const process = start([cli, 'serve', ...args], { pin, env })
    await ready(process, String(port))
    return { process, port }
  }

  function side({ process, port }, { ca }, mode) {
    const numbers = [handshakes, parallel].map(String)
    const args = [child('quic-handshakes.mjs'), String(port), ca, VERSION, ...numbers, mode]
    const measure = async () => {
      const options = { pin, env: { QUICGATE_ENGINE: 'node' } }
      const { seconds, p50, p99, clientMicros, serverMicros } = await runLoad(args, [process], options)
      return {
        'handshakes/s': handshakes / seconds,
        'p50 ms': p50,
        'p99 ms': p99,
        'server CPU µs/handshake': serverMicros[0] / handshakes,
        'client CPU µs/handshake': clientMicros / handshakes
      }
    }
    return { measure }
  }

  for (const { name, title, key, mode } of kinds) {
    const servers = new Map()
    try {
      for (const engine of engines) {
        if (engine.missing === undefined) servers.set(engine.name, await ours(engine, certificates[key]))
      }
      if (peer.program !== undefined) {
        servers.set('go', await startGoServer(peer.program, 'server', certificates[key], { pin }))
      }
      const go = peer.program === undefined ? peer : side(servers.get('go'), certificates[key], mode)
      yield {
        name: `handshakes-${name}`,
        title: `${handshakes} ${title}, ${parallel} at a time`,
        facts: { version: VERSION },
        compare: compareEngines(engines, (name) => `serve (${name})`, ['quic-go']),
        sides: [
          ...byEngine(engines, (name) => `serve (${name})`, (engine) => side(servers.get(engine.name), certificates[key], mode)),
          { name: 'quic-go', ...go }
        ]
      }
    } finally {
      await stop(...[...servers.values()].map(({ process }) => process))
    }
  }
}
