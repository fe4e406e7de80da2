/** Runs a gateway until a signal ends it: as one process, or as a primary with workers. */
import { fileURLToPath } from 'node:url'
import type { FileSnapshot } from '../config/config-files.js'
import type { GatewayConfig } from '../config/gateway-config.js'
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { AdminServer, type AdminSource } from '../gateway/admin/admin-server.js'
import { singleProcessSource } from '../gateway/admin/single-process.js'
import { Gateway } from '../gateway/gateway.js'
import { GatewayPrimary } from '../gateway/workers/gateway-primary.js'
import { workerCount } from '../gateway/workers/worker-count.js'
import { forkProcesses } from '../gateway/workers/worker-process.js'
import { createLogger, standardOutput } from '../observe/logger.js'
import type { Logger, LogLevel } from '../observe/logger.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { engineOf } from './engine-option.js'
import type { EngineFlags } from './engine-option.js'
import { createRecorder } from './observe-options.js'
import type { ObserveFlags } from './observe-options.js'
import { closeOnSignal, reportError } from './output.js'
import { programVersion } from './version.js'

/** Time beyond the drain timeout for connections to be closed before the process ends by force. */
const CLOSE_MARGIN_MS = 5_000
const WORKER_FILE = fileURLToPath(new URL('gateway-worker-main.js', import.meta.url))

/** The flags that a running gateway heeds. */
export interface RunFlags extends ObserveFlags, EngineFlags {
  logLevel?: LogLevel
  quicVersion?: readonly QuicVersion[]
}

/** What runs, in whatever way: it can be stopped, and asked how it is. */
interface RunningGateway {
  readonly source: AdminSource
  /** What to say of it at the end. */
  facts(): object
  close(drainMs: number): Promise<void>
}

/** The configuration with these versions on every listener, if there are any. */
export function withVersions(config: GatewayConfig, versions: readonly QuicVersion[] | undefined): GatewayConfig {
  if (versions === undefined) return config
  return { ...config, listeners: config.listeners.map((listener) => ({ ...listener, versions })) }
}

/**
 * Starts and arranges for the end.
 *
 * @param files the configuration as it was read
 * @param workerFile the program of a worker
 * @throws ConfigError, EngineError and WorkerError for what keeps it from starting
 */
export async function runGateway(
  config: GatewayConfig,
  files: FileSnapshot,
  flags: RunFlags,
  workerFile = WORKER_FILE
): Promise<void> {
  const logger = createLogger({ level: flags.logLevel ?? config.log.level })
  const engine = engineOf(flags, (problem) => logger.warn(problem), config.engine)
  const { count, remark } = workerCount(config, engine)
  if (remark !== undefined) logger.info(remark)
  const gateway =
    count === 1
      ? await runAlone(config, engine, flags, logger)
      : await runPrimary(config, files, engine, flags, logger, count, workerFile)
  const admin = await startAdmin(config, gateway, logger)
  closeOnSignal(async () => {
    logger.info({ ...gateway.facts(), drainMs: config.drainTimeout }, 'stopping')
    await gateway.close(config.drainTimeout)
    await admin?.close()
    logger.info('stopped')
  }, config.drainTimeout + CLOSE_MARGIN_MS)
}

async function runAlone(config: GatewayConfig, engine: DatagramEngine, flags: RunFlags, logger: Logger): Promise<RunningGateway> {
  const recorder = createRecorder(flags, config, (problem) => logger.warn(problem))
  const version = programVersion()
  const gateway = await Gateway.start(config, logger, { engine, version, observe: recorder.observe })
  return {
    source: singleProcessSource(gateway, version),
    facts: () => ({ connections: gateway.connectionCount }),
    close: async (drainMs) => {
      await gateway.close({ drainMs })
      recorder.close()
    }
  }
}

async function runPrimary(
  config: GatewayConfig,
  files: FileSnapshot,
  engine: DatagramEngine,
  flags: RunFlags,
  logger: Logger,
  count: number,
  workerFile: string
): Promise<RunningGateway> {
  const output = standardOutput()
  const primary = await GatewayPrimary.start(config, logger, {
    count,
    engine,
    files,
    flags: {
      keylog: flags.keylog,
      qlog: flags.qlog,
      logLevel: flags.logLevel,
      engine: engine.name,
      quicVersion: flags.quicVersion?.map((version) => version.label).join()
    },
    version: programVersion(),
    startProcess: forkProcesses(workerFile, (lines) => output.write(lines)),
    onGiveUp: (error) => {
      void primary.close().then(() => process.exit(reportError(error)))
    }
  })
  process.on('exit', () => primary.killWorkers())
  return { source: primary, facts: () => ({ workers: count }), close: (drainMs) => primary.close({ drainMs }) }
}

/** Without an address in the configuration there is none. */
async function startAdmin(config: GatewayConfig, gateway: RunningGateway, logger: Logger): Promise<AdminServer | undefined> {
  if (config.admin === undefined) return undefined
  try {
    return await AdminServer.start(config.admin.listen, config.adminAt, gateway.source, logger)
  } catch (error) {
    await gateway.close(0)
    throw error
  }
}
