/**
 * A QUIC client: one connection on a socket of its own.
 */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { ConnectionId } from '../quic/connection-id.js'
import type { ChannelIdSource } from '../quic/crypto/channel-id.js'
import type { CommonCertificateSets } from '../quic/crypto/common-certificates.js'
import type { ProofVerifier } from '../quic/crypto/proof.js'
import { QuicErrorCode, type QuicError } from '../quic/errors.js'
import { CachedServerState } from '../quic/handshake/client/cached-server-state.js'
import { QuicCryptoClientHandshake } from '../quic/handshake/client/client-handshake.js'
import type { ClientSessionCache } from '../quic/handshake/client/session-cache.js'
import { QuicSpdyClientSession } from '../quic/spdy/spdy-client-session.js'
import { QuicConnection } from '../quic/transport/connection.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import type { ConnectionVisitor } from '../quic/transport/connection-visitor.js'
import type { QuicSession } from '../quic/transport/session.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'
import { Perspective, type PeerAddress } from '../quic/types.js'
import { supportedVersions } from '../quic/wire/versions/registry.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import type { DatagramEngine, DatagramSocket } from './datagram-engine.js'
import { EndpointDriver } from './driver.js'
import { defaultEngine } from './engines/select-engine.js'
import { systemHelper, type EndpointHelper } from './system.js'
import { configProposal, connectionParameters, sessionOptions, type TransportOptions } from './transport-options.js'

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000

/** What makes a client whose session is an `S`. */
export interface QuicClientOptions<S extends QuicSession = QuicSpdyClientSession> {
  /** IP address or name to send to. */
  host: string
  port: number
  /** The name that the certificate must bear, and that SNI carries. */
  serverName: string
  /** The port that belongs to the server's name, if it is not the one to send to. */
  serverPort?: number
  verifier: ProofVerifier
  /** Preferred first; all supported ones, newest first, if missing. */
  versions?: readonly QuicVersion[]
  transport?: TransportOptions
  /** The handshake must be done within this many milliseconds (default 10,000). */
  connectTimeoutMs?: number
  /** Gives up connecting, with the signal's reason. */
  signal?: AbortSignal
  /** Makes the session; an HTTP session unless given. */
  createSession?(connection: SessionConnection): S
  userAgent?: string
  /**
   * What is known about servers: kept up to date, and used to send requests without waiting for an answer (0-RTT).
   * Somebody who records such requests can have a server that does not take care carry them out again.
   */
  sessionCache?: ClientSessionCache | undefined
  /** Certificates that a server with the same sets need not send. */
  commonCertificates?: CommonCertificateSets | undefined
  /** Proves who this client is to servers that ask for it; nothing is proven without. */
  channelIds?: ChannelIdSource | undefined
  /** Moves the datagrams; {@link defaultEngine} unless given. */
  engine?: DatagramEngine
  /** Clock, alarms and randomness; the machine's unless given. */
  helper?: EndpointHelper
  /** Sees what the connection does. */
  observe?: ObserveConnection | undefined
}

/** How a connection ended. */
export interface ClientClosed {
  readonly error: QuicError
  readonly fromPeer: boolean
}

/** A connected client, with a session for HTTP unless its options make another. */
export class QuicClient<S extends QuicSession = QuicSpdyClientSession> {
  readonly connection: QuicConnection
  /** Resolves once the connection is over, for whatever reason. */
  readonly closed: Promise<ClientClosed>

  private readonly helper: EndpointHelper
  private readonly driver: EndpointDriver
  private socket: DatagramSocket | undefined
  private socketError: Error | undefined
  private resolveClosed!: (closed: ClientClosed) => void
  private onTurn: (() => void) | undefined

  private constructor(o: QuicClientOptions<S>, engine: DatagramEngine, peerAddress: PeerAddress) {
    const transport = o.transport ?? {}
    const config = configProposal('client', transport)
    const versions = o.versions ?? supportedVersions
    this.closed = new Promise((resolve) => (this.resolveClosed = resolve))
    this.helper = o.helper ?? systemHelper
    const createSession: (connection: SessionConnection) => QuicSession =
      o.createSession ?? ((connection) => new QuicSpdyClientSession(connection, sessionOptions('client', transport)))
    // One for every handshake of the connection: after a stateless reject there is another.
    const cached = o.sessionCache?.lookup(o.serverName, o.serverPort ?? o.port) ?? new CachedServerState()
    const facts = {
      perspective: Perspective.Client,
      connectionId: ConnectionId.read(this.helper.randomBytes(8)),
      version: versions[0]!,
      supportedVersions: versions,
      peerAddress,
      now: this.helper.now()
    }
    this.connection = new QuicConnection({
      ...facts,
      helper: this.helper,
      aeadProvider: engine.aeadProvider,
      observer: o.observe?.(facts, () => this.socket?.localAddress),
      cryptoWindow: config.streamWindow,
      handshakeTimeout: (o.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS) * 1000,
      ...connectionParameters('client', transport),
      createSession,
      createHandshake: (host) =>
        new QuicCryptoClientHandshake(host, {
          serverName: o.serverName,
          serverPort: o.serverPort ?? o.port,
          verifier: o.verifier,
          config,
          userAgent: o.userAgent,
          commonCertificates: o.commonCertificates,
          channelIds: o.channelIds,
          cached
        }),
      onWake: () => this.driver.wake(),
      onClosed: (error, fromPeer) => this.resolveClosed({ error, fromPeer })
    })
    this.driver = new EndpointDriver(
      this.connection,
      (error) => this.onSocketError(error),
      () => this.afterTurn(),
      this.helper
    )
  }

  /**
   * Connects. Resolves once requests may be sent; rejects with a QuicError, with the system's error (`code`
   * ECONNREFUSED, ENOTFOUND, …), or with the signal's reason.
   */
  static async connect<S extends QuicSession = QuicSpdyClientSession>(o: QuicClientOptions<S>): Promise<QuicClient<S>> {
    const engine = o.engine ?? defaultEngine()
    const peer = await resolve(o.host, o.port)
    o.signal?.throwIfAborted()
    const client = new QuicClient(o, engine, peer)
    client.socket = await engine.open({
      address: peer.family === 6 ? '::' : '0.0.0.0',
      port: 0,
      connectTo: peer,
      handler: client.driver
    })
    client.connection.start(client.helper.now())
    client.driver.attach(client.socket)
    await client.established(o.signal)
    return client
  }

  get session(): S {
    return this.connection.session as ConnectionVisitor as S
  }

  get localAddress(): PeerAddress {
    return this.socket!.localAddress
  }

  private established(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        this.onTurn = undefined
        signal?.removeEventListener('abort', onAbort)
        settle()
      }
      const onAbort = (): void => {
        finish(() => reject(signal!.reason))
        void this.close()
      }
      signal?.addEventListener('abort', onAbort)
      this.onTurn = () => {
        const { connection } = this
        if (!connection.connected) finish(() => reject(this.socketError ?? connection.closeError!))
        else if (connection.encryptionEstablished) finish(resolve)
      }
      if (signal?.aborted === true) onAbort()
    })
  }

  private afterTurn(): void {
    this.onTurn?.()
    if (!this.connection.connected && !this.connection.hasClosePending) void this.releaseSocket()
  }

  // An unreachable port or network is final before the handshake; later only the refusal is: the server is gone.
  private onSocketError(error: Error & { code?: string }): void {
    const refused = error.code === 'ECONNREFUSED'
    const unreachable = error.code === 'ENETUNREACH' || error.code === 'EHOSTUNREACH'
    if (!refused && !(unreachable && !this.connection.encryptionEstablished)) return
    this.socketError = error
    this.connection.disconnect(QuicErrorCode.PACKET_READ_ERROR, `nothing listens there (${error.code})`)
    this.driver.wake()
  }

  /** Closes the connection, tells the server, and waits until the socket is closed. */
  async close(): Promise<void> {
    this.connection.close(QuicErrorCode.PEER_GOING_AWAY, 'Client being torn down')
    await this.closed
    while (this.connection.hasClosePending && this.socket !== undefined) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    await this.releaseSocket()
  }

  private async releaseSocket(): Promise<void> {
    this.driver.stop()
    await this.socket?.close()
  }
}

async function resolve(host: string, port: number): Promise<PeerAddress> {
  const family = isIP(host)
  if (family !== 0) return { family: family as 4 | 6, address: host, port }
  const found = await lookup(host)
  return { family: found.family as 4 | 6, address: found.address, port }
}
