/**
 * From a captured packet to the UDP datagram in it: link layers, VLAN tags, IPv4 and IPv6.
 */
import { SocketAddress } from 'node:net'

/** Why there is no datagram in a packet. */
export type NoDatagram = 'other' | 'fragment' | 'truncated' | 'link-type'

/** A UDP datagram. Addresses in text form. */
export interface UdpDatagram {
  readonly from: string
  readonly fromPort: number
  readonly to: string
  readonly toPort: number
  /** A view of the packet. */
  readonly payload: Buffer
}

/** Numbers of the registry of link types. */
const LinkType = {
  Null: 0,
  Ethernet: 1,
  RawOld: 12,
  RawOpenBsd: 14,
  Raw: 101,
  Loop: 108,
  LinuxCooked: 113,
  Ipv4: 228,
  Ipv6: 229,
  LinuxCooked2: 276
} as const

const EtherType = { Ipv4: 0x0800, Vlan: 0x8100, Ipv6: 0x86dd, ServiceVlan: 0x88a8, OldServiceVlan: 0x9100 } as const
const Protocol = { HopByHop: 0, Udp: 17, Routing: 43, Fragment: 44, Destination: 60 } as const
const MAX_VLAN_TAGS = 4
const UDP_HEADER = 8

/** Finds the datagram in a packet. `fragment` means a part of an IP packet, which is not put together. */
export function findDatagram(linkType: number, bytes: Buffer, truncated: boolean): UdpDatagram | NoDatagram {
  const at = findIp(linkType, bytes)
  if (typeof at === 'string') return at
  const version = at < bytes.length ? bytes[at]! >>> 4 : 0
  const found = version === 4 ? inIpv4(bytes, at) : version === 6 ? inIpv6(bytes, at) : 'other'
  // What was cut off may look like anything else that is incomplete.
  return found === 'truncated' && !truncated ? 'other' : found
}

/** Where the IP header begins. */
function findIp(linkType: number, bytes: Buffer): number | NoDatagram {
  switch (linkType) {
    case LinkType.Ethernet:
      return behindEtherType(bytes, 12)
    case LinkType.LinuxCooked:
      return behindEtherType(bytes, 14)
    case LinkType.LinuxCooked2:
      // The protocol comes first, the rest of a header of 20 bytes after it.
      return bytes.length < 20 ? 'truncated' : isIp(bytes.readUInt16BE(0)) ? 20 : 'other'
    case LinkType.Null:
    case LinkType.Loop:
      return 4
    case LinkType.RawOld:
    case LinkType.RawOpenBsd:
    case LinkType.Raw:
    case LinkType.Ipv4:
    case LinkType.Ipv6:
      return 0
    default:
      return 'link-type'
  }
}

function behindEtherType(bytes: Buffer, offset: number): number | NoDatagram {
  let at = offset
  for (let tags = 0; tags <= MAX_VLAN_TAGS; tags++) {
    if (at + 2 > bytes.length) return 'truncated'
    const type = bytes.readUInt16BE(at)
    if (isIp(type)) return at + 2
    if (type !== EtherType.Vlan && type !== EtherType.ServiceVlan && type !== EtherType.OldServiceVlan) return 'other'
    at += 4
  }
  return 'other'
}

function isIp(type: number): boolean {
  return type === EtherType.Ipv4 || type === EtherType.Ipv6
}

function inIpv4(bytes: Buffer, at: number): UdpDatagram | NoDatagram {
  if (at + 20 > bytes.length) return 'truncated'
  const headerLength = (bytes[at]! & 0x0f) * 4
  const totalLength = bytes.readUInt16BE(at + 2)
  if (bytes[at + 9] !== Protocol.Udp || headerLength < 20) return 'other'
  // More fragments, or an offset: one part of several.
  if ((bytes.readUInt16BE(at + 6) & 0x3fff) !== 0) return 'fragment'
  const address = (offset: number): string => bytes.subarray(offset, offset + 4).join('.')
  // With segmentation offload the length may be left 0: then it is as long as what was captured.
  const end = totalLength === 0 ? bytes.length : at + totalLength
  return inUdp(bytes, at + headerLength, end, address(at + 12), address(at + 16))
}

function inIpv6(bytes: Buffer, at: number): UdpDatagram | NoDatagram {
  if (at + 40 > bytes.length) return 'truncated'
  const end = at + 40 + bytes.readUInt16BE(at + 4)
  let next = bytes[at + 6]!
  let position = at + 40
  while (next === Protocol.HopByHop || next === Protocol.Routing || next === Protocol.Destination) {
    if (position + 8 > bytes.length) return 'truncated'
    next = bytes[position]!
    position += (bytes[position + 1]! + 1) * 8
  }
  if (next === Protocol.Fragment) return 'fragment'
  if (next !== Protocol.Udp) return 'other'
  return inUdp(bytes, position, end, ipv6Text(bytes, at + 8), ipv6Text(bytes, at + 24))
}

function inUdp(bytes: Buffer, at: number, end: number, from: string, to: string): UdpDatagram | NoDatagram {
  if (at + UDP_HEADER > bytes.length) return 'truncated'
  const length = bytes.readUInt16BE(at + 4)
  const payloadEnd = length === 0 ? end : at + length
  if (payloadEnd < at + UDP_HEADER || payloadEnd > end) return 'other'
  if (payloadEnd > bytes.length) return 'truncated'
  const payload = bytes.subarray(at + UDP_HEADER, payloadEnd)
  return { from, fromPort: bytes.readUInt16BE(at), to, toPort: bytes.readUInt16BE(at + 2), payload }
}

function ipv6Text(bytes: Buffer, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(at + 2 * i).toString(16))
  return new SocketAddress({ family: 'ipv6', address: groups.join(':') }).address
}
