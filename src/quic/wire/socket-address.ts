/**
 * IP endpoints inside handshake messages and public resets (tags CADR and ASAD).
 *
 *     family u16 (2 = IPv4, 10 = IPv6) | address (4 or 16, network order) | port u16        integers little-endian
 *
 * Source: quic_socket_address_coder.cc.
 */
import ipaddr from 'ipaddr.js'
import type { PeerAddress } from '../types.js'
import { ByteReader, ByteWriter } from './bytes.js'

const FAMILY_IPV4 = 2
const FAMILY_IPV6 = 10

/** The 8 or 20 bytes for an endpoint. Throws if `address.address` is no IP address: that is the caller's fault. */
export function encodeSocketAddress(address: PeerAddress): Uint8Array {
  const ip = ipaddr.parse(address.address)
  const bytes = ip.toByteArray()
  const out = new ByteWriter(false, new Uint8Array(4 + bytes.length))
  out.uint16(ip.kind() === 'ipv4' ? FAMILY_IPV4 : FAMILY_IPV6)
  out.bytes(Uint8Array.from(bytes))
  out.uint16(address.port)
  return out.buffer
}

/** The endpoint in `bytes`, undefined if they are not exactly one. */
export function decodeSocketAddress(bytes: Uint8Array): PeerAddress | undefined {
  if (bytes.length < 2) return undefined
  const reader = new ByteReader(false, bytes)
  const family = reader.uint16()
  const addressLength = family === FAMILY_IPV4 ? 4 : family === FAMILY_IPV6 ? 16 : -1
  if (bytes.length !== 4 + addressLength) return undefined
  const ip = ipaddr.fromByteArray(Array.from(reader.view(addressLength)))
  return { family: addressLength === 4 ? 4 : 6, address: ip.toString(), port: reader.uint16() }
}
