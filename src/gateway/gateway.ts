/** The gateway as a whole: listeners, secrets, routes, upstreams. */
import { X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { ConfigError } from '../config/config-error.js'
import type { GatewayConfig, ListenerConfig } from '../config/gateway-config.js'
import { formatHostPort } from '../config/values.js'
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { defaultEngine } from '../endpoint/engines/select-engine.js'
import { SecretsKeeper } from '../endpoint/secrets-keeper.js'
import { QuicServer } from '../endpoint/server.js'
import type { ServerEvent } from '../endpoint/server.js'
import { systemHelper } from '../endpoint/system.js'
import { sessionOptions } from '../endpoint/transport-options.js'
import type { TransportOptions } from '../endpoint/transport-options.js'
import type { Logger } from '../observe/logger.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import { StaticProofSource } from '../quic/crypto/proof.js'
import { ClientNonces } from '../quic/handshake/server/strike-register.js'
import { LoggerAccessLog } from './access-log.js'
import type { ExchangeContext } from './exchange-context.js'
import { GatewaySession } from './gateway-session.js'
import { RouteTable } from './route-table.js'
import { UpstreamPools } from './upstream-pools.js'

const DAY_MS = 86_400_000
/** How often secrets are looked after, their directory read again. */
const SECRETS_INTERVAL_MS = 60_000
/** A certificate that ends sooner is warned about. */
const EXPIRY_WARNING_DAYS = 14

/** Where one listener listens. */
export interface ListenerAddress {
  readonly host: string
  readonly port: number
}

/** A running gateway. */
export class Gateway {
  private readonly servers: QuicServer[] = []
  private readonly upstreams: UpstreamPools
  private readonly context: ExchangeContext
  private closing: Promise<void> | undefined
  private secretsTimer: NodeJS.Timeout | undefined
  private cutting = false

  private constructor(
    private readonly config: GatewayConfig,
    private readonly logger: Logger,
    private readonly observe: ObserveConnection | undefined,
    private readonly engine: DatagramEngine
  ) {
    this.upstreams = new UpstreamPools(config.upstreams)
    this.context = {
      name: config.name,
      routes: new RouteTable(config.entries),
      upstreams: this.upstreams,
      forwarded: config.forwarded,
      underscores: config.underscoreHeaders,
      accessLog: config.log.access ? new LoggerAccessLog(logger) : { write: () => undefined },
      onInternalError: (err) => logger.error({ err }, 'this should not happen; please report it')
    }
  }

  /**
   * Opens every listener, or none.
   * @throws ConfigError if an address cannot be listened at, or secrets cannot be kept
   */
  static async start(
    config: GatewayConfig,
    logger: Logger,
    observe?: ObserveConnection,
    engine: DatagramEngine = defaultEngine()
  ): Promise<Gateway> {
    const gateway = new Gateway(config, logger, observe, engine)
    const secrets = gateway.keepSecrets()
    gateway.warnOfExpiry()
    const nonces = gateway.clientNonces()
    try {
      for (const listener of config.listeners) gateway.servers.push(await gateway.listen(listener, secrets, nonces))
    } catch (error) {
      await gateway.close()
      throw error
    }
    gateway.secretsTimer = setInterval(() => gateway.refreshSecrets(secrets), SECRETS_INTERVAL_MS).unref()
    return gateway
  }

  /** What listens, in the order of the configuration. */
  get addresses(): ListenerAddress[] {
    return this.servers.map(({ address }) => ({ host: address.address, port: address.port }))
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
    clearInterval(this.secretsTimer)
    const timer = setTimeout(() => (this.cutting = true), Math.max(0, drainMs - 1))
    if (drainMs === 0) this.cutting = true
    await Promise.all(this.servers.map((server) => server.close({ drainMs })))
    clearTimeout(timer)
    await this.upstreams.destroy()
  }

  private keepSecrets(): SecretsKeeper {
    const { stateDir, stateDirAt, handshake } = this.config
    try {
      return new SecretsKeeper({
        directory: stateDir,
        aeads: this.engine.aeadProvider.preference,
        channelIds: handshake.channelIds,
        policy: { rotateEvery: handshake.rotateEvery / 1000, acceptFor: handshake.acceptFor / 1000 },
        onWarning: (message) => this.logger.warn(message)
      })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const remedy = 'name a directory that this user may write'
      const message = `stateDir: cannot keep secrets in ${stateDir}: ${reason}; ${remedy}`
      throw new ConfigError([{ ...stateDirAt, message }])
    }
  }

  /** Reads what other gateways wrote, and lets what is due have its turn. */
  private refreshSecrets(keeper: SecretsKeeper): void {
    const secrets = keeper.refresh()
    for (const server of this.servers) server.useSecrets(secrets)
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

  private async listen(listener: ListenerConfig, keeper: SecretsKeeper, nonces: ClientNonces): Promise<QuicServer> {
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
        secrets: keeper.current,
        earlyData: { accept: this.config.handshake.earlyData, nonces },
        statelessRejects: this.config.handshake.statelessRejects,
        servingRegion: this.config.handshake.servingRegion,
        versions: listener.versions,
        transport,
        createSession: (connection) => new GatewaySession(connection, options, this.context, stopping),
        onEvent: (event) => this.onEvent(event),
        observe: this.observe,
        engine: this.engine
      })
    } catch (error) {
      // Only what the system refuses is the configuration's fault.
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
      throw new ConfigError([{ ...listener.at, message: listenFailure(listener, error) }])
    }
    const { address } = server
    const versions = listener.versions.map((version) => version.label)
    const at = formatHostPort({ host: address.address, port: address.port })
    this.logger.info({ address: at, versions, routes: this.config.routes.length }, `listening for QUIC on ${at} (UDP)`)
    return server
  }

  private onEvent(event: ServerEvent): void {
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

  private warnOfExpiry(): void {
    for (const { certificates } of this.config.listeners) {
      for (const { file, key } of certificates) {
        const { validTo } = new X509Certificate(key.chain[0])
        const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS)
        if (days >= EXPIRY_WARNING_DAYS) continue
        const words = days < 0 ? 'has expired: clients will refuse it' : `expires in ${days} days`
        this.logger.warn({ certificate: file, validTo, days }, `certificate ${file} ${words}; renew it`)
      }
    }
  }
}

/** The endpoint counts its idle timeout in seconds. */
function transportOptions({ transport }: ListenerConfig): TransportOptions {
  const { idleTimeout, ...rest } = transport
  return { ...rest, idleTimeoutSeconds: Math.ceil(idleTimeout / 1000) }
}

function listenFailure({ address }: ListenerConfig, error: unknown): string {
  const at = formatHostPort(address)
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `${at} (UDP) is in use by another program; stop that one or choose another port`
    case 'EACCES':
      return `this user may not listen on ${at}; choose a port above 1023 or grant CAP_NET_BIND_SERVICE`
    case 'EADDRNOTAVAIL':
      return `this machine has no address ${address.host}; name one of its own, 0.0.0.0 or [::]`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `"${address.host}" does not resolve; name an IP address of this machine`
    default:
      return `cannot listen on ${at}: ${error instanceof Error ? error.message : String(error)}`
  }
}
