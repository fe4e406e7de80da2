/** What HTTP allows in field names and values, and which fields end at each hop (RFC 9110 sections 5 and 7.6.1). */
import type { HeaderField, HeaderList } from '../quic/spdy/header-list.js'

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const lowerToken = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const forbiddenInValue = /[^\t\x20-\x7e\x80-\xff]/

/** Fields that speak about one connection. Messages on QUIC must not carry them (RFC 9113 section 8.2.2). */
const connectionSpecific = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/**
 * Fields that a gateway never passes on in either direction: the above, and those that only make sense between
 * neighbours. `alt-svc` would advertise the upstream's other addresses to clients that cannot reach them.
 */
const hopByHop = new Set([
  ...connectionSpecific,
  'alt-svc',
  'http2-settings',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'te'
])

/** Fields that must not come after the content (RFC 9110 section 6.5.1): framing, routing, control data. */
const forbiddenTrailers = new Set([
  ...hopByHop,
  'age', 'authorization', 'cache-control', 'content-encoding', 'content-length', 'content-range', 'content-type',
  'cookie', 'date', 'expect', 'expires', 'host', 'location', 'max-forwards', 'retry-after', 'set-cookie', 'trailer',
  'vary', 'warning'
])

/** Whether `name` is a token (RFC 9110 section 5.6.2): methods, field names. */
export function isToken(name: string): boolean {
  return token.test(name)
}

/** Whether `name` may stand in a header block: a token without upper-case letters. */
export function isFieldName(name: string): boolean {
  return lowerToken.test(name)
}

/** Whether `value` holds only what HTTP/1.1 can carry: visible octets, and spaces and tabs within. */
export function isFieldValue(value: string): boolean {
  return !forbiddenInValue.test(value) && !/^[\t ]|[\t ]$/.test(value)
}

/** Whether a message on QUIC is malformed because of this field (lower case). */
export function isConnectionSpecific(name: string): boolean {
  return connectionSpecific.has(name)
}

/** The field names that `Connection` fields list, lower case. */
export function connectionOptions(fields: readonly HeaderField[]): Set<string> {
  const names = new Set<string>()
  for (const [name, value] of fields) {
    if (name !== 'connection') continue
    for (const option of value.split(',')) names.add(option.trim().toLowerCase())
  }
  return names
}

/**
 * The fields that go on to the next hop: without hop-by-hop fields, those that `Connection` lists, and pseudo-headers.
 * `te: trailers` stays, because it tells the next hop that trailers are welcome (RFC 9113 section 8.2.2).
 * @param fields names in lower case
 */
export function endToEndFields(fields: readonly HeaderField[]): HeaderList {
  const listed = connectionOptions(fields)
  return fields.filter(([name, value]) => {
    if (name === 'te') return value.trim().toLowerCase() === 'trailers'
    return !hopByHop.has(name) && !listed.has(name) && !name.startsWith(':')
  })
}

/**
 * The trailer fields that go on. Names are made lower case; whatever may not be a trailer, or is no valid field, is
 * left out, since by then it is too late to refuse the message.
 */
export function trailerFields(fields: readonly HeaderField[]): HeaderList {
  const kept: HeaderList = []
  for (const [anyCase, value] of fields) {
    const name = anyCase.toLowerCase()
    if (!forbiddenTrailers.has(name) && isFieldName(name) && isFieldValue(value)) kept.push([name, value])
  }
  return kept
}

/**
 * The fields of an HTTP/1.1 response as they may stand in a header block: lower-case names, hop-by-hop fields gone, and
 * without what cannot be a field.
 * @param raw names and values in turn, as Node's parsers give them
 */
export function responseFields(raw: readonly string[]): HeaderList {
  const fields: HeaderList = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i].toLowerCase()
    const value = raw[i + 1].trim()
    if (isFieldName(name) && isFieldValue(value)) fields.push([name, value])
  }
  return endToEndFields(fields).filter(([name]) => name !== 'te')
}

/** Whether a response to `method` with `status` has no content, whatever its fields say (RFC 9110 section 6.4.1). */
export function hasNoContent(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304
}
