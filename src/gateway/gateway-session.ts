/** A client's connection to the gateway: makes a stream for each request. */
import { QuicSpdyServerSession } from '../quic/spdy/spdy-server-session.js'
import type { SessionOptions } from '../quic/transport/session.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'
import type { QuicStream } from '../quic/transport/streams/quic-stream.js'
import type { ConnectionFacts, ExchangeContext } from './exchange-context.js'
import { PushHistory } from './push.js'
import { GatewayStream } from './gateway-stream.js'

/** One connection of the gateway. */
export class GatewaySession extends QuicSpdyServerSession {
  readonly facts: ConnectionFacts
  /** What was pushed to this client. */
  readonly pushHistory = new PushHistory()

  /**
   * @param context shared by all exchanges
   * @param stopping whether the gateway is ending its connections
   */
  constructor(
    connection: SessionConnection,
    options: SessionOptions,
    readonly context: ExchangeContext,
    stopping: () => boolean
  ) {
    super(connection, options)
    this.facts = {
      get peer() {
        return connection.peerAddress
      },
      get version() {
        return connection.version.label
      },
      connectionId: connection.connectionId.toString(),
      rtt: () => connection.smoothedRtt / 1000,
      stopping
    }
  }

  protected override createIncomingDynamicStream(id: number): GatewayStream {
    return new GatewayStream(id, this)
  }

  protected override onApplicationError(stream: QuicStream, error: unknown): void {
    super.onApplicationError(stream, error)
    this.context.onInternalError(error instanceof Error ? error : new Error(String(error)))
  }
}
