/**
 * Packets of a connection that does not exist: a handshake message, numbered from 1, at level None
 * (quic_dispatcher.cc, StatelessConnectionTerminator).
 */
import type { ConnectionId } from '../connection-id.js'
import type { AeadProvider } from '../crypto/protection.js'
import { SentFramePool } from '../recovery/sent-frame.js'
import { EncryptionLevel, Perspective } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'
import { PacketAssembler } from './packets/packet-assembler.js'
import type { StreamDataSource } from './packets/packet-sink.js'
import { TRANSMIT_BUFFER_SIZE } from './transmit.js'

/** What {@link handshakePackets} needs to know of the connection that would be. */
export interface StatelessConnection {
  readonly connectionId: ConnectionId
  readonly version: QuicVersion
  readonly aeadProvider: AeadProvider
  /** UDP payload of each packet, bytes. */
  readonly packetLength: number
}

/** The packets, all of the same length, in which a server sends `message`. */
export function handshakePackets(message: Uint8Array, o: StatelessConnection): Uint8Array[] {
  const assembler = new PacketAssembler(Perspective.Server, o.version, o.packetLength, new SentFramePool(), o)
  const source: StreamDataSource = {
    copyTo: (target, at, offset, length) => target.set(message.subarray(offset, offset + length), at)
  }
  const packets: Uint8Array[] = []
  for (let offset = 0; offset < message.length; ) {
    const out = new Uint8Array(TRANSMIT_BUFFER_SIZE)
    assembler.beginBatch(out)
    assembler.beginPacket(
      0,
      EncryptionLevel.None,
      packets.length + 1,
      1,
      o.connectionId.bytes,
      false,
      undefined,
      false,
      0
    )
    const length = Math.min(message.length - offset, assembler.cryptoCapacity(offset))
    assembler.addCrypto(offset, length, source)
    assembler.pad()
    const size = assembler.endPacket()
    assembler.sealBatch()
    packets.push(out.slice(0, size))
    offset += length
  }
  return packets
}
