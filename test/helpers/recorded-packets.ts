/**
 * Opens the packets of recorded cases with their recorded keys, by nothing but the codecs under test.
 */
import { NodeAeadProvider } from '../../src/quic/crypto/node-aead.js'
import type { PacketOpener, PacketSealer } from '../../src/quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import { completePacketNumber } from '../../src/quic/wire/packet-number.js'
import { DatagramKind, DatagramPeek, peekDatagram } from '../../src/quic/wire/public-header.js'
import { supportedVersions, versionByTag } from '../../src/quic/wire/versions/registry.js'
import type { PacketHeader, QuicVersion } from '../../src/quic/wire/versions/version.js'
import type { CaseJson, RecordedCase, RecordedDatagram } from './vectors.js'

/** A recorded data packet, opened. */
export interface OpenedRecording {
  datagram: RecordedDatagram
  version: QuicVersion
  sender: Perspective
  level: EncryptionLevel
  header: PacketHeader
  connectionId: Buffer | undefined
  packetNumber: number
  plaintext: Buffer
  /** What would seal the packet again. */
  sealer: PacketSealer
}

/** What a case is made of. `unopened` are the datagrams that no key opens. */
export interface OpenedCase {
  packets: OpenedRecording[]
  versionNegotiations: RecordedDatagram[]
  publicResets: RecordedDatagram[]
  unopened: RecordedDatagram[]
}

interface Key {
  level: EncryptionLevel
  opener: PacketOpener
  sealer: PacketSealer
}

/** Opens every datagram of a case, dropped ones included. */
export function openCase({ info, datagrams }: RecordedCase): OpenedCase {
  const result: OpenedCase = { packets: [], versionNegotiations: [], publicResets: [], unopened: [] }
  const spoken = new Map<number, QuicVersion>()
  const largest = new Map<string, number>()
  const current = new Map<number, string>()
  for (const datagram of datagrams) {
    const sender = datagram.from === 'client' ? Perspective.Client : Perspective.Server
    const receiver = sender === Perspective.Client ? Perspective.Server : Perspective.Client
    const { bytes } = datagram
    const peek = new DatagramPeek(receiver)
    if (!peekDatagram(bytes, 0, bytes.length, peek)) {
      result.unopened.push(datagram)
      continue
    }
    if (peek.kind === DatagramKind.VersionNegotiation) {
      result.versionNegotiations.push(datagram)
      continue
    }
    if (peek.kind === DatagramKind.PublicReset) {
      result.publicResets.push(datagram)
      continue
    }
    if (peek.versionTag !== 0) {
      const named = versionByTag(peek.versionTag)
      if (named !== undefined) spoken.set(datagram.conn, named)
    }
    const version = spoken.get(datagram.conn) ?? supportedVersions[0]!
    // A peer that asked for it (TCID 0) gets packets without the connection id; it is still the same connection.
    if (peek.hasConnectionId) current.set(datagram.conn, bytes.toString('hex', 1, 9))
    const connection = current.get(datagram.conn)!
    const space = `${connection} ${datagram.from}`
    const connectionId = peek.hasConnectionId ? bytes.subarray(1, 9) : undefined
    const keys = keysFor(info, version, sender, connection)
    const packet = openPacket({ datagram, version, sender, connectionId }, keys, largest.get(space) ?? 0)
    if (packet === undefined) {
      result.unopened.push(datagram)
    } else {
      result.packets.push(packet)
      largest.set(space, Math.max(largest.get(space) ?? 0, packet.packetNumber))
    }
  }
  return result
}

function openPacket(
  packet: Pick<OpenedRecording, 'datagram' | 'version' | 'sender' | 'connectionId'>,
  keys: readonly Key[],
  largest: number
): OpenedRecording | undefined {
  const { datagram, version, sender } = packet
  const receiver = sender === Perspective.Client ? Perspective.Server : Perspective.Client
  const header: PacketHeader = {
    versionTag: 0,
    nonceOffset: -1,
    wirePacketNumber: 0,
    packetNumberLength: 0,
    headerEnd: 0
  }
  const bytes = Buffer.from(datagram.bytes)
  if (!version.header.parse(bytes, 0, bytes.length, receiver, header)) return undefined
  const packetNumber = completePacketNumber(header.wirePacketNumber, header.packetNumberLength, largest)
  for (const { level, opener, sealer } of keys) {
    const length = opener.open(bytes, 0, header.headerEnd, bytes.length, packetNumber)
    if (length < 0) {
      // The contract: a packet that does not open is left as it was, so that the next key can be tried.
      if (!bytes.equals(datagram.bytes)) throw new Error('a failed opener changed the packet')
      continue
    }
    const start = header.headerEnd + opener.prefixLength
    const plaintext = Buffer.from(bytes.subarray(start, start + length))
    return { ...packet, level, header, packetNumber, plaintext, sealer }
  }
  return undefined
}

const provider = new NodeAeadProvider()
const keyCache = new WeakMap<CaseJson, Map<string, Key[]>>()

function keysFor(info: CaseJson, version: QuicVersion, sender: Perspective, connectionId: string): Key[] {
  const cache = keyCache.get(info) ?? new Map<string, Key[]>()
  keyCache.set(info, cache)
  const name = `${version.label} ${sender} ${connectionId}`
  let keys = cache.get(name)
  if (keys === undefined) {
    keys = [
      { level: EncryptionLevel.None, opener: version.nullOpener(sender), sealer: version.nullSealer(sender) },
      ...aeadKeys(info, sender, connectionId)
    ]
    cache.set(name, keys)
  }
  return keys
}

function aeadKeys(info: CaseJson, sender: Perspective, connectionId: string): Key[] {
  const connection = info.connections.find(c => c.connectionId === connectionId)
  return (connection?.keys ?? []).flatMap(keys => {
    const client = sender === Perspective.Client
    const key = client ? keys.clientKey : keys.serverKey
    const iv = client ? keys.clientIv : keys.serverIv
    if (key === undefined || iv === undefined) return []
    const level = keys.level === 'initial' ? EncryptionLevel.Initial : EncryptionLevel.ForwardSecure
    const raw = [connection!.aead!, Buffer.from(key, 'hex'), Buffer.from(iv, 'hex')] as const
    return [{ level, opener: provider.createOpener(...raw), sealer: provider.createSealer(...raw) }]
  })
}
