/**
 * What frames say, apart from how a version writes them.
 */

/** The regular frame types (quic_protocol.h, QuicFrameType). STREAM and ACK have bits of their own. */
export const FrameType = {
  Padding: 0x00,
  RstStream: 0x01,
  ConnectionClose: 0x02,
  GoAway: 0x03,
  WindowUpdate: 0x04,
  Blocked: 0x05,
  StopWaiting: 0x06,
  Ping: 0x07,
  /** Through Q038. */
  PathClose: 0x08,
  /** From Q048, under the number that PATH_CLOSE had. */
  Crypto: 0x08,
  /** From Q045: to the packet's end, and with a length. */
  Message: 0x20,
  MessageWithLength: 0x21
} as const

/**
 * An ACK in version-independent form. `ranges` holds `rangeCount` pairs `[first, last]` (inclusive packet numbers),
 * highest range first; the array may be longer than that and is reused between packets, so copy what must be kept.
 * No ranges at all is legal: the sender of the ACK forgot everything below its peer's STOP_WAITING.
 */
export interface AckFrame {
  largestAcked: number
  /** Microseconds since `largestAcked` arrived; `Infinity` for the wire's infinite value. */
  ackDelay: number
  rangeCount: number
  ranges: Float64Array
}

/**
 * Receives the frames of one packet in wire order. Stream data comes as a range of the packet's buffer, valid only
 * during the call. A visitor may throw a QuicError, which ends the connection.
 */
export interface FrameVisitor {
  /** Before all frames, in versions with entropy only: the packet's random bit. */
  onEntropyFlag(entropy: boolean): void
  onPadding(length: number): void
  onStream(streamId: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void
  /** Handshake data in versions where it is on no stream. */
  onCrypto(offset: number, buffer: Uint8Array, start: number, end: number): void
  /**
   * In versions with entropy `entropyHash` is the peer's sum over what it acknowledges, and `truncated` says that it
   * had more to tell; in others they are -1 and false.
   */
  onAck(ack: AckFrame, entropyHash: number, truncated: boolean): void
  /** `entropyHash` is the sum over all packets below in versions with entropy, in others -1. */
  onStopWaiting(leastUnacked: number, entropyHash: number): void
  onRstStream(streamId: number, errorCode: number, finalOffset: number): void
  onConnectionClose(errorCode: number, reason: string): void
  onGoAway(errorCode: number, lastGoodStreamId: number, reason: string): void
  /** `streamId` 0 speaks of the connection. */
  onWindowUpdate(streamId: number, limit: number): void
  /** `streamId` 0 speaks of the connection. */
  onBlocked(streamId: number): void
  onPing(): void
  onMessage(buffer: Uint8Array, start: number, end: number): void
  onPathClose(pathId: number): void
}
