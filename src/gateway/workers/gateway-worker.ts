/** A worker: a gateway that reads from sockets, and lives on secrets, that the primary process gives it. */
import type { GatewayConfig } from '../../config/gateway-config.js'
import type { DatagramEngine } from '../../endpoint/datagram-engine.js'
import { parseSecrets, type ServerSecrets } from '../../endpoint/server-secrets.js'
import type { Logger } from '../../observe/logger.js'
import { ProcessMetrics } from '../../observe/metrics/metric-set.js'
import type { ObserveConnection } from '../../quic/transport/observer.js'
import { describeConnections } from '../admin/status.js'
import { Gateway } from '../gateway.js'
import type { FromWorker, HandedSecrets, StartMessage, ToWorker } from './messages.js'

/** What a worker is given by the program around it. */
export interface WorkerSurroundings {
  readonly config: GatewayConfig
  readonly logger: Logger
  readonly engine: DatagramEngine
  readonly observe?: ObserveConnection | undefined
}

/** Runs one. */
export class GatewayWorker {
  private readonly ofProcess: ProcessMetrics
  private stopping: Promise<void> | undefined

  private constructor(
    private readonly gateway: Gateway,
    private secrets: ServerSecrets,
    index: number,
    private readonly send: (message: FromWorker) => Promise<void>
  ) {
    this.ofProcess = new ProcessMetrics(String(index))
  }

  /**
   * Begins to carry requests and says so.
   *
   * @param send to the primary; resolves when the message has left
   * @throws whatever a gateway throws at its start
   */
  static async start(
    { index, count, fds, secrets: handed, version }: StartMessage,
    { config, logger, engine, observe }: WorkerSurroundings,
    send: (message: FromWorker) => Promise<void>
  ): Promise<GatewayWorker> {
    const secrets = takeOver(handed)
    const shares = fds.map((fd) => ({ fd, index, count }))
    const gateway = await Gateway.start(config, logger, { engine, observe, secrets, shares, version })
    const worker = new GatewayWorker(gateway, secrets, index, send)
    await send({ type: 'ready' })
    return worker
  }

  /** The primary said something. */
  async onMessage(message: ToWorker): Promise<void> {
    const { gateway } = this
    if (message.type === 'secrets') {
      this.secrets = takeOver(message.secrets, this.secrets)
      gateway.useSecrets(this.secrets)
    } else if (message.type === 'metrics') {
      await this.tellMetrics(message.id)
    } else if (message.type === 'status') {
      const { connectionCount } = gateway
      const report = { connectionCount, connections: describeConnections(gateway, message.connections) }
      await this.send({ type: 'status', id: message.id, report })
    }
  }

  /** Stops as a gateway does, and says what was counted until the end. */
  stop(drainMs: number): Promise<void> {
    return (this.stopping ??= this.gateway.close({ drainMs }).then(() => this.tellMetrics(0)))
  }

  private async tellMetrics(id: number): Promise<void> {
    const metrics = [...(await this.gateway.metrics.read()), ...(await this.ofProcess.read())]
    await this.send({ type: 'metrics', id, metrics })
  }
}

function takeOver({ text, fresh }: HandedSecrets, known?: ServerSecrets): ServerSecrets {
  return parseSecrets(text, known, (id) => fresh.includes(Buffer.from(id).toString('hex')))
}
