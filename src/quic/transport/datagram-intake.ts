/**
 * The way of a datagram into its connection: header, keys, frames, and what the packet as a whole sets off
 * (quic_connection.cc, ProcessUdpPacket and OnPacketComplete).
 */
import type { ConnectionId } from '../connection-id.js'
import { QuicError, QuicErrorCode } from '../errors.js'
import type { SentPacketManager } from '../recovery/sent-packet-manager.js'
import { EncryptionLevel, Perspective, sameAddress, type Micros, type PeerAddress } from '../types.js'
import { DatagramKind, DatagramPeek, peekDatagram } from '../wire/datagram-peek.js'
import { parsePublicReset } from '../wire/public-reset.js'
import type { QuicVersion } from '../wire/versions/version.js'
import type { ConnectionEntropy } from './acks/connection-entropy.js'
import type { ReceivedPacketManager } from './acks/received-packet-manager.js'
import type { BandwidthResumption } from './bandwidth-resumption.js'
import type { ConnectionPath } from './connection-path.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import type { FrameRouter } from './frame-router.js'
import type { Liveness } from './liveness.js'
import type { DatagramBatch } from './datagram-batch.js'
import { ObservedPacket, type ConnectionObserver } from './observer.js'
import { MAX_PACKET, type PacketReceiver } from './packets/packet-receiver.js'
import type { PacketSender } from './packets/packet-sender.js'
import type { AheadFilter } from './packets/packets-ahead.js'
import { takeVersionNegotiation, type NegotiatingConnection } from './version-agreement.js'

/** The parts of a connection that a datagram passes through. */
export interface IntakeParts {
  readonly session: ConnectionVisitor
  readonly liveness: Liveness
  readonly sentPackets: SentPacketManager
  readonly received: ReceivedPacketManager
  readonly receiver: PacketReceiver
  readonly sender: PacketSender
  readonly router: FrameRouter
  readonly path: ConnectionPath
  readonly entropy: ConnectionEntropy | undefined
  readonly resumption: BandwidthResumption | undefined
}

/** What a datagram may do to the connection as a whole. */
export interface ReceivingConnection extends NegotiatingConnection {
  readonly perspective: Perspective
  readonly connectionId: ConnectionId
  readonly connected: boolean
  readonly now: Micros
  readonly peerAddress: PeerAddress
  readonly receivedVersionTags: readonly number[] | undefined
  readonly observer: ConnectionObserver | undefined
  currentDatagramLength: number
  /** Server: a client's packet was opened with the forward-secure key. */
  onForwardSecurePacket(): void
  onPeerClosed(error: QuicError): void
  /** The peer's address changed: later packets go there. */
  followPeer(to: PeerAddress): void
}

/** Filled and read in one go, so that one a side does for all connections. */
const clientPeek = new DatagramPeek(Perspective.Client)
const serverPeek = new DatagramPeek(Perspective.Server)

/** Stands for the place of a datagram among those seen to by {@link DatagramIntake.openAhead} if it is not one of them. */
export const NOT_AHEAD = -1

/** One a connection. */
export class DatagramIntake implements AheadFilter {
  private readonly observed: ObservedPacket | undefined
  private readonly server: boolean
  private version: QuicVersion

  constructor(
    private readonly connection: ReceivingConnection,
    private readonly parts: IntakeParts
  ) {
    const { perspective, version, observer } = connection
    this.version = version
    this.server = perspective === Perspective.Server
    if (observer?.onPacketReceived !== undefined) this.observed = new ObservedPacket(version)
  }

  /** Goes on in the version that negotiation chose. */
  setVersion(version: QuicVersion): void {
    this.version = version
  }

  /**
   * Opens the packets of datagrams `[first, end)` with one call, where that is possible and pays.
   * @returns how many it has seen to: they have to be taken next, with their place among them; 0 for none
   */
  openAhead(datagrams: DatagramBatch, first: number, end: number): number {
    // Before that, whatever does not open is kept for a key to come.
    if (this.parts.sender.level !== EncryptionLevel.ForwardSecure) return 0
    return this.parts.receiver.openAhead(datagrams, first, end, this)
  }

  holdsData(datagram: Uint8Array): boolean {
    const { peek } = this
    return peekDatagram(datagram, 0, datagram.length, peek) && peek.kind === DatagramKind.Data && !this.isForeign(peek)
  }

  private get peek(): DatagramPeek {
    const peek = this.server ? serverPeek : clientPeek
    peek.longHeaders = this.version.traits.longHeaders
    return peek
  }

  private isForeign(peek: DatagramPeek): boolean {
    const { low, high } = this.connection.connectionId
    return peek.hasConnectionId && (low !== peek.connectionIdLow || high !== peek.connectionIdHigh)
  }

  /**
   * Takes one datagram.
   * @param ahead its place among those that {@link openAhead} has seen to, or {@link NOT_AHEAD}
   * @throws QuicError for what ends the connection
   */
  take(now: Micros, from: PeerAddress, datagram: Uint8Array, ahead: number): void {
    const { connection } = this
    const { receiver } = this.parts
    connection.currentDatagramLength = datagram.length
    if (ahead !== NOT_AHEAD && receiver.isOpenedAhead(ahead)) {
      this.settle(receiver.takeOpened(datagram, ahead), now, from, datagram, 0)
      return
    }
    const { peek } = this
    if (!peekDatagram(datagram, 0, datagram.length, peek)) {
      connection.observer?.onPacketDropped?.(now, 'header_parse_error', datagram.length)
      return
    }
    if (this.isForeign(peek)) {
      connection.observer?.onPacketDropped?.(now, 'unknown_connection_id', datagram.length)
      return
    }
    if (peek.kind === DatagramKind.Data) this.takePackets(now, from, datagram)
    else if (peek.kind === DatagramKind.VersionNegotiation) this.takeVersions(datagram, peek.bodyStart)
    else this.takePublicReset(datagram, peek.bodyStart)
  }

  private takePublicReset(datagram: Uint8Array, bodyStart: number): void {
    // Versions with long headers have resets that only the peer can write, or none.
    if (this.version.traits.longHeaders) return
    if (parsePublicReset(datagram, bodyStart, datagram.length) !== undefined) this.onReset()
  }

  /** Tries packets that came too early again, in order: it is worth it after every change of keys. */
  retryUndecryptable(): void {
    const { receiver, sender } = this.parts
    for (let all = receiver.takeRetryable(); all !== undefined; all = receiver.takeRetryable()) {
      for (const { from, bytes } of all) {
        if (this.connection.connected) this.take(this.connection.now, from, bytes, NOT_AHEAD)
      }
    }
    if (sender.level === EncryptionLevel.ForwardSecure) receiver.clearQueue()
  }

  private takeVersions(datagram: Uint8Array, bodyStart: number): void {
    const { connection } = this
    if (!this.parts.sender.includeVersion || connection.receivedVersionTags !== undefined) return
    takeVersionNegotiation(connection, datagram, bodyStart)
  }

  private onReset(): void {
    this.connection.onPeerClosed(new QuicError(QuicErrorCode.PUBLIC_RESET, 'the peer does not know this connection'))
  }

  /** A datagram may hold several packets, where headers tell their packet's length. */
  private takePackets(now: Micros, from: PeerAddress, datagram: Uint8Array): void {
    const { connection } = this
    const { receiver, sender } = this.parts
    for (let start = 0; start < datagram.length; start = receiver.header.packetEnd) {
      // Once forward-secure keys are there, no further key will come that could open it.
      const keep = sender.level !== EncryptionLevel.ForwardSecure
      this.settle(receiver.open(now, from, datagram, start, keep), now, from, datagram, start)
      if (!connection.connected || receiver.header.packetEnd <= start) return
    }
  }

  private settle(opened: boolean, now: Micros, from: PeerAddress, datagram: Uint8Array, start: number): void {
    const { receiver } = this.parts
    if (opened) {
      if (this.observed !== undefined) this.tellObserver(now, this.observed, datagram, start)
      this.takePacket(now, from, datagram)
    } else if (receiver.wasReset) this.onReset()
    else this.connection.observer?.onPacketDropped?.(now, receiver.dropReason, datagram.length - start)
  }

  private tellObserver(now: Micros, packet: ObservedPacket, datagram: Uint8Array, start: number): void {
    this.parts.receiver.describe(packet, datagram, start)
    this.connection.observer!.onPacketReceived!(now, packet)
  }

  private takePacket(now: Micros, from: PeerAddress, datagram: Uint8Array): void {
    const { receiver, router, received, sentPackets, sender, session, liveness, path } = this.parts
    const { packetNumber, level, header } = receiver
    const { payloadStart, payloadLength } = receiver.openers
    const { packetNumberLength } = header
    liveness.onPacketReceived(now)
    sender.includeVersion = false
    if (this.server) this.onClientPacket(from, datagram.length)
    if (sentPackets.emulatesStreams) sentPackets.setOpenStreams(session.openStreamCount)
    router.begin(now, packetNumber, level)
    this.version.frames.decode(datagram, payloadStart, payloadStart + payloadLength, packetNumber, packetNumberLength, router)
    if (!this.connection.connected) return
    received.onPacketReceived(now, packetNumber, router.ackEliciting)
    if (!sender.sendsStopWaiting) received.dontWaitBefore(sentPackets.largestPeerKnowsAcked)
    else if (router.leastUnacked > 0) received.onStopWaiting(router.leastUnacked, packetNumber)
    path.onAck()
    this.parts.resumption?.update(now)
    if (this.version.traits.entropy) this.settleEntropy(packetNumber)
  }

  private onClientPacket(from: PeerAddress, length: number): void {
    const { sender, receiver } = this.parts
    const { assembler } = sender
    // A large packet that came through shows that the path carries that size (quic_connection.cc, OnPacketHeader).
    if (sender.level === EncryptionLevel.None && length > assembler.maxPacketLength) {
      assembler.maxPacketLength = Math.min(length, MAX_PACKET)
    }
    if (receiver.level === EncryptionLevel.ForwardSecure) this.connection.onForwardSecurePacket()
    if (receiver.newest && !sameAddress(from, this.connection.peerAddress)) this.connection.followPeer(from)
  }

  private settleEntropy(packetNumber: number): void {
    const { router, sentPackets } = this.parts
    const entropy = this.parts.entropy!
    entropy.received.record(packetNumber, router.entropyBit)
    if (router.leastUnacked > 0) entropy.received.onStopWaiting(router.leastUnacked, router.stopWaitingHash)
    entropy.forget(sentPackets.leastUnacked)
  }
}
