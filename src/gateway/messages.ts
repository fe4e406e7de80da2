/** The two translations at the heart of the gateway: of requests on their way up, of responses on their way down. */
import { endToEndFields, responseFields } from '../http/fields.js'
import { addForwarding, viaEntry } from '../http/forwarded.js'
import type { RequestHead } from '../http/request-head.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import type { ConnectionFacts, ExchangeContext } from './exchange-context.js'
import { changeFields, rewritePath } from './rewrite.js'
import type { RequestBody } from './request-body.js'
import type { RouteMatch } from './route-table.js'
import type { UpstreamRequest } from './upstream-attempt.js'
import type { UpstreamPool } from './upstream-pool.js'

/** The request as `pool` is to receive it. */
export function upstreamRequest(
  head: RequestHead,
  { route, params }: RouteMatch,
  pool: UpstreamPool,
  body: RequestBody | undefined,
  connection: ConnectionFacts,
  context: ExchangeContext
): UpstreamRequest {
  const received = {
    peer: connection.peer,
    scheme: head.scheme,
    authority: head.authority,
    version: connection.version
  }
  const forwarded = addForwarding(endToEndFields(head.fields), received, context.forwarded, context.name)
  const fields = withChannelId(forwarded, context.forwarded.channelId, connection)
  return {
    method: head.method,
    target: rewritePath(head.path, route.rewrite, params) + head.query,
    host: route.hostHeader === 'preserve' ? head.authority : pool.host,
    fields: changeFields(fields, route.requestHeaders),
    contentLength: head.contentLength,
    body
  }
}

/** The client's Channel ID in the header that is configured for it, and nothing else there: a client could make it up. */
function withChannelId(fields: HeaderList, name: string | undefined, connection: ConnectionFacts): HeaderList {
  if (name === undefined) return fields
  const kept = fields.filter((field) => field[0] !== name)
  const channelId = connection.channelId()
  if (channelId !== undefined) kept.push([name, channelId])
  return kept
}

/**
 * The header block for a response of an upstream.
 * @param raw names and values in turn, octets
 */
export function responseHeaders(
  status: number,
  raw: readonly Buffer[],
  { route }: RouteMatch,
  context: ExchangeContext
): HeaderList {
  const headers: HeaderList = [[':status', String(status)]]
  const fields = responseFields(raw)
  let via = ''
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]
    if (context.forwarded.via && field[0] === 'via') via += `${field[1]}, `
    else headers.push(field)
  }
  if (context.forwarded.via) headers.push(['via', via + viaEntry('1.1', context.name)])
  return changeFields(headers, route.responseHeaders)
}
