/**
 * The forwarder's configuration file.
 */
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { supportedVersions } from '../quic/wire/versions/registry.js'
import type { ConfigProblem } from './config-error.js'
import { ConfigError } from './config-error.js'
import { loadYaml } from './load-yaml.js'
import { observeFields, resolveObserved } from './observe-schema.js'
import { congestionAlgorithms, connectionOption, engine, mtuDiscoveryModes } from './transport-values.js'
import type { HostPort } from './values.js'
import { duration, hostPort, oneOrMore, parseHostPort } from './values.js'

const versionLabels = supportedVersions.map((version) => version.label)

const gatewayUrl = z
  .string({ error: 'expected an https URL such as https://gateway.example:443' })
  .transform((text, context) => {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url === undefined || url.protocol !== 'https:') {
      context.addIssue(`expected an https URL such as https://gateway.example:443, not "${text}"`)
      return z.NEVER
    }
    if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') {
      context.addIssue('only scheme, host and port are used here; the path comes with each request')
      return z.NEVER
    }
    return url
  })

const authority = z.string().transform((text, context) => {
  if (text === 'preserve') return undefined
  if (parseHostPort(text.includes(':') ? text : `${text}:443`) === undefined || /[/@]/.test(text)) {
    context.addIssue(`expected "preserve", or a host such as www.example or www.example:8443, not "${text}"`)
    return z.NEVER
  }
  return text
})

/** The schema; its output form is {@link ForwarderConfig}. */
export const forwarderSchema = z.strictObject({
  /** TCP address that local programs send their requests to. */
  listen: hostPort().describe('TCP address that local programs send their requests to'),
  gateway: z.strictObject({
    url: gatewayUrl.describe('where the gateway is, and the name that its certificate carries'),
    connect: hostPort().optional().describe('address to dial instead of the one in the URL'),
    ca: oneOrMore(z.string()).optional().describe('PEM files of authorities to trust instead of the public ones'),
    insecure: z.boolean().default(false).describe('accept any certificate; for experiments only'),
    versions: z
      .array(z.enum(versionLabels as [string, ...string[]]))
      .min(1)
      .optional()
      .describe('QUIC versions to offer, preferred first'),
    sessionCache: z.string().min(1).optional().describe(
      'file that remembers the gateway, so that requests go with the first packets (0-RTT); "memory" forgets it at the end'
    ),
    commonCertificates: oneOrMore(z.string().min(1)).optional().describe(
      'PEM files, or directories of such, that the gateway has too, so that it need not send certificates in them: each file is a set'
    ),
    channelId: z.string().min(1).optional().describe(
      'file with the key (made if missing) that is proven to a gateway which asks who the client is; nothing is proven without'
    )
  }),
  transport: z
    .strictObject({
      congestion: z.enum(congestionAlgorithms).optional().describe('how fast to send to the gateway (cubic)'),
      mtuDiscovery: z
        .enum(mtuDiscoveryModes)
        .default('high')
        .describe('look for larger packets, both ways, up to 1430 (low) or 1450 bytes (high)'),
      connectionOptions: z
        .array(connectionOption)
        .max(32)
        .optional()
        .describe('connection options (COPT) to ask the gateway for, such as TBBR for BBR or ACKD for fewer acks')
    })
    .prefault({})
    .describe('the QUIC connection to the gateway; see docs/transport.md'),
  authority: authority
    .optional()
    .describe('host that requests are for: "preserve" takes the one in the request (default), else this one'),
  timeouts: z
    .strictObject({
      connect: duration(100, 120_000).default(10_000).describe('how long a handshake may take'),
      wait: duration(100, 120_000).default(5_000).describe('how long a request waits for a connection or a stream'),
      idle: duration(1_000, 600_000).default(30_000).describe('after how long an unused connection ends'),
      drain: duration(0, 600_000).default(5_000).describe('how long running requests may go on when it is stopped')
    })
    .prefault({}),
  backoff: z
    .strictObject({
      first: duration(10, 60_000).default(200).describe('first pause between attempts to connect'),
      longest: duration(10, 600_000).default(30_000).describe('longest pause between attempts to connect')
    })
    .prefault({}),
  engine,
  ...observeFields,
  maxWaiting: z.int().min(0).max(100_000).default(1024).describe('how many requests may wait at a time'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
      requests: z.boolean().default(true).describe('one line for each request')
    })
    .prefault({})
})

/** What a forwarder needs to know. Times in milliseconds, file names absolute. */
export type ForwarderConfig = z.output<typeof forwarderSchema>

/** The name in messages about what goes beyond the schema. */
const what = 'the forwarder configuration'

/**
 * Reads a forwarder's configuration; file names in it are relative to it.
 * @throws ConfigError with every problem, each `file:line:column: message`
 */
export function loadForwarderConfig(file: string, environment: NodeJS.ProcessEnv = process.env): ForwarderConfig {
  const { value, source } = loadYaml(file, forwarderSchema, what, environment)
  const problems: ConfigProblem[] = []
  if (value.gateway.insecure && value.gateway.ca !== undefined) {
    const message = 'insecure accepts any certificate, so ca has no effect; remove one of them'
    problems.push(source.problem(['gateway', 'insecure'], message, 'key'))
  }
  if (value.backoff.longest < value.backoff.first) {
    problems.push(source.problem(['backoff', 'longest'], 'must not be shorter than backoff.first'))
  }
  if (problems.length > 0) throw new ConfigError(problems)
  const base = dirname(file)
  const observed = resolveObserved(value, base)
  const ca = value.gateway.ca?.map((path) => resolve(base, path))
  const channelId = value.gateway.channelId && resolve(base, value.gateway.channelId)
  const commonCertificates = value.gateway.commonCertificates?.map((path) => resolve(base, path))
  const { sessionCache } = value.gateway
  const cache = sessionCache === undefined || sessionCache === 'memory' ? sessionCache : resolve(base, sessionCache)
  return { ...value, ...observed, gateway: { ...value.gateway, ca, sessionCache: cache, commonCertificates, channelId } }
}

/** The configuration that flags alone make: the schema's defaults around them. */
export function forwarderConfigFromFlags(flags: {
  listen: HostPort
  to: URL
  connect?: HostPort
  ca?: string[]
  insecure?: boolean
  versions?: string[]
  sessionCache?: string
  commonCertificates?: string[]
  channelId?: string
  authority?: string
}): ForwarderConfig {
  const defaults = forwarderSchema.parse({ listen: '127.0.0.1:8080', gateway: { url: 'https://gateway.invalid' } })
  return {
    ...defaults,
    listen: flags.listen,
    authority: flags.authority,
    gateway: {
      url: flags.to,
      connect: flags.connect,
      ca: flags.ca,
      insecure: flags.insecure ?? false,
      versions: flags.versions,
      sessionCache: flags.sessionCache,
      commonCertificates: flags.commonCertificates,
      channelId: flags.channelId
    }
  }
}
