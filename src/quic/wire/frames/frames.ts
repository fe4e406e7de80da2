/**
 * What frames say, apart from how a version writes them.
 */

/** The regular frame types of Q032–Q046 (quic_protocol.h, QuicFrameType). STREAM and ACK have bits of their own. */
export const FrameType = {
  Padding: 0x00,
  RstStream: 0x01,
  ConnectionClose: 0x02,
  GoAway: 0x03,
  WindowUpdate: 0x04,
  Blocked: 0x05,
  StopWaiting: 0x06,
  Ping: 0x07,
  PathClose: 0x08
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
  onPadding(length: number): void
  onStream(streamId: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void
  onAck(ack: AckFrame): void
  onStopWaiting(leastUnacked: number): void
  onRstStream(streamId: number, errorCode: number, finalOffset: number): void
  onConnectionClose(errorCode: number, reason: string): void
  onGoAway(errorCode: number, lastGoodStreamId: number, reason: string): void
  /** `streamId` 0 speaks of the connection. */
  onWindowUpdate(streamId: number, limit: number): void
  /** `streamId` 0 speaks of the connection. */
  onBlocked(streamId: number): void
  onPing(): void
  onPathClose(pathId: number): void
}
