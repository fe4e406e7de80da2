import type { HeaderField } from '../header-list.js'

/** How an encoder treats a field it finds no exact match for. */
export const Indexing = {
  /** Add it to the dynamic table. */
  Add: 0,
  /** Leave the table alone: the value hardly ever comes again. */
  Skip: 1,
  /** A secret: leave the table alone and ask everyone on the way to do so too (RFC 7541 §7.1.3). */
  Never: 2,
  /** A secret when short enough to be guessed through the table, otherwise worth adding. */
  NeverIfShort: 3
} as const
export type Indexing = (typeof Indexing)[keyof typeof Indexing]

/** What the static table and the indexing policy say about one field name. */
export interface StaticName {
  /** The lowest static index of the name, 1 to 61. */
  readonly index: number
  /** Static indexes by value; a name listed without one stands there with the empty value. */
  readonly values: ReadonlyMap<string, number>
  readonly indexing: Indexing
}

// RFC 7541 appendix A in order, `name` or `name value`.
const SOURCE = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`

const policies = new Map<string, Indexing>([
  // Of the pseudo-headers the reference program's encoder adds only :authority (hpack_encoder.cc).
  [':method', Indexing.Skip],
  [':path', Indexing.Skip],
  [':scheme', Indexing.Skip],
  [':status', Indexing.Skip],
  ['age', Indexing.Skip],
  ['content-length', Indexing.Skip],
  ['content-range', Indexing.Skip],
  ['etag', Indexing.Skip],
  ['if-modified-since', Indexing.Skip],
  ['if-none-match', Indexing.Skip],
  ['location', Indexing.Skip],
  ['range', Indexing.Skip],
  ['authorization', Indexing.Never],
  ['proxy-authorization', Indexing.Never],
  ['set-cookie', Indexing.Never],
  ['cookie', Indexing.NeverIfShort]
])

/** The static table, `staticTable[index - 1]`: frozen pairs that decoded lists share. */
export const staticTable: readonly HeaderField[] = SOURCE.slice(1)
  .split('\n')
  .map((line) => {
    const space = line.indexOf(' ')
    return Object.freeze(space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)]) as HeaderField
  })

/** The static table by name. */
export const staticNames: ReadonlyMap<string, StaticName> = indexByName()

function indexByName(): Map<string, StaticName> {
  const names = new Map<string, { index: number; values: Map<string, number>; indexing: Indexing }>()
  staticTable.forEach(([name, value], position) => {
    let entry = names.get(name)
    if (entry === undefined) {
      entry = { index: position + 1, values: new Map(), indexing: policies.get(name) ?? Indexing.Add }
      names.set(name, entry)
    }
    entry.values.set(value, position + 1)
  })
  return names
}
