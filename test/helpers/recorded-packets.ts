/**
 * Opens the packets of recorded cases with their recorded keys, by nothing but the codecs under test.
 */
import { ConnectionId } from '../../src/quic/connection-id.js'
import { NodeAeadProvider } from '../../src/quic/crypto/node-aead.js'
import type { AeadProvider, PacketOpener, PacketSealer } from '../../src/quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import { DatagramKind, DatagramPeek, peekDatagram } from '../../src/quic/wire/datagram-peek.js'
import type { HeaderForm } from '../../src/quic/wire/datagram-peek.js'
import { completePacketNumber } from '../../src/quic/wire/packet-number.js'
import { knownVersionByTag, knownVersions } from '../../src/quic/wire/versions/registry.js'
import { ANY_LEVEL, createPacketHeader } from '../../src/quic/wire/versions/version.js'
import type { PacketHeader, QuicVersion } from '../../src/quic/wire/versions/version.js'
import type { CaseJson, RecordedCase, RecordedDatagram } from './vectors.js'

const nodeAeads = new NodeAeadProvider()

/** A recorded data packet, opened. */
export interface OpenedRecording {
  datagram: RecordedDatagram
  version: QuicVersion
  sender: Perspective
  level: EncryptionLevel
  header: PacketHeader
  /** The header as it is sealed: without header protection. */
  headerBytes: Buffer
  form: HeaderForm
  /** Of the connection, whether or not this packet names it. */
  connectionId: Buffer
  namesConnection: boolean
  packetNumber: number
  plaintext: Buffer
  /** What would seal the packet again. */
  sealer: PacketSealer
}

/** A datagram without protection, and what the peek found in it. */
export interface PeekedDatagram {
  datagram: RecordedDatagram
  bodyStart: number
}

/** What a case is made of. `unopened` are the datagrams that no key opens. */
export interface OpenedCase {
  packets: OpenedRecording[]
  versionNegotiations: PeekedDatagram[]
  publicResets: PeekedDatagram[]
  unopened: RecordedDatagram[]
}

interface Key {
  level: EncryptionLevel
  opener: PacketOpener
  sealer: PacketSealer
}

/** Opens every datagram of a case, dropped ones included. */
export function openCase({ info, datagrams }: RecordedCase, aeads: AeadProvider = nodeAeads): OpenedCase {
  const result: OpenedCase = { packets: [], versionNegotiations: [], publicResets: [], unopened: [] }
  const spoken = new Map<number, QuicVersion>()
  const largest = new Map<string, number>()
  const current = new Map<number, Buffer>()
  for (const datagram of datagrams) {
    const sender = datagram.from === 'client' ? Perspective.Client : Perspective.Server
    const { bytes } = datagram
    const peek = new DatagramPeek(other(sender))
    peek.longHeaders = spoken.get(datagram.conn)?.traits.longHeaders ?? false
    if (!peekDatagram(bytes, 0, bytes.length, peek)) {
      result.unopened.push(datagram)
      continue
    }
    const { bodyStart, form, hasConnectionId, connectionIdOffset: at } = peek
    if (peek.kind === DatagramKind.VersionNegotiation) {
      result.versionNegotiations.push({ datagram, bodyStart })
      continue
    }
    if (peek.kind === DatagramKind.PublicReset) {
      result.publicResets.push({ datagram, bodyStart })
      continue
    }
    const named = knownVersionByTag(peek.versionTag)
    if (named !== undefined) spoken.set(datagram.conn, named)
    const version = spoken.get(datagram.conn) ?? knownVersions[0]!
    // A peer that asked for it (TCID 0), or that needs none, gets packets without the connection id.
    if (hasConnectionId) current.set(datagram.conn, bytes.subarray(at, at + 8))
    const connectionId = current.get(datagram.conn)!
    const space = `${connectionId.toString('hex')} ${datagram.from}`
    const keys = keysFor(aeads, info, version, sender, connectionId)
    const about = { datagram, version, sender, connectionId, namesConnection: hasConnectionId, form }
    const packet = openPacket(about, keys, largest.get(space) ?? 0)
    if (packet === undefined) {
      result.unopened.push(datagram)
    } else {
      result.packets.push(packet)
      largest.set(space, Math.max(largest.get(space) ?? 0, packet.packetNumber))
    }
  }
  return result
}

type About = Pick<
  OpenedRecording,
  'datagram' | 'version' | 'sender' | 'connectionId' | 'namesConnection' | 'form'
>

function openPacket(about: About, keys: readonly Key[], largest: number): OpenedRecording | undefined {
  const { datagram, version, sender } = about
  const header = createPacketHeader()
  const bytes = Buffer.from(datagram.bytes)
  if (!version.header.parse(bytes, 0, bytes.length, other(sender), header)) return undefined
  // No recording has more than one packet in a datagram.
  if (header.packetEnd !== bytes.length) throw new Error('a packet does not fill its datagram')
  for (const { level, opener, sealer } of keys) {
    if (header.keyLevel !== ANY_LEVEL && header.keyLevel !== level) continue
    if (!version.header.reveal(bytes, 0, other(sender), opener.headerProtector, header)) continue
    const packetNumber = completePacketNumber(header.wirePacketNumber, header.packetNumberLength, largest)
    const length = opener.open(bytes, 0, header.headerEnd, bytes.length, packetNumber)
    if (length < 0) {
      // The contract: a packet that does not open is left as it was, so that the next key can be tried.
      version.header.conceal(bytes, 0, opener.headerProtector, header)
      if (!bytes.equals(datagram.bytes)) throw new Error('a failed opener changed the packet')
      continue
    }
    const start = header.headerEnd + opener.prefixLength
    const headerBytes = Buffer.from(bytes.subarray(0, header.headerEnd))
    const plaintext = Buffer.from(bytes.subarray(start, start + length))
    return { ...about, level, header, headerBytes, packetNumber, plaintext, sealer }
  }
  return undefined
}

function other(side: Perspective): Perspective {
  return side === Perspective.Client ? Perspective.Server : Perspective.Client
}

const keyCaches = new WeakMap<AeadProvider, WeakMap<CaseJson, Map<string, Key[]>>>()

function keysFor(
  aeads: AeadProvider,
  info: CaseJson,
  version: QuicVersion,
  sender: Perspective,
  connectionId: Buffer
): Key[] {
  const keyCache = keyCaches.get(aeads) ?? new WeakMap<CaseJson, Map<string, Key[]>>()
  keyCaches.set(aeads, keyCache)
  const cache = keyCache.get(info) ?? new Map<string, Key[]>()
  keyCache.set(info, cache)
  const name = `${version.label} ${sender} ${connectionId.toString('hex')}`
  let keys = cache.get(name)
  if (keys === undefined) {
    const context = { connectionId: ConnectionId.read(connectionId), aeadProvider: aeads }
    const opener = version.nullOpener(sender, context)
    const sealer = version.nullSealer(sender, context)
    keys = [
      { level: EncryptionLevel.None, opener, sealer },
      ...aeadKeys(aeads, info, version, sender, connectionId.toString('hex'))
    ]
    cache.set(name, keys)
  }
  return keys
}

function aeadKeys(
  aeads: AeadProvider,
  info: CaseJson,
  version: QuicVersion,
  sender: Perspective,
  connectionId: string
): Key[] {
  const connection = info.connections.find(c => c.connectionId === connectionId)
  return (connection?.keys ?? []).flatMap(keys => {
    // What a connection id obfuscates with is not for the recording to say.
    if (keys.level === 'versionSalt') return []
    const client = sender === Perspective.Client
    const key = client ? keys.clientKey : keys.serverKey
    const iv = client ? keys.clientIv : keys.serverIv
    const headerKey = client ? keys.clientHp : keys.serverHp
    if (key === undefined || iv === undefined) return []
    const level = keys.level === 'initial' ? EncryptionLevel.Initial : EncryptionLevel.ForwardSecure
    const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
    const raw = [connection!.aead!, bytes(key), bytes(iv), version.protection, bytes(headerKey ?? '')] as const
    return [{ level, opener: aeads.createOpener(...raw), sealer: aeads.createSealer(...raw) }]
  })
}
