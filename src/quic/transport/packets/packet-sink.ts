/**
 * What a session writes frames into: the packet that is being built. The session is asked to fill it, and takes only
 * what fits; nothing is queued behind it.
 */
import type { EncryptionLevel } from '../../types.js'

/** Copies the bytes `[offset, offset + length)` of a stream to `target[at, at + length)`. */
export interface StreamDataSource {
  copyTo(target: Uint8Array, at: number, offset: number, length: number): void
}

/** The packet under construction. Every `add…` answers false, and writes nothing, where there is no room. */
export interface PacketSink {
  readonly level: EncryptionLevel
  /** Bytes still free for frames. */
  readonly remaining: number

  /**
   * The most data bytes that a STREAM frame at this offset may carry in this packet, so that the same frame also fits
   * alone into any later packet of the connection (a retransmission keeps its boundaries). 0 with a fin still fits if
   * the answer is 0; -1 means that not even an empty frame fits.
   */
  streamCapacity(streamId: number, offset: number): number
  /**
   * Whether a lost frame that no longer fits may go in pieces. Not while the old one may still arrive: a receiver that
   * has one of the pieces takes it for other data (QUIC_OVERLAPPING_STREAM_DATA) and closes the connection.
   */
  readonly mayCut: boolean
  /** Whether a STREAM frame like this, alone, fits into a packet of today's size. */
  fitsAlone(streamId: number, offset: number, length: number): boolean
  /** Adds a STREAM frame whose data is copied from `source`. `length` is at most {@link streamCapacity}. */
  addStream(streamId: number, offset: number, length: number, fin: boolean, source: StreamDataSource): void
  /** Adds a lost STREAM frame again, with its boundaries. */
  addStreamAgain(streamId: number, offset: number, length: number, fin: boolean, source: StreamDataSource): boolean

  addRstStream(streamId: number, errorCode: number, finalOffset: number): boolean
  addWindowUpdate(streamId: number, limit: number): boolean
  addBlocked(streamId: number): boolean
  addGoAway(errorCode: number, lastGoodStreamId: number, reason: string): boolean
  addPing(): boolean
}
