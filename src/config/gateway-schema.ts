/** The gateway's own configuration file. Routes stand in files of their own. */
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { supportedVersions } from '../quic/wire/versions/registry.js'
import { observeFields } from './observe-schema.js'
import { congestionAlgorithms, engine, mtuDiscoveryModes } from './transport-values.js'
import { upstreamDefaultsSchema } from './upstream-schema.js'
import { duration, hostPort, oneOrMore, size, tokenPattern } from './values.js'

/** Beyond any machine that this is likely to meet. */
const MAX_WORKERS = 256
const labels = supportedVersions.map((version) => version.label)

const transportSchema = z
  .strictObject({
    streamWindow: size(16_384, 2 ** 24).optional()
      .describe('bytes a client may send on a stream before they are read (64KiB)'),
    connectionWindow: size(16_384, 24 * 2 ** 20).optional().describe('the same for the whole connection (1MiB)'),
    maxStreams: z.int().min(1).max(100_000).optional().describe('requests at a time on one connection (100)'),
    idleTimeout: duration(1000, 600_000).prefault('30s')
      .describe('a silent connection is closed after this, or sooner if the client says so'),
    maxPacketLength: size(1200, 1452).optional().describe('UDP payload of the largest packet sent; by default as large as what clients send'),
    congestion: z.enum(congestionAlgorithms).optional()
      .describe('how fast to send, unless the client asks for another way (cubic)'),
    mtuDiscovery: z.enum(mtuDiscoveryModes).optional()
      .describe('look for larger packets, up to 1430 (low) or 1450 bytes (high), whether or not the client asks (off)')
  })
  .describe('limits of the QUIC transport')

const listenerSchema = z.strictObject({
  address: hostPort().describe('UDP address and port, such as 127.0.0.1:4433, 0.0.0.0:443 or [::]:443'),
  certificates: z
    .array(
      z.strictObject({
        cert: z.string().min(1).describe('PEM file: the certificate, then its intermediates'),
        key: z.string().min(1).describe('PEM file: its private key (RSA or P-256)'),
        sct: z.string().min(1).optional()
          .describe('file: the signed certificate timestamps (RFC 6962, 3.3) to send to clients that ask for them')
      })
    )
    .min(1)
    .describe('chosen by the name the client asks for; the first one serves all other names'),
  versions: z.array(z.enum(labels as [string, ...string[]])).min(1).optional()
    .describe('QUIC versions to speak, preferred first; all if left out'),
  transport: transportSchema.prefault({})
})

const networkSchema = z.string().transform((text, context) => {
  try {
    return text.includes('/') ? ipaddr.parseCIDR(text) : hostNetwork(text)
  } catch {
    context.addIssue(`"${text}" is not a network; write 10.0.0.0/8, fd00::/8 or one address`)
    return z.NEVER
  }
})

function hostNetwork(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const address = ipaddr.parse(text)
  return [address, address.kind() === 'ipv4' ? 32 : 128]
}

const forwardedSchema = z
  .strictObject({
    trustedProxies: z.array(networkSchema).default([])
      .describe('whose X-Forwarded-* and Forwarded are kept and extended; everybody else\'s are replaced'),
    xForwarded: z.boolean().default(true).describe('send X-Forwarded-For, -Proto and -Host'),
    forwarded: z.boolean().default(true).describe('send Forwarded (RFC 7239)'),
    via: z.boolean().default(true).describe('send Via, both ways'),
    channelId: z.string().regex(/^[a-z0-9-]+$/i, { error: 'a header name is made of letters, digits and "-"' }).toLowerCase().optional()
      .describe('header in which upstreams get the name of the client\'s Channel ID; what clients send in it themselves is dropped')
  })
  .describe('what upstreams learn about the client')

const handshakeSchema = z
  .strictObject({
    rotateEvery: duration(60_000).prefault('1d')
      .describe('how long a server config and a secret of tokens are given out before the next ones'),
    acceptFor: duration(0).prefault('7d')
      .describe('how long clients may still come with a server config after that'),
    earlyData: z.enum(['once', 'always', 'never']).default('once')
      .describe('requests that come before a round trip: accept each hello once, or again whenever somebody repeats it, or make clients wait'),
    earlyDataWindow: duration(1_000, 86_400_000).prefault('10m')
      .describe('how far clocks of such clients may differ, and how long their hellos are remembered'),
    earlyDataEntries: z.int().min(2).max(10_000_000).default(65_536)
      .describe('such hellos remembered at most; with more, the oldest clients wait for a round trip'),
    earlyDataAtStart: z.enum(['wait', 'accept']).default('wait')
      .describe('with secrets of an earlier run: make clients wait until what that run accepted has passed the window, or trust that nobody repeats it'),
    statelessRejects: z.boolean().default(true)
      .describe('answer first hellos of clients that ask for it without keeping a connection'),
    channelIds: z.boolean().default(false)
      .describe('ask clients for a key that identifies them (Channel ID); the access log shows those that have one'),
    servingRegion: z.string().max(64).default('')
      .describe('where this gateway stands; those that share secrets and a region begin connections with the bandwidth that another one found'),
    commonCertificates: oneOrMore(z.string().min(1)).optional()
      .describe('PEM files, or directories of such, that clients have too, so that certificates in them need not be sent: each file is a set')
  })
  .describe('how connections begin')

/** `config/gateway.yaml`. */
export const gatewaySchema = z.strictObject({
  name: z.string().regex(tokenPattern, { error: 'a name is one word of letters, digits and "-"' }).default('quicgate')
    .describe('what the gateway calls itself in Via and Proxy-Status'),
  listeners: z.array(listenerSchema).min(1),
  routes: oneOrMore(z.string().min(1)).prefault('routes/*.yaml')
    .describe('route files, relative to this file; * is allowed in the last part'),
  upstreams: upstreamDefaultsSchema.prefault({}),
  forwarded: forwardedSchema.prefault({}),
  underscoreHeaders: z.enum(['refuse', 'drop', 'pass']).default('refuse')
    .describe('header names with "_", which many programs take for "-": answer 400, leave them out, or pass them'),
  engine,
  stateDir: z.string().min(1).optional()
    .describe('where secrets outlive restarts, so that clients reconnect without a new handshake; made if missing'),
  handshake: handshakeSchema.prefault({}),
  workers: z.union([z.int().min(1).max(MAX_WORKERS), z.literal('auto')], {
    error: `expected a number of processes from 1 to ${MAX_WORKERS}, or auto`
  }).default(1)
    .describe('processes that share the listeners; auto is one for each core, or one where the engine cannot share'),
  admin: z
    .strictObject({
      listen: hostPort().describe('TCP address and port, such as 127.0.0.1:9464; it asks nobody who they are')
    })
    .optional()
    .describe('a small HTTP server for operators: /metrics, /healthz, /readyz, /status; none if left out'),
  drainTimeout: duration(0, 3_600_000).prefault('10s')
    .describe('how long running requests may take when the gateway stops'),
  ...observeFields,
  log: z
    .strictObject({
      level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
      access: z.boolean().default(true).describe('one line for each request')
    })
    .prefault({})
})

/** A network as ipaddr.js matches it. */
export type Network = z.output<typeof networkSchema>
/** What upstreams learn about the client. */
export type ForwardedOptions = z.output<typeof forwardedSchema>
/** One listener as written. */
export type ListenerDefinition = z.output<typeof listenerSchema>
/** The file as written, defaults filled in. */
export type GatewayFile = z.output<typeof gatewaySchema>
