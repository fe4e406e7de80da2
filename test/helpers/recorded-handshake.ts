/**
 * The handshake messages of a recorded connection, taken out of its datagrams.
 */
import type { AeadName, PacketOpener } from '../../src/quic/crypto/protection.js'
import { NodeAeadProvider } from '../../src/quic/crypto/node-aead.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import { HandshakeMessageReader } from '../../src/quic/wire/handshake-message.js'
import type { HandshakeMessage } from '../../src/quic/wire/handshake-message.js'
import { versionByLabel } from '../../src/quic/wire/versions/registry.js'
import { createPacketHeader } from '../../src/quic/wire/versions/version.js'
import type { PacketHeader, QuicVersion } from '../../src/quic/wire/versions/version.js'
import { FrameLog } from './frame-log.js'
import { loadCase } from './vectors.js'
import type { ConnectionJson } from './vectors.js'

const FLAG_VERSION = 0x01
const FLAG_CONNECTION_ID = 0x08

/** One message, and the datagram that completed it. */
export interface RecordedMessage {
  from: 'client' | 'server'
  level: EncryptionLevel
  message: HandshakeMessage
  /** The bytes of the crypto stream that it was cut from. */
  raw: Buffer
  datagramLength: number
}

/** The handshake messages of one connection of a case, each direction in its order, as delivered. */
export function recordedMessages(name: string, index = 0): RecordedMessage[] {
  const { info, datagrams } = loadCase(name)
  const connection = info.connections[index]!
  const version = versionByLabel(connection.version!)!
  const openers = { client: openersOf(connection, 'client', version), server: openersOf(connection, 'server', version) }
  const streams = { client: new Reassembly(), server: new Reassembly() }
  const found: RecordedMessage[] = []
  for (const { from, conn, dropped, bytes } of datagrams) {
    if (conn !== connection.conn || dropped) continue
    // Not of this connection, though from the same socket (a client whose id the server changed).
    if ((bytes[0]! & FLAG_CONNECTION_ID) !== 0 && bytes.toString('hex', 1, 9) !== connection.connectionId) continue
    // Version negotiation packets are no data packets.
    if (from === 'server' && (bytes[0]! & FLAG_VERSION) !== 0) continue
    for (const { level, opener } of openers[from]) {
      const payload = open(version, from, opener, bytes)
      if (payload === undefined) continue
      const log = new FrameLog()
      version.frames.decode(payload.buffer, payload.start, payload.end, payload.packetNumber, payload.length, log)
      for (const frame of log.frames) {
        if (frame.kind !== 'stream' || frame.streamId !== 1) continue
        for (const { message, raw } of streams[from].add(frame.offset, frame.data)) {
          found.push({ from, level, message, raw, datagramLength: bytes.length })
        }
      }
      break
    }
  }
  return found
}

function openersOf(
  connection: ConnectionJson,
  from: 'client' | 'server',
  version: QuicVersion
): { level: EncryptionLevel; opener: PacketOpener }[] {
  const sender = from === 'client' ? Perspective.Client : Perspective.Server
  const list = [{ level: EncryptionLevel.None as EncryptionLevel, opener: version.nullOpener(sender) }]
  for (const keys of connection.keys) {
    const key = from === 'client' ? keys.clientKey : keys.serverKey
    const iv = from === 'client' ? keys.clientIv : keys.serverIv
    if (key === undefined || iv === undefined) continue
    list.push({
      level: keys.level === 'initial' ? EncryptionLevel.Initial : EncryptionLevel.ForwardSecure,
      opener: new NodeAeadProvider().createOpener(
        connection.aead as AeadName,
        Buffer.from(key, 'hex'),
        Buffer.from(iv, 'hex')
      )
    })
  }
  return list
}

function open(
  version: QuicVersion,
  from: 'client' | 'server',
  opener: PacketOpener,
  bytes: Buffer
): { buffer: Uint8Array; start: number; end: number; packetNumber: number; length: number } | undefined {
  const header: PacketHeader = createPacketHeader()
  const copy = Uint8Array.from(bytes)
  const receiver = from === 'client' ? Perspective.Server : Perspective.Client
  if (!version.header.parse(copy, 0, copy.length, receiver, header)) return undefined
  // A handshake ends long before packet numbers need more bytes than were written.
  const length = opener.open(copy, 0, header.headerEnd, copy.length, header.wirePacketNumber)
  if (length < 0) return undefined
  const start = header.headerEnd + opener.prefixLength
  const { wirePacketNumber: packetNumber, packetNumberLength } = header
  return { buffer: copy, start, end: start + length, packetNumber, length: packetNumberLength }
}

/** A byte stream put together from pieces in any order, cut into messages. */
class Reassembly {
  private readonly pieces = new Map<number, Uint8Array>()
  private readonly reader = new HandshakeMessageReader(1 << 20)
  private bytes = Buffer.alloc(0)
  private consumed = 0

  add(offset: number, data: Uint8Array): { message: HandshakeMessage; raw: Buffer }[] {
    this.pieces.set(offset, data)
    for (let next = this.pieces.get(this.bytes.length); next !== undefined && next.length > 0; ) {
      this.bytes = Buffer.concat([this.bytes, next])
      this.reader.push(next)
      next = this.pieces.get(this.bytes.length)
    }
    const found: { message: HandshakeMessage; raw: Buffer }[] = []
    for (let message = this.reader.next(); message !== undefined; message = this.reader.next()) {
      found.push({ message, raw: this.bytes.subarray(this.consumed, (this.consumed += message.size)) })
    }
    return found
  }
}
