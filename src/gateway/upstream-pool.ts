/** Connections to one upstream, and the order in which requests get them. */
import { isIP } from 'node:net'
import { Client } from 'undici'
import type { buildConnector } from 'undici'
import type { UpstreamTarget } from '../config/upstream-schema.js'
import type { Outcome } from './access-log.js'
import { upstreamConnector } from './upstream-connector.js'
import { WaitingLine } from './waiting-line.js'
import type { Waiting } from './waiting-line.js'

/** How an upstream is connected to. */
export interface UpstreamPoolOptions {
  readonly connectTimeoutMs: number
  readonly maxConnections: number
  /** Requests that may wait for a connection. */
  readonly maxWaiting: number
}

/** Whoever waits for a connection. */
export interface ConnectionWaiter extends Waiting<ConnectionWaiter> {
  /** It is yours, for one request. Give it back with {@link UpstreamPool.release}. */
  onConnection(client: MeteredClient): void
}

/** One connection, which remembers when it was last opened and whether it was used since. Times in milliseconds. */
export class MeteredClient extends Client {
  connectStartedAt = 0
  connectedAt = 0
  /** Requests since the connection was opened. */
  requests = 0

  constructor(origin: URL, options: Client.Options) {
    const base = options.connect as buildConnector.connector
    // eslint-disable-next-line prefer-const -- the connector below is made before `this` exists, and called after
    let self: MeteredClient
    super(origin, {
      ...options,
      connect: (target: buildConnector.Options, callback: buildConnector.Callback) => {
        self.requests = 0
        self.connectStartedAt = performance.now()
        return base(target, (...args: Parameters<buildConnector.Callback>) => {
          self.connectedAt = performance.now()
          callback(...args)
        })
      }
    })
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- see above
    self = this
  }
}

/**
 * At most `maxConnections` requests run at a time, each on a connection of its own; the rest wait in the order in which
 * they came. Connections and queue are here and not in undici's Pool, whose queue has no limit and cannot be left, and
 * which looks for a free connection among all of them.
 */
export class UpstreamPool {
  readonly url: string
  /** Host and port, for logs and Proxy-Status. */
  readonly authority: string
  /** Host, and port if it is not the scheme's own: what a Host field names. */
  readonly host: string
  /**
   * What https connections ask for and verify; the same for all requests, whatever host they name. Given for http as well,
   * where it means nothing: undici would make one of each request's Host field.
   */
  readonly servername: string
  /** Requests that were to be sent there, whether or not they got that far. */
  attempts = 0
  /** Those of them that failed, by the word for it in the access log. */
  readonly failures = new Map<Outcome, number>()
  private readonly origin: string
  private readonly connect: buildConnector.connector
  private readonly clients: MeteredClient[] = []
  /** The one used last is used first, so that those too many become idle and are closed. */
  private readonly free: MeteredClient[] = []
  private readonly waiting = new WaitingLine<ConnectionWaiter>()
  private destroyed = false

  constructor(
    target: UpstreamTarget,
    private readonly options: UpstreamPoolOptions
  ) {
    const url = new URL(target.url)
    this.url = target.url
    this.origin = url.origin
    this.host = url.host
    this.authority = url.port === '' ? `${url.hostname}:${url.protocol === 'https:' ? 443 : 80}` : url.host
    const bare = url.hostname.replace(/^\[|\]$/g, '')
    const name = target.tls?.serverName ?? (isIP(bare) === 0 ? bare : undefined)
    this.servername = name ?? bare
    this.connect = upstreamConnector(target, name, options.connectTimeoutMs)
  }

  /** Connections that carry a request now. */
  get busyCount(): number {
    return this.clients.length - this.free.length
  }

  /** Requests that wait for a connection now. */
  get waitingCount(): number {
    return this.waiting.length
  }

  countFailure(failure: Outcome): void {
    this.failures.set(failure, (this.failures.get(failure) ?? 0) + 1)
  }

  /** Gives `waiter` a connection at once, or queues it for one, or refuses because too many wait. */
  take(waiter: ConnectionWaiter): 'given' | 'waiting' | 'refused' {
    const client = this.free.pop() ?? this.open()
    if (client !== undefined) {
      waiter.onConnection(client)
      return 'given'
    }
    if (this.waiting.length >= this.options.maxWaiting) return 'refused'
    this.waiting.add(waiter)
    return 'waiting'
  }

  /** No longer waits. */
  leave(waiter: ConnectionWaiter): void {
    this.waiting.remove(waiter)
  }

  /** Gives a connection back; the one who waits longest gets it. */
  release(client: MeteredClient): void {
    const next = this.waiting.shift()
    if (next === undefined) this.free.push(client)
    else next.onConnection(client)
  }

  /** Ends idle connections and, at once, those in use. */
  async destroy(): Promise<void> {
    this.destroyed = true
    await Promise.all(this.clients.map((client) => client.destroy()))
  }

  private open(): MeteredClient | undefined {
    if (this.clients.length === this.options.maxConnections) return undefined
    const client = new MeteredClient(new URL(this.origin), { connect: this.connect, pipelining: 1 })
    this.clients.push(client)
    // What is dispatched to it then fails in the same way as on the others.
    if (this.destroyed) void client.destroy()
    return client
  }
}
