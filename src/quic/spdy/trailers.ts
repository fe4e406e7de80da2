/**
 * Rules of header blocks that the transport itself has to check (spdy_utils.cc, CopyAndValidateHeaders and
 * CopyAndValidateTrailers). What headers mean is HTTP's business.
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import { isPseudoHeader, type HeaderList } from './header-list.js'

/** The pseudo-header by which trailers tell the length of the body, which has no FIN of its own. */
export const FINAL_OFFSET_HEADER = ':final-offset'

/** Decoded trailers. */
export interface Trailers {
  /** Length of the body, bytes. */
  readonly finalOffset: number
  /** The trailers without {@link FINAL_OFFSET_HEADER}. */
  readonly fields: HeaderList
}

/** What is wrong with a list's names, in words; undefined if nothing is. */
export function malformedName(headers: HeaderList): string | undefined {
  for (const field of headers) {
    const name = field[0]
    if (name.length === 0) return 'a header name is empty'
    for (let i = 0; i < name.length; i++) {
      const unit = name.charCodeAt(i)
      if (unit >= 0x41 && unit <= 0x5a) return `header name "${name}" has upper-case letters`
    }
  }
  return undefined
}

/** Checks trailers. Throws QuicError (INVALID_HEADERS_STREAM_DATA) if they are malformed. */
export function parseTrailers(headers: HeaderList): Trailers {
  const malformed = malformedName(headers)
  if (malformed !== undefined) throw trailersError(malformed)
  const fields: HeaderList = []
  const seen = new Set<string>()
  let finalOffset: number | undefined
  for (const field of headers) {
    const [name, value] = field
    if (name === FINAL_OFFSET_HEADER && finalOffset === undefined) {
      finalOffset = parseOffset(value)
    } else if (isPseudoHeader(name)) {
      throw trailersError(`with pseudo-header ${name}`)
    } else if (seen.has(name)) {
      throw trailersError(`with "${name}" twice`)
    } else {
      seen.add(name)
      fields.push(field)
    }
  }
  if (finalOffset === undefined) throw trailersError(`without ${FINAL_OFFSET_HEADER}`)
  return { finalOffset, fields }
}

/** The connection error for bad trailers. */
export function trailersError(what: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_HEADERS_STREAM_DATA, `trailers ${what}`)
}

function parseOffset(text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Infinity
  if (!Number.isSafeInteger(value)) throw trailersError(`with ${FINAL_OFFSET_HEADER} "${text.slice(0, 32)}"`)
  return value
}
