/**
 * The program of a gateway's worker: does what the primary process says, and ends with it.
 */
import { ConfigFiles } from '../config/config-files.js'
import { loadGatewayConfig } from '../config/gateway-config.js'
import type { EngineName } from '../endpoint/engines/select-engine.js'
import { GatewayWorker } from '../gateway/workers/gateway-worker.js'
import type { FromWorker, StartMessage, ToWorker } from '../gateway/workers/messages.js'
import { createLogger } from '../observe/logger.js'
import type { LogLevel } from '../observe/logger.js'
import { engineOf } from './engine-option.js'
import { createRecorder } from './observe-options.js'
import { explainError, reportError } from './output.js'
import { withVersions } from './run-gateway.js'
import { parseVersions } from './versions.js'

const endSignals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const

/** Waits for the primary's first message and goes on from there. */
export function runGatewayWorker(): void {
  let running: Promise<{ worker: GatewayWorker; stop(drainMs?: number): Promise<void> }> | undefined
  // A signal to the whole process group, as terminals send it, reaches the primary as well, which then says the same.
  const end = async (drainMs?: number): Promise<void> => {
    await (await running)?.stop(drainMs)
    process.exit(0)
  }
  for (const signal of endSignals) process.on(signal, () => void end())
  process.on('disconnect', () => void end())
  process.on('message', (message: ToWorker) => {
    if (message.type === 'start') running = start(message)
    else if (message.type === 'stop') void end(message.drainMs)
    else void running?.then(({ worker }) => worker.onMessage(message))
  })
}

async function start(message: StartMessage): ReturnType<typeof begin> {
  try {
    return await begin(message)
  } catch (error) {
    const { text, exitCode } = explainError(error)
    await send({ type: 'failed', message: text.replace(/^error: /, ''), exitCode })
    process.exit(exitCode)
  }
}

async function begin(message: StartMessage): Promise<{ worker: GatewayWorker; stop(drainMs?: number): Promise<void> }> {
  const { flags, index } = message
  const { quicVersion } = flags
  const read = loadGatewayConfig(message.config.file, process.env, new ConfigFiles(message.config.files))
  const config = withVersions(read, quicVersion === undefined ? undefined : parseVersions(quicVersion))
  const level = (flags['logLevel'] as LogLevel | undefined) ?? config.log.level
  const logger = createLogger({ level }).child({ worker: index })
  const recorder = createRecorder({ keylog: flags['keylog'], qlog: flags['qlog'] }, config, (problem) => logger.warn(problem))
  const engine = engineOf({ engine: flags['engine'] as EngineName | undefined }, (problem) => logger.warn(problem))
  const surroundings = { config, logger, engine, observe: recorder.observe }
  const worker = await GatewayWorker.start(message, surroundings, send)
  return {
    worker,
    stop: async (drainMs = config.drainTimeout) => {
      await worker.stop(drainMs)
      recorder.close()
    }
  }
}

/** Resolves when the message has left, or cannot. */
function send(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send!(message, undefined, undefined, () => resolve())
    else resolve()
  })
}

/** A bug ends the worker; the primary starts another one. */
export function endOnCrash(): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => process.exit(reportError(error)))
  }
}
