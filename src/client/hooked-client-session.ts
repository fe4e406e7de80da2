/**
 * A client session that tells its owner what concerns all its streams.
 */
import { sessionOptions } from '../endpoint/transport-options.js'
import type { TransportOptions } from '../endpoint/transport-options.js'
import { QuicSpdyClientSession } from '../quic/spdy/spdy-client-session.js'
import type { PushPolicy } from '../quic/spdy/spdy-session.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { RequestStream } from './request-stream.js'

/** Called from the session's event delivery. All optional. */
export interface ClientSessionHooks {
  /** A place for another stream became free. */
  onCanOpenStream?(session: QuicSpdyClientSession): void
  /** The server wants no new streams here. */
  onGoAway?(session: QuicSpdyClientSession): void
  /** The server has the client's full hello: the handshake is done. */
  onConfirmed?(session: QuicSpdyClientSession): void
  onClosed?(session: QuicSpdyClientSession): void
  /** Whether the server may push resources of that host; by its certificate if there is no such method. */
  isAuthorized?(host: string): boolean
}

/**
 * The options of a client that has use for pushed responses: with SPSH, if a version is among `versions` that pushes only
 * to those who ask.
 */
export function acceptingPush(transport: TransportOptions, versions: readonly QuicVersion[]): TransportOptions {
  if (versions.every((version) => version.traits.pushByDefault)) return transport
  return { ...transport, connectionOptions: [...(transport.connectionOptions ?? []), 'SPSH'] }
}

/** See the file comment. */
export class HookedClientSession extends QuicSpdyClientSession {
  constructor(
    connection: SessionConnection,
    private readonly hooks: ClientSessionHooks,
    transport: TransportOptions = {},
    push: PushPolicy = 'accept'
  ) {
    super(connection, { ...sessionOptions('client', transport), push })
  }

  protected override createPushedStream(id: number): RequestStream {
    return new RequestStream(id, this)
  }

  override isAuthorized(host: string): boolean {
    return this.hooks.isAuthorized?.(host) ?? super.isAuthorized(host)
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
