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
  const fields = addForwarding(endToEndFields(head.fields), received, context.forwarded, context.name)
  return {
    method: head.method,
    target: rewritePath(head.path, route.rewrite, params) + head.query,
    host: route.hostHeader === 'preserve' ? head.authority : new URL(pool.url).host,
    fields: changeFields(fields, route.requestHeaders),
    contentLength: head.contentLength,
    body
  }
}

/** The header block for a response of an upstream. */
export function responseHeaders(
  status: number,
  raw: readonly string[],
  { route }: RouteMatch,
  context: ExchangeContext
): HeaderList {
  let fields = responseFields(raw)
  if (context.forwarded.via) {
    const earlier = fields.filter(([name]) => name === 'via').map(([, value]) => value)
    if (earlier.length > 0) fields = fields.filter(([name]) => name !== 'via')
    fields.push(['via', [...earlier, viaEntry('1.1', context.name)].join(', ')])
  }
  return [[':status', String(status)], ...changeFields(fields, route.responseHeaders)]
}
