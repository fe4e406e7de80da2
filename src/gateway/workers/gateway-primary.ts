/**
 * The primary process of a gateway with workers: it has the sockets, the secrets and the admin endpoint, and no traffic.
 */
import { lookup } from 'node:dns/promises'
import type { FileSnapshot } from '../../config/config-files.js'
import type { GatewayConfig } from '../../config/gateway-config.js'
import { formatHostPort } from '../../config/values.js'
import type { DatagramEngine, SocketGroup } from '../../endpoint/datagram-engine.js'
import { WANTED_RECEIVE_BUFFER } from '../../endpoint/server.js'
import type { Logger } from '../../observe/logger.js'
import { ProcessMetrics, type MetricSet } from '../../observe/metrics/metric-set.js'
import type { AdminSource } from '../admin/admin-server.js'
import { uptimeSeconds, type GatewayStatus } from '../admin/status.js'
import { announceListener, warnOfExpiry } from '../announcements.js'
import { GatewaySecrets } from '../gateway-secrets.js'
import { listenError } from '../listen-failure.js'
import { SecretsForWorkers } from './handed-secrets.js'
import type { FromWorker, StartMessage, WorkerReport } from './messages.js'
import { primaryMetrics } from './primary-metrics.js'
import { Questions } from './questions.js'
import { Supervisor, type SupervisorListener, type WorkerError } from './supervisor.js'
import { WorkerMetrics } from './worker-metrics.js'
import type { StartProcess, WorkerProcess } from './worker-process.js'
import { FIRST_INHERITED_FD } from './worker-process.js'

/** How long a worker may take to answer a question. */
const PATIENCE_MS = 1_000
/** How workers tell the primary's own values from theirs. */
const OWN_LABEL = 'primary'

/** What a primary is given beside its configuration. */
export interface PrimaryParts {
  readonly count: number
  readonly engine: DatagramEngine
  readonly startProcess: StartProcess
  /** The configuration as it was read, for the workers. */
  readonly files: FileSnapshot
  /** For the workers, see StartMessage. */
  readonly flags: StartMessage['flags']
  /** Of the program. */
  readonly version: string
  /** Called once if workers can no longer be kept running: the gateway is to be closed. */
  onGiveUp(error: WorkerError): void
}

/** A running gateway of several processes. */
export class GatewayPrimary implements SupervisorListener, AdminSource {
  private readonly groups: SocketGroup[] = []
  private readonly supervisor: Supervisor
  private readonly questions = new Questions(PATIENCE_MS)
  private readonly workerMetrics = new WorkerMetrics()
  private readonly ofProcess = new ProcessMetrics(OWN_LABEL)
  private readonly own: MetricSet
  private readonly handed: SecretsForWorkers

  private constructor(
    private readonly config: GatewayConfig,
    private readonly logger: Logger,
    private readonly parts: PrimaryParts,
    private readonly secrets: GatewaySecrets
  ) {
    const { count, startProcess } = parts
    this.handed = new SecretsForWorkers(count, secrets.current)
    const start = (index: number, listener: Parameters<StartProcess>[1]): WorkerProcess =>
      startProcess(this.groups.map(({ fds }) => fds[index]!), listener)
    this.supervisor = new Supervisor(count, start, this)
    this.own = primaryMetrics(this.supervisor)
  }

  /**
   * Opens the sockets of every listener and starts the workers.
   *
   * @throws ConfigError if an address cannot be listened at, or secrets cannot be kept
   * @throws WorkerError if a worker cannot be started
   */
  static async start(config: GatewayConfig, logger: Logger, parts: PrimaryParts): Promise<GatewayPrimary> {
    warnOfExpiry(config, logger)
    const { preference } = parts.engine.aeadProvider
    const secrets = GatewaySecrets.open(config, preference, (message) => logger.warn(message))
    const primary = new GatewayPrimary(config, logger, parts, secrets)
    try {
      await primary.openSockets()
      await primary.supervisor.start()
    } catch (error) {
      primary.release()
      throw error
    }
    config.listeners.forEach((listener, i) => {
      announceListener(logger, config, listener, primary.groups[i]!.localAddress, parts.engine.name)
    })
    logger.info({ workers: parts.count }, `${parts.count} workers share the listeners`)
    secrets.watch((next) => {
      primary.handed.use(next)
      for (const index of primary.supervisor.reachable) {
        primary.supervisor.send(index, { type: 'secrets', secrets: primary.handed.of(index) })
      }
    })
    return primary
  }

  /** Stops all workers as a gateway of one process stops, and closes the sockets. */
  async close(o: { drainMs?: number } = {}): Promise<void> {
    await this.supervisor.stop(o.drainMs ?? 0)
    this.release()
  }

  /** Ends all workers at once, for a program that has no time left. */
  killWorkers(): void {
    this.supervisor.killAll()
  }

  // ---- what the supervisor tells ----

  onProcess(index: number, process: WorkerProcess): void {
    const { count, files, flags, version } = this.parts
    // A descriptor has another number in the process that inherits it.
    const fds = this.groups.map((_, i) => FIRST_INHERITED_FD + i)
    const config = { file: this.config.file, files }
    process.send({ type: 'start', index, count, fds, secrets: this.handed.of(index), config, flags, version })
  }

  onMessage(index: number, message: FromWorker): void {
    if (message.type === 'metrics') {
      this.workerMetrics.onMetrics(index, message.metrics)
      this.questions.answer(message.id, true)
    } else if (message.type === 'status') {
      this.questions.answer(message.id, message.report)
    }
  }

  onDeath(index: number, how: string, pauseMs: number | undefined): void {
    this.workerMetrics.onDeath(index)
    this.handed.onDeath(index)
    if (this.supervisor.isStopping) return
    const then = pauseMs === undefined ? '' : `; another one takes its place in ${pauseMs} ms`
    this.logger.error({ worker: index }, `worker ${index} ended unasked (${how})${then}`)
  }

  onGiveUp(error: WorkerError): void {
    this.parts.onGiveUp(error)
  }

  // ---- what operators ask ----

  notReady(): string | undefined {
    if (this.supervisor.isStopping) return 'stopping'
    return this.supervisor.running.length === 0 ? 'no worker runs' : undefined
  }

  async metrics(): ReturnType<AdminSource['metrics']> {
    const { supervisor, questions } = this
    await Promise.all(
      supervisor.reachable.map((index) => questions.ask((id) => supervisor.send(index, { type: 'metrics', id })))
    )
    return this.workerMetrics.merged([...(await this.own.read()), ...(await this.ofProcess.read())])
  }

  async status(limit: number): Promise<GatewayStatus> {
    const { supervisor, parts } = this
    const reports = await this.askForReports(limit)
    const workers = supervisor.workers().map(({ state, pid, uptimeMs, restarts }, worker) => {
      const connections = reports[worker]?.connectionCount ?? 0
      return { worker, state, pid, uptime: Math.floor(uptimeMs / 1000), restarts, connections }
    })
    return {
      version: parts.version,
      engine: parts.engine.name,
      uptime: uptimeSeconds(),
      stopping: supervisor.isStopping,
      listeners: this.groups.map(({ localAddress: { address: host, port } }) => formatHostPort({ host, port })),
      workers,
      connectionCount: workers.reduce((sum, { connections }) => sum + connections, 0),
      connections: reports.flatMap((report) => report?.connections ?? []).slice(0, limit)
    }
  }

  /** By worker; nothing of those that do not answer. */
  private askForReports(limit: number): Promise<(WorkerReport | undefined)[]> {
    const { supervisor, questions } = this
    const { reachable } = supervisor
    return Promise.all(
      supervisor.workers().map((_, index) =>
        reachable.includes(index)
          ? questions.ask<WorkerReport>((id) => supervisor.send(index, { type: 'status', id, connections: limit }))
          : undefined
      )
    )
  }

  private async openSockets(): Promise<void> {
    const { engine, count } = this.parts
    for (const { address, at } of this.config.listeners) {
      try {
        const { address: host } = await lookup(address.host)
        const wanted = { address: host, port: address.port, count, receiveBufferSize: WANTED_RECEIVE_BUFFER }
        this.groups.push(await engine.openGroup!(wanted))
      } catch (error) {
        throw listenError(error, address, 'UDP', at)
      }
    }
  }

  private release(): void {
    this.secrets.close()
    for (const group of this.groups) group.close()
  }
}
