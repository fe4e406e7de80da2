/**
 * Writes parsed frames again, to compare the result with what was parsed.
 */
import type { ByteWriter } from '../../src/quic/wire/bytes.js'
import type { FrameCodec } from '../../src/quic/wire/versions/version.js'
import { ackOf } from './frame-log.js'
import type { LoggedFrame } from './frame-log.js'

/** Where a frame is written: what a codec needs to know of its packet. */
export interface FrameContext {
  packetNumber: number
  packetNumberLength: number
  /** Whether a STREAM frame states its length. */
  withLength: boolean
}

/** The frame as `codec` writes it; undefined for a kind that is never sent. An ACK comes without timestamps. */
export function encodeFrame(codec: FrameCodec, frame: LoggedFrame, context: FrameContext): Buffer | undefined {
  const out = codec.createWriter().reset(Buffer.alloc(3000), 0)
  if (!write(codec, out, frame, context)) return undefined
  return Buffer.from(out.buffer.subarray(0, out.position))
}

function write(codec: FrameCodec, out: ByteWriter, frame: LoggedFrame, context: FrameContext): boolean {
  switch (frame.kind) {
    case 'padding':
      codec.writePadding(out, frame.length)
      return true
    case 'stream':
      codec.writeStreamHeader(
        out, frame.streamId, frame.offset, frame.data.length, frame.fin, context.withLength
      )
      out.bytes(frame.data)
      return true
    case 'crypto':
      codec.writeCryptoHeader(out, frame.offset, frame.data.length)
      out.bytes(frame.data)
      return true
    case 'entropyFlag':
      codec.writePreamble(out, frame.entropy)
      return true
    case 'ack': {
      const { largestAcked, ackDelay, ranges, entropyHash } = frame
      const entropy = entropyHash === undefined ? undefined : { leastAwaited: 1, hashUpTo: () => entropyHash }
      return codec.writeAck(out, ackOf(largestAcked, ackDelay, ranges), 3000, entropy)
    }
    case 'stopWaiting': {
      const { packetNumber, packetNumberLength } = context
      codec.writeStopWaiting(out, frame.leastUnacked, packetNumber, packetNumberLength, frame.entropyHash)
      return true
    }
    case 'rstStream':
      codec.writeRstStream(out, frame.streamId, frame.errorCode, frame.finalOffset)
      return true
    case 'connectionClose':
      codec.writeConnectionClose(out, frame.errorCode, Buffer.from(frame.reason))
      return true
    case 'goAway':
      codec.writeGoAway(out, frame.errorCode, frame.lastGoodStreamId, Buffer.from(frame.reason))
      return true
    case 'windowUpdate':
      codec.writeWindowUpdate(out, frame.streamId, frame.limit)
      return true
    case 'blocked':
      codec.writeBlocked(out, frame.streamId)
      return true
    case 'ping':
      codec.writePing(out)
      return true
    case 'pathClose':
    case 'message':
      return false
  }
}
