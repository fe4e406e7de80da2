/**
 * The hosts of a route: an exact name or address, or `*.name` for every name below it, at any depth.
 */
import { isIP } from 'node:net'
import { PatternError } from './path-pattern.js'

/** One host condition. Compared without port, in lower case. */
export class HostPattern {
  private constructor(
    readonly description: string,
    /** The exact host; undefined for a wildcard or any host. */
    readonly exact: string | undefined,
    /** `.example.com` for `*.example.com`; empty for any host. */
    private readonly suffix: string
  ) {}

  static readonly any = new HostPattern('any host', undefined, '')

  /** @throws PatternError */
  static parse(text: string): HostPattern {
    const host = text.toLowerCase()
    if (host === '*') return HostPattern.any
    if (/:[0-9]+$/.test(host) && isIP(host) === 0) {
      throw new PatternError(`a host is named without port: write "${text.replace(/:[0-9]+$/, '')}"`)
    }
    if (isIP(host) !== 0 || isHostName(host)) return new HostPattern(host, normalizeHost(host), '')
    if (host.startsWith('*.') && isHostName(host.slice(2))) return new HostPattern(host, undefined, host.slice(1))
    throw new PatternError(`"${text}" is not a host; write example.com, *.example.com or an IP address`)
  }

  /** @param host in the form {@link normalizeHost} gives */
  match(host: string): boolean {
    if (this.exact !== undefined) return this.exact === host
    return this.suffix === '' || (host.endsWith(this.suffix) && host.length > this.suffix.length)
  }

  /** Which of two is the more specific: negative if this one. Exact, then wildcards by length, then any. */
  compare(other: HostPattern): number {
    if ((this.exact === undefined) !== (other.exact === undefined)) return this.exact === undefined ? 1 : -1
    return other.suffix.length - this.suffix.length
  }

  /** Whether every host that `other` matches is matched by this one as well. */
  covers(other: HostPattern): boolean {
    if (this.exact !== undefined) return this.exact === other.exact
    return other.exact !== undefined ? this.match(other.exact) : other.suffix.endsWith(this.suffix)
  }
}

function isHostName(text: string): boolean {
  return text.length <= 253 && text.split('.').every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label))
}

/** Lower case, without brackets and without a final dot. */
export function normalizeHost(host: string): string {
  let text = host.toLowerCase()
  if (text.startsWith('[') && text.endsWith(']')) text = text.slice(1, -1)
  return text.endsWith('.') ? text.slice(0, -1) : text
}
