/** Connections to one upstream, and the order in which requests get them. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { buildConnector, Client, Pool } from 'undici'
import type { Dispatcher } from 'undici'
import type { UpstreamTarget } from '../config/upstream-schema.js'

/** How an upstream is connected to. */
export interface UpstreamPoolOptions {
  readonly connectTimeoutMs: number
  readonly maxConnections: number
  /** Requests that may wait for a connection. */
  readonly maxWaiting: number
}

/** Whoever waits for a place among the connections. */
export interface PlaceWaiter {
  /** It is your turn. Give the place back with {@link UpstreamPool.release}. */
  onPlace(): void
}

/** A dispatch that wants to know which connection it was given to. */
export interface MeteredDispatch extends Dispatcher.DispatchOptions {
  onClient(client: MeteredClient): void
  servername?: string
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

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    ;(options as MeteredDispatch).onClient(this)
    return super.dispatch(options, handler)
  }
}

/**
 * At most `maxConnections` requests run at a time; the rest wait in the order in which they came. The queue is here and
 * not in undici, whose own has no limit and cannot be left.
 */
export class UpstreamPool {
  readonly url: string
  /** Host and port, for logs and Proxy-Status. */
  readonly authority: string
  /** What https connections ask for and verify; the same for all requests, whatever host they name. */
  readonly servername: string | undefined
  private readonly pool: Pool
  private readonly waiting = new Set<PlaceWaiter>()
  private running = 0

  constructor(
    target: UpstreamTarget,
    private readonly options: UpstreamPoolOptions
  ) {
    const url = new URL(target.url)
    this.url = target.url
    this.authority = url.port === '' ? `${url.hostname}:${url.protocol === 'https:' ? 443 : 80}` : url.host
    const bare = url.hostname.replace(/^\[|\]$/g, '')
    const name = target.tls?.serverName ?? (isIP(bare) === 0 ? bare : undefined)
    this.servername = url.protocol === 'https:' ? (name ?? bare) : undefined
    const connector = buildConnector({
      timeout: options.connectTimeoutMs,
      ca: target.tls?.ca === undefined ? undefined : readFileSync(target.tls.ca),
      rejectUnauthorized: target.tls?.insecure !== true
    })
    const connect: buildConnector.connector = (parameters, callback) =>
      // An address is no server name: TLS then verifies it as an address.
      connector({ ...parameters, servername: name }, callback)
    this.pool = new Pool(url.origin, {
      connections: options.maxConnections,
      connect,
      pipelining: 1,
      factory: (origin, clientOptions) => new MeteredClient(origin, clientOptions as Client.Options)
    })
  }

  /** Takes a place at once, or queues `waiter` for one, or refuses because too many wait. */
  take(waiter: PlaceWaiter): 'taken' | 'waiting' | 'refused' {
    if (this.running < this.options.maxConnections) {
      this.running++
      return 'taken'
    }
    if (this.waiting.size >= this.options.maxWaiting) return 'refused'
    this.waiting.add(waiter)
    return 'waiting'
  }

  /** No longer waits. */
  leave(waiter: PlaceWaiter): void {
    this.waiting.delete(waiter)
  }

  /** Gives a place back; the one who waits longest gets it. */
  release(): void {
    for (const next of this.waiting) {
      this.waiting.delete(next)
      next.onPlace()
      return
    }
    this.running--
  }

  dispatch(options: MeteredDispatch, handler: Dispatcher.DispatchHandler): void {
    this.pool.dispatch(options, handler)
  }

  /** Ends idle connections and, at once, those in use. */
  async destroy(): Promise<void> {
    await this.pool.destroy()
  }
}
