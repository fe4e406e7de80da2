/**
 * Writes UDP datagrams as a pcap file, for dissectors.
 */

/** One datagram, as it passed by. */
export interface CapturedDatagram {
  /** µs since the capture began. */
  readonly us: number
  readonly fromPort: number
  readonly toPort: number
  readonly bytes: Uint8Array
}

const LINKTYPE_RAW = 101
const LOOPBACK = [127, 0, 0, 1]

/** A capture of raw IPv4 packets between ports of 127.0.0.1. Checksums of UDP are left out, which IPv4 allows. */
export function toPcap(datagrams: readonly CapturedDatagram[]): Buffer {
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65_535, 16)
  header.writeUInt32LE(LINKTYPE_RAW, 20)
  return Buffer.concat([header, ...datagrams.flatMap((datagram) => record(datagram))])
}

function record({ us, fromPort, toPort, bytes }: CapturedDatagram): Buffer[] {
  const length = 20 + 8 + bytes.length
  const head = Buffer.alloc(16 + 28)
  head.writeUInt32LE(Math.floor(us / 1e6), 0)
  head.writeUInt32LE(us % 1e6, 4)
  head.writeUInt32LE(length, 8)
  head.writeUInt32LE(length, 12)
  const ip = head.subarray(16, 36)
  ip[0] = 0x45
  ip.writeUInt16BE(length, 2)
  ip[8] = 64
  ip[9] = 17
  ip.set(LOOPBACK, 12)
  ip.set(LOOPBACK, 16)
  let sum = 0
  for (let i = 0; i < 20; i += 2) sum += ip.readUInt16BE(i)
  sum = (sum & 0xffff) + (sum >>> 16)
  ip.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 10)
  const udp = head.subarray(36)
  udp.writeUInt16BE(fromPort, 0)
  udp.writeUInt16BE(toPort, 2)
  udp.writeUInt16BE(8 + bytes.length, 4)
  return [head, Buffer.from(bytes)]
}
