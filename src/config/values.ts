/**
 * The kinds of value that configuration files share: durations, sizes, addresses, header names.
 */
import { isIP } from 'node:net'
import { z } from 'zod'

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30
}

/** The milliseconds that a text such as `500ms`, `30s`, `1.5m`, `2h` or `0` stands for; undefined if it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  const parts = /^([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)$/.exec(text)
  return parts === null ? undefined : Math.round(Number(parts[1]) * durationUnits[parts[2]!]!)
}

/** The bytes that a text such as `64KiB`, `1MiB`, `500KB` or `1350` stands for; undefined if it is none. */
export function parseSize(text: string): number | undefined {
  const parts = /^([0-9]+(?:\.[0-9]+)?)\s*(B|[KMG]i?B)?$/.exec(text)
  return parts === null ? undefined : Math.round(Number(parts[1]) * sizeUnits[parts[2] ?? 'B']!)
}

/** A place to listen at or connect to. `host` without brackets. */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Splits `127.0.0.1:4433`, `[::1]:4433` or `name:4433`; undefined if it is none of these. */
export function parseHostPort(text: string): HostPort | undefined {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]\s/]+)):([0-9]{1,5})$/.exec(text)
  if (parts === null) return undefined
  const port = Number(parts[3])
  if (port > 65535) return undefined
  if (parts[1] !== undefined) return isIP(parts[1]) === 6 ? { host: parts[1], port } : undefined
  return { host: parts[2]!, port }
}

/** `[::1]:4433` or `127.0.0.1:4433`. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** A duration in the file, milliseconds in the value. Between `least` and `most` milliseconds. */
export function duration(least = 0, most = 86_400_000 * 365): z.ZodType<number, string | number> {
  const expected = 'expected a duration such as 500ms, 30s or 5m'
  return z.union([z.string(), z.number()], { error: expected }).transform((value, context) => {
    const milliseconds = parseDuration(String(value))
    if (milliseconds === undefined) {
      const hint = /^[0-9.]+$/.test(String(value)) ? `; "${value}" has no unit, write ${value}s for seconds` : ''
      context.addIssue(`${expected}, not "${value}"${hint}`)
      return z.NEVER
    }
    if (milliseconds < least || milliseconds > most) {
      context.addIssue(`must be between ${least}ms and ${most}ms, not "${value}"`)
      return z.NEVER
    }
    return milliseconds
  })
}

/** A size in the file, bytes in the value. Between `least` and `most` bytes. */
export function size(least = 0, most = 2 ** 40): z.ZodType<number, string | number> {
  const expected = 'expected a size such as 1350, 64KiB or 1MiB'
  return z.union([z.string(), z.number()], { error: expected }).transform((value, context) => {
    const bytes = parseSize(String(value))
    if (bytes === undefined) {
      context.addIssue(`${expected}, not "${value}"`)
      return z.NEVER
    }
    if (bytes < least || bytes > most) {
      context.addIssue(`must be between ${least} and ${most} bytes, not "${value}"`)
      return z.NEVER
    }
    return bytes
  })
}

/** An address with port in the file, {@link HostPort} in the value. */
export function hostPort(): z.ZodType<HostPort, string> {
  const expected = 'expected an address with port such as 127.0.0.1:4433 or [::1]:4433'
  return z.string({ error: expected }).transform((value, context) => {
    const parsed = parseHostPort(value)
    if (parsed === undefined) {
      context.addIssue(`${expected}, not "${value}"`)
      return z.NEVER
    }
    return parsed
  })
}

/** One entry or a list of entries in the file, a list in the value. */
export function oneOrMore<T extends z.ZodType>(entry: T): z.ZodType<z.output<T>[], z.input<T> | z.input<T>[]> {
  return z
    .union([z.array(entry).min(1), entry])
    .transform((value) => (Array.isArray(value) ? value : [value]) as z.output<T>[]) as never
}

/** A token as HTTP defines it (RFC 9110 section 5.6.2). */
export const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** A header field name: any case in the file, lower case in the value. */
export function headerName(): z.ZodType<string, string> {
  return z.string().transform((value, context) => {
    if (!tokenPattern.test(value)) {
      context.addIssue(`"${value}" is not a header name; letters, digits and - are allowed`)
      return z.NEVER
    }
    return value.toLowerCase()
  })
}

/** A header field value: visible ASCII, spaces and tabs; no line breaks. Numbers and booleans are taken as written. */
export function headerValue(): z.ZodType<string, string | number | boolean> {
  return z.union([z.string(), z.number(), z.boolean()], { error: 'expected a text' }).transform((value, context) => {
    const text = String(value)
    if (!/^[\t\x20-\x7e]*$/.test(text) || text !== text.trim()) {
      context.addIssue('a header value is one line of visible ASCII without spaces at its ends')
      return z.NEVER
    }
    return text
  })
}
