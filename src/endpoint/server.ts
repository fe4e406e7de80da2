/**
 * A QUIC server on a UDP socket.
 */
import type { ProofSource } from '../quic/crypto/proof.js'
import { resetTokens } from '../quic/crypto/reset-token.js'
import type { QuicError } from '../quic/errors.js'
import { QuicErrorCode } from '../quic/errors.js'
import { ServerConfig, ServerConfigs } from '../quic/handshake/server/server-config.js'
import { QuicCryptoServerHandshake } from '../quic/handshake/server/server-handshake.js'
import { ServerNonces } from '../quic/handshake/server/server-nonce.js'
import { SecretSourceAddressTokens } from '../quic/handshake/server/source-address-token.js'
import { QuicConnection } from '../quic/transport/connection.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import { QuicDispatcher, type DispatcherStats, type NewConnection } from '../quic/transport/dispatcher.js'
import type { QuicSession } from '../quic/transport/session.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'
import { Perspective, type PeerAddress } from '../quic/types.js'
import { supportedVersions } from '../quic/wire/versions/registry.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import type { DatagramEngine, DatagramSocket } from './datagram-engine.js'
import { EndpointDriver } from './driver.js'
import { NodeEngine } from './engines/node-engine.js'
import { systemHelper } from './system.js'
import { configProposal, type TransportOptions } from './transport-options.js'

/** The kernel receive buffer that a server asks for, bytes. */
export const WANTED_RECEIVE_BUFFER = 4 * 1024 * 1024

/** What a server tells whoever watches it. */
export type ServerEvent =
  | { type: 'socket-error'; error: Error }
  | { type: 'connection-opened'; connection: QuicConnection }
  | { type: 'connection-closed'; connection: QuicConnection; error: QuicError; fromPeer: boolean }

/** What makes a server. */
export interface QuicServerOptions {
  /** Local IP address; nothing listens beyond loopback unless this says so. */
  host: string
  /** Local UDP port, 0 for any. */
  port: number
  proofSource: ProofSource
  /** The published server config; made anew, for this process only, if missing. */
  serverConfig?: ServerConfig
  /** Secret of the source-address tokens and of stateless resets; random for this process only, if missing. */
  tokenSecret?: Uint8Array
  /** In the order of version negotiation; all supported ones, newest first, if missing. */
  versions?: readonly QuicVersion[]
  transport?: TransportOptions
  /** Connections above this number are not made. */
  maxConnections?: number
  createSession(connection: SessionConnection): QuicSession
  engine?: DatagramEngine
  onEvent?(event: ServerEvent): void
  /** Sees what each connection does. */
  observe?: ObserveConnection | undefined
}

/** Makes a server config with fresh keys for an engine: the AEADs in the engine's order. */
export function generateServerConfig(engine: DatagramEngine): ServerConfig {
  return ServerConfig.generate({
    random: systemHelper.randomBytes,
    wallSeconds: systemHelper.wallSeconds(),
    aeads: engine.aeadProvider.preference,
    keyExchanges: ['C255', 'P256']
  })
}

/** A listening server. */
export class QuicServer {
  private readonly dispatcher: QuicDispatcher
  private readonly driver: EndpointDriver
  private readonly engine: DatagramEngine
  private readonly handshakeParts
  private socket!: DatagramSocket
  private onSettled: (() => void) | undefined

  private constructor(private readonly o: QuicServerOptions) {
    this.engine = o.engine ?? new NodeEngine()
    const random = systemHelper.randomBytes
    const tokenSecret = o.tokenSecret ?? random(32)
    const resetToken = resetTokens(tokenSecret)
    this.handshakeParts = {
      configs: new ServerConfigs(o.serverConfig ?? generateServerConfig(this.engine)),
      proofSource: o.proofSource,
      tokens: new SecretSourceAddressTokens(tokenSecret, random),
      serverNonces: new ServerNonces(random),
      config: configProposal('server', o.transport ?? {}),
      resetToken
    }
    const wake = (): void => this.driver.wake()
    this.dispatcher = new QuicDispatcher({
      supportedVersions: this.versions,
      createConnection: (init) => this.createConnection(init),
      aeadProvider: this.engine.aeadProvider,
      helper: systemHelper,
      resetToken,
      onWake: wake,
      maxConnections: o.maxConnections
    })
    this.driver = new EndpointDriver(
      this.dispatcher,
      (error) => o.onEvent?.({ type: 'socket-error', error }),
      () => this.onSettled?.()
    )
  }

  /** Opens the socket. Rejects with the system's error if that fails (`code` EADDRINUSE, EACCES, …). */
  static async listen(o: QuicServerOptions): Promise<QuicServer> {
    const server = new QuicServer(o)
    server.socket = await server.engine.open({
      address: o.host,
      port: o.port,
      receiveBufferSize: WANTED_RECEIVE_BUFFER,
      handler: server.driver
    })
    server.driver.attach(server.socket)
    return server
  }

  get address(): PeerAddress {
    return this.socket.localAddress
  }

  /** What the kernel granted for receiving, in bytes (Linux reports twice the usable size). */
  get receiveBufferSize(): number {
    return this.socket.receiveBufferSize
  }

  get versions(): readonly QuicVersion[] {
    return this.o.versions ?? supportedVersions
  }

  get stats(): DispatcherStats {
    return this.dispatcher.stats
  }

  get connectionCount(): number {
    return this.dispatcher.connectionCount
  }

  connections(): Iterable<QuicConnection> {
    return this.dispatcher.connections()
  }

  *sessions(): IterableIterator<QuicSession> {
    for (const connection of this.dispatcher.connections()) yield connection.session as QuicSession
  }

  private createConnection(init: NewConnection): QuicConnection {
    const { o } = this
    const facts = { ...init, perspective: Perspective.Server, supportedVersions: this.versions }
    const connection: QuicConnection = new QuicConnection({
      ...facts,
      observer: o.observe?.(facts, () => this.socket.localAddress),
      helper: systemHelper,
      aeadProvider: this.engine.aeadProvider,
      cryptoWindow: this.handshakeParts.config.streamWindow,
      congestion: o.transport?.congestion,
      maxPacketLength: o.transport?.maxPacketLength,
      createHandshake: (host) => new QuicCryptoServerHandshake(host, this.handshakeParts),
      createSession: (sessionConnection) => o.createSession(sessionConnection),
      onClosed: (error, fromPeer) => o.onEvent?.({ type: 'connection-closed', connection, error, fromPeer })
    })
    o.onEvent?.({ type: 'connection-opened', connection })
    return connection
  }

  /**
   * Stops: no new connections, GOAWAY to all, streams get `drainMs` (default 0) to finish, then the connections are
   * closed with PEER_GOING_AWAY and the socket with them.
   */
  async close(o: { drainMs?: number } = {}): Promise<void> {
    this.dispatcher.stopAccepting()
    const drainMs = o.drainMs ?? 0
    if (drainMs > 0) {
      for (const session of this.sessions()) session.sendGoAway(QuicErrorCode.PEER_GOING_AWAY, 'shutting down')
      await this.settled(drainMs, () => [...this.sessions()].every((session) => session.openStreamCount === 0))
    }
    for (const connection of [...this.connections()]) {
      connection.close(QuicErrorCode.PEER_GOING_AWAY, 'the server is shutting down')
    }
    await this.settled(1000, () => this.dispatcher.connectionCount === 0)
    this.driver.stop()
    await this.socket.close()
  }

  /** Resolves when `done` holds after a turn of the driver, or after `ms` milliseconds. */
  private settled(ms: number, done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        this.onSettled = undefined
        resolve()
      }
      const timer = setTimeout(finish, ms)
      this.onSettled = () => {
        if (done()) finish()
      }
      this.driver.wake()
    })
  }
}
