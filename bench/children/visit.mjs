// Visits a server again and again, each time on new connections, as the parent says:
//   { visit: { paths: string[], deadlineMs: number } }
// The first path is asked for alone, as a browser does with a page, the others when it is there. Answers
// { visited: { ms, bytes, done } }: at the deadline everything is dropped, and `done` is false.
//   node visit.mjs quic|quic-0rtt|h1|h2 HOST PORT CA_FILE
import { readFileSync } from 'node:fs'
import { connect as connectHttp2, constants } from 'node:http2'
import { Agent, get as httpsGet } from 'node:https'
import { ClientSessionCache } from '../../dist/index.js'
import { connect } from './connect.mjs'
import { get, getHeaders } from './exchange.mjs'

// Windows as Chromium has them, for QUIC and HTTP/2 alike: smaller ones would be what is measured.
const STREAM_WINDOW = 6 * 1024 * 1024
const CONNECTION_WINDOW = 15 * 1024 * 1024
const NAME = 'bench.example'

const [protocol, host, port, ca] = process.argv.slice(2)
const sessionCache = protocol === 'quic-0rtt' ? new ClientSessionCache() : undefined

// Each opens connections: `fetch(path, onBytes)` resolves when the answer is complete, `close` drops everything.
const protocols = {
  'quic': openQuic,
  'quic-0rtt': openQuic,
  h1() {
    // As many connections as browsers make.
    const agent = new Agent({ keepAlive: true, maxSockets: 6, maxCachedSessions: 0, ca: readFileSync(ca), servername: NAME })
    return {
      fetch: (path, onBytes) =>
        new Promise((resolve, reject) => {
          const request = httpsGet({ agent, host, port, path, headers: { host: NAME } }, (response) => {
            response.on('data', onBytes).on('end', resolve).on('error', reject)
          })
          request.on('error', reject)
        }),
      close: () => agent.destroy()
    }
  },
  h2() {
    const options = { ca: readFileSync(ca), servername: NAME, settings: { initialWindowSize: STREAM_WINDOW, enablePush: false } }
    const session = connectHttp2(`https://${host}:${port}`, options)
    session.on('error', () => {})
    session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW))
    return {
      fetch: (path, onBytes) =>
        new Promise((resolve, reject) => {
          const stream = session.request({ ':path': path, ':authority': NAME })
          stream.on('data', onBytes).on('end', resolve).on('error', reject)
        }),
      close: () => session.destroy(undefined, constants.NGHTTP2_CANCEL)
    }
  }
}

async function openQuic() {
  const transport = { streamWindow: STREAM_WINDOW, connectionWindow: CONNECTION_WINDOW }
  const client = await connect(port, ca, { host, transport, sessionCache, connectTimeoutMs: 60_000 })
  return {
    fetch: (path, onBytes) =>
      new Promise((resolve, reject) => {
        const done = (error) => (error === undefined ? resolve() : reject(error))
        get(client.session, getHeaders(path), done, onBytes)
      }),
    close: () => void client.close()
  }
}

async function visit({ paths, deadlineMs }) {
  const started = performance.now()
  let bytes = 0
  let connections
  let over = false
  const load = async () => {
    connections = await protocols[protocol]()
    const fetch = (path) => connections.fetch(path, (chunk) => (bytes += chunk.length))
    const [first, ...others] = paths
    await fetch(first)
    await Promise.all(others.map(fetch))
    return true
  }
  let timer
  const deadline = new Promise((resolve) => (timer = setTimeout(resolve, deadlineMs, false)))
  const loading = load().catch((error) => {
    if (!over) throw error
  })
  const done = await Promise.race([loading, deadline])
  over = true
  clearTimeout(timer)
  const ms = performance.now() - started
  connections?.close()
  return { ms, bytes, done }
}

process.on('message', (message) => {
  if (message.visit === undefined) return
  visit(message.visit).then(
    (visited) => process.send({ visited }),
    (error) => {
      console.error(error)
      process.exit(1)
    }
  )
})
process.channel.ref()
process.send({ ready: true })
