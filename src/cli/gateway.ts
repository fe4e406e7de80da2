/** `quicgate gateway`: a reverse proxy from QUIC to HTTP/1.1 upstreams. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { loadGatewayConfig } from '../config/gateway-config.js'
import type { GatewayConfig } from '../config/gateway-config.js'
import { gatewayJsonSchema, routeFileJsonSchema } from '../config/json-schema.js'
import { Gateway } from '../gateway/gateway.js'
import { RouteTable } from '../gateway/route-table.js'
import { createLogger } from '../observe/logger.js'
import type { LogLevel } from '../observe/logger.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { engineOf, engineOption } from './engine-option.js'
import type { EngineFlags } from './engine-option.js'
import { createRecorder, keylogOption, qlogOption } from './observe-options.js'
import type { ObserveFlags } from './observe-options.js'
import { CliError, closeOnSignal, say } from './output.js'
import { parseVersions } from './versions.js'

/** Time beyond the drain timeout for connections to be closed before the process ends by force. */
const CLOSE_MARGIN_MS = 5_000

interface GatewayFlags extends ObserveFlags, EngineFlags {
  config: string
  check?: boolean
  explain?: string
  printSchema?: 'gateway' | 'routes'
  quicVersion?: QuicVersion[]
  logLevel?: LogLevel
}

/** Adds the command to the program. Its action throws ConfigError where a file has to be mended. */
export function registerGateway(program: Command): void {
  program
    .command('gateway')
    .description('accept QUIC and carry each request to an upstream, as routes say')
    .option('--config <file>', 'YAML configuration', 'config/gateway.yaml')
    .option('--check', 'check the configuration, the routes and the certificates, and exit')
    .option('--explain <request>', 'show which route takes a request such as "GET https://example.com/x", and exit')
    .addOption(
      new Option('--print-schema <of>', 'print the JSON schema of a kind of file, and exit')
        .choices(['gateway', 'routes'])
    )
    .option('--quic-version <list>', 'versions to accept, such as Q046,Q043; wins over the configuration', parseVersions)
    .addOption(
      new Option('--log-level <level>', 'wins over the configuration')
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    )
    .addOption(engineOption())
    .addOption(keylogOption())
    .addOption(qlogOption())
    .action(async (flags: GatewayFlags) => {
      if (flags.printSchema !== undefined) {
        const schema = flags.printSchema === 'gateway' ? gatewayJsonSchema() : routeFileJsonSchema()
        say(JSON.stringify(schema, null, 2))
        return
      }
      const config = configOf(flags)
      if (flags.explain !== undefined) explain(config, flags.explain)
      else if (flags.check === true) say(summary(config))
      else await run(config, flags)
    })
}

/** The file's settings with the flags on top. */
function configOf({ config: file, quicVersion: versions }: GatewayFlags): GatewayConfig {
  const config = loadGatewayConfig(file)
  if (versions === undefined) return config
  return { ...config, listeners: config.listeners.map((listener) => ({ ...listener, versions })) }
}

async function run(config: GatewayConfig, flags: GatewayFlags): Promise<void> {
  const logger = createLogger({ level: flags.logLevel ?? config.log.level })
  const recorder = createRecorder(flags, config, (problem) => logger.warn(problem))
  const engine = engineOf(flags, (problem) => logger.warn(problem), config.engine)
  const gateway = await Gateway.start(config, logger, recorder.observe, engine)
  closeOnSignal(async () => {
    logger.info({ connections: gateway.connectionCount, drainMs: config.drainTimeout }, 'stopping')
    await gateway.close({ drainMs: config.drainTimeout })
    recorder.close()
    logger.info('stopped')
  }, config.drainTimeout + CLOSE_MARGIN_MS)
}

function summary({ file, listeners, routes }: GatewayConfig): string {
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
  return `${file}: good: ${count(listeners.length, 'listener')}, ${count(routes.length, 'route')}`
}

/** Prints every route that was looked at, in order, and why it was passed over. */
function explain(config: GatewayConfig, text: string): void {
  const parts = /^(?:(\S+)\s+)?(https?:\/\/\S+)$/.exec(text.trim())
  if (parts === null || !URL.canParse(parts[2])) {
    throw new CliError(`--explain: expected a method and a URL, such as "GET https://example.com/x", not "${text}"`)
  }
  const url = new URL(parts[2])
  const request = { method: parts[1] ?? 'GET', host: url.hostname, path: url.pathname, fields: [] }
  const verdicts = new RouteTable(config.entries).explain(request)
  for (const { route, place, condition, mismatch } of verdicts) {
    const where = `${route} (${place}; ${condition})`
    say(mismatch === undefined ? `takes it  ${where}` : `passed    ${where}: ${mismatch}`)
  }
  if (verdicts.at(-1)?.mismatch !== undefined || verdicts.length === 0) say('no route takes it: the answer is 404')
}
