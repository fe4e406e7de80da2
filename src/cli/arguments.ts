/**
 * Parsers of option values, shared by the commands. Each throws commander's InvalidArgumentError, which names the flag
 * and ends the program with exit code 2; the text says what was expected.
 */
import { InvalidArgumentError } from 'commander'
import { parseDuration as durationOf, parseHostPort } from '../config/values.js'
import type { HostPort } from '../config/values.js'
import { isFieldName, isFieldValue, isToken } from '../http/fields.js'

/** An address to listen on. */
export function parseListen(text: string): HostPort {
  const address = parseHostPort(text)
  if (address === undefined) throw new InvalidArgumentError('Expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080.')
  return address
}

/** An address to connect to. */
export function parseConnect(text: string): HostPort {
  const address = parseHostPort(text)
  if (address === undefined || address.port === 0) {
    throw new InvalidArgumentError('Expected HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:4433.')
  }
  return address
}

/** An https URL. */
export function parseHttpsUrl(text: string): URL {
  const hint = 'Expected an https URL, such as https://gateway.example:443.'
  if (!URL.canParse(text)) throw new InvalidArgumentError(hint)
  const url = new URL(text)
  if (url.protocol !== 'https:') throw new InvalidArgumentError(`${hint} Google QUIC is always encrypted.`)
  if (url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError(`${hint} Give credentials in a header: -H 'authorization: …'.`)
  }
  return url
}

/** A parser of whole numbers from `min` to `max`. */
export function parseInteger(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`)
    }
    return value
  }
}

/** A time of at least a millisecond and at most a day, in milliseconds; a plain number means seconds. */
export function parseDuration(text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * 1000) : durationOf(text)
  if (ms === undefined || ms < 1 || ms > 86_400_000) {
    throw new InvalidArgumentError('Expected a time such as 10s, 500ms or 2m.')
  }
  return ms
}

/** Connection options (COPT), such as `SREJ,NSTP`: tags of up to four characters. */
export function parseConnectionOptions(text: string): string[] {
  const tags = text.split(',').map((tag) => tag.trim())
  if (tags.every((tag) => /^[!-+\--~]{1,4}$/.test(tag)) && tags.length <= 32) return tags
  throw new InvalidArgumentError('Expected tags of up to four characters, such as SREJ or SREJ,NSTP.')
}

/** A request method. */
export function parseMethod(text: string): string {
  if (isToken(text) && text !== 'CONNECT') return text
  throw new InvalidArgumentError('Expected an HTTP method such as GET or PUT.')
}

/** Collects `name: value` header options; names come out in lower case. */
export function collectHeader(text: string, before: [string, string][] = []): [string, string][] {
  const colon = text.indexOf(':')
  const name = text.slice(0, Math.max(colon, 0)).trim().toLowerCase()
  const value = text.slice(colon + 1).trim()
  if (!isFieldName(name)) {
    throw new InvalidArgumentError("Expected 'name: value', such as -H 'accept: text/html'.")
  }
  if (!isFieldValue(value)) {
    throw new InvalidArgumentError('A header value holds no control characters, no line breaks, nothing beyond latin1.')
  }
  return [...before, [name, value]]
}
