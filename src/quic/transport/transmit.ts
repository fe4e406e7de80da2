/**
 * The shape in which packets leave the core, and the doors of everything that a driver can run.
 */
import type { PacketBatch, PacketSealer } from '../crypto/protection.js'
import type { Micros, PeerAddress } from '../types.js'
import type { DatagramBatch } from './datagram-batch.js'

/**
 * Up to 16 packets to one peer, back to back in the buffer given to pollTransmit: each `segmentSize` bytes long but
 * the last, which may be shorter. One loop of sends, or one segmentation-offload call. The object is reused by the
 * next pollTransmit.
 */
export interface Transmit {
  to: PeerAddress
  length: number
  segmentSize: number
  /**
   * In how many µs the pacer has the first of them due, a millisecond at most; 0 if left out. A socket that has somebody to
   * hold packets back may tell, any other sends them at once.
   */
  delay?: Micros
}

/** Large enough for any transmit: 16 packets of the largest size. */
export const TRANSMIT_BUFFER_SIZE = 16 * 1460

/** Who sends packets and can seal them in the same go. */
export interface LateSealer {
  /**
   * Takes it upon itself to seal the packets of a batch before they are sent. Until then the batch's buffer holds them
   * unprotected: it has to be sent as it is, or not at all, and is nobody's to read. The batch is only lent for the call.
   * @returns false if they have to be sealed at once
   */
  takeSealing(sealer: PacketSealer, batch: PacketBatch): boolean
}

/**
 * A sans-IO endpoint: a client's connection or a server's dispatcher. A driver calls handleDatagrams for a batch, or
 * handleDatagram for each datagram of it, then deliverEvents once, then pollTransmit until it answers undefined, then arms
 * one timer for nextTimeout. Times are integer microseconds of the driver's monotonic clock.
 */
export interface QuicEndpoint {
  /** Takes one datagram. The bytes are lent for the call and may be decrypted in place. Never throws. */
  handleDatagram(now: Micros, from: PeerAddress, datagram: Uint8Array): void
  /** Comes to the same as handleDatagram for one after the other, but may decrypt several with one call. */
  handleDatagrams(batch: DatagramBatch): void
  /** Calls the application for all that arrived. */
  deliverEvents(now: Micros): void
  /** To be called when {@link nextTimeout} has passed; harmless earlier. */
  handleTimeout(now: Micros): void
  /** When handleTimeout or pollTransmit has something to do by itself; Infinity for never. */
  nextTimeout(): Micros
  /** The system refused to send a packet of `size` bytes to `to`: larger than the path's first link carries. */
  handleTooBig(to: PeerAddress, size: number): void
  /**
   * Writes the next packets into `out` (at least {@link TRANSMIT_BUFFER_SIZE} bytes); undefined if there are none.
   * @param sealer who may be left to seal them, if anybody: without it they are sealed when this returns
   */
  pollTransmit(now: Micros, out: Uint8Array, sealer?: LateSealer): Transmit | undefined
}
