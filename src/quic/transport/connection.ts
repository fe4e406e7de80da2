/**
 * One connection, either side: orchestrates packets, keys, acknowledgements, recovery and timers, and leaves the work to
 * them (quic_connection.cc).
 */
import { ConnectionId } from '../connection-id.js'
import type { AeadProvider } from '../crypto/protection.js'
import { QuicError, QuicErrorCode } from '../errors.js'
import type { CachedNetworkParameters } from '../handshake/cached-network-parameters.js'
import type { HandshakeDescription } from '../handshake/handshake.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import type { CongestionController } from '../recovery/congestion-controller.js'
import { SentFramePool } from '../recovery/sent-frame.js'
import { EncryptionLevel, Perspective, sameAddress, type Micros, type PeerAddress, type QuicHelper } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'
import { BandwidthResumption, type ResumedConnection } from './bandwidth-resumption.js'
import { ConnectionParts, type PartsOwner } from './connection-parts.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import type { DatagramBatch } from './datagram-batch.js'
import { NOT_AHEAD } from './datagram-intake.js'
import { Liveness } from './liveness.js'
import type { ConnectionObserver } from './observer.js'
import type { ConnectionStats, QuicConnectionOptions } from './quic-connection-options.js'
import { Restarts } from './restarts.js'
import type { SessionConnection } from './session-connection.js'
import type { LateSealer, QuicEndpoint, Transmit } from './transmit.js'

export {
  DEFAULT_CLIENT_MAX_PACKET,
  DEFAULT_SERVER_MAX_PACKET,
  type ConnectionStats,
  type QuicConnectionOptions
} from './quic-connection-options.js'

/** A Google QUIC connection. Runs by itself as a client's {@link QuicEndpoint}; servers run it under a dispatcher. */
export class QuicConnection implements SessionConnection, QuicEndpoint, PartsOwner, ResumedConnection {
  readonly perspective: Perspective
  /** A server that rejects statelessly has its client go on with another one. */
  connectionId: ConnectionId
  readonly supportedVersions: readonly QuicVersion[]
  readonly helper: QuicHelper
  readonly aeadProvider: AeadProvider
  readonly session: ConnectionVisitor
  readonly observer: ConnectionObserver | undefined
  /** The clocks that tell whether it still lives. */
  readonly liveness: Liveness
  /** What its frames are remembered in. */
  readonly framePool = new SentFramePool()
  version: QuicVersion
  peerAddress: PeerAddress
  now: Micros
  receivedVersionTags: readonly number[] | undefined
  currentDatagramLength = 0
  /** Why it is closed; undefined while it is not. */
  closeError: QuicError | undefined

  private parts: ConnectionParts
  private readonly restarts = new Restarts()
  /** Another id to begin anew with, once the datagram at hand is processed. */
  private nextConnectionId: ConnectionId | undefined
  /** What packets have to begin with after {@link helloAgain}, bytes. */
  private packetLength: number | undefined
  private wakeRequested = false

  constructor(private readonly o: QuicConnectionOptions) {
    this.perspective = o.perspective
    this.connectionId = o.connectionId
    this.version = o.version
    this.supportedVersions = o.supportedVersions
    this.peerAddress = o.peerAddress
    this.helper = o.helper
    this.aeadProvider = o.aeadProvider
    this.now = o.now
    this.observer = o.observer
    this.liveness = new Liveness(o.perspective, o.now, o.handshakeTimeout)
    this.session = o.createSession(this)
    this.parts = new ConnectionParts(this, o)
  }

  /** Client: queues the first CHLO. Server: readies the handshake. */
  start(now: Micros): void {
    this.now = now
    try {
      this.parts.handshake.start()
    } catch (error) {
      this.closeOn(error)
    }
  }

  // ---- what a session asks ----

  get connected(): boolean {
    return this.closeError === undefined
  }

  /** Whether it is closed but has yet to tell its peer. */
  get hasClosePending(): boolean {
    return this.parts.sender.closePending
  }

  /** The CONNECTION_CLOSE packet that was sent, for a time-wait list to repeat. */
  get terminationPacket(): Uint8Array | undefined {
    return this.parts.sender.terminationPacket
  }

  get encryptionEstablished(): boolean {
    return this.parts.sender.applicationData
  }

  get handshakeConfirmed(): boolean {
    return this.parts.handshake.confirmed
  }

  get smoothedRtt(): Micros {
    const { rtt } = this.parts.sentPackets
    return rtt.smoothed || rtt.initial
  }

  /** Sent and not yet acknowledged or lost, in bytes. */
  get bytesInFlight(): number {
    return this.parts.sentPackets.bytesInFlight
  }

  /** Bytes that may be in flight. */
  get congestionWindow(): number {
    return this.parts.sentPackets.congestionWindow
  }

  /** What decides how fast it sends, for logs and tests. */
  get congestionControl(): CongestionController {
    return this.parts.sentPackets.controller
  }

  /** Largest UDP payload that it sends now, bytes. */
  get maxPacketLength(): number {
    return this.parts.sender.assembler.maxPacketLength
  }

  get stats(): ConnectionStats {
    const { sender, receiver, sentPackets } = this.parts
    const { stats } = sentPackets
    return {
      packetsReceived: receiver.packetsReceived,
      bytesReceived: receiver.bytesReceived,
      packetsSent: sender.packetsSent,
      bytesSent: sender.bytesSent,
      packetsLost: stats.packetsLost,
      packetsRetransmitted: stats.packetsRetransmitted,
      packetsRetransmittedSpuriously: stats.packetsRetransmittedSpuriously,
      tailLossProbes: stats.tailLossProbes,
      retransmissionTimeouts: stats.retransmissionTimeouts,
      undecryptable: receiver.undecryptableCount,
      duplicates: receiver.duplicateCount
    }
  }

  describeHandshake(): HandshakeDescription {
    return this.restarts.describe(this.parts.handshake.describe())
  }

  /**
   * Server: tells the client of the server config and token that its next connection may begin with (SCUP).
   * @returns whether it could: not before the handshake is confirmed, nor after the end
   */
  sendConfigUpdate(): boolean {
    return this.connected && this.parts.handshake.sendConfigUpdate()
  }

  sendEstimate(network: CachedNetworkParameters): boolean {
    return this.parts.handshake.sendConfigUpdate(network)
  }

  hasDataToSend(): boolean {
    return this.parts.sender.wantsToSend()
  }

  wake(): void {
    if (this.wakeRequested) return
    this.wakeRequested = true
    this.o.onWake()
  }

  close(errorCode: number, details: string): void {
    this.closeWith(new QuicError(errorCode, details), false, true)
  }

  /** Ends the connection without a word to the peer: the driver knows that none would arrive. */
  disconnect(errorCode: number, details: string): void {
    this.closeWith(new QuicError(errorCode, details), false, false)
  }

  // ---- the doors ----

  handleDatagram(now: Micros, from: PeerAddress, datagram: Uint8Array): void {
    this.take(now, from, datagram, NOT_AHEAD)
  }

  /** Takes the datagrams `[first, end)` of a batch. */
  handleDatagrams(batch: DatagramBatch, first = 0, end = batch.count): void {
    for (let i = first; i < end; ) {
      const ahead = end - i > 1 ? this.openAhead(batch, i, end) : 0
      if (ahead === 0) {
        this.take(batch.receivedAt[i]!, batch.from[i]!, batch.bytes[i]!, NOT_AHEAD)
        i++
      }
      for (let n = 0; n < ahead; n++, i++) this.take(batch.receivedAt[i]!, batch.from[i]!, batch.bytes[i]!, n)
    }
  }

  private openAhead(batch: DatagramBatch, first: number, end: number): number {
    if (!this.connected) return 0
    try {
      return this.parts.intake.openAhead(batch, first, end)
    } catch (error) {
      this.closeOn(error)
      return 0
    }
  }

  /** @param ahead the datagram's place among those seen to by {@link openAhead}, or NOT_AHEAD */
  private take(now: Micros, from: PeerAddress, datagram: Uint8Array, ahead: number): void {
    if (!this.connected) return
    this.now = now
    try {
      this.parts.intake.take(now, from, datagram, ahead)
      if (this.nextConnectionId !== undefined) this.beginAnew(this.nextConnectionId)
      this.parts.intake.retryUndecryptable()
      this.tellMetrics(now)
    } catch (error) {
      this.closeOn(error)
    }
    this.wake()
  }

  /** Its end is the last that is heard of a connection, also where the packet that brought it acknowledged something. */
  private tellMetrics(now: Micros): void {
    if (this.connected) this.observer?.onMetricsUpdated?.(now, this.parts.sentPackets)
  }

  deliverEvents(now: Micros): void {
    this.now = now
    try {
      this.session.deliverEvents(now)
    } catch (error) {
      this.closeOn(error)
    }
  }

  handleTimeout(now: Micros): void {
    if (!this.connected) return
    this.now = now
    try {
      this.parts.timers.check(now)
      this.tellMetrics(now)
    } catch (error) {
      this.closeOn(error)
    }
    this.wake()
  }

  /** The system refused to send a packet of `size` bytes to `to` (EMSGSIZE). */
  handleTooBig(to: PeerAddress, size: number): void {
    if (this.connected && sameAddress(to, this.peerAddress)) this.parts.path.onTooBig(size)
  }

  nextTimeout(): Micros {
    return this.connected ? this.parts.timers.nextTimeout(this.now) : Infinity
  }

  pollTransmit(now: Micros, out: Uint8Array, sealer?: LateSealer): Transmit | undefined {
    this.now = now
    // A wake from here on asks for another turn: the session may have news of what it writes now.
    this.wakeRequested = false
    const transmit = this.parts.sender.poll(now, this.peerAddress, out, sealer)
    if (transmit !== undefined) this.tellMetrics(now)
    return transmit
  }

  // ---- what a received packet does to the connection ----

  goOnIn(version: QuicVersion, listedTags: readonly number[]): void {
    this.receivedVersionTags = listedTags
    this.version = version
    this.observer?.onVersionChanged?.(this.now, version)
    this.parts.setVersion(version)
  }

  onForwardSecurePacket(): void {
    const { handshake } = this.parts
    if (!handshake.confirmed) handshake.onForwardSecurePacket()
  }

  followPeer(to: PeerAddress): void {
    if (!this.parts.path.followPeer(this.peerAddress, to)) return
    this.observer?.onPeerAddressChanged?.(this.now, this.peerAddress, to)
    this.peerAddress = to
  }

  get cryptoStreamId(): number {
    return this.version.traits.cryptoStreamId
  }

  onCryptoFrame(offset: number, buffer: Uint8Array, start: number, end: number): void {
    const { cryptoReceiver, receiver, handshake } = this.parts
    const { level } = receiver
    cryptoReceiver.receive(level, offset, buffer, start, end)
    for (let bytes = cryptoReceiver.read(level); bytes !== undefined; bytes = cryptoReceiver.read(level)) {
      handshake.onCryptoData(bytes, level)
      if (!this.connected) return
    }
  }

  onPeerClosed(error: QuicError): void {
    this.closeWith(error, true, false)
  }

  // ---- what the handshake does to the connection ----

  get sendLevel(): EncryptionLevel {
    return this.parts.sender.level
  }

  neuterUnencryptedPackets(): void {
    this.parts.sentPackets.neuterUnencryptedPackets()
    this.parts.cryptoSend.abandon(EncryptionLevel.None)
  }

  resendInitialPackets(): void {
    this.parts.sentPackets.giveBack(EncryptionLevel.Initial, this.parts.fates)
  }

  restart(connectionId: ConnectionId): void {
    this.nextConnectionId = connectionId
  }

  applyConfig(config: NegotiatedConfig): void {
    const { parts } = this
    parts.timers.silentClose = config.silentClose
    parts.sender.omitConnectionId = config.omitConnectionId
    this.liveness.onIdleTimeoutNegotiated(config.idleTimeoutSeconds)
    parts.sentPackets.onConfigNegotiated(config)
    if (this.perspective === Perspective.Server) {
      parts.applyClientOptions(config.connectionOptions)
      parts.resumption = BandwidthResumption.begin(this, config, parts.sentPackets, () => this.helper.wallSeconds())
    }
    parts.cryptoSend.raiseLimit(config.peerStreamWindow)
    this.session.onConfigNegotiated(config)
  }

  applyEncryptionEstablished(): void {
    this.parts.sender.applicationData = true
    this.session.onEncryptionEstablished()
    this.wake()
  }

  applyHandshakeConfirmed(): void {
    this.liveness.onHandshakeConfirmed()
    this.parts.sentPackets.onHandshakeConfirmed()
    if (this.perspective === Perspective.Client) this.parts.received.ackNow()
    this.session.onHandshakeConfirmed()
  }

  // ---- beginning anew ----

  /**
   * The server keeps nothing of this connection and wants its client to come back under another id: the session stays,
   * and what it sent is sent again.
   */
  private beginAnew(connectionId: ConnectionId): void {
    const { handshake, sentPackets } = this.parts
    this.nextConnectionId = undefined
    this.restarts.add(handshake.describe())
    this.connectionId = connectionId
    this.observer?.onConnectionIdChanged?.(this.now, connectionId)
    this.parts = new ConnectionParts(this, this.o, this.packetLength)
    sentPackets.giveBack(EncryptionLevel.Initial, this.parts.fates)
    this.parts.handshake.start()
  }

  /**
   * Client: the path seems not to carry packets as large as the first hello, which cannot be cut. The server may have got
   * it all the same and answered in vain, so another one needs another connection.
   */
  helloAgain(): void {
    this.packetLength = this.maxPacketLength
    this.beginAnew(ConnectionId.read(this.helper.randomBytes(8)))
  }

  // ---- the end ----

  /** What a peer's bytes or a timer set off ends this connection and nothing else. */
  private closeOn(error: unknown): void {
    const known = error instanceof QuicError
    this.closeWith(known ? error : new QuicError(QuicErrorCode.INTERNAL_ERROR, 'internal error'), false, true)
    if (!known) throw error
  }

  private closeWith(error: QuicError, fromPeer: boolean, notify: boolean): void {
    if (!this.connected) return
    this.tellMetrics(this.now)
    this.closeError = error
    this.parts.sender.stop(notify ? error : undefined)
    this.parts.receiver.clearQueue()
    this.observer?.onClosed?.(this.now, error, fromPeer, this.session.hasOpenStreams())
    if (notify) this.wake()
    this.session.onConnectionClosed(error, fromPeer)
    this.o.onClosed?.(error, fromPeer)
  }
}
