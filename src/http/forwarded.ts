/** What the next hop learns about the client: X-Forwarded-*, Forwarded (RFC 7239) and Via (RFC 9110 section 7.6.3). */
import ipaddr from 'ipaddr.js'
import type { HeaderList } from '../quic/spdy/header-list.js'

/** A network as `ipaddr.parseCIDR` gives it. */
export type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number]

/** Which of the fields to send. */
export interface ForwardedOptions {
  readonly xForwarded: boolean
  readonly forwarded: boolean
  readonly via: boolean
}

/** Whom requests come from directly: worked out once for all requests of a connection. */
export class Neighbour {
  /** Plain text of its IP address, see {@link plainAddress}. */
  readonly address: string
  /** Address and port, as logs show them. */
  readonly label: string
  /** Whether it is one of the trusted proxies. */
  readonly trusted: boolean

  constructor(peer: { readonly address: string; readonly port: number }, trustedProxies: readonly Network[]) {
    this.address = plainAddress(peer.address)
    this.label = this.address.includes(':') ? `[${this.address}]:${peer.port}` : `${this.address}:${peer.port}`
    this.trusted = isTrusted(this.address, trustedProxies)
  }
}

/** The request as this hop received it. */
export interface ReceivedRequest {
  readonly peer: Neighbour
  readonly scheme: string
  readonly authority: string
  /** The QUIC version, such as `Q036`. */
  readonly version: string
}

/** What earlier hops said, by the field that says it; several fields of one name are one list. */
interface Before {
  for: string
  proto: string
  host: string
  forwarded: string
  via: string
}

/** Fields that speak of earlier hops, and where in {@link Before} they are kept, if anywhere. */
const forwardingFields = new Map<string, keyof Before | undefined>([
  ['x-forwarded-for', 'for'],
  ['x-forwarded-proto', 'proto'],
  ['x-forwarded-host', 'host'],
  ['x-forwarded-port', undefined],
  ['x-real-ip', undefined],
  ['forwarded', 'forwarded'],
  ['via', 'via']
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
  const { peer } = request
  const before = takeForwarding(fields)
  const extend = (earlier: string, own: string): string => (peer.trusted && earlier !== '' ? `${earlier}, ${own}` : own)
  const believe = (earlier: string, own: string): string => (peer.trusted && earlier !== '' ? earlier : own)
  if (options.xForwarded) {
    fields.push(
      ['x-forwarded-for', extend(before.for, peer.address)],
      ['x-forwarded-proto', believe(before.proto, request.scheme)],
      ['x-forwarded-host', believe(before.host, request.authority)]
    )
  }
  if (options.forwarded) fields.push(['forwarded', extend(before.forwarded, forwardedElement(request))])
  const via = options.via ? viaEntry(`QUIC/${request.version}`, name) : ''
  if (via !== '' || before.via !== '') fields.push(['via', joined(before.via, via)])
  return fields
}

const nothingBefore: Readonly<Before> = { for: '', proto: '', host: '', forwarded: '', via: '' }

/** Takes the fields that speak of earlier hops out of `fields`. */
function takeForwarding(fields: HeaderList): Readonly<Before> {
  let before: Before | undefined
  let kept = 0
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]
    if (!forwardingFields.has(field[0])) {
      fields[kept++] = field
      continue
    }
    const slot = forwardingFields.get(field[0])
    if (slot === undefined) continue
    before ??= { ...nothingBefore }
    before[slot] = joined(before[slot], field[1])
  }
  fields.length = kept
  return before ?? nothingBefore
}

function joined(list: string, entry: string): string {
  if (list === '') return entry
  return entry === '' ? list : `${list}, ${entry}`
}

/** One element of Forwarded (RFC 7239 section 4); IPv6 in brackets and quotes (section 6). */
function forwardedElement({ peer: { address }, scheme, authority }: ReceivedRequest): string {
  const node = address.includes(':') ? `"[${address}]"` : address
  const host = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(authority) ? authority : `"${authority}"`
  return `for=${node};host=${host};proto=${scheme}`
}

/** One entry of Via. The protocol's name may be left out for HTTP only, so a request over QUIC says `QUIC/Q036`. */
export function viaEntry(protocol: string, name: string): string {
  return `${protocol} ${name}`
}

/**
 * The client's address, as far as it can be believed: the peer's, or what trusted proxies say about whom they serve, from
 * the nearest outwards.
 * @param forwardedFor the values of X-Forwarded-For fields, in order
 */
export function clientAddress(peer: Neighbour, forwardedFor: readonly string[], networks: readonly Network[]): string {
  if (!peer.trusted) return peer.address
  let { address } = peer
  const chain = forwardedFor.join(',').split(',').map((entry) => entry.trim())
  do {
    const next = chain.pop()
    if (next === undefined || !ipaddr.isValid(next)) break
    address = plainAddress(next)
  } while (isTrusted(address, networks))
  return address
}
