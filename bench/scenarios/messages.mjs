/** What the gateway itself does with the heads of a request and its response, without packets and upstream connections. */
import { microsPerCall } from '../calls.mjs'
import { browserRequest, plainRequest, upstreamResponse } from '../messages.mjs'

export const sizes = { messages: 100_000 }
export const quickSizes = { messages: 100 }

const dist = (path) => import(`../../dist/${path}.js`)

export async function* cases({ size }) {
  const steps = await makeSteps()
  const sides = Object.entries(steps).map(([name, call]) => ({
    name,
    measure: async () => ({ 'CPU µs/message': microsPerCall(size.messages, call) })
  }))
  yield { name: 'messages', title: `${size.messages} times each step of a request through the gateway`, sides, compare: [] }
}

async function makeSteps() {
  const { readRequestHead } = await dist('http/request-head')
  const { Neighbour } = await dist('http/forwarded')
  const { responseHeaders, upstreamRequest } = await dist('gateway/messages')
  const { LoggerAccessLog } = await dist('gateway/access-log')
  const { createLogger } = await dist('observe/logger')
  const context = { name: 'quicgate', forwarded: { xForwarded: true, forwarded: false, via: true, trustedProxies: [] } }
  const connection = { peer: new Neighbour({ address: '127.0.0.1', port: 50_000 }, []), version: 'Q043' }
  const match = { route: { name: 'bench', hostHeader: 'preserve' }, params: {} }
  const pool = { host: '127.0.0.1:8080' }
  const steps = {}
  for (const [what, list] of [['plain', plainRequest], ['browser\'s', browserRequest]]) {
    const head = readRequestHead(list, true)
    if ('refused' in head) throw new Error(head.refused)
    steps[`${what} request read`] = () => readRequestHead(list, true)
    steps[`${what} request made for an upstream`] = () => upstreamRequest(head, match, pool, undefined, connection, context)
  }
  const raw = upstreamResponse.map((text) => Buffer.from(text))
  steps['response made for a client'] = () => responseHeaders(200, raw, match, context)
  let written = 0
  const destination = { write: (line) => (written += line.length) }
  const log = new LoggerAccessLog(createLogger({ destination, pretty: false }))
  steps['line of the access log'] = () => log.write(accessRecord())
  return steps
}

/** Made anew for each request, as the gateway does. */
function accessRecord() {
  return {
    client: '127.0.0.1:50000', forwardedFor: undefined, method: 'GET', host: 'www.example.com', path: '/assets/app.js',
    route: 'bench', upstream: '127.0.0.1:8080', status: 200, pushed: undefined, outcome: 'ok', reason: undefined,
    ms: { queue: 0.012, connect: undefined, firstByte: 1.204, clientStall: undefined, total: 2.113 },
    bytesIn: 0, bytesOut: 1024, attempts: 1, informational: undefined, droppedTrailers: undefined,
    quic: 'Q043', connection: '0123456789abcdef', stream: 5, rtt: 1.234
  }
}
