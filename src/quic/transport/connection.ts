/**
 * One connection, either side: brings packets, keys, acknowledgements, recovery and timers together and leaves the
 * work to them (quic_connection.cc).
 */
import type { ConnectionId } from '../connection-id.js'
import type { AeadProvider } from '../crypto/protection.js'
import { QuicError, QuicErrorCode } from '../errors.js'
import type { CryptoHandshake, HandshakeDescription, HandshakeHost } from '../handshake/handshake.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import { SentFrameKind, SentFramePool, type SentFrame } from '../recovery/sent-frame.js'
import { SentPacketManager, type CongestionAlgorithm } from '../recovery/sent-packet-manager.js'
import { EncryptionLevel, Perspective, sameAddress, type Micros, type PeerAddress, type QuicHelper } from '../types.js'
import { completePacketNumber, packetNumberLength } from '../wire/packet-number.js'
import { DatagramKind, DatagramPeek, peekDatagram } from '../wire/public-header.js'
import { parsePublicReset } from '../wire/public-reset.js'
import { parseVersionNegotiation } from '../wire/version-negotiation.js'
import type { PacketHeader, QuicVersion } from '../wire/versions/version.js'
import { ReceivedPacketManager } from './acks/received-packet-manager.js'
import { ConnectionHandshakeHost, type HandshakenConnection } from './connection-handshake-host.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import { CryptoReceiver } from './crypto-receiver.js'
import { CryptoSendStream } from './crypto-stream.js'
import { FrameRouter, type FrameRouterOwner } from './frame-router.js'
import { Liveness } from './liveness.js'
import { PacketAssembler } from './packets/packet-assembler.js'
import { PacketOpeners, UNDECRYPTABLE } from './packets/packet-openers.js'
import { UndecryptableQueue } from './packets/undecryptable-queue.js'
import type { SessionConnection } from './session-connection.js'
import type { QuicEndpoint, Transmit } from './transmit.js'

/** UDP payload of a client's packets, bytes (quic_protocol.h, kDefaultMaxPacketSize). */
export const DEFAULT_CLIENT_MAX_PACKET = 1350
/** UDP payload of a server's packets until its client has shown that larger ones pass, bytes. */
export const DEFAULT_SERVER_MAX_PACKET = 1000
/** The largest UDP payload this protocol knows, bytes (kMaxPacketSize). */
export const MAX_PACKET = 1452

// A jump further than this is taken for an attack or a bug (kMaxPacketGap).
const MAX_PACKET_GAP = 5000
// Packets of a batch share one size; one that starts a little short still leads a batch.
const BATCH_SLACK = 16

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
  createHandshake(host: HandshakeHost): CryptoHandshake
  createSession(connection: SessionConnection): ConnectionVisitor
  /** Called when there is something to send and the driver does not know it yet. */
  onWake(): void
  /** Called once, when the connection is over, after its session. */
  onClosed?(error: QuicError, fromPeer: boolean): void
  /** UDP payload in bytes; the default is the reference's for the perspective. */
  maxPacketLength?: number
  /** Own receive window of the crypto stream, bytes. */
  cryptoWindow: number
  handshakeTimeout?: Micros
  congestion?: CongestionAlgorithm
}

/** Counters for logs and metrics. */
export interface ConnectionStats {
  packetsReceived: number
  bytesReceived: number
  packetsSent: number
  bytesSent: number
  undecryptable: number
  duplicates: number
}

/** A Google QUIC connection. Runs by itself as a client's {@link QuicEndpoint}; servers run it under a dispatcher. */
export class QuicConnection implements SessionConnection, QuicEndpoint, HandshakenConnection, FrameRouterOwner {
  readonly perspective: Perspective
  readonly connectionId: ConnectionId
  readonly supportedVersions: readonly QuicVersion[]
  readonly helper: QuicHelper
  readonly aeadProvider: AeadProvider
  readonly session: ConnectionVisitor
  readonly stats: ConnectionStats = {
    packetsReceived: 0,
    bytesReceived: 0,
    packetsSent: 0,
    bytesSent: 0,
    undecryptable: 0,
    duplicates: 0
  }

  version: QuicVersion
  peerAddress: PeerAddress
  now: Micros
  sendLevel: EncryptionLevel = EncryptionLevel.None
  diversificationNonce: Uint8Array | undefined
  receivedVersionTags: readonly number[] | undefined
  currentDatagramLength = 0
  /** Why it is closed; undefined while it is not. */
  closeError: QuicError | undefined
  /** The CONNECTION_CLOSE packet that was sent, for a time-wait list to repeat. */
  terminationPacket: Uint8Array | undefined

  private readonly framePool = new SentFramePool()
  private readonly sentPackets: SentPacketManager
  private readonly received: ReceivedPacketManager
  private readonly assembler: PacketAssembler
  private readonly openers: PacketOpeners
  private readonly cryptoSend = new CryptoSendStream()
  private readonly cryptoReceiver: CryptoReceiver
  private readonly liveness: Liveness
  private readonly undecryptable = new UndecryptableQueue()
  private readonly router: FrameRouter
  private readonly handshake: CryptoHandshake
  private readonly onWake: () => void
  private readonly onClosed: QuicConnectionOptions['onClosed']
  private readonly peek: DatagramPeek
  private readonly header: PacketHeader = {
    versionTag: 0,
    nonceOffset: -1,
    wirePacketNumber: 0,
    packetNumberLength: 0,
    headerEnd: 0
  }
  private readonly transmit: Transmit
  private nextPacketNumber = 1
  private largestDecrypted = 0
  private lastProcessed = 0
  private currentLevel: EncryptionLevel = EncryptionLevel.None
  /** Client: the server has answered in this version, which need not be named any more. */
  private versionAccepted = false
  private omitConnectionId = false
  private openersChanged = false
  private wakeRequested = false
  private pingPending = false
  private closePending = false
  private silentClose = false
  private encrypted = false

  constructor(o: QuicConnectionOptions) {
    this.perspective = o.perspective
    this.connectionId = o.connectionId
    this.version = o.version
    this.supportedVersions = o.supportedVersions
    this.peerAddress = o.peerAddress
    this.helper = o.helper
    this.aeadProvider = o.aeadProvider
    this.now = o.now
    this.onWake = o.onWake
    this.onClosed = o.onClosed
    const client = o.perspective === Perspective.Client
    const maxPacket = o.maxPacketLength ?? (client ? DEFAULT_CLIENT_MAX_PACKET : DEFAULT_SERVER_MAX_PACKET)
    this.peek = new DatagramPeek(o.perspective)
    this.transmit = { to: o.peerAddress, length: 0, segmentSize: 0 }
    this.sentPackets = new SentPacketManager({
      perspective: o.perspective,
      framePool: this.framePool,
      congestion: o.congestion
    })
    this.received = new ReceivedPacketManager()
    this.assembler = new PacketAssembler(o.perspective, o.version, maxPacket, this.framePool)
    this.openers = new PacketOpeners(o.version.nullOpener(this.peerPerspective))
    this.cryptoReceiver = new CryptoReceiver(o.cryptoWindow)
    this.liveness = new Liveness(o.perspective, o.now, o.handshakeTimeout)
    this.session = o.createSession(this)
    this.router = new FrameRouter(this, this.cryptoSend, this.sentPackets, this.session)
    this.handshake = o.createHandshake(
      new ConnectionHandshakeHost(this, this.cryptoSend, this.assembler, this.openers)
    )
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
    return this.closePending
  }

  get encryptionEstablished(): boolean {
    return this.encrypted
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

  describeHandshake(): HandshakeDescription {
    return this.handshake.describe()
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
      this.retryUndecryptable()
    } catch (error) {
      this.closeOn(error)
    }
    this.wake()
  }

  private processDatagram(from: PeerAddress, datagram: Uint8Array): void {
    this.currentDatagramLength = datagram.length
    const peek = this.peek
    if (!peekDatagram(datagram, 0, datagram.length, peek)) return
    if (peek.hasConnectionId) {
      const id = this.connectionId
      if (peek.connectionIdLow !== id.low || peek.connectionIdHigh !== id.high) return
    }
    if (peek.kind === DatagramKind.Data) this.processPacket(from, datagram)
    else if (peek.kind === DatagramKind.VersionNegotiation) this.processVersionNegotiation(datagram, peek.bodyStart)
    else this.processPublicReset(datagram, peek.bodyStart)
  }

  private processPublicReset(datagram: Uint8Array, bodyStart: number): void {
    if (parsePublicReset(datagram, bodyStart, datagram.length) === undefined) return
    this.closeWith(new QuicError(QuicErrorCode.PUBLIC_RESET, 'the peer does not know this connection'), true, false)
  }

  private processPacket(from: PeerAddress, datagram: Uint8Array): void {
    const header = this.header
    if (!this.version.header.parse(datagram, 0, datagram.length, this.perspective, header)) return
    if (header.versionTag !== 0 && header.versionTag !== this.version.tag) return
    const number = completePacketNumber(header.wirePacketNumber, header.packetNumberLength, this.largestDecrypted)
    // A number of 0 is illegal; one seen before, or given up by the peer, is not worth its decryption.
    if (number === 0) return
    if (!this.received.isAwaiting(number)) {
      this.stats.duplicates++
      return
    }
    const level = this.openers.open(datagram, 0, header, datagram.length, number)
    if (level === UNDECRYPTABLE) {
      this.stats.undecryptable++
      if (this.sendLevel !== EncryptionLevel.ForwardSecure) this.undecryptable.add(this.now, from, datagram)
      return
    }
    this.onPacketOpened(from, datagram, number, level)
  }

  private onPacketOpened(from: PeerAddress, datagram: Uint8Array, number: number, level: EncryptionLevel): void {
    if (Math.abs(number - this.lastProcessed) > MAX_PACKET_GAP) {
      throw new QuicError(QuicErrorCode.INVALID_PACKET_HEADER, 'packet number out of bounds')
    }
    if (datagram.length > MAX_PACKET) {
      throw new QuicError(QuicErrorCode.PACKET_TOO_LARGE, `a packet of ${datagram.length} bytes`)
    }
    const newest = number > this.largestDecrypted
    if (newest) this.largestDecrypted = number
    this.lastProcessed = number
    this.stats.packetsReceived++
    this.stats.bytesReceived += datagram.length
    this.liveness.onPacketReceived(this.now)
    this.versionAccepted = true
    this.currentLevel = level
    if (this.perspective === Perspective.Server) this.onClientPacket(from, datagram.length, level, newest)

    const { payloadStart, payloadLength } = this.openers
    const router = this.router
    router.begin(this.now, number, level)
    const numberLength = this.header.packetNumberLength
    this.version.frames.decode(datagram, payloadStart, payloadStart + payloadLength, number, numberLength, router)
    if (!this.connected) return
    this.received.onPacketReceived(this.now, number, router.ackEliciting)
    if (router.leastUnacked > 0) this.received.onStopWaiting(router.leastUnacked, number)
  }

  private onClientPacket(from: PeerAddress, length: number, level: EncryptionLevel, newest: boolean): void {
    // A large packet that came through shows that the path carries that size (quic_connection.cc, OnPacketHeader).
    if (this.sendLevel === EncryptionLevel.None && length > this.assembler.maxPacketLength) {
      this.assembler.maxPacketLength = Math.min(length, MAX_PACKET)
    }
    if (level === EncryptionLevel.ForwardSecure && !this.handshake.confirmed) this.handshake.onForwardSecurePacket()
    if (newest && !sameAddress(from, this.peerAddress)) this.migrate(from)
  }

  /** The peer's address changed (quic_connection.cc, StartPeerMigration): later packets go there. */
  private migrate(to: PeerAddress): void {
    if (to.address !== this.peerAddress.address) this.sentPackets.onPathChanged()
    this.peerAddress = to
  }

  private processVersionNegotiation(datagram: Uint8Array, bodyStart: number): void {
    if (this.perspective === Perspective.Server || this.versionAccepted || this.receivedVersionTags !== undefined) return
    const tags = parseVersionNegotiation(datagram, bodyStart, datagram.length)
    if (tags === undefined) return
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
    this.assembler.setVersion(version)
    this.openers.setOnly(EncryptionLevel.None, version.nullOpener(this.peerPerspective))
    this.sentPackets.neuterUnencryptedPackets()
    this.cryptoSend.retransmitAll()
  }

  // Packets that came too early are tried again after every change of keys, in order.
  private retryUndecryptable(): void {
    while (this.openersChanged && this.undecryptable.length > 0 && this.connected) {
      this.openersChanged = false
      for (const { from, bytes } of this.undecryptable.takeAll()) {
        if (this.connected) this.processDatagram(from, bytes)
      }
    }
    if (this.sendLevel === EncryptionLevel.ForwardSecure) this.undecryptable.clear()
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
    } catch (error) {
      this.closeOn(error)
    }
    this.wake()
  }

  private checkTimers(now: Micros): void {
    const failure = this.liveness.check(now)
    if (failure === 'handshake') {
      throw new QuicError(QuicErrorCode.HANDSHAKE_TIMEOUT, this.handshakeTimeoutDetails())
    }
    if (failure === 'idle') {
      const error = new QuicError(QuicErrorCode.NETWORK_IDLE_TIMEOUT, 'no recent network activity')
      this.closeWith(error, false, !this.silentClose)
      return
    }
    if (now >= this.sentPackets.nextTimeout()) this.sentPackets.onTimeout(now, this)
    if (now >= this.pingTime()) this.pingPending = true
    if (this.sentPackets.tooManyOutstanding) {
      const details = 'the peer acknowledges nothing'
      throw new QuicError(QuicErrorCode.TOO_MANY_OUTSTANDING_SENT_PACKETS, details)
    }
  }

  private handshakeTimeoutDetails(): string {
    return this.stats.packetsReceived === 0 ? 'no answer from the peer' : 'the handshake was not completed in time'
  }

  nextTimeout(): Micros {
    if (!this.connected) return this.closePending ? this.now : Infinity
    let next = Math.min(
      this.liveness.nextDeadline(),
      this.sentPackets.nextTimeout(),
      this.received.nextAckTime(),
      this.pingTime()
    )
    if (this.wantsToSend()) {
      const sendTime = this.sentPackets.sendTime(this.now)
      if (sendTime > this.now) next = Math.min(next, sendTime)
    }
    return next
  }

  private pingTime(): Micros {
    if (this.pingPending || !this.session.hasOpenStreams() || this.sentPackets.hasRetransmittable) return Infinity
    return this.liveness.pingTime()
  }

  // ---- the doors: out ----

  pollTransmit(now: Micros, out: Uint8Array): Transmit | undefined {
    this.now = now
    let length = 0
    let segment = 0
    this.assembler.beginBatch(out)
    while (!this.assembler.batchFull) {
      const size = this.closePending ? this.buildClose(length) : this.buildPacket(now, length, segment)
      if (size === 0) break
      length += size
      if (segment === 0) segment = size
      if (size < segment || segment < this.assembler.maxPacketLength - BATCH_SLACK) break
    }
    this.assembler.sealBatch()
    if (length === 0) {
      this.wakeRequested = false
      return undefined
    }
    if (!this.connected) this.terminationPacket ??= out.slice(0, length)
    this.transmit.to = this.peerAddress
    this.transmit.length = length
    this.transmit.segmentSize = segment
    return this.transmit
  }

  private wantsToSend(): boolean {
    return (
      this.cryptoSend.hasPending ||
      this.pingPending ||
      this.cryptoReceiver.windowUpdate > 0 ||
      (this.encrypted && this.session.hasFramesToSend())
    )
  }

  /** @returns the packet's length, or 0 if nothing may or wants to be sent */
  private buildPacket(now: Micros, start: number, segment: number): number {
    if (!this.connected) return 0
    const level = this.cryptoSend.nextLevel ?? this.sendLevel
    if (start > 0 && level !== this.assembler.level) return 0
    const ackDue = this.received.nextAckTime() <= now
    const probing = this.sentPackets.probesAllowed > 0
    const wants = this.wantsToSend()
    const maySend = probing || (wants && this.sentPackets.sendTime(now) <= now)
    if (!ackDue && !maySend) {
      if (!wants) this.sentPackets.onApplicationLimited(now)
      return 0
    }
    this.beginPacket(start, level, segment)
    const acked = (ackDue || this.received.ackPending || this.sentPackets.stopWaitingOverdue) && this.addAck()
    if (maySend) this.fillPacket(now, probing)
    if (this.assembler.empty) return 0
    return this.finishPacket(now, acked, probing && maySend)
  }

  private beginPacket(start: number, level: EncryptionLevel, segment: number): void {
    const { nextPacketNumber: next, sentPackets } = this
    const windowPackets = sentPackets.congestionWindow / this.assembler.maxPacketLength
    this.assembler.beginPacket(
      start,
      level,
      next,
      packetNumberLength(next, sentPackets.leastUnacked, windowPackets),
      this.omitConnectionId ? undefined : this.connectionId.bytes,
      this.perspective === Perspective.Client && !this.versionAccepted,
      this.diversificationNonce,
      segment
    )
  }

  private addAck(): boolean {
    if (this.received.largestReceived === 0) return false
    if (!this.assembler.addAck(this.received.buildAck(this.now))) return false
    if (this.version.traits.stopWaiting && this.assembler.addStopWaiting(this.sentPackets.leastUnacked)) {
      this.sentPackets.onStopWaitingSent()
    }
    return true
  }

  private fillPacket(now: Micros, probing: boolean): void {
    const { assembler, sentPackets } = this
    if (sentPackets.probeWantsNewData && !this.wantsToSend()) sentPackets.requeueForProbe(this)
    if (this.cryptoSend.hasPending) {
      this.addCrypto()
      if (assembler.hasCrypto) assembler.pad()
      return
    }
    if (this.pingPending && assembler.addPing()) this.pingPending = false
    if (this.cryptoReceiver.windowUpdate > 0) {
      if (assembler.addWindowUpdate(this.cryptoStreamId, this.cryptoReceiver.windowUpdate)) {
        this.cryptoReceiver.onWindowUpdateSent()
      }
    }
    if (this.encrypted) this.session.writeFrames(assembler, now)
    // A probe has to be answered even when there is nothing left to say.
    if (probing && assembler.frames === null) assembler.addPing()
  }

  private addCrypto(): void {
    const { assembler, cryptoSend, cryptoStreamId } = this
    const level = assembler.level
    const capacity = (offset: number): number => assembler.streamCapacity(cryptoStreamId, offset)
    for (let chunk = cryptoSend.next(capacity); chunk !== undefined; chunk = cryptoSend.next(capacity)) {
      if (chunk.length === 0 || chunk.level !== level) return
      assembler.addCrypto(chunk.offset, chunk.length, cryptoSend)
      cryptoSend.onSent(chunk)
    }
  }

  private finishPacket(now: Micros, acked: boolean, probe: boolean): number {
    const { assembler, sentPackets } = this
    const length = assembler.endPacket()
    const { frames } = assembler
    sentPackets.onPacketSent(now, this.nextPacketNumber++, length, assembler.level, frames, assembler.hasCrypto)
    if (acked) this.received.onAckSent()
    if (probe) sentPackets.takeProbe()
    if (frames !== null) this.liveness.onAckElicitingSent(now)
    this.stats.packetsSent++
    this.stats.bytesSent += length
    return length
  }

  private buildClose(start: number): number {
    if (start > 0) return 0
    this.closePending = false
    this.beginPacket(0, this.sendLevel, 0)
    this.addAck()
    const { wireCode, details } = this.closeError!
    this.assembler.addConnectionClose(wireCode, details)
    const length = this.assembler.endPacket()
    this.nextPacketNumber++
    this.stats.packetsSent++
    this.stats.bytesSent += length
    return length
  }

  // ---- what the handshake does to the connection ----

  neuterUnencryptedPackets(): void {
    this.sentPackets.neuterUnencryptedPackets()
    this.cryptoSend.abandon(EncryptionLevel.None)
  }

  applyConfig(config: NegotiatedConfig): void {
    this.silentClose = config.silentClose
    this.omitConnectionId = config.omitConnectionId
    this.liveness.onIdleTimeoutNegotiated(config.idleTimeoutSeconds)
    this.sentPackets.onConfigNegotiated(config)
    this.cryptoSend.raiseLimit(config.peerStreamWindow)
    this.session.onConfigNegotiated(config)
  }

  applyEncryptionEstablished(): void {
    this.encrypted = true
    this.session.onEncryptionEstablished()
    this.wake()
  }

  applyHandshakeConfirmed(): void {
    this.liveness.onHandshakeConfirmed()
    this.sentPackets.onHandshakeConfirmed()
    if (this.perspective === Perspective.Client) this.received.ackNow()
    this.session.onHandshakeConfirmed()
  }

  onOpenersChanged(): void {
    this.openersChanged = true
  }

  // ---- what received frames do ----

  get cryptoStreamId(): number {
    return this.version.traits.cryptoStreamId
  }

  onCryptoFrame(offset: number, buffer: Uint8Array, start: number, end: number): void {
    const level = this.currentLevel
    this.cryptoReceiver.receive(offset, buffer, start, end)
    for (let bytes = this.cryptoReceiver.read(); bytes !== undefined; bytes = this.cryptoReceiver.read()) {
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
    else if (frame.kind === SentFrameKind.Ping) return
    else if (frame.kind === SentFrameKind.WindowUpdate && frame.streamId === this.cryptoStreamId) {
      this.cryptoReceiver.onWindowUpdateLost()
    } else this.session.onFrameLost(frame)
  }

  // ---- the end ----

  private get peerPerspective(): Perspective {
    return this.perspective === Perspective.Client ? Perspective.Server : Perspective.Client
  }

  /** What a peer's bytes or a timer set off ends this connection and nothing else. */
  private closeOn(error: unknown): void {
    const known = error instanceof QuicError
    this.closeWith(known ? error : new QuicError(QuicErrorCode.INTERNAL_ERROR, 'internal error'), false, true)
    if (!known) throw error
  }

  private closeWith(error: QuicError, fromPeer: boolean, notify: boolean): void {
    if (!this.connected) return
    this.closeError = error
    this.closePending = notify
    this.undecryptable.clear()
    if (notify) this.wake()
    this.session.onConnectionClosed(error, fromPeer)
    this.onClosed?.(error, fromPeer)
  }
}
