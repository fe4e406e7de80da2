/** The HTTP server for operators: metrics, health, and what the gateway is doing now. */
import { fastify } from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import { lookup } from 'node:dns/promises'
import type { ConfigPlace } from '../../config/gateway-config.js'
import { formatHostPort } from '../../config/values.js'
import type { HostPort } from '../../config/values.js'
import type { Logger } from '../../observe/logger.js'
import { METRICS_CONTENT_TYPE, metricsText, type MetricSnapshot } from '../../observe/metrics/metric-set.js'
import { listenError } from '../listen-failure.js'
import type { GatewayStatus } from './status.js'

/** Connections that `/status` lists unless asked for another number, and at most. */
const USUAL_CONNECTIONS = 100
const MOST_CONNECTIONS = 1000

/** What the server tells about. */
export interface AdminSource {
  /** Why the gateway takes no requests now; undefined if it does. */
  notReady(): string | undefined
  metrics(): Promise<MetricSnapshot[]>
  /** @param connections how many to describe at most */
  status(connections: number): Promise<GatewayStatus>
}

/** A listening admin server. */
export class AdminServer {
  private constructor(
    private readonly server: FastifyInstance,
    readonly address: HostPort
  ) {}

  /**
   * Listens.
   *
   * @param at where the address is written
   * @throws ConfigError if the address cannot be listened at
   */
  static async start(listen: HostPort, at: ConfigPlace, source: AdminSource, logger: Logger): Promise<AdminServer> {
    const server = fastify({ logger: false, forceCloseConnections: true })
    addRoutes(server, source, logger)
    try {
      const { address: host } = await lookup(listen.host)
      await server.listen({ host, port: listen.port })
    } catch (error) {
      await server.close()
      throw listenError(error, listen, 'TCP', at)
    }
    const { address: host, port } = server.server.address() as AddressInfo
    const url = `http://${formatHostPort({ host, port })}`
    logger.info({ address: url }, `operators find metrics and health at ${url}`)
    return new AdminServer(server, { host, port })
  }

  /** Stops at once, whoever still asks. */
  async close(): Promise<void> {
    await this.server.close()
  }
}

function addRoutes(server: FastifyInstance, source: AdminSource, logger: Logger): void {
  server.get('/metrics', async (_request, reply) => {
    return reply.type(METRICS_CONTENT_TYPE).send(await metricsText(await source.metrics()))
  })
  server.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'))
  server.get('/readyz', async (_request, reply) => {
    const why = source.notReady()
    return reply.code(why === undefined ? 200 : 503).type('text/plain').send(`${why ?? 'ready'}\n`)
  })
  server.get<{ Querystring: { connections?: string } }>('/status', async (request, reply) => {
    const wanted = Number(request.query.connections ?? USUAL_CONNECTIONS)
    if (!Number.isInteger(wanted) || wanted < 0) {
      return reply.code(400).type('text/plain').send(`connections: expected a number from 0 to ${MOST_CONNECTIONS}\n`)
    }
    const status = await source.status(Math.min(wanted, MOST_CONNECTIONS))
    return reply.type('application/json').send(`${JSON.stringify(status, null, 2)}\n`)
  })
  server.setNotFoundHandler((_request, reply) => {
    void reply.code(404).type('text/plain').send('there are /metrics, /healthz, /readyz and /status\n')
  })
  server.setErrorHandler((error, _request, reply) => {
    logger.error({ err: error }, 'the admin server failed to answer')
    void reply.code(500).type('text/plain').send('failed; the log says how\n')
  })
}
