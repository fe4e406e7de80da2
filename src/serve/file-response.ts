/**
 * The answer to a GET or HEAD of a file: validators, conditions and single ranges (RFC 9110 §8.8, §13, §14).
 */
import type { Stats } from 'node:fs'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { headerValue } from '../quic/spdy/header-list.js'
import { contentTypeOf } from './content-types.js'

/** Headers of an answer and which bytes of the file are its body. */
export interface FileAnswer {
  readonly headers: HeaderList
  /** First byte of the body in the file. */
  readonly start: number
  /** Body length in bytes; 0 where the answer has none. */
  readonly length: number
}

/** A strong validator from size and modification time, as the file system tells them. */
export function entityTagOf(stats: Pick<Stats, 'size' | 'mtimeMs'>): string {
  return `"${stats.size.toString(16)}-${Math.floor(stats.mtimeMs * 1000).toString(16)}"`
}

/** The answer for a file to a request with these headers; HEAD only differs in that no body is sent. */
export function answerFile(request: HeaderList, name: string, stats: Pick<Stats, 'size' | 'mtimeMs'>): FileAnswer {
  const etag = entityTagOf(stats)
  const modified = new Date(Math.floor(stats.mtimeMs / 1000) * 1000)
  const validators: HeaderList = [
    ['etag', etag],
    ['last-modified', modified.toUTCString()]
  ]
  if (isUnchanged(request, etag, modified)) return { headers: [[':status', '304'], ...validators], start: 0, length: 0 }
  const range = rangeOf(request, etag, modified, stats.size)
  if (range === 'unsatisfiable') {
    const headers: HeaderList = [
      [':status', '416'],
      ['content-range', `bytes */${stats.size}`],
      ['content-length', '0']
    ]
    return { headers, start: 0, length: 0 }
  }
  const start = range?.start ?? 0
  const length = range === undefined ? stats.size : range.end - range.start
  const headers: HeaderList = [
    [':status', range === undefined ? '200' : '206'],
    ['content-type', contentTypeOf(name)],
    ['content-length', String(length)]
  ]
  if (range !== undefined) headers.push(['content-range', `bytes ${start}-${range.end - 1}/${stats.size}`])
  headers.push(['accept-ranges', 'bytes'], ...validators)
  return { headers, start, length }
}

/** Whether the client's copy is good: If-None-Match, and If-Modified-Since only without it (RFC 9110 §13.2.2). */
function isUnchanged(request: HeaderList, etag: string, modified: Date): boolean {
  const tags = headerValue(request, 'if-none-match')
  if (tags !== undefined) {
    return tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
  }
  const since = Date.parse(headerValue(request, 'if-modified-since') ?? '')
  return !Number.isNaN(since) && modified.getTime() <= since
}

interface ByteRange {
  start: number
  /** Exclusive. */
  end: number
}

/** The single range asked for; undefined where the whole file is to be sent, several ranges included. */
function rangeOf(
  request: HeaderList,
  etag: string,
  modified: Date,
  size: number
): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*$/.exec(headerValue(request, 'range') ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const condition = headerValue(request, 'if-range')
  if (condition !== undefined && condition !== etag && Date.parse(condition) !== modified.getTime()) return undefined
  if (match[1] === '') {
    const suffix = Number(match[2])
    return suffix === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(size - suffix, 0), end: size }
  }
  const start = Number(match[1])
  const last = match[2] === '' ? size - 1 : Number(match[2])
  if (match[2] !== '' && last < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end: Math.min(last, size - 1) + 1 }
}
