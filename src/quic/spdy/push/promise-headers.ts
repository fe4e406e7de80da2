/**
 * The requests that server push is about: the ones a server makes up, and how a client matches them with its own
 * (quic_simple_server_session.cc, SynthesizePushRequestHeaders; spdy_utils.cc, GetUrlFromHeaderBlock).
 */
import { headerValue, headerValues, type HeaderField, type HeaderList } from '../header-list.js'

/** What a promised request asks for. */
export interface PromisedResource {
  readonly scheme: string
  readonly authority: string
  /** With the query. */
  readonly path: string
}

/** Fields of the original request that would make the answer to a promised one partial, conditional or pointless. */
const NOT_PROMISED = new Set([
  'host', 'content-length', 'content-type', 'content-encoding', 'expect', 'range', 'if-match', 'if-none-match',
  'if-modified-since', 'if-unmodified-since', 'if-range', 'referer'
])

/**
 * The request that a promise stands for: the original one's fields with the resource's URL, the method GET, the original
 * URL (authority and path) as `referer`, and no content.
 */
export function promisedRequest(original: readonly HeaderField[], resource: PromisedResource): HeaderList {
  const headers: HeaderList = [
    [':method', 'GET'],
    [':scheme', resource.scheme],
    [':authority', resource.authority],
    [':path', resource.path]
  ]
  for (const field of original) {
    if (field[0].charCodeAt(0) !== 0x3a && !NOT_PROMISED.has(field[0])) headers.push(field)
  }
  const authority = headerValue(original, ':authority') ?? ''
  headers.push(['referer', authority + (headerValue(original, ':path') ?? '')], ['content-length', '0'])
  return headers
}

/** The full URL of a request; empty if a part is missing. */
export function requestUrl(headers: readonly HeaderField[]): string {
  const scheme = headerValue(headers, ':scheme')
  const authority = headerValue(headers, ':authority')
  const path = headerValue(headers, ':path')
  if (scheme === undefined || authority === undefined || path === undefined) return ''
  return `${scheme}://${authority}${path}`
}

/** The host in an absolute URL, without brackets; undefined if the URL is not valid. */
export function hostOfUrl(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { hostname } = new URL(url)
  return hostname === '' ? undefined : hostname.replace(/^\[|\]$/g, '')
}

/**
 * Whether a response to `promised` also answers `request`: every field that its `vary` names has the same values in
 * both (RFC 9111 §4.1).
 */
export function varyMatches(
  response: readonly HeaderField[],
  promised: readonly HeaderField[],
  request: readonly HeaderField[]
): boolean {
  for (const line of headerValues(response, 'vary')) {
    for (const part of line.split(',')) {
      const name = part.trim().toLowerCase()
      if (name === '*') return false
      if (name !== '' && valuesOf(promised, name) !== valuesOf(request, name)) return false
    }
  }
  return true
}

/** All values of a field as one text; undefined if there is none. */
function valuesOf(headers: readonly HeaderField[], name: string): string | undefined {
  const values = headerValues(headers, name)
  return values.length === 0 ? undefined : values.map((value) => value.trim()).join(', ')
}
