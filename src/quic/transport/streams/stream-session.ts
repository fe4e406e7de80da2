/**
 * What a stream needs of its session. QuicSession implements it; it is an interface so that the two do not import each
 * other.
 */
import type { QuicError } from '../../errors.js'
import type { SessionConnection } from '../session-connection.js'
import type { QuicFlowController } from './flow-controller.js'

/** The session as its streams see it; `S` is the type of stream it keeps. */
export interface StreamSession<S> {
  readonly connection: SessionConnection
  /** Why the connection closed; undefined while it lives. */
  readonly closeError: QuicError | undefined
  /** Whether it was the peer that closed it. */
  readonly closedByPeer: boolean
  /** Whether the peer announced that it takes no more streams. */
  readonly goAwayReceived: boolean
  /** Streams that are not finished. A server's are when the client has acknowledged everything. */
  readonly openStreamCount: number
  /** Connection-level flow control. */
  readonly flowController: QuicFlowController
  /** How many bytes a stream buffers for sending before write() answers false. */
  readonly highWaterMark: number

  /** The flow controller of a new stream, with the windows that hold now. */
  createStreamFlowController(streamId: number): QuicFlowController
  /** Puts the stream where its state says into the order of writing. */
  reschedule(stream: S): void
  /** Queues RST_STREAM. */
  sendReset(streamId: number, errorCode: number, finalOffset: number): void
  /** The stream has something for {@link ConnectionVisitor.deliverEvents} to tell the application. */
  onStreamNews(stream: S): void
  /** FIN was sent and received: the stream no longer counts against limits. */
  onStreamDraining(stream: S): void
  /** Both directions are done. */
  onStreamClosed(stream: S): void
  /** Tells the driver that there is something to send or to deliver. */
  wake(): void
  /** Like {@link wake}, if there is a control frame or news waiting. */
  wakeIfNeeded(): void
}
