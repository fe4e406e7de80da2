/** What HTTP allows in field names and values, and which fields end at each hop (RFC 9110 sections 5 and 7.6.1). */
import type { HeaderField, HeaderList } from '../quic/spdy/header-list.js'

// Fields are not taken apart with `const [name, value] = field` here, nor elsewhere where every message passes: that makes
// an iterator for each.

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const lowerToken = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const value = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/** What is known of a field name, as bits. */
const FieldTrait = {
  /** A token without upper-case letters. */
  Valid: 1,
  /** Speaks about one connection: messages on QUIC must not carry it (RFC 9113 section 8.2.2). */
  ConnectionSpecific: 2,
  /** Only makes sense between neighbours: a gateway passes it on in neither direction. */
  HopByHop: 4,
  /** Must not come after the content (RFC 9110 section 6.5.1): framing, routing, control data. */
  NoTrailer: 8
} as const

const connectionSpecific = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']

/** `alt-svc` would advertise the upstream's other addresses to clients that cannot reach them. */
const hopByHop = [
  'alt-svc', 'http2-settings', 'proxy-authenticate', 'proxy-authorization', 'proxy-authentication-info', 'te'
]

const forbiddenTrailers = [
  'age', 'authorization', 'cache-control', 'content-encoding', 'content-length', 'content-range', 'content-type',
  'cookie', 'date', 'expect', 'expires', 'host', 'location', 'max-forwards', 'retry-after', 'set-cookie', 'trailer',
  'vary', 'warning'
]

/** Messages name the same few fields again and again. As many names as this are remembered, and no longer ones. */
const MAX_KNOWN_NAMES = 1024
const MAX_KNOWN_LENGTH = 64

const traits = new Map<string, number>()
for (const name of forbiddenTrailers) traits.set(name, FieldTrait.Valid | FieldTrait.NoTrailer)
for (const name of hopByHop) traits.set(name, FieldTrait.Valid | FieldTrait.HopByHop | FieldTrait.NoTrailer)
for (const name of connectionSpecific) traits.set(name, traits.get('te')! | FieldTrait.ConnectionSpecific)

function traitsOf(name: string): number {
  return traits.get(name) ?? learnTraits(name)
}

function learnTraits(name: string): number {
  if (!lowerToken.test(name)) return name.startsWith(':') ? FieldTrait.HopByHop | FieldTrait.NoTrailer : 0
  if (traits.size < MAX_KNOWN_NAMES && name.length <= MAX_KNOWN_LENGTH) traits.set(name, FieldTrait.Valid)
  return FieldTrait.Valid
}

/** Whether `name` is a token (RFC 9110 section 5.6.2): methods, field names. */
export function isToken(name: string): boolean {
  return token.test(name)
}

/** Whether `name` may stand in a header block: a token without upper-case letters. */
export function isFieldName(name: string): boolean {
  return (traitsOf(name) & FieldTrait.Valid) !== 0
}

/** Whether `text` holds only what HTTP/1.1 can carry: visible octets, and spaces and tabs within. */
export function isFieldValue(text: string): boolean {
  return value.test(text)
}

/** Whether a message on QUIC is malformed because of this field (lower case). */
export function isConnectionSpecific(name: string): boolean {
  return (traitsOf(name) & FieldTrait.ConnectionSpecific) !== 0
}

/** The field names that `Connection` fields list, lower case; undefined if there are no such fields. */
function connectionOptions(fields: readonly HeaderField[]): Set<string> | undefined {
  let names: Set<string> | undefined
  for (let i = 0; i < fields.length; i++) {
    // `keep-alive` is what most upstreams say, and no field of that name is passed on anyway.
    if (fields[i][0] !== 'connection' || fields[i][1] === 'keep-alive') continue
    const text = fields[i][1]
    names ??= new Set()
    for (const option of text.split(',')) names.add(option.trim().toLowerCase())
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
  const kept: HeaderList = []
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]
    const name = field[0]
    if ((traitsOf(name) & FieldTrait.HopByHop) !== 0) {
      if (name === 'te' && field[1].trim().toLowerCase() === 'trailers') kept.push(field)
    } else if (listed === undefined || !listed.has(name)) {
      kept.push(field)
    }
  }
  return kept
}

/**
 * The fields of an HTTP/1.1 message.
 * @param raw names and values in turn, octets of which each becomes one character
 */
export function latin1Fields(raw: readonly Buffer[]): HeaderList {
  const fields: HeaderList = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    fields.push([raw[i].toString('latin1').toLowerCase(), raw[i + 1].toString('latin1').trim()])
  }
  return fields
}

/**
 * The trailer fields that go on. Names are made lower case; whatever may not be a trailer, or is no valid field, is
 * left out, since by then it is too late to refuse the message.
 */
export function trailerFields(fields: readonly HeaderField[]): HeaderList {
  const kept: HeaderList = []
  for (const [anyCase, text] of fields) {
    const name = anyCase.toLowerCase()
    if ((traitsOf(name) & (FieldTrait.Valid | FieldTrait.NoTrailer)) !== FieldTrait.Valid) continue
    if (isFieldValue(text)) kept.push([name, text])
  }
  return kept
}

/**
 * The fields of an HTTP/1.1 response as they may stand in a header block: lower-case names, hop-by-hop fields gone, and
 * without what cannot be a field.
 * @param raw as for {@link latin1Fields}
 */
export function responseFields(raw: readonly Buffer[]): HeaderList {
  const fields = latin1Fields(raw)
  const listed = connectionOptions(fields)
  let kept = 0
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]
    if ((traitsOf(field[0]) & (FieldTrait.Valid | FieldTrait.HopByHop)) !== FieldTrait.Valid) continue
    if (listed?.has(field[0]) !== true && isFieldValue(field[1])) fields[kept++] = field
  }
  fields.length = kept
  return fields
}

/** Whether a response to `method` with `status` has no content, whatever its fields say (RFC 9110 section 6.4.1). */
export function hasNoContent(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304
}
