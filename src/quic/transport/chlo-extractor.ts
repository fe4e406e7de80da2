/**
 * Looks into a first packet for a complete client hello, before any connection exists (chlo_extractor.cc).
 */
import type { ConnectionId } from '../connection-id.js'
import type { AeadProvider } from '../crypto/protection.js'
import { EncryptionLevel, Perspective } from '../types.js'
import type { AckFrame, FrameVisitor } from '../wire/frames/frames.js'
import { createPacketHeader } from '../wire/versions/version.js'
import type { PacketHeader, QuicVersion } from '../wire/versions/version.js'

const MESSAGE_HEADER_LENGTH = 8
const ENTRY_LENGTH = 8

/** Whether `bytes[start, end)` holds a whole message with the tag CHLO. */
function holdsWholeChlo(b: Uint8Array, start: number, end: number): boolean {
  if (end - start < MESSAGE_HEADER_LENGTH) return false
  if (b[start] !== 0x43 || b[start + 1] !== 0x48 || b[start + 2] !== 0x4c || b[start + 3] !== 0x4f) return false
  const entries = b[start + 4]! | (b[start + 5]! << 8)
  const values = start + MESSAGE_HEADER_LENGTH + entries * ENTRY_LENGTH
  if (entries === 0) return true
  if (values > end) return false
  const last = values - 4
  const length = (b[last]! | (b[last + 1]! << 8) | (b[last + 2]! << 16) | (b[last + 3]! << 24)) >>> 0
  return values + length <= end
}

class ChloFinder implements FrameVisitor {
  found: Uint8Array | undefined
  cryptoStreamId = 1

  onStream(streamId: number, offset: number, _fin: boolean, buffer: Uint8Array, start: number, end: number): void {
    if (streamId === this.cryptoStreamId) this.onCrypto(offset, buffer, start, end)
  }

  onCrypto(offset: number, buffer: Uint8Array, start: number, end: number): void {
    if (offset === 0 && holdsWholeChlo(buffer, start, end)) this.found = buffer.subarray(start, end)
  }

  onEntropyFlag(_entropy: boolean): void {}
  onPadding(_length: number): void {}
  onAck(_ack: AckFrame): void {}
  onStopWaiting(_leastUnacked: number): void {}
  onRstStream(_streamId: number, _errorCode: number, _finalOffset: number): void {}
  onConnectionClose(_errorCode: number, _reason: string): void {}
  onGoAway(_errorCode: number, _lastGoodStreamId: number, _reason: string): void {}
  onWindowUpdate(_streamId: number, _limit: number): void {}
  onBlocked(_streamId: number): void {}
  onPing(): void {}
  onMessage(_buffer: Uint8Array, _start: number, _end: number): void {}
  onPathClose(_pathId: number): void {}
}

/** What {@link ChloExtractor.inspect} makes of a packet. */
export type FirstPacket = 'chlo' | 'other' | 'malformed'

/** Reusable: one a dispatcher. */
export class ChloExtractor {
  /** The packet number of the last packet inspected, as written (a first packet's is not truncated). */
  packetNumber = 0
  private readonly finder = new ChloFinder()
  private readonly header: PacketHeader = createPacketHeader()

  /** The hello, if {@link inspect} has just found one; a view that the next call may change. */
  get chlo(): Uint8Array | undefined {
    return this.finder.found
  }

  /** @param aeadProvider for versions whose first packets are under keys that everybody can derive */
  constructor(private readonly aeadProvider: AeadProvider) {}

  /** The packet number in a client's datagram as written; 0 if there is none to be read. */
  packetNumberOf(version: QuicVersion, datagram: Uint8Array): number {
    const parsed = version.header.parse(datagram, 0, datagram.length, Perspective.Server, this.header)
    return parsed ? this.header.wirePacketNumber : 0
  }

  /** Inspects a client's datagram in `version`. It never throws and leaves the bytes as they are. */
  inspect(version: QuicVersion, connectionId: ConnectionId, datagram: Uint8Array): FirstPacket {
    const { header } = this
    this.packetNumber = 0
    this.finder.found = undefined
    const codec = version.header
    if (!codec.parse(datagram, 0, datagram.length, Perspective.Server, header)) return 'malformed'
    if (header.keyLevel > EncryptionLevel.None) return this.early()
    const opener = version.nullOpener(Perspective.Client, { connectionId, aeadProvider: this.aeadProvider })
    // Decryption is in place, and whoever gets the packet next wants it as it came. A hash leaves it so.
    const bytes = opener.headerProtector === undefined ? datagram : Uint8Array.from(datagram)
    if (!codec.reveal(bytes, 0, Perspective.Server, opener.headerProtector, header)) return 'malformed'
    this.packetNumber = header.wirePacketNumber
    const length = opener.open(bytes, 0, header.headerEnd, header.packetEnd, header.wirePacketNumber)
    if (length < 0) return 'other'
    return this.find(version, bytes, header.headerEnd + opener.prefixLength, length)
  }

  // Its number is hidden by a key that is not there yet.
  private early(): FirstPacket {
    this.packetNumber = 1
    return 'other'
  }

  private find(version: QuicVersion, bytes: Uint8Array, start: number, length: number): FirstPacket {
    const { finder, packetNumber, header } = this
    finder.found = undefined
    finder.cryptoStreamId = version.traits.cryptoStreamId
    try {
      version.frames.decode(bytes, start, start + length, packetNumber, header.packetNumberLength, finder)
    } catch {
      return 'malformed'
    }
    return finder.found === undefined ? 'other' : 'chlo'
  }
}
