/**
 * STOP_WAITING (through Q043): the sender gave up on everything below a packet number, so must the receiver.
 *
 *     0x06 | [entropy hash u8: Q032, Q033] | delta (as wide as this packet's own packet number)
 *
 *     least unacked = this packet's number - delta
 *
 * Source: quic_framer.cc (ProcessStopWaitingFrame, AppendStopWaitingFrame).
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import type { ByteReader, ByteWriter } from '../bytes.js'
import { FrameType } from './frames.js'
import type { FrameVisitor } from './frames.js'

/**
 * Parses what follows the type, `withEntropy` where a hash belongs to it. Throws QuicError INVALID_STOP_WAITING_DATA
 * for a delta above the packet number.
 */
export function readStopWaiting(
  reader: ByteReader,
  packetNumber: number,
  packetNumberLength: number,
  withEntropy: boolean,
  visitor: FrameVisitor
): void {
  const entropyHash = withEntropy ? reader.uint8() : -1
  const delta = reader.uint(packetNumberLength)
  if (delta > packetNumber) {
    throw new QuicError(
      QuicErrorCode.INVALID_STOP_WAITING_DATA,
      `STOP_WAITING delta ${delta} in packet ${packetNumber} reaches below zero`
    )
  }
  visitor.onStopWaiting(packetNumber - delta, entropyHash)
}

/**
 * Steps over a frame that a version no longer has (from Q044) but that some of its clients send all the same: without
 * effect, since what it says comes with the ACKs.
 */
export function skipStopWaiting(reader: ByteReader, packetNumberLength: number): void {
  reader.skip(packetNumberLength)
}

/** Bytes of the whole frame without entropy. */
export function stopWaitingLength(packetNumberLength: number): number {
  return 1 + packetNumberLength
}

/** Bytes of the whole frame with entropy. */
export function entropyStopWaitingLength(packetNumberLength: number): number {
  return 2 + packetNumberLength
}

/** Writes the frame without entropy; the packet number's width must be able to hold the distance to `leastUnacked`. */
export function writeStopWaiting(
  out: ByteWriter,
  leastUnacked: number,
  packetNumber: number,
  packetNumberLength: number
): void {
  out.uint8(FrameType.StopWaiting)
  out.uint(packetNumber - leastUnacked, packetNumberLength)
}

/** Writes the frame with entropy. */
export function writeEntropyStopWaiting(
  out: ByteWriter,
  leastUnacked: number,
  packetNumber: number,
  packetNumberLength: number,
  entropyHash = 0
): void {
  out.uint8(FrameType.StopWaiting)
  out.uint8(entropyHash)
  out.uint(packetNumber - leastUnacked, packetNumberLength)
}
