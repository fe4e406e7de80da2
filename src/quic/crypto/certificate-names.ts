/**
 * The names that a certificate is for, and whether a host is one of them (RFC 6125: subject alternative names only, a
 * wildcard stands for exactly one whole leftmost label).
 */
import type { X509Certificate } from 'node:crypto'

const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/
const LISTED_NAMES = 3

/** The DNS names (lower case) and IP addresses of the subject alternative names, in order. */
export function certificateNames(certificate: X509Certificate): { dns: string[]; ip: string[] } {
  const names = { dns: [] as string[], ip: [] as string[] }
  // Entries with odd characters are quoted by the library; they fit no host and are left out by these patterns.
  for (const entry of (certificate.subjectAltName ?? '').split(', ')) {
    const dns = /^DNS:([\w.*-]+)$/.exec(entry)
    const ip = /^IP Address:([\da-fA-F.:]+)$/.exec(entry)
    if (dns !== null) names.dns.push(dns[1]!.toLowerCase())
    else if (ip !== null) names.ip.push(ip[1]!)
  }
  return names
}

/** Hosts compare in lower case, names without the dot that a fully qualified one may end in, IPv6 without brackets. */
export function normalizeHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '').toLowerCase()
}

/** Whether a normalized host is written as an IP address. */
export function isIpAddress(host: string): boolean {
  return host.includes(':') || IPV4.test(host)
}

/** Whether the certificate is for `host`, a DNS name or an IP address. */
export function certificateMatchesHost(certificate: X509Certificate, host: string): boolean {
  const name = normalizeHost(host)
  if (isIpAddress(name)) return certificate.checkIP(name) !== undefined
  // A leading dot would ask the library for any name below the domain.
  if (!/^[\w-]/.test(name)) return false
  return certificate.checkHost(name, { subject: 'never', partialWildcards: false }) !== undefined
}

/** A few of the names, to tell a person. */
export function describeNames(certificate: X509Certificate): string {
  const { dns, ip } = certificateNames(certificate)
  const names = [...dns, ...ip]
  if (names.length === 0) return 'no host name'
  const more = names.length - LISTED_NAMES
  return names.slice(0, LISTED_NAMES).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** The common name of a subject or issuer as the library prints it, else its last part, to tell a person. */
export function commonName(distinguishedName: string | undefined): string {
  const parts = (distinguishedName ?? '').split('\n')
  return (parts.find((part) => part.startsWith('CN=')) ?? parts.at(-1) ?? '').replace(/^\w+=/, '') || 'without a name'
}
