/**
 * The forwarder: a local HTTP server whose requests travel to a gateway over one QUIC connection.
 */
import type { Logger } from 'pino'
import type { FailureContext, RequestFailure } from '../client/failure.js'
import { acceptingPush, HookedClientSession } from '../client/hooked-client-session.js'
import type { ClientSessionHooks } from '../client/hooked-client-session.js'
import { createVerifier } from '../client/trust.js'
import { channelIdFromFile } from '../config/channel-id-file.js'
import { loadCommonCertificates } from '../config/common-certificates.js'
import type { ForwarderConfig } from '../config/forwarder-schema.js'
import { formatHostPort } from '../config/values.js'
import type { HostPort } from '../config/values.js'
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { QuicClient } from '../endpoint/client.js'
import { FileSessionCache } from '../endpoint/session-cache.js'
import { ClientSessionCache } from '../quic/handshake/client/session-cache.js'
import { supportedVersions, versionByLabel } from '../quic/wire/versions/registry.js'
import type { QuicSpdyClientSession } from '../quic/spdy/spdy-client-session.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { Exchange } from './exchange.js'
import type { ExchangeContext } from './exchange.js'
import { GatewayConnection } from './gateway-connection.js'
import type { GatewayConnectionEvent } from './gateway-connection.js'
import { LocalServer } from './local-server.js'
import { RequestLog } from './request-log.js'
import { badRequest, sendFailure } from './send-failure.js'
import { translateRequest } from './translate.js'

/** What the forwarder calls itself in Via and Proxy-Status. */
export const FORWARDER_NAME = 'quicgate-forward'

type GatewayEvent = GatewayConnectionEvent<QuicSpdyClientSession>

/** A running forwarder. */
export class Forwarder {
  private constructor(
    private readonly config: ForwarderConfig,
    private readonly logger: Logger,
    private readonly pool: GatewayConnection<QuicSpdyClientSession>,
    private readonly failureContext: FailureContext,
    private readonly sessionCache: ClientSessionCache | undefined
  ) {}

  private server: LocalServer | undefined

  /**
   * Listens and begins to connect; does not wait for the gateway. Rejects with the system's error if it cannot listen,
   * with CertificateError if a CA file cannot be used.
   */
  static async start(
    config: ForwarderConfig,
    logger: Logger,
    observe?: ObserveConnection,
    engine?: DatagramEngine
  ): Promise<Forwarder> {
    const context = failureContextOf(config)
    const hooks: ClientSessionHooks = {
      onCanOpenStream: (session) => pool.release(session),
      onGoAway: (session) => pool.goAway(session),
      // Requests for any host go to the gateway, so it may answer any of them in advance.
      isAuthorized: () => true
    }
    const sessionCache = openSessionCache(config.gateway.sessionCache, logger)
    const dial = dialer(config, hooks, observe, sessionCache, engine)
    const pool: GatewayConnection<QuicSpdyClientSession> = new GatewayConnection({
      dial,
      context,
      waitMs: config.timeouts.wait,
      maxWaiting: config.maxWaiting,
      backoffMs: [config.backoff.first, config.backoff.longest],
      onEvent: (event) => logGatewayEvent(logger, event, context)
    })
    const forwarder = new Forwarder(config, logger, pool, context, sessionCache)
    await forwarder.listen()
    pool.start()
    return forwarder
  }

  /** Where it listens. */
  get address(): HostPort {
    return this.server!.address
  }

  /** Whether a connection to the gateway stands. */
  get connected(): boolean {
    return this.pool.connected
  }

  /** Why the last attempt to reach the gateway failed, if the one before the next did. */
  get failure(): RequestFailure | undefined {
    return this.pool.failure
  }

  /** Lets running requests finish for the configured time, then closes everything. */
  async close(): Promise<void> {
    await this.server?.close(this.config.timeouts.drain)
    await this.pool.close()
    this.sessionCache?.flush()
  }

  private async listen(): Promise<void> {
    const { config, logger, pool, failureContext } = this
    const requestLog = config.log.requests ? new RequestLog(logger) : undefined
    const exchanges: ExchangeContext = {
      pool,
      name: FORWARDER_NAME,
      failureContext,
      onDone: requestLog === undefined ? undefined : (record) => requestLog.write(record)
    }
    const translation = {
      authority: config.authority,
      fallbackAuthority: config.gateway.url.host,
      name: FORWARDER_NAME
    }
    this.server = await LocalServer.listen({
      listen: config.listen,
      name: FORWARDER_NAME,
      onConnect: (target) => logger.info({ method: 'CONNECT', target, status: 501, outcome: 'refused' }, 'request'),
      onRequest: (request, response, url) => {
        const translated = translateRequest(request, url, translation)
        if (typeof translated === 'string') sendFailure(request, response, badRequest(translated), FORWARDER_NAME)
        else new Exchange(request, response, translated, exchanges).start()
      }
    })
  }
}

function failureContextOf({ gateway, timeouts }: ForwarderConfig): FailureContext {
  const { host, port } = dialTarget(gateway)
  return { target: formatHostPort({ host, port }), serverName: serverNameOf(gateway.url), timeoutMs: timeouts.connect }
}

function serverNameOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

function portOf(url: URL): number {
  return url.port === '' ? 443 : Number(url.port)
}

function dialTarget({ url, connect }: ForwarderConfig['gateway']): HostPort {
  return connect ?? { host: serverNameOf(url), port: portOf(url) }
}

/** Labels that the schema has checked, as versions. */
function versionsOf(labels: readonly string[] | undefined): readonly QuicVersion[] {
  return labels === undefined ? supportedVersions : labels.map((label) => versionByLabel(label)!)
}

function openSessionCache(file: string | undefined, logger: Logger): ClientSessionCache | undefined {
  if (file === undefined) return undefined
  if (file === 'memory') return new ClientSessionCache()
  return new FileSessionCache(file, { onWarning: (message) => logger.warn(message) })
}

function dialer(
  config: ForwarderConfig,
  hooks: ClientSessionHooks,
  observe: ObserveConnection | undefined,
  sessionCache: ClientSessionCache | undefined,
  engine: DatagramEngine | undefined
): (signal: AbortSignal) => Promise<QuicClient> {
  const { gateway, timeouts } = config
  const commonCertificates = gateway.commonCertificates && loadCommonCertificates(gateway.commonCertificates)
  const channelIds = gateway.channelId === undefined ? undefined : channelIdFromFile(gateway.channelId)
  const verifier = createVerifier({ ca: gateway.ca, insecure: gateway.insecure })
  const versions = versionsOf(gateway.versions)
  // A gateway that was restarted without the secrets of its predecessor cannot say that a connection is gone in a way
  // that the forwarder may believe: five timeouts in a row say it (COPT 5RTO), long before the idle timeout does.
  const connectionOptions = [...new Set(['5RTO', ...(config.transport.connectionOptions ?? [])])]
  const idleTimeoutSeconds = Math.ceil(timeouts.idle / 1000)
  const transport = acceptingPush({ ...config.transport, connectionOptions, idleTimeoutSeconds }, versions)
  return (signal) =>
    QuicClient.connect({
      ...dialTarget(gateway),
      serverName: serverNameOf(gateway.url),
      serverPort: portOf(gateway.url),
      verifier,
      versions,
      transport,
      connectTimeoutMs: timeouts.connect,
      signal,
      observe,
      engine,
      sessionCache,
      commonCertificates,
      channelIds,
      createSession: (connection) => new HookedClientSession(connection, hooks, transport)
    })
}

function logGatewayEvent(logger: Logger, event: GatewayEvent, context: FailureContext): void {
  const gateway = context.target
  switch (event.type) {
    case 'connected': {
      const { connection } = event.session
      const { aead, keyExchange, rejections, earlyData } = connection.describeHandshake()
      const fields = { gateway, version: connection.version.label, connectionId: connection.connectionId.toString() }
      logger.info({ ...fields, aead, keyExchange, rejections, earlyData, attempts: event.attempts }, 'connected to the gateway')
      break
    }
    case 'unreachable':
      logger.warn({ gateway, code: event.failure.code }, `${event.failure.message}; trying again`)
      break
    case 'lost':
      if (event.idle) logger.debug({ gateway }, 'unused connection closed')
      else logger.warn({ gateway, code: event.failure.code }, event.failure.message)
      break
    case 'draining':
      logger.info({ gateway, openStreams: event.openStreams }, 'the gateway goes away; new requests reconnect')
      break
  }
}
