/** How upstreams are named and treated, in the gateway's defaults and in routes. */
import { z } from 'zod'
import { duration } from './values.js'

/** Milliseconds in the value. */
export const timeoutsSchema = z
  .strictObject({
    queue: duration(1).optional().describe('longest wait for a free connection to the upstream (10s)'),
    connect: duration(1).optional().describe('longest wait for a new connection, TLS included (5s)'),
    firstByte: duration(1).optional().describe('from the request being sent to the head of the response (60s)'),
    idle: duration(1).optional().describe('longest pause inside a request or response body (60s)')
  })
  .describe('how long the gateway waits; there is no limit on the whole, so that event streams live')

const tlsSchema = z
  .strictObject({
    ca: z.string().min(1).optional().describe('PEM file of the authorities to trust, instead of the system\'s'),
    serverName: z.string().min(1).optional().describe('name to ask for and verify, instead of the URL\'s host'),
    insecure: z.boolean().default(false).describe('accept any certificate: for experiments only')
  })
  .describe('for https upstreams')

const urlSchema = z.string({ error: 'expected a URL such as http://127.0.0.1:3000' }).transform((value, context) => {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') {
    context.addIssue(`"${value}" is not an upstream; write http://host:port or https://host:port`)
    return z.NEVER
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    context.addIssue(`an upstream is a scheme, a host and a port: write ${url.protocol}//${url.host}; ` +
      'for a path use rewrite.addPrefix, for credentials requestHeaders.set')
    return z.NEVER
  }
  return url.origin
})

/** `http://host:port` or a mapping with `url` and `tls`; always the mapping in the value. */
export const upstreamSchema = z
  .union([urlSchema.transform((url) => ({ url })), z.strictObject({ url: urlSchema, tls: tlsSchema.optional() })])
  .transform((value): UpstreamTarget => ({ tls: undefined, ...value }))

/** One upstream of a route. */
export interface UpstreamTarget {
  /** `scheme://host:port`. */
  readonly url: string
  readonly tls: z.output<typeof tlsSchema> | undefined
}

/** What holds for upstreams where a route says nothing else. */
export const upstreamDefaultsSchema = z
  .strictObject({
    timeouts: timeoutsSchema.optional(),
    maxConnections: z.int().min(1).max(65535).default(256).describe('connections kept open to one upstream at most'),
    maxWaiting: z.int().min(0).max(1_000_000).default(1024)
      .describe('requests that may wait for a connection to one upstream; more are answered 503')
  })
  .describe('defaults for all upstreams')

/** Every timeout filled in, milliseconds. */
export interface Timeouts {
  readonly queue: number
  readonly connect: number
  readonly firstByte: number
  readonly idle: number
}

/** Used where neither the route nor the defaults name a timeout. */
export const standardTimeouts: Timeouts = { queue: 10_000, connect: 5_000, firstByte: 60_000, idle: 60_000 }
