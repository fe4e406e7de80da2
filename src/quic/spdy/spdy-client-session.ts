/**
 * A client's session (quic_client_session.cc): it opens streams as far as the server's limit lets it.
 */
import type { QuicStream } from '../transport/streams/quic-stream.js'
import { QuicSpdySession } from './spdy-session.js'
import type { QuicSpdyStream } from './spdy-stream.js'

/** Why a stream cannot be opened. */
export type StreamUnavailableCode = 'CLOSED' | 'GOING_AWAY' | 'NOT_ESTABLISHED' | 'STREAM_LIMIT'

const REASONS: Readonly<Record<StreamUnavailableCode, string>> = {
  CLOSED: 'the connection is closed',
  GOING_AWAY: 'the server takes no more streams on this connection',
  NOT_ESTABLISHED: 'the handshake has not come far enough to send requests',
  STREAM_LIMIT: "the server's limit of open streams is reached"
}

/** Thrown by {@link QuicSpdyClientSession.openStream} when no stream can be opened now. */
export class StreamUnavailableError extends Error {
  override readonly name = 'StreamUnavailableError'

  constructor(readonly code: StreamUnavailableCode) {
    super(REASONS[code])
  }
}

/** A connection to a server. */
export class QuicSpdyClientSession extends QuicSpdySession {
  /** Whether {@link openStream} would succeed now; {@link onCanOpenStream} tells when that may have changed. */
  get canOpenStream(): boolean {
    return this.mayOpenStream
  }

  /**
   * Opens the next stream, made by `make`. Throws {@link StreamUnavailableError} if the limit is reached, the server is
   * going away, or the connection is not (or no longer) ready.
   */
  openStream<T extends QuicSpdyStream>(make: (id: number, session: QuicSpdyClientSession) => T): T {
    if (!this.mayOpenStream) throw new StreamUnavailableError(this.obstacle())
    const stream = make(this.ids.nextOutgoing, this)
    this.ids.nextOutgoing += 2
    this.activate(stream)
    return stream
  }

  private obstacle(): StreamUnavailableCode {
    if (this.closeError !== undefined || !this.connection.connected) return 'CLOSED'
    if (this.goAwayReceived) return 'GOING_AWAY'
    return this.connection.encryptionEstablished ? 'STREAM_LIMIT' : 'NOT_ESTABLISHED'
  }

  /** Pushed streams are refused: there is no cache that they could fill. */
  protected override createIncomingDynamicStream(_id: number): QuicStream | undefined {
    return undefined
  }
}
