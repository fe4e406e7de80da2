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
  const bytes = ipBytes(address.address)
  const out = new ByteWriter(false, new Uint8Array(4 + bytes.length))
  out.uint16(bytes.length === 4 ? FAMILY_IPV4 : FAMILY_IPV6)
  out.bytes(bytes)
  out.uint16(address.port)
  return out.buffer
}

/** The 4 or 16 bytes of an IP address, as sockets write it. Throws if it is none. */
export function ipBytes(text: string): Uint8Array {
  return ipv4Bytes(text) ?? Uint8Array.from(ipaddr.parse(text).toByteArray())
}

const DOT = 0x2e
const DIGIT_0 = 0x30

/** Every handshake writes addresses, and nearly all are four plain numbers: undefined for any other form. */
function ipv4Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4)
  let part = 0
  let value = -1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === DOT && value >= 0 && part < 3) {
      bytes[part++] = value
      value = -1
      continue
    }
    const digit = code - DIGIT_0
    // A leading zero may mean octal: not for here to decide.
    if (digit < 0 || digit > 9 || value === 0) return undefined
    value = value < 0 ? digit : value * 10 + digit
    if (value > 255) return undefined
  }
  bytes[3] = value
  return part === 3 && value >= 0 ? bytes : undefined
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
