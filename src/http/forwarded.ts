/** What the next hop learns about the client: X-Forwarded-*, Forwarded (RFC 7239) and Via (RFC 9110 section 7.6.3). */
import ipaddr from 'ipaddr.js'
import type { HeaderField, HeaderList } from '../quic/spdy/header-list.js'

/** A network as `ipaddr.parseCIDR` gives it. */
export type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number]

/** Which of the fields to send, and whose are believed. */
export interface ForwardedOptions {
  readonly trustedProxies: readonly Network[]
  readonly xForwarded: boolean
  readonly forwarded: boolean
  readonly via: boolean
}

/** The request as this hop received it. */
export interface ReceivedRequest {
  /** The peer's IP address, text form. */
  readonly peer: string
  readonly scheme: string
  readonly authority: string
  /** The QUIC version, such as `Q036`. */
  readonly version: string
}

const xForwardedNames = new Set([
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip'
])

/** Plain text of an IP address: IPv4 mapped into IPv6 is shown as IPv4, zones are left out. */
export function plainAddress(address: string): string {
  const bare = address.split('%')[0]
  return ipaddr.isValid(bare) ? ipaddr.process(bare).toString() : address
}

/** Whether an address belongs to one of the networks. */
export function isTrusted(address: string, networks: readonly Network[]): boolean {
  const bare = address.split('%')[0]
  if (networks.length === 0 || !ipaddr.isValid(bare)) return false
  const parsed = ipaddr.process(bare)
  return networks.some(([network, bits]) => network.kind() === parsed.kind() && parsed.match(network as never, bits))
}

/**
 * Writes the forwarding fields into a request. From a trusted peer, existing ones are extended; from anybody else they
 * are replaced, so that a client cannot make up where it comes from.
 * @param fields regular fields, lower case; changed in place
 */
export function addForwarding(
  fields: HeaderList,
  request: ReceivedRequest,
  options: ForwardedOptions,
  name: string
): HeaderList {
  const trusted = isTrusted(request.peer, options.trustedProxies)
  const before = { for: '', proto: '', host: '', forwarded: '', via: '' }
  const kept = fields.filter((field) => {
    collect(before, field)
    return !xForwardedNames.has(field[0]) && field[0] !== 'forwarded' && field[0] !== 'via'
  })
  const address = plainAddress(request.peer)
  if (options.xForwarded) {
    kept.push(
      ['x-forwarded-for', trusted && before.for !== '' ? `${before.for}, ${address}` : address],
      ['x-forwarded-proto', trusted && before.proto !== '' ? before.proto : request.scheme],
      ['x-forwarded-host', trusted && before.host !== '' ? before.host : request.authority]
    )
  }
  if (options.forwarded) {
    const element = forwardedElement(address, request)
    kept.push(['forwarded', trusted && before.forwarded !== '' ? `${before.forwarded}, ${element}` : element])
  }
  const via = options.via ? viaEntry(`QUIC/${request.version}`, name) : ''
  const chain = [before.via, via].filter((entry) => entry !== '').join(', ')
  if (chain !== '') kept.push(['via', chain])
  fields.splice(0, fields.length, ...kept)
  return fields
}

interface Before {
  for: string
  proto: string
  host: string
  forwarded: string
  via: string
}

/** Several fields of one name are one list. */
function collect(before: Before, [name, value]: HeaderField): void {
  const key = name === 'forwarded' || name === 'via' ? name : name.startsWith('x-forwarded-') ? name.slice(12) : ''
  if (!Object.hasOwn(before, key) || value === '') return
  const slot = key as keyof Before
  before[slot] = before[slot] === '' ? value : `${before[slot]}, ${value}`
}

/** One element of Forwarded (RFC 7239 section 4); IPv6 in brackets and quotes (section 6). */
function forwardedElement(address: string, { scheme, authority }: ReceivedRequest): string {
  const node = address.includes(':') ? `"[${address}]"` : address
  const host = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(authority) ? authority : `"${authority}"`
  return `for=${node};host=${host};proto=${scheme}`
}

/** One entry of Via. The protocol's name may be left out for HTTP only, so a request over QUIC says `QUIC/Q036`. */
export function viaEntry(protocol: string, name: string): string {
  return `${protocol} ${name}`
}

/**
 * The client's address, as far as it can be believed: the peer, or what trusted proxies say about whom they serve, from
 * the nearest outwards.
 * @param forwardedFor the value of X-Forwarded-For, if any
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, networks: readonly Network[]): string {
  let address = plainAddress(peer)
  const chain = (forwardedFor ?? '').split(',').map((entry) => entry.trim())
  while (isTrusted(address, networks)) {
    const next = chain.pop()
    if (next === undefined || !ipaddr.isValid(next)) break
    address = plainAddress(next)
  }
  return address
}
