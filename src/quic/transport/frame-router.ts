/**
 * Hands the frames of one received packet to whom they concern.
 */
import { QuicError, QuicErrorCode, quicErrorName } from '../errors.js'
import type { SentPacketManager } from '../recovery/sent-packet-manager.js'
import type { FrameFateListener } from '../recovery/sent-frame.js'
import { EncryptionLevel, type Micros } from '../types.js'
import type { AckFrame, FrameVisitor } from '../wire/frames/frames.js'
import type { ConnectionEntropy } from './acks/connection-entropy.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import type { CryptoSendStream } from './crypto-stream.js'

/** What a packet's frames may ask of the connection itself. */
export interface FrameRouterOwner {
  readonly cryptoStreamId: number
  onCryptoFrame(offset: number, buffer: Uint8Array, start: number, end: number): void
  onPeerClosed(error: QuicError): void
}

/** One a connection, reused for every packet: {@link begin} before, the outcome in the fields after. */
export class FrameRouter implements FrameVisitor {
  /** Whether the packet held a frame that wants to be acknowledged. */
  ackEliciting = false
  /** The packet's STOP_WAITING, which takes effect after the whole packet; 0 for none. */
  leastUnacked = 0
  /** The packet's random bit, and what came with its STOP_WAITING, in versions with entropy. */
  entropyBit = false
  stopWaitingHash = 0
  /** Whether the peer closed the connection: what follows in the packet no longer matters. */
  closed = false

  private packetNumber = 0
  private level: EncryptionLevel = EncryptionLevel.None
  private now: Micros = 0
  private newestAckPacket = 0

  constructor(
    private readonly owner: FrameRouterOwner,
    private readonly fates: FrameFateListener,
    private readonly crypto: CryptoSendStream,
    private readonly sentPackets: SentPacketManager,
    private readonly session: ConnectionVisitor,
    private readonly entropy: ConnectionEntropy | undefined
  ) {}

  begin(now: Micros, packetNumber: number, level: EncryptionLevel): void {
    this.now = now
    this.packetNumber = packetNumber
    this.level = level
    this.ackEliciting = false
    this.leastUnacked = 0
    this.closed = false
  }

  onEntropyFlag(entropy: boolean): void {
    this.entropyBit = entropy
  }

  onPadding(_length: number): void {}

  onStream(streamId: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void {
    if (this.closed) return
    this.ackEliciting = true
    if (streamId === this.owner.cryptoStreamId) {
      this.owner.onCryptoFrame(offset, buffer, start, end)
      return
    }
    if (this.level === EncryptionLevel.None) throw unencryptedData(buffer, start, end)
    this.session.onStreamFrame(streamId, offset, fin, buffer, start, end)
  }

  onCrypto(offset: number, buffer: Uint8Array, start: number, end: number): void {
    if (this.closed) return
    this.ackEliciting = true
    this.owner.onCryptoFrame(offset, buffer, start, end)
  }

  onAck(ack: AckFrame, entropyHash: number, truncated: boolean): void {
    // The sender of a truncated ACK waits to tell the rest.
    if (truncated) this.ackEliciting = true
    // An older packet that arrives late has nothing new to say (quic_connection.cc, OnAckFrame).
    if (this.closed || this.packetNumber <= this.newestAckPacket) return
    if (entropyHash >= 0 && this.entropy?.sent.matches(ack, entropyHash) !== true) {
      throw new QuicError(QuicErrorCode.INVALID_ACK_DATA, 'Invalid entropy')
    }
    this.newestAckPacket = this.packetNumber
    this.sentPackets.onAck(this.now, ack, this.fates)
  }

  onStopWaiting(leastUnacked: number, entropyHash: number): void {
    if (this.closed) return
    this.leastUnacked = leastUnacked
    this.stopWaitingHash = entropyHash
  }

  onRstStream(streamId: number, errorCode: number, finalOffset: number): void {
    if (this.closed) return
    this.ackEliciting = true
    if (streamId === this.owner.cryptoStreamId) {
      throw new QuicError(QuicErrorCode.INVALID_STREAM_ID, 'RST_STREAM for the crypto stream')
    }
    this.session.onRstStreamFrame(streamId, errorCode, finalOffset)
  }

  onConnectionClose(errorCode: number, reason: string): void {
    if (this.closed) return
    this.closed = true
    this.owner.onPeerClosed(QuicError.fromPeer(errorCode, reason === '' ? `the peer closed with ${quicErrorName(errorCode)}` : reason))
  }

  onGoAway(errorCode: number, lastGoodStreamId: number, reason: string): void {
    if (this.closed) return
    this.ackEliciting = true
    this.session.onGoAwayFrame(errorCode, lastGoodStreamId, reason)
  }

  onWindowUpdate(streamId: number, limit: number): void {
    if (this.closed) return
    this.ackEliciting = true
    if (streamId === this.owner.cryptoStreamId) this.crypto.raiseLimit(limit)
    else this.session.onWindowUpdateFrame(streamId, limit)
  }

  onBlocked(streamId: number): void {
    if (this.closed) return
    this.ackEliciting = true
    if (streamId !== this.owner.cryptoStreamId) this.session.onBlockedFrame(streamId)
  }

  onPing(): void {
    this.ackEliciting = true
  }

  onMessage(_buffer: Uint8Array, _start: number, _end: number): void {
    this.ackEliciting = true
  }

  onPathClose(_pathId: number): void {}
}

// A whole handshake message on a data stream points to memory corruption rather than to a missing key
// (quic_connection.cc, OnStreamFrame).
function unencryptedData(buffer: Uint8Array, start: number, end: number): QuicError {
  const text = String.fromCharCode(...buffer.subarray(start, Math.min(start + 4, end)))
  return text === 'CHLO' || text === 'REJ\0'
    ? new QuicError(QuicErrorCode.MAYBE_CORRUPTED_MEMORY, 'a handshake message on a data stream')
    : new QuicError(QuicErrorCode.UNENCRYPTED_STREAM_DATA, 'stream data in an unencrypted packet')
}
