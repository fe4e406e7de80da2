/**
 * `quicgate sample-upstream`: an ordinary HTTP/1.1 server to try things on. The demo and the tests stand on it.
 */
import type { Command } from 'commander'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { formatHostPort } from '../config/values.js'
import type { HostPort } from '../config/values.js'
import { parseListen } from './arguments.js'
import { closeOnSignal, say } from './output.js'

/** How many pictures, scripts and styles `/page` refers to. */
export const PAGE_SUBRESOURCES = 30

const chunk = Buffer.alloc(65_536)
for (let i = 0; i < chunk.length; i++) chunk[i] = (i * 31 + (i >> 8)) & 0xff

type Handler = (request: IncomingMessage, response: ServerResponse, argument: string, url: URL) => void | Promise<void>

const index = `quicgate sample upstream

  /             this text
  /bytes/N      N bytes of a fixed pattern; ?chunked=1 leaves out the content-length
  /echo         the request body, streamed back
  /sse          five server-sent events, one every 200 ms; ?count=N&ms=N
  /slow         answers after 1 s; ?ms=N
  /trailers     a body followed by trailers
  /status/N     an answer with status N
  /headers      what arrived, as JSON
  /count        reads the body and answers with its length, as JSON
  /page         HTML with ${PAGE_SUBRESOURCES} subresources
`

const handlers: Record<string, Handler> = {
  '': (_request, response) => send(response, 'text/plain; charset=utf-8', index),
  bytes: sendBytes,
  echo(request, response) {
    const type = request.headers['content-type'] ?? 'application/octet-stream'
    const length = request.headers['content-length']
    response.writeHead(200, { 'content-type': type, ...(length === undefined ? {} : { 'content-length': length }) })
    request.pipe(response)
  },
  sse: sendEvents,
  async slow(_request, response, _argument, url) {
    await pause(numberOf(url, 'ms', 1000), response)
    send(response, 'text/plain; charset=utf-8', 'slow but sure\n')
  },
  trailers(request, response) {
    request.resume()
    request.once('end', () => {
      const trailer = 'x-checksum, x-request-trailers'
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', trailer })
      response.write('body first\n')
      response.addTrailers({ 'x-checksum': 'abc123', 'x-request-trailers': JSON.stringify(request.trailers) })
      response.end('trailers after\n')
    })
  },
  status(request, response, argument) {
    const status = /^[2-5]\d\d$/.test(argument) ? Number(argument) : 400
    request.resume()
    response.statusCode = status
    if (status === 204 || status === 304) response.end()
    else send(response, 'text/plain; charset=utf-8', `status ${status}\n`, status)
  },
  headers(request, response) {
    const { method, url, httpVersion, headers, rawHeaders } = request
    send(response, 'application/json', JSON.stringify({ method, url, httpVersion, headers, rawHeaders }))
  },
  async count(request, response) {
    let length = 0
    for await (const piece of request) length += (piece as Buffer).length
    send(response, 'application/json', JSON.stringify({ length, trailers: request.trailers }))
  },
  page: (_request, response) => send(response, 'text/html; charset=utf-8', page()),
  asset: sendAsset
}

function send(response: ServerResponse, type: string, body: string, status = 200): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

function numberOf(url: URL, name: string, otherwise: number): number {
  const value = Number(url.searchParams.get(name) ?? otherwise)
  return Number.isFinite(value) && value >= 0 ? Math.min(value, 1e12) : otherwise
}

/** Waits, or ends early when the client is gone. */
async function pause(ms: number, response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    response.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

async function sendBytes(_: IncomingMessage, response: ServerResponse, argument: string, url: URL): Promise<void> {
  const length = Number(argument)
  if (!Number.isSafeInteger(length) || length < 0) {
    send(response, 'text/plain; charset=utf-8', 'expected /bytes/N\n', 400)
    return
  }
  response.setHeader('content-type', 'application/octet-stream')
  if (url.searchParams.get('chunked') === null) response.setHeader('content-length', length)
  for (let left = length; left > 0 && !response.destroyed; left -= chunk.length) {
    if (!response.write(left >= chunk.length ? chunk : chunk.subarray(0, left))) await drained(response)
  }
  response.end()
}

/** Resolves when the response takes more, or when its client is gone. */
async function drained(response: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}

async function sendEvents(_: IncomingMessage, response: ServerResponse, _argument: string, url: URL): Promise<void> {
  const count = numberOf(url, 'count', 5)
  const ms = numberOf(url, 'ms', 200)
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  for (let i = 1; i <= count && !response.destroyed; i++) {
    response.write(`id: ${i}\ndata: event ${i} of ${count}\n\n`)
    if (i < count) await pause(ms, response)
  }
  response.end()
}

function page(): string {
  const parts: string[] = []
  for (let i = 0; i < PAGE_SUBRESOURCES; i++) {
    if (i % 3 === 0) parts.push(`<script src="/asset/${i}.js"></script>`)
    else if (i % 3 === 1) parts.push(`<link rel="stylesheet" href="/asset/${i}.css">`)
    else parts.push(`<img src="/asset/${i}.svg" alt="${i}" width="24" height="24">`)
  }
  const head = '<!doctype html>\n<meta charset="utf-8">\n<title>quicgate sample page</title>\n<h1>Sample page</h1>'
  return `${head}\n${parts.join('\n')}\n`
}

function sendAsset(_request: IncomingMessage, response: ServerResponse, name: string): void {
  const match = /^(\d{1,3})\.(js|css|svg)$/.exec(name)
  if (match === null) {
    send(response, 'text/plain; charset=utf-8', 'not found\n', 404)
    return
  }
  const n = match[1]!
  if (match[2] === 'js') send(response, 'text/javascript', `window.loaded = (window.loaded || 0) + 1 // ${n}\n`)
  else if (match[2] === 'css') send(response, 'text/css', `.rule-${n} { color: hsl(${Number(n) * 12} 60% 40%) }\n`)
  else {
    const fill = `hsl(${Number(n) * 12} 60% 50%)`
    const circle = `<circle cx="12" cy="12" r="11" fill="${fill}"/>`
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">${circle}</svg>`
    send(response, 'image/svg+xml', svg)
  }
}

/** The sample upstream, listening. */
export interface SampleUpstream {
  readonly address: HostPort
  close(): Promise<void>
}

/** Starts the sample upstream on a TCP address; rejects with the system's error if it cannot listen there. */
export async function startSampleUpstream({ host, port }: HostPort): Promise<SampleUpstream> {
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://sample.invalid')
    const [, name = '', argument = ''] = url.pathname.split('/')
    const handler = Object.hasOwn(handlers, name) ? handlers[name]! : undefined
    if (handler === undefined) {
      request.resume()
      send(response, 'text/plain; charset=utf-8', `nothing at ${url.pathname}; see /\n`, 404)
      return
    }
    Promise.resolve(handler(request, response, argument, url)).catch(() => response.destroy())
  })
  server.requestTimeout = 0
  server.listen(port, host)
  await once(server, 'listening')
  return {
    address: { host, port: (server.address() as AddressInfo).port },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

/** Adds the command to the program. */
export function registerSampleUpstream(program: Command): void {
  program
    .command('sample-upstream')
    .description('run a small HTTP/1.1 server to try the gateway on')
    .option('--listen <address>', 'TCP address to listen on', parseListen, { host: '127.0.0.1', port: 9000 })
    .action(async (options: { listen: HostPort }) => {
      const upstream = await startSampleUpstream(options.listen)
      say(`sample upstream on http://${formatHostPort(upstream.address)}/`)
      closeOnSignal(() => upstream.close())
    })
}
