/**
 * PING: nothing but a reason to send an ACK. The type byte 0x07 is the whole frame.
 * Source: quic_framer.cc (ProcessFrameData).
 */
import type { ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'

/** Bytes of the whole frame. */
export const PING_LENGTH = 1

/** Writes the frame. */
export function writePing(out: ByteWriter): void {
  out.uint8(FrameType.Ping)
}
