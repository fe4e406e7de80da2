/** Datagrams in packets of IPv6, which recordings have few of. */
import { describe, expect, it } from 'vitest'
import { findDatagram } from '../../../src/inspect/pcap/udp-packet.js'

const RAW = 101
const UDP = 17

/** An IPv6 packet: extension headers as [number, length in bytes], then UDP from port 1000 to 443. */
function ipv6(extensions: [number, number][], payload: string, udpLength?: number): Buffer {
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(1000, 0)
  udp.writeUInt16BE(443, 2)
  udp.writeUInt16BE(udpLength ?? 8 + payload.length, 4)
  const numbers = [...extensions.map(([number]) => number), UDP]
  const headers = extensions.map(([, length], i) => {
    const header = Buffer.alloc(length)
    header[0] = numbers[i + 1]!
    header[1] = length / 8 - 1
    return header
  })
  const rest = Buffer.concat([...headers, udp, Buffer.from(payload)])
  const ip = Buffer.alloc(40)
  ip[0] = 0x60
  ip.writeUInt16BE(rest.length, 4)
  ip[6] = numbers[0]!
  ip[23] = 1
  ip[39] = 2
  return Buffer.concat([ip, rest])
}

describe('an IPv6 packet', () => {
  it.each<[string, [number, number][]]>([
    ['no extension headers', []],
    ['options for every hop', [[0, 8]]],
    ['a routing header', [[43, 24]]],
    ['options for the destination', [[60, 16]]],
    ['all of them', [[0, 8], [60, 8], [43, 24], [60, 16]]]
  ])('with %s holds its datagram', (_, extensions) => {
    const found = findDatagram(RAW, ipv6(extensions, 'hello'), false)
    expect(found).toMatchObject({ from: '::1', fromPort: 1000, to: '::2', toPort: 443 })
    expect((found as { payload: Buffer }).payload.toString()).toBe('hello')
  })

  it('that is one part of several holds none, nor does one of another protocol', () => {
    expect(findDatagram(RAW, ipv6([[44, 8]], 'hello'), false)).toBe('fragment')
    expect(findDatagram(RAW, ipv6([[0, 8], [44, 8]], 'hello'), false)).toBe('fragment')
    expect(findDatagram(RAW, ipv6([[6, 8]], 'hello'), false)).toBe('other')
  })

  it('may leave the length of its datagram to itself, as large ones do', () => {
    expect(findDatagram(RAW, ipv6([], 'hello', 0), false)).toMatchObject({ payload: Buffer.from('hello') })
  })

  it('that is cut off anywhere is no datagram, and said to be cut off only if it was', () => {
    const whole = ipv6([[0, 8]], 'hello')
    for (let length = 1; length < whole.length; length++) {
      expect(findDatagram(RAW, whole.subarray(0, length), true)).toBe('truncated')
      expect(findDatagram(RAW, whole.subarray(0, length), false)).toBe('other')
    }
  })
})
