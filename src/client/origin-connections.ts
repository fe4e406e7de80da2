/**
 * One connection for each origin, shared by all requests to it, as a fetching client wants them.
 */
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { QuicClient } from '../endpoint/client.js'
import type { TransportOptions } from '../endpoint/transport-options.js'
import type { ChannelIdSource } from '../quic/crypto/channel-id.js'
import type { CommonCertificateSets } from '../quic/crypto/common-certificates.js'
import type { ProofVerifier } from '../quic/crypto/proof.js'
import type { ClientSessionCache } from '../quic/handshake/client/session-cache.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import type { QuicSpdyClientSession } from '../quic/spdy/spdy-client-session.js'
import { explainConnectionError, explainDialError } from './failure.js'
import type { FailureContext } from './failure.js'
import { acceptingPush, HookedClientSession } from './hooked-client-session.js'

export interface OriginConnectionsOptions {
  readonly verifier: ProofVerifier
  readonly versions: readonly QuicVersion[]
  /** Dialled instead of every origin's own address. */
  readonly connect?: { readonly host: string; readonly port: number }
  readonly connectTimeoutMs: number
  readonly transport?: TransportOptions
  /** What is known of servers from before. */
  readonly sessionCache?: ClientSessionCache | undefined
  readonly commonCertificates?: CommonCertificateSets | undefined
  readonly channelIds?: ChannelIdSource | undefined
  /** Sees what each connection does. */
  readonly observe?: ObserveConnection | undefined
  /** Moves the datagrams; the fastest there is unless given. */
  readonly engine?: DatagramEngine
  /** Whether to let servers push responses, for later requests to claim. They are told not to if false. */
  readonly push: boolean
}

/** A connection, and how long it took to make. */
export interface OriginConnection {
  readonly client: QuicClient
  readonly session: QuicSpdyClientSession
  /** Whom failures name. */
  readonly context: FailureContext
  /** From dialling until requests could be sent, ms. */
  readonly connectMs: number
  /** From dialling until the handshake was confirmed (the SHLO had arrived), ms; undefined before. */
  handshakeMs: number | undefined
}

interface Live extends OriginConnection {
  /** Who waits for a free stream. */
  readonly waiting: (() => void)[]
}

/** See the file comment. */
export class OriginConnections {
  private readonly connections = new Map<string, Promise<Live>>()

  constructor(private readonly options: OriginConnectionsOptions) {}

  /**
   * Calls `start` with a connection to the URL's origin, in a moment in which a stream may be opened on it: that has to
   * be done before `start` gives its promise. Rejects with a RequestFailure if there is no connection.
   */
  async use<T>(url: URL, start: (connection: OriginConnection) => Promise<T>): Promise<T> {
    for (;;) {
      const live = await this.connectionTo(url)
      const { session } = live
      if (!session.connection.connected || session.goAwayReceived) {
        if (session.closeError !== undefined) throw explainConnectionError(session.closeError, live.context)
        this.connections.delete(url.origin)
        continue
      }
      if (session.canOpenStream) return start(live)
      await new Promise<void>((resolve) => live.waiting.push(resolve))
    }
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    const all = await Promise.allSettled(this.connections.values())
    this.connections.clear()
    await Promise.all(all.map((one) => (one.status === 'fulfilled' ? one.value.client.close() : undefined)))
  }

  private connectionTo(url: URL): Promise<Live> {
    let connection = this.connections.get(url.origin)
    if (connection === undefined) {
      connection = this.dial(url)
      this.connections.set(url.origin, connection)
    }
    return connection
  }

  private async dial(url: URL): Promise<Live> {
    const { verifier, versions, connectTimeoutMs, push } = this.options
    const wanted = this.options.transport ?? {}
    const transport = push ? acceptingPush(wanted, versions) : wanted
    const serverName = url.hostname.replace(/^\[|\]$/g, '')
    const serverPort = url.port === '' ? 443 : Number(url.port)
    const { host, port } = this.options.connect ?? { host: serverName, port: serverPort }
    const target = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
    const context: FailureContext = { target, serverName, timeoutMs: connectTimeoutMs }
    const startedAt = performance.now()
    const waiting: (() => void)[] = []
    let handshakeMs: number | undefined
    const wakeAll = (): void => {
      for (const wake of waiting.splice(0)) wake()
    }
    const hooks = {
      onCanOpenStream: wakeAll,
      onGoAway: wakeAll,
      onClosed: wakeAll,
      onConfirmed: () => {
        handshakeMs = performance.now() - startedAt
      }
    }
    try {
      const client = await QuicClient.connect({
        host,
        port,
        serverName,
        serverPort,
        verifier,
        versions,
        transport,
        connectTimeoutMs,
        observe: this.options.observe,
        engine: this.options.engine,
        sessionCache: this.options.sessionCache,
        commonCertificates: this.options.commonCertificates,
        channelIds: this.options.channelIds,
        createSession: (connection) => new HookedClientSession(connection, hooks, transport, push ? 'accept' : 'disable')
      })
      const connectMs = performance.now() - startedAt
      return {
        client,
        session: client.session,
        context,
        connectMs,
        waiting,
        get handshakeMs() {
          return handshakeMs
        }
      }
    } catch (error) {
      throw explainDialError(error, context, performance.now() - startedAt)
    }
  }
}
