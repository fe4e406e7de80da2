/**
 * A gateway without QUIC: exchanges on stub streams, against real HTTP/1.1 upstreams on loopback.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { routeFileSchema } from '../../src/config/route-schema.js'
import type { Route } from '../../src/config/route-files.js'
import { orderRoutes } from '../../src/config/route-order.js'
import { standardTimeouts } from '../../src/config/upstream-schema.js'
import type { AccessRecord } from '../../src/gateway/access-log.js'
import { Exchange } from '../../src/gateway/exchange.js'
import type { ClientStream, ConnectionFacts, ExchangeContext } from '../../src/gateway/exchange-context.js'
import { RouteTable } from '../../src/gateway/route-table.js'
import { Neighbour } from '../../src/http/forwarded.js'
import { UpstreamPools } from '../../src/gateway/upstream-pools.js'
import type { HeaderList } from '../../src/quic/spdy/header-list.js'

/** Routes from what a route file would hold. */
export function routesOf(routes: object[]): Route[] {
  return routeFileSchema.parse({ routes }).routes.map((route, index) => ({
    ...route,
    timeouts: { ...standardTimeouts, ...route.timeouts } as Route['timeouts'],
    at: { file: 'routes.yaml', line: index + 1, column: 1 }
  }))
}

/** A promise and the function that fulfils it. */
export class Signal<T = void> {
  done!: (value: T) => void
  readonly promise = new Promise<T>((resolve) => (this.done = resolve))
}

/** What a client sees of one request, and the knobs to be a slow or rude one. */
export class StubStream implements ClientStream {
  headers: HeaderList | undefined
  trailers: HeaderList | undefined
  readonly chunks: Uint8Array[] = []
  ended = false
  resetCode: number | undefined
  stopped = false
  closed = false
  /** Bytes that the gateway has read of the request. */
  taken = 0
  /** Set to stop taking the response; {@link drain} goes on. */
  stalled = false
  buffered = 0
  readonly gotHeaders = new Signal()
  readonly closedSignal = new Signal()
  readonly exchange: Exchange
  private readonly incoming: Uint8Array[] = []
  private incomingEnded = false
  private readonly waiters: { test: () => boolean; signal: Signal }[] = []

  constructor(
    readonly id: number,
    facts: ConnectionFacts,
    context: ExchangeContext
  ) {
    this.exchange = new Exchange(this, facts, context)
  }

  // ---- the client's side ----

  request(headers: HeaderList, fin: boolean): void {
    if (fin) this.incomingEnded = true
    this.exchange.onHeaders(headers, fin)
  }

  send(bytes: Uint8Array | string, fin = false): void {
    if (this.stopped) return
    this.incoming.push(Buffer.from(bytes))
    if (fin) this.incomingEnded = true
    this.exchange.onDataAvailable()
  }

  finish(): void {
    this.incomingEnded = true
    this.exchange.onDataAvailable()
  }

  /** RST_STREAM from the client. */
  clientReset(code: number): void {
    this.closed = true
    this.exchange.onReset(code)
    this.close()
  }

  /** The connection is gone. */
  connectionLost(): void {
    this.close()
  }

  drain(): void {
    this.stalled = false
    this.buffered = 0
    this.exchange.onWritable()
  }

  get status(): string | undefined {
    return this.header(':status')
  }

  get body(): string {
    return Buffer.concat(this.chunks).toString()
  }

  get received(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  get unread(): number {
    return this.incoming.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  header(name: string): string | undefined {
    return this.headers?.find(([each]) => each === name)?.[1]
  }

  /** Resolves as soon as `test` holds; looked at whenever the gateway does something to the stream. */
  when(test: () => boolean): Promise<void> {
    if (test()) return Promise.resolve()
    const signal = new Signal()
    this.waiters.push({ test, signal })
    return signal.promise
  }

  // ---- the gateway's side ----

  get readEnded(): boolean {
    return this.incomingEnded && this.incoming.length === 0
  }

  read(): Uint8Array | undefined {
    const bytes = this.incoming.shift()
    this.taken += bytes?.length ?? 0
    this.changed()
    return bytes
  }

  stopReading(): void {
    this.stopped = true
    this.incoming.length = 0
    this.changed()
  }

  write(data: Uint8Array, fin = false): boolean {
    if (this.ended) throw new Error('write after end')
    this.chunks.push(data)
    if (this.stalled) this.buffered += data.length
    if (fin) this.end()
    this.changed()
    return this.buffered <= 64 * 1024
  }

  end(): void {
    this.ended = true
    this.changed()
  }

  reset(code: number): void {
    this.resetCode = code
    this.close()
  }

  writeHeaders(headers: HeaderList, fin: boolean): void {
    if (this.headers !== undefined) throw new Error('headers twice')
    this.headers = headers
    this.gotHeaders.done()
    if (fin) this.end()
    this.changed()
  }

  writeTrailers(headers: HeaderList): void {
    this.trailers = headers
    this.end()
  }

  private changed(): void {
    for (let i = this.waiters.length - 1; i >= 0; i--) {
      if (this.waiters[i].test()) this.waiters.splice(i, 1)[0].signal.done()
    }
    if (this.ended && (this.readEnded || this.stopped)) queueMicrotask(() => this.close())
  }

  private close(): void {
    if (this.closedSignal === undefined) return
    this.closed = true
    if (!this.closeTold) {
      this.closeTold = true
      this.exchange.onClose()
      this.changed()
      this.closedSignal.done()
    }
  }

  private closeTold = false
}

/** One gateway's exchanges and what it logged. */
export class TestGateway {
  readonly log: AccessRecord[] = []
  readonly internalErrors: Error[] = []
  readonly upstreams: UpstreamPools
  readonly context: ExchangeContext
  stopping = false
  /** What its clients prove. */
  channelId: string | undefined
  private nextId = 5

  constructor(
    routes: object[],
    limits = { maxConnections: 256, maxWaiting: 1024 },
    forwarded: Partial<ExchangeContext['forwarded']> = {}
  ) {
    this.upstreams = new UpstreamPools(limits)
    this.context = {
      name: 'quicgate',
      routes: new RouteTable(orderRoutes(routesOf(routes))),
      upstreams: this.upstreams,
      forwarded: { trustedProxies: [], xForwarded: true, forwarded: true, via: true, ...forwarded },
      underscores: 'refuse',
      accessLog: { write: (record) => this.log.push(record) },
      onInternalError: (error) => this.internalErrors.push(error)
    }
  }

  stream(): StubStream {
    const facts: ConnectionFacts = {
      peer: new Neighbour({ address: '127.0.0.1', port: 50_000 }, this.context.forwarded.trustedProxies),
      version: 'Q036',
      connectionId: '0123456789abcdef',
      rtt: () => 12.5,
      channelId: () => this.channelId,
      stopping: () => this.stopping
    }
    const id = this.nextId
    this.nextId += 2
    return new StubStream(id, facts, this.context)
  }

  /** Sends a request head; more of the request can follow unless `fin`. */
  open(method: string, path: string, fields: HeaderList = [], fin = true): StubStream {
    const stream = this.stream()
    stream.request(
      [[':method', method], [':authority', 'a.example'], [':scheme', 'https'], [':path', path], ...fields],
      fin
    )
    return stream
  }

  /** Sends a request without content and waits for the end of the stream. */
  async get(path: string, fields: HeaderList = [], method = 'GET'): Promise<StubStream> {
    const stream = this.open(method, path, fields)
    await stream.closedSignal.promise
    return stream
  }
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

const servers = new Set<Server | NetServer>()

/** Listens on a free port of loopback. */
export async function listen(server: Server | NetServer): Promise<string> {
  servers.add(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An HTTP/1.1 upstream. */
export function startUpstream(handler: Handler): Promise<string> {
  return listen(createServer(handler))
}

/** An address at which nothing listens. */
export async function deadAddress(): Promise<string> {
  const server = createServer()
  const url = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  servers.delete(server)
  return url
}

/** Ends what the functions above started. */
export async function stopUpstreams(): Promise<void> {
  for (const server of servers) {
    if ('closeAllConnections' in server) server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  servers.clear()
}
