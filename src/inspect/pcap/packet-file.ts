/**
 * Packet capture files: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), either byte order.
 */
import { CaptureError } from '../capture-error.js'
import type { ByteSource } from './byte-source.js'

/** One packet as the capturing program wrote it. */
export interface CapturedPacket {
  /** Microseconds since the UNIX epoch. */
  readonly us: number
  /** How its bytes begin: a number of the registry of link types. */
  readonly linkType: number
  /** Good until the next packet is asked for. */
  readonly bytes: Buffer
  /** Whether the capturing program cut it off. */
  readonly truncated: boolean
}

const PCAP_MICROSECONDS = 0xa1b2c3d4
const PCAP_NANOSECONDS = 0xa1b23c4d
const PCAP_HEADER = 24
const PCAP_RECORD = 16
const SECTION_HEADER = 0x0a0d0d0a
const BYTE_ORDER_MAGIC = 0x1a2b3c4d
const BLOCK_OVERHEAD = 12
/** No link has larger packets; a larger number is damage. */
const MAX_PACKET = 256 * 1024
const MAX_BLOCK = 16 * 1024 * 1024

const BlockType = { Interface: 1, Packet: 2, SimplePacket: 3, EnhancedPacket: 6 } as const
const RESOLUTION_OPTION = 9
const OFFSET_OPTION = 14

/**
 * The packets of a file in its order. Throws CaptureError if it is neither format or damaged. A last packet that is not
 * all there, as in a capture still being written, is left out.
 */
export async function* readPacketFile(source: ByteSource, name: string): AsyncGenerator<CapturedPacket> {
  const magic = await source.peek(4)
  if (magic.length === 4) {
    if (magic.readUInt32BE(0) === SECTION_HEADER) {
      yield* readPcapng(source, name)
      return
    }
    for (const [order, value] of [['LE', magic.readUInt32LE(0)], ['BE', magic.readUInt32BE(0)]] as const) {
      if (value !== PCAP_MICROSECONDS && value !== PCAP_NANOSECONDS) continue
      yield* readPcap(source, name, order === 'LE', value === PCAP_NANOSECONDS)
      return
    }
  }
  const hint = 'give a file that tcpdump, tshark or Wireshark wrote, or a capture directory'
  throw new CaptureError('CAPTURE_MALFORMED', `${name} is neither pcap nor pcapng: ${hint}`)
}

async function* readPcap(
  source: ByteSource,
  name: string,
  littleEndian: boolean,
  nanoseconds: boolean
): AsyncGenerator<CapturedPacket> {
  const header = await source.take(PCAP_HEADER)
  if (header.length < PCAP_HEADER) return
  // The upper bits tell of a frame check sequence at the end, which the lengths inside the packet leave out anyway.
  const linkType = uint32(header, 20, littleEndian) & 0xffff
  for (;;) {
    const record = await source.take(PCAP_RECORD)
    if (record.length < PCAP_RECORD) return
    const fraction = uint32(record, 4, littleEndian)
    const us = uint32(record, 0, littleEndian) * 1e6 + (nanoseconds ? Math.floor(fraction / 1000) : fraction)
    const captured = uint32(record, 8, littleEndian)
    const original = uint32(record, 12, littleEndian)
    if (captured > MAX_PACKET) throw damaged(name, `a packet of ${captured} bytes`)
    const bytes = await source.take(captured)
    if (bytes.length < captured) return
    yield { us, linkType, bytes, truncated: captured < original }
  }
}

interface Interface {
  readonly linkType: number
  /** Longest part of a packet that was captured, 0 for no limit. */
  readonly snapLength: number
  /** Microseconds in one unit of its timestamps. */
  readonly usPerTick: number
  /** To be added to timestamps, µs. */
  readonly offset: number
}

async function* readPcapng(source: ByteSource, name: string): AsyncGenerator<CapturedPacket> {
  let littleEndian = true
  let interfaces: Interface[] = []
  for (;;) {
    const start = await source.peek(12)
    if (start.length < 12) return
    if (start.readUInt32BE(0) === SECTION_HEADER) {
      const magic = uint32(start, 8, true)
      littleEndian = magic === BYTE_ORDER_MAGIC
      if (!littleEndian && uint32(start, 8, false) !== BYTE_ORDER_MAGIC) throw damaged(name, 'a section without byte order')
      interfaces = []
    }
    const type = uint32(start, 0, littleEndian)
    const length = uint32(start, 4, littleEndian)
    if (length < BLOCK_OVERHEAD || length > MAX_BLOCK || length % 4 !== 0) throw damaged(name, `a block of ${length} bytes`)
    const block = await source.take(length)
    if (block.length < length) return
    const body = block.subarray(8, length - 4)
    if (type === BlockType.Interface) interfaces.push(readInterface(body, littleEndian, name))
    const packet = readPacketBlock(type, body, littleEndian, interfaces, name)
    if (packet !== undefined) yield packet
  }
}

function readPacketBlock(
  type: number,
  body: Buffer,
  littleEndian: boolean,
  interfaces: readonly Interface[],
  name: string
): CapturedPacket | undefined {
  if (type === BlockType.SimplePacket) {
    if (body.length < 4) throw damaged(name, 'a packet block that is too short')
    const original = uint32(body, 0, littleEndian)
    const from = interfaceOf(interfaces, 0, name)
    const captured = Math.min(original, from.snapLength || Infinity, body.length - 4)
    return { us: 0, linkType: from.linkType, bytes: body.subarray(4, 4 + captured), truncated: captured < original }
  }
  if (type !== BlockType.EnhancedPacket && type !== BlockType.Packet) return undefined
  if (body.length < 20) throw damaged(name, 'a packet block that is too short')
  // The obsolete Packet Block differs in its first four bytes: 16 bits of interface, 16 bits of drops.
  const index =
    type === BlockType.EnhancedPacket
      ? uint32(body, 0, littleEndian)
      : littleEndian ? body.readUInt16LE(0) : body.readUInt16BE(0)
  const from = interfaceOf(interfaces, index, name)
  const ticks = uint32(body, 4, littleEndian) * 2 ** 32 + uint32(body, 8, littleEndian)
  const captured = uint32(body, 12, littleEndian)
  const original = uint32(body, 16, littleEndian)
  if (captured > body.length - 20) throw damaged(name, `a packet of ${captured} bytes in a smaller block`)
  const us = Math.floor(ticks * from.usPerTick) + from.offset
  return { us, linkType: from.linkType, bytes: body.subarray(20, 20 + captured), truncated: captured < original }
}

function interfaceOf(interfaces: readonly Interface[], index: number, name: string): Interface {
  const found = interfaces[index]
  if (found === undefined) throw damaged(name, `a packet of interface ${index}, which is not described`)
  return found
}

function readInterface(body: Buffer, littleEndian: boolean, name: string): Interface {
  if (body.length < 8) throw damaged(name, 'an interface block that is too short')
  const uint16 = (at: number): number => (littleEndian ? body.readUInt16LE(at) : body.readUInt16BE(at))
  let usPerTick = 1
  let offset = 0
  for (let at = 8; at + 4 <= body.length; ) {
    const code = uint16(at)
    const length = uint16(at + 2)
    const value = at + 4
    if (code === 0 || value + length > body.length) break
    if (code === RESOLUTION_OPTION && length === 1) usPerTick = microsecondsPerTick(body[value]!)
    if (code === OFFSET_OPTION && length === 8) {
      offset = Number(littleEndian ? body.readBigInt64LE(value) : body.readBigInt64BE(value)) * 1e6
    }
    at = value + Math.ceil(length / 4) * 4
  }
  return { linkType: uint16(0), snapLength: uint32(body, 4, littleEndian), usPerTick, offset }
}

/** `if_tsresol`: a negative power of 10, or with the top bit of 2. */
function microsecondsPerTick(resolution: number): number {
  const exponent = resolution & 0x7f
  return 1e6 / ((resolution & 0x80) === 0 ? 10 ** exponent : 2 ** exponent)
}

function uint32(bytes: Buffer, at: number, littleEndian: boolean): number {
  return littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)
}

function damaged(name: string, what: string): CaptureError {
  return new CaptureError('CAPTURE_MALFORMED', `${name} holds ${what}: the file is damaged, capture again`)
}
