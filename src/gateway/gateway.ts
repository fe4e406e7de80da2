/** The gateway as a whole: listeners, secrets, routes, upstreams. */
import { lookup } from 'node:dns/promises'
import type { GatewayConfig, ListenerConfig } from '../config/gateway-config.js'
import { formatHostPort } from '../config/values.js'
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { defaultEngine } from '../endpoint/engines/select-engine.js'
import { QuicServer } from '../endpoint/server.js'
import type { ServerEvent, SocketShare } from '../endpoint/server.js'
import type { ServerSecrets } from '../endpoint/server-secrets.js'
import { systemHelper } from '../endpoint/system.js'
import { sessionOptions } from '../endpoint/transport-options.js'
import type { TransportOptions } from '../endpoint/transport-options.js'
import type { Logger } from '../observe/logger.js'
import type { MetricSet } from '../observe/metrics/metric-set.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import { StaticProofSource } from '../quic/crypto/proof.js'
import type { QuicConnection } from '../quic/transport/connection.js'
import { ClientNonces } from '../quic/handshake/server/strike-register.js'
import { LoggerAccessLog } from './access-log.js'
import { announceListener, warnOfExpiry } from './announcements.js'
import type { ExchangeContext } from './exchange-context.js'
import { GatewaySecrets } from './gateway-secrets.js'
import { GatewaySession } from './gateway-session.js'
import { listenError } from './listen-failure.js'
import { ConnectionTally } from './metrics/connection-tally.js'
import { gatewayMetrics } from './metrics/gateway-metrics.js'
import { RequestTally } from './metrics/request-tally.js'
import { RouteTable } from './route-table.js'
import { UpstreamPools } from './upstream-pools.js'

/** Where one listener listens. */
export interface ListenerAddress {
  readonly host: string
  readonly port: number
}

/** What a gateway is given beside its configuration. All optional. */
export interface GatewayParts {
  /** Sees what each connection does. */
  readonly observe?: ObserveConnection | undefined
  /** Moves the datagrams; {@link defaultEngine} unless given. */
  readonly engine?: DatagramEngine
  /** Secrets that somebody else looks after, who calls {@link Gateway.useSecrets}; the gateway keeps its own if missing. */
  readonly secrets?: ServerSecrets
  /** Which sockets it reads from, by listener, where several processes share them; it opens its own if missing. */
  readonly shares?: readonly SocketShare[]
  /** Of the program, for metrics. */
  readonly version?: string
}

/** A running gateway. */
export class Gateway {
  /** What counts in this process, for whoever asks. */
  readonly metrics: MetricSet
  /** What moves the datagrams. */
  readonly engine: DatagramEngine
  private readonly servers: QuicServer[] = []
  private readonly connections = new ConnectionTally()
  private readonly upstreams: UpstreamPools
  private readonly context: ExchangeContext
  private closing: Promise<void> | undefined
  private secrets: GatewaySecrets | undefined
  private cutting = false

  private constructor(
    private readonly config: GatewayConfig,
    private readonly logger: Logger,
    private readonly parts: GatewayParts
  ) {
    this.engine = parts.engine ?? defaultEngine()
    this.upstreams = new UpstreamPools(config.upstreams)
    const requests = new RequestTally(config.log.access ? new LoggerAccessLog(logger) : { write: () => undefined })
    this.context = {
      name: config.name,
      routes: new RouteTable(config.entries),
      upstreams: this.upstreams,
      forwarded: config.forwarded,
      underscores: config.underscoreHeaders,
      accessLog: requests,
      onInternalError: (err) => logger.error({ err }, 'this should not happen; please report it')
    }
    const { servers, connections, upstreams } = this
    const { version = '' } = parts
    this.metrics = gatewayMetrics({ version, engine: this.engine.name, servers, connections, requests, upstreams })
  }

  /**
   * Opens every listener, or none.
   * @throws ConfigError if an address cannot be listened at, or secrets cannot be kept
   */
  static async start(config: GatewayConfig, logger: Logger, parts: GatewayParts = {}): Promise<Gateway> {
    const gateway = new Gateway(config, logger, parts)
    const secrets = parts.secrets ?? gateway.keepSecrets()
    const nonces = gateway.clientNonces()
    if (parts.shares === undefined) warnOfExpiry(config, logger)
    try {
      for (const [index, listener] of config.listeners.entries()) {
        gateway.servers.push(await gateway.listen(listener, secrets, nonces, parts.shares?.[index]))
      }
    } catch (error) {
      await gateway.close()
      throw error
    }
    gateway.secrets?.watch((next) => gateway.useSecrets(next))
    return gateway
  }

  /** What listens, in the order of the configuration. */
  get addresses(): ListenerAddress[] {
    return this.servers.map(({ address }) => ({ host: address.address, port: address.port }))
  }

  /** Whether it has begun to stop. */
  get stopping(): boolean {
    return this.closing !== undefined
  }

  /** The connections open now, in no order. */
  *openConnections(): IterableIterator<QuicConnection> {
    for (const server of this.servers) yield* server.connections()
  }

  /** Goes on with these secrets; also to be called, about once a minute, when time has passed. */
  useSecrets(secrets: ServerSecrets): void {
    for (const server of this.servers) server.useSecrets(secrets)
  }

  /** Connections open now. */
  get connectionCount(): number {
    return this.servers.reduce((sum, server) => sum + server.connectionCount, 0)
  }

  /**
   * Stops: no new connections, GOAWAY to all, running requests get `drainMs` (default 0) to finish, then everything is
   * closed. Safe to call twice; the first call decides.
   */
  close(o: { drainMs?: number } = {}): Promise<void> {
    return (this.closing ??= this.drainAndClose(o.drainMs ?? 0))
  }

  private async drainAndClose(drainMs: number): Promise<void> {
    this.secrets?.close()
    const timer = setTimeout(() => (this.cutting = true), Math.max(0, drainMs - 1))
    if (drainMs === 0) this.cutting = true
    await Promise.all(this.servers.map((server) => server.close({ drainMs })))
    clearTimeout(timer)
    await this.upstreams.destroy()
  }

  private keepSecrets(): ServerSecrets {
    const { preference } = this.engine.aeadProvider
    this.secrets = GatewaySecrets.open(this.config, preference, (message) => this.logger.warn(message))
    return this.secrets.current
  }

  /** One register for all listeners: a hello is accepted once, wherever it comes. */
  private clientNonces(): ClientNonces {
    const { earlyDataWindow, earlyDataEntries, earlyDataAtStart } = this.config.handshake
    return new ClientNonces(systemHelper.wallSeconds(), {
      windowSeconds: Math.ceil(earlyDataWindow / 1000),
      maxEntries: earlyDataEntries,
      trustAfterRestart: earlyDataAtStart === 'accept'
    })
  }

  private async listen(
    listener: ListenerConfig,
    secrets: ServerSecrets,
    nonces: ClientNonces,
    share: SocketShare | undefined
  ): Promise<QuicServer> {
    const transport = transportOptions(listener)
    const options = sessionOptions('server', transport)
    const stopping = (): boolean => this.cutting
    let server: QuicServer
    try {
      const { address: host } = await lookup(listener.address.host)
      server = await QuicServer.listen({
        host,
        port: listener.address.port,
        proofSource: new StaticProofSource(listener.certificates.map(({ key }) => key)),
        commonCertificates: this.config.commonCertificates,
        engine: this.engine,
        share,
        secrets,
        earlyData: { accept: this.config.handshake.earlyData, nonces },
        statelessRejects: this.config.handshake.statelessRejects,
        servingRegion: this.config.handshake.servingRegion,
        versions: listener.versions,
        transport,
        createSession: (connection) => new GatewaySession(connection, options, this.context, stopping),
        onEvent: (event) => this.onEvent(event),
        observe: this.parts.observe
      })
    } catch (error) {
      throw listenError(error, listener.address, 'UDP', listener.at)
    }
    // Where several processes share the listener, the one that opened it says so.
    if (share === undefined) announceListener(this.logger, this.config, listener, server.address, this.engine.name)
    return server
  }

  private onEvent(event: ServerEvent): void {
    this.connections.onEvent(event)
    if (event.type === 'socket-error') {
      this.logger.warn({ err: event.error }, 'socket error')
      return
    }
    if (event.type === 'datagrams-dropped') {
      const { dropped, total } = event
      const remedy = 'raise it with sysctl -w net.core.rmem_max=8388608 and restart'
      this.logger.warn({ dropped, total }, `${dropped} datagrams lost: the kernel's receive buffer was full; ${remedy}`)
      return
    }
    const { connection } = event
    const { address, port } = connection.peerAddress
    const facts = { connection: connection.connectionId.toString(), client: formatHostPort({ host: address, port }) }
    if (event.type === 'connection-opened') {
      this.logger.debug({ ...facts }, 'connection opened')
      return
    }
    const { error, fromPeer } = event
    const quic = connection.version.label
    const { rejections, earlyData } = connection.describeHandshake()
    const how = { quic, rejections, earlyData, error: error.code, fromPeer, reason: error.details }
    this.logger.debug({ ...facts, ...how }, 'connection closed')
  }
}

/** The endpoint counts its idle timeout in seconds. */
function transportOptions({ transport }: ListenerConfig): TransportOptions {
  const { idleTimeout, ...rest } = transport
  return { ...rest, idleTimeoutSeconds: Math.ceil(idleTimeout / 1000) }
}
