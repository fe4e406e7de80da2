/**
 * A world in which one client after another comes to the same server and knows of it what those before it learned.
 */
import { ClientSessionCache } from '../../../src/quic/handshake/client/session-cache.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import { Delay, Duplicate, Loss, Reorder, type NetworkNode } from './network.js'
import { SimClientSession, SimServerSession, type ExchangeOptions } from './sim-application.js'
import { SimWorld, type SimClient, type SimClientOptions, type SimWorldOptions } from './sim-world.js'

/** A world whose server's sessions are all known, and a client whose connections share what they know of it. */
export class EarlyWorld {
  readonly sessions: SimServerSession[] = []
  readonly world: SimWorld
  readonly cache = new ClientSessionCache()
  private first: SimClient<SimClientSession> | undefined

  constructor(
    seed: number,
    private readonly versions: readonly QuicVersion[],
    o: Partial<SimWorldOptions> = {}
  ) {
    this.world = new SimWorld({
      seed,
      versions,
      ...o,
      createSession: (connection) => {
        const session = new SimServerSession(connection)
        this.sessions.push(session)
        return session
      }
    })
  }

  /** Begins a connection, and this exchange as soon as it may. */
  begin(exchange: ExchangeOptions, o: Partial<SimClientOptions<SimClientSession>> = {}): SimClient<SimClientSession> {
    const client = this.world.addClient({
      versions: this.versions,
      sessionCache: this.cache,
      hostOf: this.first,
      ...o,
      createSession: (connection) => new SimClientSession(connection, o.transport)
    })
    this.first ??= client
    this.world.run(() => client.connection.encryptionEstablished || !client.connection.connected, 30_000)
    if (client.session.closeError !== undefined) throw client.session.closeError
    client.session.start(exchange)
    return client
  }

  /** Makes a connection, this exchange on it, and sees it through. */
  exchange(exchange: ExchangeOptions, o: Partial<SimClientOptions<SimClientSession>> = {}): SimClient<SimClientSession> {
    const client = this.begin(exchange, o)
    this.finish(client)
    return client
  }

  finish(client: SimClient<SimClientSession>): void {
    this.world.run(() => client.session.done && client.connection.handshakeConfirmed, 600_000)
    for (const { applicationError } of this.sessions) if (applicationError !== undefined) throw applicationError
  }

  /** Requests that reached the server's application, over all connections. */
  get requests(): number {
    return this.sessions.reduce((sum, { streams }) => sum + streams.length, 0)
  }
}

/** A path with loss, reordering and duplication. */
export function rough(): NetworkNode[] {
  return [new Delay(20, 5), new Loss(0.1), new Reorder(0.2, 40), new Duplicate(0.1)]
}

/** Such a path both ways, and time enough for a handshake on it. */
export function badPath(): Partial<SimClientOptions<SimClientSession>> {
  return { up: rough(), down: rough(), handshakeTimeout: 60_000_000 }
}

/** What a client's handshake came to. */
export function story(client: SimClient<SimClientSession>): unknown {
  const { helloCount, earlyData, rejections } = client.connection.describeHandshake()
  return { helloCount, earlyData, rejections }
}
