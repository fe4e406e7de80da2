/**
 * The handshake messages of a recorded connection, taken out of its datagrams.
 */
import type { EncryptionLevel } from '../../src/quic/types.js'
import { Perspective } from '../../src/quic/types.js'
import { HandshakeMessageReader } from '../../src/quic/wire/handshake-message.js'
import type { HandshakeMessage } from '../../src/quic/wire/handshake-message.js'
import { FrameLog } from './frame-log.js'
import { openCase } from './recorded-packets.js'
import { loadCase } from './vectors.js'

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
  const recorded = loadCase(name)
  const connection = recorded.info.connections[index]!
  // Handshake data is one stream a direction, or from Q050 on one a level.
  const streams = new Map<string, Reassembly>()
  const found: RecordedMessage[] = []
  for (const { datagram, version, sender, level, header, connectionId, packetNumber, plaintext } of openCase(recorded)
    .packets) {
    if (datagram.dropped || datagram.conn !== connection.conn) continue
    if (connectionId.toString('hex') !== connection.connectionId) continue
    const log = new FrameLog()
    version.frames.decode(plaintext, 0, plaintext.length, packetNumber, header.packetNumberLength, log)
    for (const frame of log.frames) {
      const onStream = frame.kind === 'stream' && frame.streamId === version.traits.cryptoStreamId
      if (!onStream && frame.kind !== 'crypto') continue
      const key = `${sender} ${onStream ? '' : level}`
      const stream = streams.get(key) ?? new Reassembly()
      streams.set(key, stream)
      for (const { message, raw } of stream.add(frame.offset, frame.data)) {
        const from = sender === Perspective.Client ? 'client' : 'server'
        found.push({ from, level, message, raw, datagramLength: datagram.bytes.length })
      }
    }
  }
  return found
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
