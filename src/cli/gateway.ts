/** `quicgate gateway`: a reverse proxy from QUIC to HTTP/1.1 upstreams. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { loadGatewayConfig } from '../config/gateway-config.js'
import type { GatewayConfig } from '../config/gateway-config.js'
import { ConfigFiles } from '../config/config-files.js'
import { gatewayJsonSchema, routeFileJsonSchema } from '../config/json-schema.js'
import { RouteTable } from '../gateway/route-table.js'
import { workerCount } from '../gateway/workers/worker-count.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { engineOf, engineOption } from './engine-option.js'
import { keylogOption, qlogOption } from './observe-options.js'
import { CliError, say } from './output.js'
import { runGateway, withVersions } from './run-gateway.js'
import type { RunFlags } from './run-gateway.js'
import { parseVersions } from './versions.js'

interface GatewayFlags extends RunFlags {
  config: string
  check?: boolean
  explain?: string
  printSchema?: 'gateway' | 'routes'
  quicVersion?: QuicVersion[]
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
      const files = new ConfigFiles()
      const config = withVersions(loadGatewayConfig(flags.config, process.env, files), flags.quicVersion)
      if (flags.explain !== undefined) {
        explain(config, flags.explain)
        return
      }
      if (flags.check !== true) {
        await runGateway(config, files.snapshot(), flags)
        return
      }
      workerCount(config, engineOf(flags, () => undefined, config.engine))
      say(summary(config))
    })
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
