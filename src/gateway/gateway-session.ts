/** A client's connection to the gateway: makes a stream for each request. */
import { Neighbour } from '../http/forwarded.js'
import { channelIdName } from '../quic/crypto/channel-id.js'
import { QuicSpdyServerSession } from '../quic/spdy/spdy-server-session.js'
import type { SessionOptions } from '../quic/transport/session.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'
import type { QuicStream } from '../quic/transport/streams/quic-stream.js'
import type { PeerAddress } from '../quic/types.js'
import type { ConnectionFacts, ExchangeContext } from './exchange-context.js'
import { PushHistory } from './push.js'
import { GatewayStream } from './gateway-stream.js'

/** One connection of the gateway. */
export class GatewaySession extends QuicSpdyServerSession {
  readonly facts: ConnectionFacts
  private neighbour: Neighbour | undefined
  private neighbourAt: PeerAddress | undefined
  private pushed: PushHistory | undefined
  /** Empty if the client proved none; undefined before anybody asked. */
  private knownChannelId: string | undefined

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
    this.facts = new SessionFacts(this, connection, stopping)
  }

  /** What was pushed to this client. */
  get pushHistory(): PushHistory {
    return (this.pushed ??= new PushHistory())
  }

  /** Made anew when the client has moved: the connection then has another address, not the same one changed. */
  get peer(): Neighbour {
    const { peerAddress } = this.connection
    if (this.neighbour === undefined || this.neighbourAt !== peerAddress) {
      this.neighbourAt = peerAddress
      this.neighbour = new Neighbour(peerAddress, this.context.forwarded.trustedProxies)
    }
    return this.neighbour
  }

  /**
   * The name of the Channel ID that the client proved. There are no requests before the hello has been accepted, so what it
   * proved is known when the first one asks.
   */
  get channelIdName(): string | undefined {
    if (this.knownChannelId === undefined) {
      const { channelId } = this
      this.knownChannelId = channelId === undefined ? '' : channelIdName(channelId)
    }
    return this.knownChannelId === '' ? undefined : this.knownChannelId
  }

  protected override createIncomingDynamicStream(id: number): GatewayStream {
    return new GatewayStream(id, this)
  }

  protected override onApplicationError(stream: QuicStream, error: unknown): void {
    super.onApplicationError(stream, error)
    this.context.onInternalError(error instanceof Error ? error : new Error(String(error)))
  }
}

/** The facts of one session: what may change is looked up when somebody asks. */
class SessionFacts implements ConnectionFacts {
  readonly connectionId: string

  constructor(
    private readonly session: GatewaySession,
    private readonly connection: SessionConnection,
    readonly stopping: () => boolean
  ) {
    this.connectionId = connection.connectionId.toString()
  }

  get peer(): Neighbour {
    return this.session.peer
  }

  get version(): string {
    return this.connection.version.label
  }

  channelId(): string | undefined {
    return this.session.channelIdName
  }

  rtt(): number {
    return this.connection.smoothedRtt / 1000
  }
}
