/**
 * The rules for a request's header block (RFC 9113 section 8.3, which says for HTTP/2 what Google QUIC leaves unsaid).
 */
import { isIP } from 'node:net'
import type { HeaderField, HeaderList } from '../quic/spdy/header-list.js'
import { isConnectionSpecific, isFieldName, isFieldValue, isToken } from './fields.js'

/** What to do with `_` in names, which CGI-like programs cannot tell from `-`, so that one can pose as the other. */
export type UnderscorePolicy = 'refuse' | 'drop' | 'pass'

/** A request whose header block keeps the rules. */
export interface RequestHead {
  readonly method: string
  readonly scheme: string
  /** As sent: host, and port if there was one. */
  readonly authority: string
  /** Lower case, no port, no brackets, no final dot. */
  readonly host: string
  /** Path and query as sent. */
  readonly target: string
  /** The path alone, as sent. */
  readonly path: string
  /** From `?` on; empty without a query. */
  readonly query: string
  /** Every regular field in wire order, cookies joined into one, `host` and `expect` left out. */
  readonly fields: HeaderList
  /** Bytes; undefined if not announced. */
  readonly contentLength: number | undefined
}

/** A request that the gateway answers itself because its header block breaks a rule. */
export interface RefusedRequest {
  readonly status: 400 | 501
  /** Which rule, in words for the client. */
  readonly refused: string
}

const pseudoNames = [':method', ':scheme', ':authority', ':path']

/**
 * Checks a request's header block and takes it apart.
 * @param ended whether the request ends with its header block
 */
export function readRequestHead(
  headers: readonly HeaderField[],
  ended: boolean,
  underscores: UnderscorePolicy = 'refuse'
): RequestHead | RefusedRequest {
  const pseudo = new Map<string, string>()
  const fields: HeaderList = []
  const cookies: string[] = []
  let host: string | undefined
  let contentLength: number | undefined
  for (const [name, value] of headers) {
    if (name.startsWith(':')) {
      if (!pseudoNames.includes(name)) return refuse(`unknown pseudo-header ${quote(name)}`)
      if (pseudo.has(name)) return refuse(`${name} is given twice`)
      if (fields.length + cookies.length > 0) return refuse(`${name} comes after regular fields`)
      pseudo.set(name, value)
      continue
    }
    if (!isFieldName(name)) return refuse(`${quote(name)} is not a valid field name`)
    if (!isFieldValue(value)) return refuse(`the value of ${name} has octets that HTTP does not allow`)
    if (isConnectionSpecific(name)) return refuse(`${name} is specific to a connection and not allowed here`)
    if (name.includes('_')) {
      if (underscores === 'refuse') return refuse(`the field name ${name} has an underscore; use - instead`)
      if (underscores === 'drop') continue
    }
    switch (name) {
      case 'te':
        if (value.toLowerCase() !== 'trailers') return refuse('te may only be "trailers"')
        fields.push([name, 'trailers'])
        break
      case 'cookie':
        cookies.push(value)
        break
      case 'host':
        if (host !== undefined && host !== value) return refuse('host is given twice')
        host = value
        break
      case 'expect':
        break
      case 'content-length': {
        const length = parseContentLength(value)
        if (length === undefined) return refuse('content-length is not a number')
        if (contentLength !== undefined && contentLength !== length) return refuse('content-length is given twice')
        contentLength = length
        break
      }
      default:
        fields.push([name, value])
    }
  }
  if (cookies.length > 0) fields.push(['cookie', cookies.join('; ')])
  if (ended && contentLength !== undefined && contentLength > 0) {
    return refuse(`content-length is ${contentLength}, but the request has no content`)
  }
  return readControlData(pseudo, host, fields, contentLength)
}

function readControlData(
  pseudo: ReadonlyMap<string, string>,
  hostField: string | undefined,
  fields: HeaderList,
  contentLength: number | undefined
): RequestHead | RefusedRequest {
  const method = pseudo.get(':method')
  const scheme = pseudo.get(':scheme')?.toLowerCase()
  const target = pseudo.get(':path')
  if (method === undefined || !isToken(method)) return refuse(':method is missing or not a token')
  if (method === 'CONNECT') return { status: 501, refused: 'this gateway carries no CONNECT tunnels' }
  if (scheme !== 'http' && scheme !== 'https') return refuse(':scheme is missing, or neither http nor https')
  const authority = pseudo.get(':authority') ?? hostField
  const host = authority === undefined ? undefined : hostOf(authority)
  if (authority === undefined || host === undefined) return refuse(':authority is missing or not a host with port')
  if (hostField !== undefined && hostField.toLowerCase() !== authority.toLowerCase()) {
    return refuse('host and :authority differ')
  }
  if (target === undefined) return refuse(':path is missing')
  if (target === '*' && method === 'OPTIONS') return { status: 501, refused: 'OPTIONS * is not passed on' }
  if (!/^\/[\x21\x22\x24-\x7e]*$/.test(target)) {
    return refuse(':path does not begin with /, or has octets that a URL cannot')
  }
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  if (hasDotSegment(path)) return refuse(':path has a "." or ".." segment; resolve it before sending')
  const query = mark === -1 ? '' : target.slice(mark)
  return { method, scheme, authority, host, target, path, query, fields, contentLength }
}

/**
 * Whether a segment means "here" or "up", also percent-encoded or behind a backslash: upstreams that resolve it would
 * leave the part of the tree that the route allows.
 */
function hasDotSegment(path: string): boolean {
  if (!path.includes('.') && !/%2e/i.test(path)) return false
  return path.replaceAll(/%2e/gi, '.').split(/[/\\]|%2f|%5c/i).some((segment) => segment === '.' || segment === '..')
}

/** The host of an authority in normal form, undefined if it is none. User information is not allowed (RFC 9113). */
export function hostOf(authority: string): string | undefined {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9\-._~%!$&'()*+,;=]+))(?::([0-9]{1,5}))?$/.exec(authority)
  if (parts === null || Number(parts[3] ?? 0) > 65535) return undefined
  if (parts[1] !== undefined) return isIP(parts[1]) === 6 ? parts[1].toLowerCase() : undefined
  const name = parts[2].toLowerCase()
  return name.endsWith('.') && name.length > 1 ? name.slice(0, -1) : name
}

/** A non-negative whole number of bytes; several equal values in a list count as one (RFC 9110 section 8.6). */
export function parseContentLength(value: string): number | undefined {
  const parts = value.split(',').map((part) => part.trim())
  if (!parts.every((part) => part === parts[0]) || !/^[0-9]{1,15}$/.test(parts[0])) return undefined
  return Number(parts[0])
}

function refuse(reason: string): RefusedRequest {
  return { status: 400, refused: reason }
}

/** Text from the peer as it may be shown back to it. */
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 64).replaceAll(/[^\x20-\x7e]/g, '?'))
}
