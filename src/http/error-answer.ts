/** The content of an answer that a hop makes itself: for a browser, a terminal, or a program. */
import { STATUS_CODES } from 'node:http'
import type { HeaderList } from '../quic/spdy/header-list.js'

/** What went wrong, for whoever made the request. Never a stack, never a name that the client has no use for. */
export interface ErrorAnswer {
  readonly status: number
  /** One sentence or two: what happened, and if known what to do. */
  readonly detail: string
  /** Stable word for programs, such as `connection_refused`; becomes `type` of the problem document. */
  readonly code: string
}

/** Content with the fields that describe it. */
export interface ErrorContent {
  readonly headers: HeaderList
  readonly body: Buffer
}

type Format = 'text' | 'html' | 'json'

const formats: readonly { readonly format: Format; readonly type: string; readonly contentType: string }[] = [
  { format: 'text', type: 'text/plain', contentType: 'text/plain; charset=utf-8' },
  { format: 'html', type: 'text/html', contentType: 'text/html; charset=utf-8' },
  { format: 'json', type: 'application/problem+json', contentType: 'application/problem+json' },
  { format: 'json', type: 'application/json', contentType: 'application/problem+json' }
]

/**
 * Content for an answer in the form that `accept` prefers: plain text, HTML or a problem document (RFC 9457).
 * Plain text when it does not say, or nothing fits.
 */
export function errorContent(answer: ErrorAnswer, accept: string | undefined): ErrorContent {
  const { format, contentType } = negotiate(accept)
  const body = Buffer.from(render(answer, format))
  return {
    headers: [
      ['content-type', contentType],
      ['content-length', String(body.length)],
      ['cache-control', 'no-store']
    ],
    body
  }
}

function negotiate(accept: string | undefined): (typeof formats)[number] {
  let best = formats[0]
  let bestQuality = 0
  if (accept === undefined) return best
  const ranges = accept.split(',', 64).map(parseRange)
  for (const candidate of formats) {
    const quality = qualityOf(candidate.type, ranges)
    if (quality > bestQuality) {
      best = candidate
      bestQuality = quality
    }
  }
  return best
}

interface MediaRange {
  readonly type: string
  readonly quality: number
}

function parseRange(text: string): MediaRange {
  const [type, ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const weight = parameters.find((parameter) => parameter.startsWith('q='))
  const quality = weight === undefined ? 1 : Number(weight.slice(2))
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 }
}

/** The most specific range that fits decides (RFC 9110 section 12.5.1). */
function qualityOf(type: string, ranges: readonly MediaRange[]): number {
  const group = `${type.slice(0, type.indexOf('/'))}/*`
  for (const pattern of [type, group, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === pattern)
    if (range !== undefined) return range.quality
  }
  return 0
}

function render({ status, detail, code }: ErrorAnswer, format: Format): string {
  const title = STATUS_CODES[status] ?? 'Error'
  if (format === 'json') return `${JSON.stringify({ type: `urn:quicgate:${code}`, title, status, detail })}\n`
  if (format === 'text') return `${status} ${title}\n${detail}\n`
  const heading = `${status} ${escapeHtml(title)}`
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${heading}</title></head>\n` +
    `<body><h1>${heading}</h1><p>${escapeHtml(detail)}</p></body></html>\n`
  )
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
