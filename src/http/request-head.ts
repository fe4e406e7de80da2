/**
 * The rules for a request's header block (RFC 9113 section 8.3, which says for HTTP/2 what Google QUIC leaves unsaid).
 */
import { isIP } from 'node:net'
import { isPseudoHeader } from '../quic/spdy/header-list.js'
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

/**
 * Checks a request's header block and takes it apart.
 * @param ended whether the request ends with its header block
 */
export function readRequestHead(
  headers: readonly HeaderField[],
  ended: boolean,
  underscores: UnderscorePolicy = 'refuse'
): RequestHead | RefusedRequest {
  const reader = new HeadReader(underscores)
  for (let i = 0; i < headers.length; i++) {
    const refused = reader.take(headers[i])
    if (refused !== undefined) return refuse(refused)
  }
  return reader.finish(ended)
}

/** Takes the fields of one header block in order. Its methods answer with the rule that is broken, if one is. */
class HeadReader {
  private method: string | undefined
  private scheme: string | undefined
  private authority: string | undefined
  private path: string | undefined
  private host: string | undefined
  private cookies: string | undefined
  private contentLength: number | undefined
  private readonly fields: HeaderList = []

  constructor(private readonly underscores: UnderscorePolicy) {}

  take(field: HeaderField): string | undefined {
    const name = field[0]
    const value = field[1]
    if (isPseudoHeader(name)) return this.takePseudo(name, value)
    if (!isFieldName(name)) return `${quote(name)} is not a valid field name`
    if (!isFieldValue(value)) return `the value of ${name} has octets that HTTP does not allow`
    if (isConnectionSpecific(name)) return `${name} is specific to a connection and not allowed here`
    if (name.includes('_')) {
      if (this.underscores === 'refuse') return `the field name ${name} has an underscore; use - instead`
      if (this.underscores === 'drop') return undefined
    }
    return this.takeRegular(field)
  }

  private takePseudo(name: string, value: string): string | undefined {
    let earlier: string | undefined
    switch (name) {
      case ':method':
        earlier = this.method
        this.method = value
        break
      case ':scheme':
        earlier = this.scheme
        this.scheme = value
        break
      case ':authority':
        earlier = this.authority
        this.authority = value
        break
      case ':path':
        earlier = this.path
        this.path = value
        break
      default:
        return `unknown pseudo-header ${quote(name)}`
    }
    if (earlier !== undefined) return `${name} is given twice`
    const late = this.fields.length > 0 || this.cookies !== undefined
    return late ? `${name} comes after regular fields` : undefined
  }

  private takeRegular(field: HeaderField): string | undefined {
    const name = field[0]
    const value = field[1]
    switch (name) {
      case 'te':
        if (value.toLowerCase() !== 'trailers') return 'te may only be "trailers"'
        this.fields.push([name, 'trailers'])
        break
      case 'cookie':
        this.cookies = this.cookies === undefined ? value : `${this.cookies}; ${value}`
        break
      case 'host':
        if (this.host !== undefined && this.host !== value) return 'host is given twice'
        this.host = value
        break
      case 'expect':
        break
      case 'content-length':
        return this.takeContentLength(value)
      default:
        this.fields.push(field)
    }
    return undefined
  }

  private takeContentLength(value: string): string | undefined {
    const length = parseContentLength(value)
    if (length === undefined) return 'content-length is not a number'
    if (this.contentLength !== undefined && this.contentLength !== length) return 'content-length is given twice'
    this.contentLength = length
    return undefined
  }

  finish(ended: boolean): RequestHead | RefusedRequest {
    const { fields, contentLength, method, path: target, host: hostField } = this
    if (this.cookies !== undefined) fields.push(['cookie', this.cookies])
    if (ended && contentLength !== undefined && contentLength > 0) {
      return refuse(`content-length is ${contentLength}, but the request has no content`)
    }
    const scheme = this.scheme?.toLowerCase()
    if (method === undefined || !isToken(method)) return refuse(':method is missing or not a token')
    if (method === 'CONNECT') return { status: 501, refused: 'this gateway carries no CONNECT tunnels' }
    if (scheme !== 'http' && scheme !== 'https') return refuse(':scheme is missing, or neither http nor https')
    const authority = this.authority ?? hostField
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
}

/**
 * Whether a segment means "here" or "up", also percent-encoded or behind a backslash: upstreams that resolve it would
 * leave the part of the tree that the route allows.
 */
function hasDotSegment(path: string): boolean {
  if (!path.includes('.') && !/%2e/i.test(path)) return false
  return path.replaceAll(/%2e/gi, '.').split(/[/\\]|%2f|%5c/i).some((segment) => segment === '.' || segment === '..')
}

// Clients ask the same few hosts for everything.
const MAX_KNOWN_HOSTS = 256
const MAX_KNOWN_LENGTH = 256
const knownHosts = new Map<string, string>()

/** The host of an authority in normal form, undefined if it is none. User information is not allowed (RFC 9113). */
export function hostOf(authority: string): string | undefined {
  const known = knownHosts.get(authority)
  if (known !== undefined) return known
  const host = parseHost(authority)
  if (host === undefined || authority.length > MAX_KNOWN_LENGTH) return host
  // Whoever asks for ever new hosts pushes all others out, and no more than that.
  if (knownHosts.size >= MAX_KNOWN_HOSTS) knownHosts.clear()
  knownHosts.set(authority, host)
  return host
}

function parseHost(authority: string): string | undefined {
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
