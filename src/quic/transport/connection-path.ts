/**
 * What a connection knows of the path to its peer, beyond round-trip time and bandwidth: how large packets may be, and
 * where the peer is.
 */
import type { SentPacketManager } from '../recovery/sent-packet-manager.js'
import { Perspective, type PeerAddress } from '../types.js'
import type { CryptoSendStream } from './crypto-stream.js'
import { MTU_TARGET_HIGH, MTU_TARGET_LOW, MtuDiscovery } from './mtu-discovery.js'
import type { PacketAssembler } from './packets/packet-assembler.js'
import { addressChange, PathMigration } from './path-migration.js'

// Header, tag and frame header of a packet with a client hello, generously.
const HELLO_OVERHEAD = 64

/** The parts of a connection that the path concerns. */
export interface PathParts {
  readonly perspective: Perspective
  readonly sentPackets: SentPacketManager
  readonly assembler: PacketAssembler
  readonly crypto: CryptoSendStream
}

/** One a connection. */
export class ConnectionPath {
  readonly mtu = new MtuDiscovery()
  private readonly migration = new PathMigration()
  /** The last packet sent before packets were made smaller on suspicion. */
  private lastOfOldSize = 0

  constructor(private readonly parts: PathParts) {}

  /** Takes the client's connection options. */
  applyOptions(options: readonly string[]): void {
    if (options.includes('MTUH')) this.mtu.setTarget(MTU_TARGET_HIGH)
    if (options.includes('MTUL')) this.mtu.setTarget(MTU_TARGET_LOW)
  }

  /** An acknowledgement was processed. */
  onAck(): void {
    const { sentPackets, assembler } = this.parts
    this.migration.onAck(sentPackets.largestAcked)
    const acked = sentPackets.largestAckedLength
    if (acked > assembler.maxPacketLength) {
      assembler.maxPacketLength = this.mtu.onPacketAcked(acked, assembler.maxPacketLength)
      assembler.mayCut = true
    } else if (sentPackets.largestAcked > this.lastOfOldSize) {
      // What was sent later arrives, and nothing larger has: that was the size.
      assembler.mayCut = true
    }
  }

  /**
   * The retransmission timer ran out.
   * @returns false if a client's hello was made too long for the packets that are to be tried now: another one is needed
   */
  onTimeout(): boolean {
    const { sentPackets, assembler, perspective, crypto } = this.parts
    const { consecutiveRtoCount, consecutiveCryptoTimeouts, largestSent } = sentPackets
    const { maxPacketLength } = assembler
    this.shrinkTo(this.mtu.onTimeouts(consecutiveRtoCount, consecutiveCryptoTimeouts, largestSent, maxPacketLength))
    if (assembler.maxPacketLength === maxPacketLength) return true
    assembler.mayCut = false
    this.lastOfOldSize = largestSent
    if (perspective === Perspective.Server) return true
    return crypto.longestChunk + HELLO_OVERHEAD <= assembler.maxPacketLength
  }

  /** The system refused to send a packet of this size. */
  onTooBig(size: number): void {
    this.parts.assembler.mayCut = true
    this.shrinkTo(this.mtu.onTooBig(size, this.parts.assembler.maxPacketLength))
  }

  /**
   * The newest packet came from another address than the peer's.
   * @returns whether the peer is there now
   */
  followPeer(from: PeerAddress, to: PeerAddress): boolean {
    const { sentPackets, assembler } = this.parts
    if (!this.migration.mayStart(sentPackets.consecutiveTlpCount + sentPackets.consecutiveRtoCount > 0)) return false
    this.migration.start(sentPackets.largestSent)
    if (addressChange(from, to) === 'address') {
      sentPackets.onPathChanged()
      this.shrinkTo(this.mtu.onPathChanged(sentPackets.largestSent, assembler.maxPacketLength))
    }
    return true
  }

  // A larger packet may yet be acknowledged: then it was not the size, and it goes up again.
  private shrinkTo(size: number): void {
    const { sentPackets, assembler } = this.parts
    if (size >= assembler.maxPacketLength) return
    assembler.maxPacketLength = size
    sentPackets.forgetLargestAckedLength()
  }
}
