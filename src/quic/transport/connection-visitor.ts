/**
 * What a connection tells its session, and what it asks of it. The crypto stream is not the session's business: the
 * connection carries it.
 */
import type { QuicError } from '../errors.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import type { FrameFateListener } from '../recovery/sent-frame.js'
import type { Micros } from '../types.js'
import type { PacketSink } from './packets/packet-sink.js'

/**
 * Implemented by QuicSession. Frame methods run inside handleDatagram and may throw QuicError. They must not call the
 * application: that happens in {@link deliverEvents}, once for a batch of datagrams.
 */
export interface ConnectionVisitor extends FrameFateListener {
  onStreamFrame(streamId: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void
  onRstStreamFrame(streamId: number, errorCode: number, finalOffset: number): void
  onWindowUpdateFrame(streamId: number, limit: number): void
  onBlockedFrame(streamId: number): void
  onGoAwayFrame(errorCode: number, lastGoodStreamId: number, reason: string): void

  /** Client: the connection goes on in another version; nothing but handshake data was exchanged so far. */
  onVersionNegotiated(): void
  onConfigNegotiated(config: NegotiatedConfig): void
  onEncryptionEstablished(): void
  onHandshakeConfirmed(): void
  /**
   * The connection is over. Called once, from within the call that ended it, after which the session may not write.
   * @param fromPeer whether the peer closed it
   */
  onConnectionClosed(error: QuicError, fromPeer: boolean): void

  /** Whether {@link writeFrames} would add anything now, and the flow-control windows permit it. */
  hasFramesToSend(): boolean
  /** Fills the packet: control frames, retransmissions, headers stream, then streams by priority. */
  writeFrames(packet: PacketSink, now: Micros): void
  /**
   * Adds a WINDOW_UPDATE for the connection that says what holds already: a frame for the peer to acknowledge.
   * @returns false if it does not fit
   */
  repeatWindowUpdate(packet: PacketSink): boolean
  /** Streams that are open. */
  readonly openStreamCount: number
  /** Whether any stream is open (a client then keeps the connection alive with PINGs). */
  hasOpenStreams(): boolean
  /** Calls the application for everything that arrived since the last call: new streams, headers, data, resets. */
  deliverEvents(now: Micros): void
  /** The connection is at rest: what only traffic needs may go, and come back with it. */
  releaseMemory(): void
  /** When {@link handleTimeout} is to be called, µs; Infinity for never. Asked often: it has to be cheap. */
  nextTimeout(): Micros
  /** The time that {@link nextTimeout} named has come. May throw QuicError; must not call the application. */
  handleTimeout(now: Micros): void
}
