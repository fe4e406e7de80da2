/**
 * Turns an HTTP/1.1 request into a header block, and a response's header block into HTTP/1.1 fields.
 */
import type { IncomingMessage } from 'node:http'
import { endToEndFields, isFieldName, isFieldValue, trailerFields } from '../http/fields.js'
import { viaEntry } from '../http/forwarded.js'
import { hostOf } from '../http/request-head.js'
import type { HeaderField, HeaderList } from '../quic/spdy/header-list.js'

/** How requests name their target. */
export interface TranslateOptions {
  /** `:authority` of requests in origin form; `undefined` takes the client's Host. */
  readonly authority: string | undefined
  /** `:authority` of HTTP/1.0 requests that have no Host. */
  readonly fallbackAuthority: string
  /** How this forwarder calls itself in Via. */
  readonly name: string
}

/** A request as it goes onto the stream. */
export interface TranslatedRequest {
  /** Pseudo-headers first. */
  readonly headers: HeaderList
  readonly authority: string
  readonly path: string
  /** Whether content follows, even if it turns out empty. */
  readonly hasBody: boolean
}

interface Target {
  readonly scheme: string
  readonly authority: string
  readonly path: string
}

const absoluteForm = /^(https?):\/\/([^/?#]*)([/?][^#]*)?/i

/**
 * The header block for a request. Absolute form (`curl -x`) decides scheme and authority itself, whatever Host says
 * (RFC 9112 §3.2.2); origin form is for the gateway, and `https` because the hop to it is.
 * @param url the request target as the client sent it
 * @returns the block, or why the request cannot be carried, in words for the client
 */
export function translateRequest(
  request: IncomingMessage,
  url: string,
  o: TranslateOptions
): TranslatedRequest | string {
  const target = targetOf(request, url, o)
  if (typeof target === 'string') return target
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return `the transfer coding "${shown(coding)}" is not carried`
  }
  const fields = endToEndFields(lowerCaseFields(request.rawHeaders))
  const headers: HeaderList = [
    [':method', request.method!],
    [':authority', target.authority],
    [':scheme', target.scheme],
    [':path', target.path]
  ]
  const vias: string[] = []
  for (const field of fields) {
    const [name, value] = field
    // 100-continue was answered here; host became :authority.
    if (name === 'host' || name === 'expect') continue
    if (name === 'via') vias.push(value)
    else headers.push(field)
  }
  headers.push(['via', [...vias, viaEntry(request.httpVersion, o.name)].join(', ')])
  return { headers, authority: target.authority, path: target.path, hasBody: announcesBody(request) }
}

/** Whether content follows a request's header, even if it turns out empty. */
export function announcesBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function targetOf(request: IncomingMessage, url: string, o: TranslateOptions): Target | string {
  const absolute = absoluteForm.exec(url)
  if (absolute !== null) {
    const authority = absolute[2]!
    if (hostOf(authority) === undefined) return `"${shown(url)}" names no host`
    const rest = absolute[3] ?? '/'
    // RFC 9112 §3.2.4: OPTIONS for an absolute form without path and query means the server as a whole.
    const path = absolute[3] === undefined && request.method === 'OPTIONS' ? '*' : rest
    return { scheme: absolute[1]!.toLowerCase(), authority, path: path.startsWith('?') ? `/${path}` : path }
  }
  if (!url.startsWith('/') && url !== '*') return `"${shown(url)}" is neither a path nor an http URL`
  const authority = o.authority ?? (request.headers.host || o.fallbackAuthority)
  const hash = url.indexOf('#')
  return { scheme: 'https', authority, path: hash < 0 ? url : url.slice(0, hash) }
}

function shown(url: string): string {
  return url.slice(0, 80).replaceAll(/[^\x20-\x7e]/g, '?')
}

function lowerCaseFields(raw: readonly string[]): HeaderList {
  const fields: HeaderList = []
  for (let i = 0; i + 1 < raw.length; i += 2) fields.push([raw[i]!.toLowerCase(), raw[i + 1]!])
  return fields
}

/** The request's trailers, ready for the stream. */
export function requestTrailers(raw: readonly string[]): HeaderList {
  return raw.length === 0 ? [] : trailerFields(lowerCaseFields(raw))
}

/** The response's trailers, ready for HTTP/1.1. */
export function responseTrailers(trailers: readonly HeaderField[]): HeaderList {
  return trailerFields(trailers)
}

/**
 * The response's fields for the local client, names and values in turn. Via tells which QUIC version carried it.
 * @param framing what may be said about the body: its length (not with 204), or that trailers follow (chunked only)
 * @param version such as `Q036`
 */
export function responseToLocal(
  headers: HeaderList,
  framing: { readonly length: boolean; readonly trailers: boolean },
  version: string,
  name: string
): string[] {
  const flat: string[] = []
  const vias: string[] = []
  for (const [field, value] of endToEndFields(headers)) {
    if ((field === 'content-length' && !framing.length) || (field === 'trailer' && !framing.trailers)) continue
    if (field === 'via') vias.push(value)
    else if (isFieldName(field) && isFieldValue(value)) flat.push(field, value)
  }
  flat.push('via', [...vias, viaEntry(`QUIC/${version}`, name)].join(', '))
  return flat
}
