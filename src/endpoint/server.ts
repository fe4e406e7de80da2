/**
 * A QUIC server on a UDP socket.
 */
import type { CommonCertificateSets } from '../quic/crypto/common-certificates.js'
import type { ProofSource } from '../quic/crypto/proof.js'
import { resetTokens } from '../quic/crypto/reset-token.js'
import type { QuicError } from '../quic/errors.js'
import { QuicErrorCode } from '../quic/errors.js'
import { ServerHandshakes, type EarlyDataPolicy } from '../quic/handshake/server/server-handshakes.js'
import type { ServerHandshakeStats } from '../quic/handshake/server/handshake-stats.js'
import { QuicConnection, type QuicConnectionOptions } from '../quic/transport/connection.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import { QuicDispatcher, type DispatcherStats, type NewConnection } from '../quic/transport/dispatcher.js'
import type { QuicSession } from '../quic/transport/session.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'
import { Perspective, type PeerAddress } from '../quic/types.js'
import { supportedVersions } from '../quic/wire/versions/registry.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { socketOf, type DatagramEngine, type DatagramSocket } from './datagram-engine.js'
import { EndpointDriver } from './driver.js'
import { defaultEngine } from './engines/select-engine.js'
import { KernelDropWatch } from './kernel-drops.js'
import { defaultSecretsPolicy, rotateSecrets, tokenSecretsAt, type ServerSecrets } from './server-secrets.js'
import { systemHelper, type EndpointHelper } from './system.js'
import { configProposal, connectionParameters, type TransportOptions } from './transport-options.js'

/** The kernel receive buffer that a server asks for, bytes. */
export const WANTED_RECEIVE_BUFFER = 4 * 1024 * 1024

/** Connections that are told of a new server config in one go: each costs a signature. */
const UPDATES_PER_TURN = 8
const UPDATE_INTERVAL_MS = 20

/** What a server tells whoever watches it. */
export type ServerEvent =
  | { type: 'socket-error'; error: Error }
  /** The kernel threw away received datagrams because the socket's receive buffer was full. */
  | { type: 'datagrams-dropped'; dropped: number; total: number }
  | { type: 'connection-opened'; connection: QuicConnection }
  | { type: 'connection-closed'; connection: QuicConnection; error: QuicError; fromPeer: boolean }

/** Which socket of a {@link SocketGroup} a server reads from. */
export interface SocketShare {
  /** Sockets in the group. */
  readonly count: number
  /** Which of them this one is, from 0. */
  readonly index: number
  /** Its file descriptor in this process. */
  readonly fd: number
}

/** What makes a server. */
export interface QuicServerOptions {
  /** Local IP address; nothing listens beyond loopback unless this says so. */
  host: string
  /** Local UDP port, 0 for any. */
  port: number
  proofSource: ProofSource
  /** Certificates in them are only named to clients that have the same sets. */
  commonCertificates?: CommonCertificateSets | undefined
  /** Made anew, for this process only, if missing. A {@link SecretsKeeper} keeps them for longer. */
  secrets?: ServerSecrets
  /** Asks clients for a Channel ID; with `secrets`, it is their server config that asks. */
  channelIds?: boolean | undefined
  /** What becomes of requests that come before a round trip; each hello is accepted once, if missing. */
  earlyData?: EarlyDataPolicy
  /** Whether clients that ask for it (COPT SREJ) are rejected without a connection (default true). */
  statelessRejects?: boolean
  /** Where it stands: servers of one region use what the others found of the path to a client (COPT BWRE, BWMX). */
  servingRegion?: string | undefined
  /** In the order of version negotiation; all supported ones, newest first, if missing. */
  versions?: readonly QuicVersion[]
  transport?: TransportOptions
  /** Makes it one of several servers, in as many processes, on one address. */
  share?: SocketShare | undefined
  /** Connections above this number are not made. */
  maxConnections?: number
  createSession(connection: SessionConnection): QuicSession
  /** Moves the datagrams; {@link defaultEngine} unless given. */
  engine?: DatagramEngine
  /** Clock, alarms and randomness; the machine's unless given. */
  helper?: EndpointHelper
  onEvent?(event: ServerEvent): void
  /** Sees what each connection does. */
  observe?: ObserveConnection | undefined
}

/** A listening server. */
export class QuicServer {
  private readonly dispatcher: QuicDispatcher
  private readonly driver: EndpointDriver
  private readonly engine: DatagramEngine
  private readonly helper: EndpointHelper
  private drops: KernelDropWatch | undefined
  private readonly handshakes: ServerHandshakes
  private readonly parameters: ReturnType<typeof connectionParameters>
  // Not made anew for every connection.
  private readonly createHandshake: QuicConnectionOptions['createHandshake'] = (host) => this.handshakes.create(host)
  private readonly createSession: QuicConnectionOptions['createSession'] = (connection) => this.o.createSession(connection)
  private updateTimer: NodeJS.Timeout | undefined
  private socket!: DatagramSocket
  private onSettled: (() => void) | undefined

  private constructor(private readonly o: QuicServerOptions) {
    this.engine = o.engine ?? defaultEngine()
    this.helper = o.helper ?? systemHelper
    const wallSeconds = this.helper.wallSeconds()
    const random = (length: number): Uint8Array => this.helper.randomBytes(length)
    const ingredients = { random, aeads: this.engine.aeadProvider.preference, channelIds: o.channelIds }
    const secrets = o.secrets ?? rotateSecrets(undefined, wallSeconds, defaultSecretsPolicy, ingredients)
    const resetToken = resetTokens(secrets.resetSecret)
    const { earlyData, statelessRejects, proofSource, commonCertificates, share } = o
    this.handshakes = new ServerHandshakes({
      helper: this.helper,
      primitives: this.engine.aeadProvider.primitives,
      proofSource,
      commonCertificates,
      configs: secrets.configs,
      tokenSecrets: tokenSecretsAt(secrets, wallSeconds),
      config: configProposal('server', o.transport ?? {}),
      resetToken,
      earlyData,
      statelessRejects,
      servingRegion: o.servingRegion,
      // What was promised to a client in a rejection is known to this process alone.
      mayRetryAs: share && ((connectionId) => socketOf(connectionId, share.count) === share.index)
    })
    this.parameters = connectionParameters('server', o.transport ?? {})
    const wake = (): void => this.driver.wake()
    this.dispatcher = new QuicDispatcher({
      supportedVersions: this.versions,
      createConnection: (init) => this.createConnection(init),
      aeadProvider: this.engine.aeadProvider,
      helper: this.helper,
      resetToken,
      rejectStatelessly: (chlo, context) => this.handshakes.rejectStatelessly(chlo, context),
      onWake: wake,
      maxConnections: o.maxConnections
    })
    this.driver = new EndpointDriver(
      this.dispatcher,
      (error) => o.onEvent?.({ type: 'socket-error', error }),
      () => this.onSettled?.(),
      this.helper
    )
  }

  /** Opens the socket. Rejects with the system's error if that fails (`code` EADDRINUSE, EACCES, …). */
  static async listen(o: QuicServerOptions): Promise<QuicServer> {
    const server = new QuicServer(o)
    server.socket = await server.engine.open({
      address: o.host,
      port: o.port,
      receiveBufferSize: WANTED_RECEIVE_BUFFER,
      handler: server.driver,
      ...(o.share && { fd: o.share.fd })
    })
    server.driver.attach(server.socket)
    const onDrops = (dropped: number, total: number): void => {
      o.onEvent?.({ type: 'datagrams-dropped', dropped, total })
    }
    server.drops = new KernelDropWatch(() => server.socket.kernelDrops(), onDrops)
    return server
  }

  get address(): PeerAddress {
    return this.socket.localAddress
  }

  /** Datagrams lost in the kernel's receive buffer so far; undefined where the system does not tell. */
  get kernelDrops(): number | undefined {
    return this.drops?.look()
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

  /** What became of clients' hellos. */
  get handshakeStats(): ServerHandshakeStats {
    return this.handshakes.stats
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

  /**
   * Goes on with these secrets; also to be called, about once a minute, when time has passed. Connected clients are told
   * of a server config that has its turn now.
   */
  useSecrets(secrets: ServerSecrets): void {
    const tokenSecrets = tokenSecretsAt(secrets, this.helper.wallSeconds())
    if (this.handshakes.useSecrets(secrets.configs, tokenSecrets)) this.updateClients([...this.connections()])
  }

  private updateClients(connections: QuicConnection[]): void {
    clearTimeout(this.updateTimer)
    for (let sent = 0; sent < UPDATES_PER_TURN && connections.length > 0; ) {
      if (connections.pop()!.sendConfigUpdate()) sent++
    }
    if (connections.length === 0) return
    this.updateTimer = setTimeout(() => this.updateClients(connections), UPDATE_INTERVAL_MS).unref()
  }

  private createConnection(init: NewConnection): QuicConnection {
    const { o, parameters, versions: supportedVersions } = this
    const perspective = Perspective.Server
    // Written out: objects made by spreading others take more memory, and a connection keeps this one. No parameter may be missing.
    const connection: QuicConnection = new QuicConnection({
      perspective,
      connectionId: init.connectionId,
      version: init.version,
      supportedVersions,
      peerAddress: init.peerAddress,
      helper: this.helper,
      aeadProvider: this.engine.aeadProvider,
      now: init.now,
      createHandshake: this.createHandshake,
      createSession: this.createSession,
      onWake: init.onWake,
      observer: o.observe?.({ ...init, perspective, supportedVersions }, () => this.socket.localAddress),
      maxPacketLength: parameters.maxPacketLength,
      cryptoWindow: this.handshakes.config.streamWindow,
      congestion: parameters.congestion,
      connectionOptions: parameters.connectionOptions,
      initialRtt: parameters.initialRtt,
      mtuTarget: parameters.mtuTarget,
      onClosed: (error, fromPeer) => o.onEvent?.({ type: 'connection-closed', connection, error, fromPeer })
    } satisfies QuicConnectionOptions & Record<keyof typeof parameters, unknown>)
    o.onEvent?.({ type: 'connection-opened', connection })
    return connection
  }

  /**
   * Stops: no new connections, GOAWAY to all, streams get `drainMs` (default 0) to finish, then the connections are
   * closed with PEER_GOING_AWAY and the socket with them.
   */
  async close(o: { drainMs?: number } = {}): Promise<void> {
    this.dispatcher.stopAccepting()
    clearTimeout(this.updateTimer)
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
    this.drops?.close()
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
