/**
 * `quicgate forward`: carries the requests of local programs to a gateway.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import { forwarderConfigFromFlags, loadForwarderConfig } from '../config/forwarder-schema.js'
import type { ForwarderConfig } from '../config/forwarder-schema.js'
import { formatHostPort } from '../config/values.js'
import type { HostPort } from '../config/values.js'
import { Forwarder } from '../forwarder/forwarder.js'
import { createLogger } from '../observe/logger.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { parseConnect, parseHttpsUrl, parseListen } from './arguments.js'
import { engineOf, engineOption } from './engine-option.js'
import type { EngineFlags } from './engine-option.js'
import { createRecorder, keylogOption, qlogOption } from './observe-options.js'
import type { ObserveFlags } from './observe-options.js'
import { CliError, closeOnSignal, warn } from './output.js'
import { parseVersions } from './versions.js'

interface ForwardFlags extends ObserveFlags, EngineFlags {
  config?: string
  listen?: HostPort
  to?: URL
  connect?: HostPort
  ca?: string[]
  insecure?: boolean
  quicVersion?: QuicVersion[]
  sessionCache?: string
  commonCertificates?: string[]
  channelId?: string
  authority?: string
  check?: boolean
}

/** Adds the command to the program. */
export function registerForward(program: Command): void {
  program
    .command('forward')
    .description('listen on local TCP and carry each HTTP request to a gateway over QUIC')
    .option('--config <file>', 'YAML configuration; flags win over it')
    .option('--listen <address>', 'TCP address to listen on (default: 127.0.0.1:8080)', parseListen)
    .option('--to <url>', 'gateway and name of its certificate, such as https://gateway.example', parseHttpsUrl)
    .option('--connect <address>', 'dial this address instead of the one in the URL', parseConnect)
    .option('--ca <file...>', 'PEM file of authorities to trust instead of the public ones')
    .addOption(new Option('--insecure', 'accept any certificate (experiments only)').conflicts('ca'))
    .option('--quic-version <list>', 'versions to offer, preferred first, such as Q036,Q035', parseVersions)
    .option('--session-cache <file>', 'remember the gateway in FILE, or "memory": requests go with the first packets (0-RTT)')
    .option('--common-certificates <path...>', 'PEM files, or directories of such, that the gateway has too: each is a set')
    .option('--channel-id <file>', 'prove this key (made if missing) to a gateway that asks who the client is')
    .option('--authority <host>', "host that requests are for, instead of the client's Host")
    .option('--check', 'check the configuration and exit')
    .addOption(engineOption())
    .addOption(keylogOption())
    .addOption(qlogOption())
    .action(async (flags: ForwardFlags) => {
      const config = configOf(flags)
      if (flags.check === true) return
      const logger = createLogger({ level: config.log.level })
      if (config.gateway.insecure) warn('--insecure: any certificate is accepted, so anybody can pose as the gateway')
      const recorder = createRecorder(flags, config, (problem) => logger.warn(problem))
      const engine = engineOf(flags, (problem) => logger.warn(problem), config.engine)
      const forwarder = await Forwarder.start(config, logger, recorder.observe, engine)
      const { href } = config.gateway.url
      logger.info(`listening on http://${formatHostPort(forwarder.address)}, carrying requests to ${href}`)
      closeOnSignal(async () => {
        await forwarder.close()
        recorder.close()
      }, config.timeouts.drain + 5_000)
    })
}

/** The file's settings with the flags on top, or the flags alone. */
function configOf(flags: ForwardFlags): ForwarderConfig {
  const versions = flags.quicVersion?.map((version) => version.label)
  if (flags.config === undefined) {
    if (flags.to === undefined) {
      throw new CliError(
        'nowhere to forward to: give --to https://gateway.example:443, or --config FILE ' +
          '(config/forwarder.yaml is an example)'
      )
    }
    const listen = flags.listen ?? { host: '127.0.0.1', port: 8080 }
    return forwarderConfigFromFlags({ ...flags, listen, to: flags.to, versions })
  }
  const config = loadForwarderConfig(flags.config)
  const { gateway } = config
  return {
    ...config,
    listen: flags.listen ?? config.listen,
    authority: flags.authority ?? config.authority,
    gateway: {
      url: flags.to ?? gateway.url,
      connect: flags.connect ?? (flags.to === undefined ? gateway.connect : undefined),
      ca: flags.insecure === true ? undefined : (flags.ca ?? gateway.ca),
      insecure: flags.insecure ?? (flags.ca === undefined && gateway.insecure),
      versions: versions ?? gateway.versions,
      sessionCache: flags.sessionCache ?? gateway.sessionCache,
      commonCertificates: flags.commonCertificates ?? gateway.commonCertificates,
      channelId: flags.channelId ?? gateway.channelId
    }
  }
}
