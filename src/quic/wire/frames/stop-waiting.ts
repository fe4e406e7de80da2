/**
 * STOP_WAITING (Q034–Q043): the sender gave up on everything below a packet number, so must the receiver.
 *
 *     0x06 | delta (as wide as this packet's own packet number)        least unacked = this packet's number - delta
 *
 * Source: quic_framer.cc (ProcessStopWaitingFrame, AppendStopWaitingFrame).
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'

/** Parses what follows the type. Throws QuicError INVALID_STOP_WAITING_DATA for a delta above the packet number. */
export function readStopWaiting(
  reader: ByteReader,
  packetNumber: number,
  packetNumberLength: number,
  visitor: FrameVisitor
): void {
  const delta = reader.uint(packetNumberLength)
  if (delta > packetNumber) {
    throw new QuicError(
      QuicErrorCode.INVALID_STOP_WAITING_DATA,
      `STOP_WAITING delta ${delta} in packet ${packetNumber} reaches below zero`
    )
  }
  visitor.onStopWaiting(packetNumber - delta)
}

/** Bytes of the whole frame. */
export function stopWaitingLength(packetNumberLength: number): number {
  return 1 + packetNumberLength
}

/** Writes the frame; the packet number's width must be able to hold the distance to `leastUnacked`. */
export function writeStopWaiting(
  out: ByteWriter,
  leastUnacked: number,
  packetNumber: number,
  packetNumberLength: number
): void {
  out.uint8(FrameType.StopWaiting)
  out.uint(packetNumber - leastUnacked, packetNumberLength)
}
