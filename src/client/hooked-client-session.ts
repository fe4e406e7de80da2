/**
 * A client session that tells its owner what concerns all its streams.
 */
import { sessionOptions } from '../endpoint/transport-options.js'
import type { TransportOptions } from '../endpoint/transport-options.js'
import { QuicSpdyClientSession } from '../quic/spdy/spdy-client-session.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'

/** Called from the session's event delivery. All optional. */
export interface ClientSessionHooks {
  /** A place for another stream became free. */
  onCanOpenStream?(session: QuicSpdyClientSession): void
  /** The server wants no new streams here. */
  onGoAway?(session: QuicSpdyClientSession): void
  /** The server has the client's full hello: the handshake is done. */
  onConfirmed?(session: QuicSpdyClientSession): void
  onClosed?(session: QuicSpdyClientSession): void
}

/** See the file comment. */
export class HookedClientSession extends QuicSpdyClientSession {
  constructor(
    connection: SessionConnection,
    private readonly hooks: ClientSessionHooks,
    transport: TransportOptions = {}
  ) {
    super(connection, sessionOptions('client', transport))
  }

  override onCanOpenStream(): void {
    this.hooks.onCanOpenStream?.(this)
  }

  override onGoAway(): void {
    this.hooks.onGoAway?.(this)
  }

  override onHandshakeConfirmed(): void {
    super.onHandshakeConfirmed()
    this.hooks.onConfirmed?.(this)
  }

  override onSessionClosed(): void {
    super.onSessionClosed()
    this.hooks.onClosed?.(this)
  }
}
