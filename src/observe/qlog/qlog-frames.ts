/**
 * Frames as qlog writes them (draft-ietf-quic-qlog-quic-events, the schema of qlog 0.3). What this protocol has and the
 * schema does not keeps its own name.
 */
import { quicErrorName, quicRstErrorName } from '../../quic/errors.js'
import type { ObservedPacket } from '../../quic/transport/observer.js'
import type { AckFrame, FrameVisitor } from '../../quic/wire/frames/frames.js'

/** One frame, as an object for JSON. */
export type QlogFrame = Readonly<Record<string, unknown>> & { readonly frame_type: string }

/**
 * The frames of a packet in wire order. Never throws: where the packet is malformed, what could be read is followed by
 * a frame of type `unknown` that says why.
 */
export function qlogFrames(packet: ObservedPacket): QlogFrame[] {
  const frames: QlogFrame[] = []
  const { version, buffer, payloadStart, payloadEnd, packetNumber, packetNumberLength } = packet
  try {
    version.frames.decode(buffer, payloadStart, payloadEnd, packetNumber, packetNumberLength, new FrameCollector(frames))
  } catch (error) {
    frames.push({ frame_type: 'unknown', error: error instanceof Error ? error.message : String(error) })
  }
  return frames
}

class FrameCollector implements FrameVisitor {
  constructor(private readonly frames: QlogFrame[]) {}

  onEntropyFlag(): void {}

  onPadding(length: number): void {
    this.frames.push({ frame_type: 'padding', length })
  }

  onStream(streamId: number, offset: number, fin: boolean, _buffer: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.frames.push({ frame_type: 'stream', stream_id: streamId, offset, length, ...(fin ? { fin } : {}) })
  }

  onCrypto(offset: number, _buffer: Uint8Array, start: number, end: number): void {
    this.frames.push({ frame_type: 'crypto', offset, length: end - start })
  }

  onAck(ack: AckFrame): void {
    const acked: [number, number][] = []
    // qlog wants the lowest range first.
    for (let i = ack.rangeCount - 1; i >= 0; i--) acked.push([ack.ranges[2 * i]!, ack.ranges[2 * i + 1]!])
    const delay = Number.isFinite(ack.ackDelay) ? { ack_delay: ack.ackDelay / 1000 } : {}
    this.frames.push({ frame_type: 'ack', ...delay, acked_ranges: acked })
  }

  onStopWaiting(leastUnacked: number): void {
    this.frames.push({ frame_type: 'stop_waiting', least_unacked: leastUnacked })
  }

  onRstStream(streamId: number, errorCode: number, finalSize: number): void {
    const error = { error_code: errorCode, error: quicRstErrorName(errorCode) }
    this.frames.push({ frame_type: 'reset_stream', stream_id: streamId, ...error, final_size: finalSize })
  }

  onConnectionClose(errorCode: number, reason: string): void {
    const error = { error_code: errorCode, error: quicErrorName(errorCode) }
    this.frames.push({ frame_type: 'connection_close', error_space: 'transport', ...error, reason })
  }

  onGoAway(errorCode: number, lastGoodStreamId: number, reason: string): void {
    const error = { error_code: errorCode, error: quicErrorName(errorCode) }
    this.frames.push({ frame_type: 'goaway', ...error, last_good_stream_id: lastGoodStreamId, reason })
  }

  onWindowUpdate(streamId: number, maximum: number): void {
    if (streamId === 0) this.frames.push({ frame_type: 'max_data', maximum })
    else this.frames.push({ frame_type: 'max_stream_data', stream_id: streamId, maximum })
  }

  onBlocked(streamId: number): void {
    // The schema's data_blocked has a limit, which this protocol does not tell.
    this.frames.push({ frame_type: 'blocked', stream_id: streamId })
  }

  onPing(): void {
    this.frames.push({ frame_type: 'ping' })
  }

  onMessage(_buffer: Uint8Array, start: number, end: number): void {
    this.frames.push({ frame_type: 'datagram', length: end - start })
  }

  onPathClose(pathId: number): void {
    this.frames.push({ frame_type: 'path_close', path_id: pathId })
  }
}
