/**
 * A server's session (quic_server_session_base.cc): streams are made by the application as clients open them.
 */
import { QuicSpdySession } from './spdy-session.js'
import type { QuicSpdyStream } from './spdy-stream.js'

/** One client's connection at a server. */
export abstract class QuicSpdyServerSession extends QuicSpdySession {
  /**
   * Makes the stream of a request that begins: `return new MyStream(id, this)`. Called while frames are taken in, so it
   * is to construct and do nothing else; the stream's callbacks follow.
   */
  protected abstract override createIncomingDynamicStream(id: number): QuicSpdyStream
}
