/**
 * One connection, either side: brings packets, keys, acknowledgements, recovery and timers together and leaves the
 * work to them (quic_connection.cc).
 */
import { ConnectionId } from '../connection-id.js'
import type { AeadProvider } from '../crypto/protection.js'
import { QuicError, QuicErrorCode } from '../errors.js'
import type { CryptoHandshake, HandshakeDescription, HandshakeHost } from '../handshake/handshake.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import type { CongestionController } from '../recovery/congestion-controller.js'
import { SentFrameKind, SentFramePool, type SentFrame } from '../recovery/sent-frame.js'
import { SentPacketManager, type CongestionAlgorithm } from '../recovery/sent-packet-manager.js'
import { EncryptionLevel, Perspective, sameAddress, type Micros, type PeerAddress, type QuicHelper } from '../types.js'
import { DatagramKind, DatagramPeek, peekDatagram } from '../wire/datagram-peek.js'
import { parsePublicReset } from '../wire/public-reset.js'
import { isReservedVersion, parseVersionNegotiation } from '../wire/version-negotiation.js'
import type { QuicVersion } from '../wire/versions/version.js'
import { ConnectionEntropy } from './acks/connection-entropy.js'
import { ReceivedPacketManager } from './acks/received-packet-manager.js'
import { ConnectionHandshakeHost, type HandshakenConnection } from './connection-handshake-host.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import { ConnectionPath } from './connection-path.js'
import { CryptoReceiver } from './crypto-receiver.js'
import { CryptoSendStream } from './crypto-stream.js'
import { FrameRouter, type FrameRouterOwner } from './frame-router.js'
import { Liveness } from './liveness.js'
import { ObservedPacket, type ConnectionObserver } from './observer.js'
import { MAX_PACKET, PacketReceiver } from './packets/packet-receiver.js'
import { PacketSender } from './packets/packet-sender.js'
import type { SessionConnection } from './session-connection.js'
import type { QuicEndpoint, Transmit } from './transmit.js'

/** UDP payload of a client's packets, bytes (quic_protocol.h, kDefaultMaxPacketSize). */
export const DEFAULT_CLIENT_MAX_PACKET = 1350
/** UDP payload of a server's packets until its client has shown that larger ones pass, bytes. */
export const DEFAULT_SERVER_MAX_PACKET = 1000

/** Stateless rejects that a client follows, as many as a connection's hellos. */
const MAX_RESTARTS = 3
// COPT 5RTO: the fifth retransmission timeout in a row ends the connection.
const TIMEOUTS_BEFORE_CLOSE = 4

/** What makes a connection. */
export interface QuicConnectionOptions {
  perspective: Perspective
  connectionId: ConnectionId
  /** The version to begin with. */
  version: QuicVersion
  /** Client: what it offers, preferred first. Server: what it accepts. */
  supportedVersions: readonly QuicVersion[]
  peerAddress: PeerAddress
  helper: QuicHelper
  aeadProvider: AeadProvider
  now: Micros
  /** Called again, for a client, after each stateless reject: what the one before learned has to be there. */
  createHandshake(host: HandshakeHost): CryptoHandshake
  createSession(connection: SessionConnection): ConnectionVisitor
  /** Called when there is something to send and the driver does not know it yet. */
  onWake(): void
  /** Called once, when the connection is over, after its session. */
  onClosed?(error: QuicError, fromPeer: boolean): void
  /** Sees what the connection does. */
  observer?: ConnectionObserver | undefined
  /** UDP payload in bytes; the default is the reference's for the perspective. */
  maxPacketLength?: number
  /** Own receive window of the crypto stream, bytes. */
  cryptoWindow: number
  handshakeTimeout?: Micros
  congestion?: CongestionAlgorithm
  /** Client: the connection options in its hello, which hold for itself as well. */
  connectionOptions?: readonly string[]
  /** Look for a larger path MTU, up to this UDP payload in bytes, whether or not the client asks for it. */
  mtuTarget?: number
}

/** Counters for logs and metrics. */
export interface ConnectionStats {
  readonly packetsReceived: number
  readonly bytesReceived: number
  readonly packetsSent: number
  readonly bytesSent: number
  readonly packetsLost: number
  /** Packets that no key opened when they came. */
  readonly undecryptable: number
  readonly duplicates: number
}

/** A Google QUIC connection. Runs by itself as a client's {@link QuicEndpoint}; servers run it under a dispatcher. */
export class QuicConnection implements SessionConnection, QuicEndpoint, HandshakenConnection, FrameRouterOwner {
  readonly perspective: Perspective
  /** A server that rejects statelessly has its client go on with another one. */
  connectionId: ConnectionId
  readonly supportedVersions: readonly QuicVersion[]
  readonly helper: QuicHelper
  readonly aeadProvider: AeadProvider
  readonly session: ConnectionVisitor
  readonly observer: ConnectionObserver | undefined
  version: QuicVersion
  peerAddress: PeerAddress
  now: Micros
  receivedVersionTags: readonly number[] | undefined
  currentDatagramLength = 0
  /** Why it is closed; undefined while it is not. */
  closeError: QuicError | undefined

  private sentPackets!: SentPacketManager
  private received!: ReceivedPacketManager
  private sender!: PacketSender
  private receiver!: PacketReceiver
  private cryptoSend!: CryptoSendStream
  private cryptoReceiver!: CryptoReceiver
  private entropy: ConnectionEntropy | undefined
  private readonly liveness: Liveness
  private router!: FrameRouter
  private path!: ConnectionPath
  private handshake!: CryptoHandshake
  private readonly peek: DatagramPeek
  private readonly onWake: () => void
  private readonly onClosed: QuicConnectionOptions['onClosed']
  private readonly observed: ObservedPacket | undefined
  private readonly framePool = new SentFramePool()
  /** Another id to begin anew with, once the datagram at hand is processed. */
  private nextConnectionId: ConnectionId | undefined
  private restarts = 0
  private readonly earlierRejections: (readonly string[])[] = []
  private wakeRequested = false
  private silentClose = false
  private closesAfterFiveTimeouts = false
  /** What packets have to begin with after {@link helloAgain}, bytes. */
  private packetLength: number | undefined

  constructor(private readonly o: QuicConnectionOptions) {
    const { perspective, version } = o
    this.perspective = perspective
    this.connectionId = o.connectionId
    this.version = version
    this.supportedVersions = o.supportedVersions
    this.peerAddress = o.peerAddress
    this.helper = o.helper
    this.aeadProvider = o.aeadProvider
    this.now = o.now
    this.onWake = o.onWake
    this.onClosed = o.onClosed
    this.observer = o.observer
    if (o.observer?.onPacketReceived !== undefined) this.observed = new ObservedPacket(version)
    this.peek = new DatagramPeek(perspective)
    this.peek.longHeaders = version.traits.longHeaders
    this.receivePart()
    this.liveness = new Liveness(perspective, o.now, o.handshakeTimeout)
    this.session = o.createSession(this)
    this.sendPart()
  }

  /** What takes packets in, as it is before the first. */
  private receivePart(): void {
    const { o, perspective, version, framePool } = this
    this.received = new ReceivedPacketManager()
    this.received.schedule.countsAllPackets = version.traits.acksAckOnlyPackets
    this.sentPackets = new SentPacketManager({
      perspective,
      framePool,
      congestion: o.congestion,
      sentOptions: o.connectionOptions,
      random: () => o.helper.randomBytes(1)[0]!,
      onPacketLost: o.observer?.onPacketLost && ((packetNumber) => o.observer!.onPacketLost!(this.now, packetNumber))
    })
    this.receiver = new PacketReceiver(
      perspective,
      version,
      perspective === Perspective.Client ? Perspective.Server : Perspective.Client,
      this.received,
      this
    )
    this.cryptoSend = new CryptoSendStream(version.traits.cryptoFrames)
    this.cryptoReceiver = new CryptoReceiver(version.traits, o.cryptoWindow)
    if (o.supportedVersions.some(({ traits }) => traits.entropy)) this.entropy = new ConnectionEntropy(o.helper)
  }

  /** What sends packets and agrees on keys, as it is before the first. */
  private sendPart(): void {
    const { o, perspective, version, framePool } = this
    const client = perspective === Perspective.Client
    this.sender = new PacketSender({
      perspective,
      connectionId: this.connectionId,
      version,
      maxPacketLength: this.packetLength ?? o.maxPacketLength ?? (client ? DEFAULT_CLIENT_MAX_PACKET : DEFAULT_SERVER_MAX_PACKET),
      framePool,
      session: this.session,
      cryptoSend: this.cryptoSend,
      cryptoReceiver: this.cryptoReceiver,
      sentPackets: this.sentPackets,
      received: this.received,
      liveness: this.liveness,
      fates: this,
      cleartext: this,
      entropy: this.entropy,
      observer: o.observer,
      path: () => this.path
    })
    const { sentPackets, cryptoSend } = this
    this.path = new ConnectionPath({ perspective, sentPackets, assembler: this.sender.assembler, crypto: cryptoSend })
    if (o.mtuTarget !== undefined) this.path.mtu.setTarget(o.mtuTarget)
    if (client) this.applyClientOptions(o.connectionOptions ?? [])
    this.router = new FrameRouter(this, this.cryptoSend, this.sentPackets, this.session, this.entropy)
    const host = new ConnectionHandshakeHost(this, this.cryptoSend, this.sender, this.receiver)
    this.handshake = o.createHandshake(host)
  }

  /** Client: queues the first CHLO. Server: readies the handshake. */
  start(now: Micros): void {
    this.now = now
    try {
      this.handshake.start()
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
    return this.sender.closePending
  }

  /** The CONNECTION_CLOSE packet that was sent, for a time-wait list to repeat. */
  get terminationPacket(): Uint8Array | undefined {
    return this.sender.terminationPacket
  }

  get encryptionEstablished(): boolean {
    return this.sender.applicationData
  }

  get handshakeConfirmed(): boolean {
    return this.handshake.confirmed
  }

  get smoothedRtt(): Micros {
    return this.sentPackets.rtt.smoothed || this.sentPackets.rtt.initial
  }

  /** Sent and not yet acknowledged or lost, in bytes. */
  get bytesInFlight(): number {
    return this.sentPackets.bytesInFlight
  }

  /** Bytes that may be in flight. */
  get congestionWindow(): number {
    return this.sentPackets.congestionWindow
  }

  /** What decides how fast it sends, for logs and tests. */
  get congestionControl(): CongestionController {
    return this.sentPackets.controller
  }

  /** Largest UDP payload that it sends now, bytes. */
  get maxPacketLength(): number {
    return this.sender.assembler.maxPacketLength
  }

  get stats(): ConnectionStats {
    const { sender, receiver } = this
    return {
      packetsReceived: receiver.packetsReceived,
      bytesReceived: receiver.bytesReceived,
      packetsSent: sender.packetsSent,
      bytesSent: sender.bytesSent,
      packetsLost: this.sentPackets.stats.packetsLost,
      undecryptable: receiver.undecryptableCount,
      duplicates: receiver.duplicateCount
    }
  }

  describeHandshake(): HandshakeDescription {
    const description = this.handshake.describe()
    if (this.restarts === 0) return description
    return { ...description, rejections: [...this.earlierRejections, ...description.rejections] }
  }

  /**
   * Server: tells the client of the server config and token that its next connection may begin with (SCUP).
   * @returns whether it could: not before the handshake is confirmed, nor after the end
   */
  sendConfigUpdate(): boolean {
    return this.connected && this.handshake.sendConfigUpdate()
  }

  wake(): void {
    if (this.wakeRequested) return
    this.wakeRequested = true
    this.onWake()
  }

  close(errorCode: number, details: string): void {
    this.closeWith(new QuicError(errorCode, details), false, true)
  }

  /** Ends the connection without a word to the peer: the driver knows that none would arrive. */
  disconnect(errorCode: number, details: string): void {
    this.closeWith(new QuicError(errorCode, details), false, false)
  }

  // ---- the doors: in ----

  handleDatagram(now: Micros, from: PeerAddress, datagram: Uint8Array): void {
    if (!this.connected) return
    this.now = now
    try {
      this.processDatagram(from, datagram)
      if (this.nextConnectionId !== undefined) this.beginAnew(this.nextConnectionId)
      this.retryUndecryptable()
      this.observer?.onMetricsUpdated?.(now, this.sentPackets)
    } catch (error) {
      this.closeOn(error)
    }
    this.wake()
  }

  private processDatagram(from: PeerAddress, datagram: Uint8Array): void {
    const { peek, connectionId } = this
    this.currentDatagramLength = datagram.length
    if (!peekDatagram(datagram, 0, datagram.length, peek)) {
      this.observer?.onPacketDropped?.(this.now, 'header_parse_error', datagram.length)
      return
    }
    const { connectionIdLow: low, connectionIdHigh: high } = peek
    if (peek.hasConnectionId && (low !== connectionId.low || high !== connectionId.high)) {
      this.observer?.onPacketDropped?.(this.now, 'unknown_connection_id', datagram.length)
      return
    }
    if (peek.kind === DatagramKind.Data) this.processPackets(from, datagram)
    else if (peek.kind === DatagramKind.VersionNegotiation) this.processVersionNegotiation(datagram, peek.bodyStart)
    else this.processPublicReset(datagram, peek.bodyStart)
  }

  /** A datagram may hold several packets, where headers tell their packet's length. */
  private processPackets(from: PeerAddress, datagram: Uint8Array): void {
    const { receiver } = this
    for (let start = 0; start < datagram.length; start = receiver.header.packetEnd) {
      // Once forward-secure keys are there, no further key will come that could open it.
      const keep = this.sendLevel !== EncryptionLevel.ForwardSecure
      if (receiver.open(this.now, from, datagram, start, keep)) {
        if (this.observed !== undefined) this.tellObserver(this.observed, datagram, start)
        this.processPacket(from, datagram)
      } else if (receiver.wasReset) this.onReset()
      else this.observer?.onPacketDropped?.(this.now, receiver.dropReason, datagram.length - start)
      if (!this.connected || receiver.header.packetEnd <= start) return
    }
  }

  private tellObserver(packet: ObservedPacket, datagram: Uint8Array, start: number): void {
    this.receiver.describe(packet, datagram, start)
    this.observer!.onPacketReceived!(this.now, packet)
  }

  private processPacket(from: PeerAddress, datagram: Uint8Array): void {
    const { receiver, router } = this
    const { packetNumber, level, header } = receiver
    const { payloadStart, payloadLength } = receiver.openers
    const { packetNumberLength } = header
    this.liveness.onPacketReceived(this.now)
    this.sender.includeVersion = false
    if (this.perspective === Perspective.Server) this.onClientPacket(from, datagram.length)
    if (this.sentPackets.emulatesStreams) this.sentPackets.setOpenStreams(this.session.openStreamCount)
    router.begin(this.now, packetNumber, level)
    const payloadEnd = payloadStart + payloadLength
    this.version.frames.decode(datagram, payloadStart, payloadEnd, packetNumber, packetNumberLength, router)
    if (!this.connected) return
    this.received.onPacketReceived(this.now, packetNumber, router.ackEliciting)
    if (!this.sender.sendsStopWaiting) this.received.dontWaitBefore(this.sentPackets.largestPeerKnowsAcked)
    else if (router.leastUnacked > 0) this.received.onStopWaiting(router.leastUnacked, packetNumber)
    this.path.onAck()
    if (this.version.traits.entropy) this.settleEntropy(packetNumber)
  }

  private settleEntropy(packetNumber: number): void {
    const { router } = this
    const entropy = this.entropy!
    entropy.received.record(packetNumber, router.entropyBit)
    if (router.leastUnacked > 0) entropy.received.onStopWaiting(router.leastUnacked, router.stopWaitingHash)
    entropy.forget(this.sentPackets.leastUnacked)
  }

  private onClientPacket(from: PeerAddress, length: number): void {
    const { assembler } = this.sender
    // A large packet that came through shows that the path carries that size (quic_connection.cc, OnPacketHeader).
    if (this.sendLevel === EncryptionLevel.None && length > assembler.maxPacketLength) {
      assembler.maxPacketLength = Math.min(length, MAX_PACKET)
    }
    const forwardSecure = this.receiver.level === EncryptionLevel.ForwardSecure
    if (forwardSecure && !this.handshake.confirmed) this.handshake.onForwardSecurePacket()
    if (this.receiver.newest && !sameAddress(from, this.peerAddress)) this.migrate(from)
  }

  /** The peer's address changed: later packets go there. */
  private migrate(to: PeerAddress): void {
    if (!this.path.followPeer(this.peerAddress, to)) return
    this.observer?.onPeerAddressChanged?.(this.now, this.peerAddress, to)
    this.peerAddress = to
  }

  private processPublicReset(datagram: Uint8Array, bodyStart: number): void {
    if (parsePublicReset(datagram, bodyStart, datagram.length) !== undefined) this.onReset()
  }

  private onReset(): void {
    this.closeWith(new QuicError(QuicErrorCode.PUBLIC_RESET, 'the peer does not know this connection'), true, false)
  }

  private processVersionNegotiation(datagram: Uint8Array, bodyStart: number): void {
    if (!this.sender.includeVersion || this.receivedVersionTags !== undefined) return
    const listed = parseVersionNegotiation(datagram, bodyStart, datagram.length)
    if (listed === undefined) return
    const tags = listed.filter((tag) => !isReservedVersion(tag))
    if (tags.includes(this.version.tag)) {
      const details = `the server refuses ${this.version.label} yet lists it`
      this.closeWith(new QuicError(QuicErrorCode.INVALID_VERSION_NEGOTIATION_PACKET, details), false, false)
      return
    }
    const version = this.supportedVersions.find((v) => tags.includes(v.tag))
    if (version === undefined) {
      const offered = this.supportedVersions.map((v) => v.label).join(', ')
      throw new QuicError(QuicErrorCode.INVALID_VERSION, `the server speaks none of ${offered}`)
    }
    this.receivedVersionTags = tags
    this.version = version
    this.observer?.onVersionChanged?.(this.now, version)
    this.peek.longHeaders = version.traits.longHeaders
    this.received.schedule.countsAllPackets = version.traits.acksAckOnlyPackets
    this.sender.setVersion(version)
    this.receiver.setVersion(version)
    this.cryptoSend.setPerLevel(version.traits.cryptoFrames)
    this.cryptoReceiver.setVersion(version.traits)
    this.sentPackets.neuterUnencryptedPackets()
    this.cryptoSend.retransmitAll()
    this.handshake.onVersionNegotiated()
    this.session.onVersionNegotiated()
    this.applyClientOptions(this.o.connectionOptions ?? [])
  }

  // Packets that came too early are tried again after every change of keys, in order.
  private retryUndecryptable(): void {
    const { receiver } = this
    for (let all = receiver.takeRetryable(); all !== undefined; all = receiver.takeRetryable()) {
      for (const { from, bytes } of all) {
        if (this.connected) this.processDatagram(from, bytes)
      }
    }
    if (this.sendLevel === EncryptionLevel.ForwardSecure) receiver.clearQueue()
  }

  deliverEvents(now: Micros): void {
    this.now = now
    try {
      this.session.deliverEvents(now)
    } catch (error) {
      this.closeOn(error)
    }
  }

  // ---- the doors: time ----

  handleTimeout(now: Micros): void {
    if (!this.connected) return
    this.now = now
    try {
      this.checkTimers(now)
      this.observer?.onMetricsUpdated?.(now, this.sentPackets)
    } catch (error) {
      this.closeOn(error)
    }
    this.wake()
  }

  private checkTimers(now: Micros): void {
    const { sentPackets } = this
    const failure = this.liveness.check(now)
    if (failure === 'handshake') {
      const silent = this.receiver.packetsReceived === 0
      const details = silent ? 'no answer from the peer' : 'the handshake was not completed in time'
      throw new QuicError(QuicErrorCode.HANDSHAKE_TIMEOUT, details)
    }
    if (failure === 'idle') {
      const error = new QuicError(QuicErrorCode.NETWORK_IDLE_TIMEOUT, 'no recent network activity')
      this.closeWith(error, false, !this.silentClose)
      return
    }
    if (now >= sentPackets.nextTimeout()) this.onRetransmissionTimeout(now)
    if (now >= this.pingTime()) this.sender.pingPending = true
    if (now >= this.session.nextTimeout()) this.session.handleTimeout(now)
    if (sentPackets.tooManyOutstanding) {
      throw new QuicError(QuicErrorCode.TOO_MANY_OUTSTANDING_SENT_PACKETS, 'the peer acknowledges nothing')
    }
  }

  private onRetransmissionTimeout(now: Micros): void {
    const { sentPackets } = this
    if (this.closesAfterFiveTimeouts && sentPackets.consecutiveRtoCount >= TIMEOUTS_BEFORE_CLOSE) {
      throw new QuicError(QuicErrorCode.TOO_MANY_RTOS, '5 consecutive retransmission timeouts')
    }
    if (sentPackets.emulatesStreams) sentPackets.setOpenStreams(this.session.openStreamCount)
    sentPackets.onTimeout(now, this)
    if (!this.path.onTimeout() && this.receiver.packetsReceived === 0) this.helloAgain()
  }

  /**
   * Client: the path seems not to carry packets as large as the first hello, which cannot be cut. The server may have got
   * it all the same and answered in vain, so another one needs another connection.
   */
  private helloAgain(): void {
    this.packetLength = this.maxPacketLength
    this.beginAnew(ConnectionId.read(this.helper.randomBytes(8)))
  }

  /** The system refused to send a packet of `size` bytes to `to` (EMSGSIZE). */
  handleTooBig(to: PeerAddress, size: number): void {
    if (this.connected && sameAddress(to, this.peerAddress)) this.path.onTooBig(size)
  }

  nextTimeout(): Micros {
    if (!this.connected) return Infinity
    return Math.min(
      this.liveness.nextDeadline(),
      this.sentPackets.nextTimeout(),
      this.received.nextAckTime(),
      this.pingTime(),
      this.session.nextTimeout(),
      this.sender.pacingTime(this.now)
    )
  }

  private pingTime(): Micros {
    const { sender, session, sentPackets } = this
    if (sender.pingPending || sentPackets.hasRetransmittable || !session.hasOpenStreams()) return Infinity
    return this.liveness.pingTime()
  }

  // ---- the doors: out ----

  pollTransmit(now: Micros, out: Uint8Array): Transmit | undefined {
    this.now = now
    // A wake from here on asks for another turn: the session may have news of what it writes now.
    this.wakeRequested = false
    const transmit = this.sender.poll(now, this.peerAddress, out)
    if (transmit !== undefined) this.observer?.onMetricsUpdated?.(now, this.sentPackets)
    return transmit
  }

  // ---- what the handshake does to the connection ----

  get sendLevel(): EncryptionLevel {
    return this.sender.level
  }

  neuterUnencryptedPackets(): void {
    this.sentPackets.neuterUnencryptedPackets()
    this.cryptoSend.abandon(EncryptionLevel.None)
  }

  resendInitialPackets(): void {
    this.sentPackets.giveBack(EncryptionLevel.Initial, this)
  }

  restart(connectionId: ConnectionId): void {
    this.nextConnectionId = connectionId
  }

  /**
   * The server keeps nothing of this connection and wants its client to come back under another id: the session stays,
   * and what it sent is sent again.
   */
  private beginAnew(connectionId: ConnectionId): void {
    this.nextConnectionId = undefined
    this.earlierRejections.push(...this.handshake.describe().rejections)
    if (++this.restarts > MAX_RESTARTS) {
      const details = `${this.restarts} stateless rejects, the last for ${this.earlierRejections.at(-1)?.join(', ')}`
      throw new QuicError(QuicErrorCode.CRYPTO_TOO_MANY_REJECTS, details)
    }
    const { sentPackets } = this
    this.connectionId = connectionId
    this.observer?.onConnectionIdChanged?.(this.now, connectionId)
    this.receivePart()
    this.sendPart()
    sentPackets.giveBack(EncryptionLevel.Initial, this)
    this.handshake.start()
  }

  applyConfig(config: NegotiatedConfig): void {
    this.silentClose = config.silentClose
    this.sender.omitConnectionId = config.omitConnectionId
    this.liveness.onIdleTimeoutNegotiated(config.idleTimeoutSeconds)
    this.sentPackets.onConfigNegotiated(config)
    if (this.perspective === Perspective.Server) this.applyClientOptions(config.connectionOptions)
    this.cryptoSend.raiseLimit(config.peerStreamWindow)
    this.session.onConfigNegotiated(config)
  }

  /** What the client's connection options change at either end (quic_connection.cc, SetFromConfig). */
  private applyClientOptions(options: readonly string[]): void {
    this.received.schedule.applyOptions(options, this.sentPackets.rtt)
    this.path.applyOptions(options)
    this.closesAfterFiveTimeouts = this.perspective === Perspective.Client && options.includes('5RTO')
    this.sender.omitStopWaiting = this.version.traits.stopWaitingOptional && options.includes('NSTP')
  }

  applyEncryptionEstablished(): void {
    this.sender.applicationData = true
    this.session.onEncryptionEstablished()
    this.wake()
  }

  applyHandshakeConfirmed(): void {
    this.liveness.onHandshakeConfirmed()
    this.sentPackets.onHandshakeConfirmed()
    if (this.perspective === Perspective.Client) this.received.ackNow()
    this.session.onHandshakeConfirmed()
  }

  // ---- what received frames do ----

  get cryptoStreamId(): number {
    return this.version.traits.cryptoStreamId
  }

  onCryptoFrame(offset: number, buffer: Uint8Array, start: number, end: number): void {
    const { level } = this.receiver
    const { cryptoReceiver } = this
    cryptoReceiver.receive(level, offset, buffer, start, end)
    for (let bytes = cryptoReceiver.read(level); bytes !== undefined; bytes = cryptoReceiver.read(level)) {
      this.handshake.onCryptoData(bytes, level)
      if (!this.connected) return
    }
  }

  onPeerClosed(error: QuicError): void {
    this.closeWith(error, true, false)
  }

  onFrameAcked(frame: SentFrame): void {
    if (frame.kind === SentFrameKind.Crypto) this.cryptoSend.onAcked(frame)
    else if (frame.kind !== SentFrameKind.Ping) this.session.onFrameAcked(frame)
  }

  onFrameLost(frame: SentFrame): void {
    if (frame.kind === SentFrameKind.Crypto) this.cryptoSend.onLost(frame)
    else if (frame.kind === SentFrameKind.WindowUpdate && frame.streamId === this.cryptoStreamId) {
      this.cryptoReceiver.onWindowUpdateLost()
    } else if (frame.kind !== SentFrameKind.Ping) this.session.onFrameLost(frame)
  }

  isWaiting(first: SentFrame): boolean {
    return first.kind === SentFrameKind.Stream && this.session.isWaiting?.(first) === true
  }

  takeBack(first: SentFrame): boolean {
    return first.kind === SentFrameKind.Stream && this.session.takeBack?.(first) === true
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
    this.closeError = error
    this.sender.stop(notify ? error : undefined)
    this.receiver.clearQueue()
    this.observer?.onClosed?.(this.now, error, fromPeer, this.session.hasOpenStreams())
    if (notify) this.wake()
    this.session.onConnectionClosed(error, fromPeer)
    this.onClosed?.(error, fromPeer)
  }
}
