/**
 * Writes UDP datagrams as packet capture files, in every form that there are.
 */

/** One datagram, as it passed by. */
export interface CapturedDatagram {
  /** µs since the capture began. */
  readonly us: number
  readonly fromPort: number
  readonly toPort: number
  readonly bytes: Uint8Array
  /** IP addresses, both of one family; 127.0.0.1 if missing. */
  readonly from?: string
  readonly to?: string
}

/** How a capture is written. */
export interface PcapForm {
  /** Default `raw`: IP packets and nothing before them. */
  readonly link?: 'raw' | 'ethernet' | 'vlan' | 'cooked' | 'cooked2' | 'loopback'
  readonly bigEndian?: boolean
  /** Timestamps in nanoseconds; in pcapng in 2^-20 seconds. */
  readonly fine?: boolean
  /** Bytes of each packet that are kept. */
  readonly snapLength?: number
}

const linkTypes = { raw: 101, ethernet: 1, vlan: 1, cooked: 113, cooked2: 276, loopback: 0 } as const

/** A pcap file. Checksums of UDP are left out, which IPv4 allows. */
export function toPcap(datagrams: readonly CapturedDatagram[], form: PcapForm = {}): Buffer {
  return pcapOf(datagrams.map((datagram) => ({ us: datagram.us, bytes: packetOf(datagram, form) })), form)
}

/** A pcap file of whatever packets. */
export function pcapOf(packets: readonly { us: number; bytes: Buffer }[], form: PcapForm = {}): Buffer {
  const { bigEndian = false, fine = false, snapLength = 65_535, link = 'raw' } = form
  const uint32 = numbers(bigEndian)
  const header = [
    uint32(fine ? 0xa1b23c4d : 0xa1b2c3d4),
    bigEndian ? Buffer.from([0, 2, 0, 4]) : Buffer.from([2, 0, 4, 0]),
    uint32(0, 0, snapLength, linkTypes[link])
  ]
  const records = packets.flatMap(({ us, bytes }) => {
    const kept = bytes.subarray(0, snapLength)
    const fraction = (us % 1e6) * (fine ? 1000 : 1)
    return [uint32(Math.floor(us / 1e6), fraction, kept.length, bytes.length), kept]
  })
  return Buffer.concat([...header, ...records])
}

/** A pcapng file: one section, one interface, an option and a foreign block that readers have to pass over. */
export function toPcapng(datagrams: readonly CapturedDatagram[], form: PcapForm = {}): Buffer {
  const { bigEndian = false, fine = false, snapLength = 0, link = 'raw' } = form
  const uint32 = numbers(bigEndian)
  const uint16 = (...values: number[]): Buffer =>
    Buffer.concat(values.map((value) => uint32(value).subarray(bigEndian ? 2 : 0, bigEndian ? 4 : 2)))
  const block = (type: number, ...parts: Buffer[]): Buffer => {
    const body = Buffer.concat(parts)
    const padding = Buffer.alloc((4 - (body.length % 4)) % 4)
    const length = 12 + body.length + padding.length
    return Buffer.concat([uint32(type, length), body, padding, uint32(length)])
  }
  const resolution = fine ? [uint16(9, 1), Buffer.from([0x80 | 20, 0, 0, 0])] : []
  const packets = datagrams.map((datagram) => {
    const bytes = packetOf(datagram, form)
    const kept = snapLength === 0 ? bytes : bytes.subarray(0, snapLength)
    const ticks = fine ? Math.ceil((datagram.us * 2 ** 20) / 1e6) : datagram.us
    return block(6, uint32(0, Math.floor(ticks / 2 ** 32), ticks % 2 ** 32, kept.length, bytes.length), kept)
  })
  return Buffer.concat([
    block(0x0a0d0d0a, uint32(0x1a2b3c4d), uint16(1, 0), uint32(0xffffffff, 0xffffffff)),
    block(1, uint16(linkTypes[link], 0), uint32(snapLength), uint16(2, 3), Buffer.from('lo\0\0'), ...resolution, uint16(0, 0)),
    block(5, uint32(0, 0, 0)),
    ...packets
  ])
}

function numbers(bigEndian: boolean): (...values: number[]) => Buffer {
  return (...values) => {
    const bytes = Buffer.alloc(4 * values.length)
    values.forEach((value, i) => (bigEndian ? bytes.writeUInt32BE(value, 4 * i) : bytes.writeUInt32LE(value, 4 * i)))
    return bytes
  }
}

/** The datagram with everything before it. */
export function packetOf(datagram: CapturedDatagram, { link = 'raw', bigEndian = false }: PcapForm = {}): Buffer {
  const v6 = datagram.from?.includes(':') === true
  const ip = v6 ? ipv6Packet(datagram) : ipv4Packet(datagram)
  const type = v6 ? [0x86, 0xdd] : [0x08, 0x00]
  switch (link) {
    case 'raw':
      return ip
    case 'ethernet':
      return Buffer.concat([Buffer.alloc(12, 2), Buffer.from(type), ip])
    case 'vlan':
      return Buffer.concat([Buffer.alloc(12, 2), Buffer.from([0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, ...type]), ip])
    case 'cooked':
      return Buffer.concat([Buffer.alloc(14), Buffer.from(type), ip])
    case 'cooked2':
      return Buffer.concat([Buffer.from(type), Buffer.alloc(18), ip])
    case 'loopback':
      return Buffer.concat([numbers(bigEndian)(v6 ? 24 : 2), ip])
  }
}

function udpPacket({ fromPort, toPort, bytes }: CapturedDatagram): Buffer {
  const udp = Buffer.alloc(8)
  udp.writeUInt16BE(fromPort, 0)
  udp.writeUInt16BE(toPort, 2)
  udp.writeUInt16BE(8 + bytes.length, 4)
  return Buffer.concat([udp, bytes])
}

function ipv4Packet(datagram: CapturedDatagram): Buffer {
  const udp = udpPacket(datagram)
  const ip = Buffer.alloc(20)
  ip[0] = 0x45
  ip.writeUInt16BE(20 + udp.length, 2)
  ip[8] = 64
  ip[9] = 17
  ip.set((datagram.from ?? '127.0.0.1').split('.').map(Number), 12)
  ip.set((datagram.to ?? '127.0.0.1').split('.').map(Number), 16)
  let sum = 0
  for (let i = 0; i < 20; i += 2) sum += ip.readUInt16BE(i)
  sum = (sum & 0xffff) + (sum >>> 16)
  ip.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 10)
  return Buffer.concat([ip, udp])
}

function ipv6Packet(datagram: CapturedDatagram): Buffer {
  const udp = udpPacket(datagram)
  const ip = Buffer.alloc(40)
  ip[0] = 0x60
  ip.writeUInt16BE(udp.length, 4)
  ip[6] = 17
  ip[7] = 64
  ip.set(ipv6Bytes(datagram.from!), 8)
  ip.set(ipv6Bytes(datagram.to!), 24)
  return Buffer.concat([ip, udp])
}

function ipv6Bytes(text: string): Buffer {
  const [head = '', tail] = text.split('::')
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)))
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
  return Buffer.from(all.flatMap((group) => [group >>> 8, group & 0xff]))
}
