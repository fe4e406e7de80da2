/**
 * The outgoing half of a connection: decides what goes into the next packets, has them built and protected, and files
 * them with recovery (quic_packet_generator.cc, quic_connection.cc WritePacket).
 */
import type { ConnectionId } from '../../connection-id.js'
import type { QuicError } from '../../errors.js'
import type { FrameFateListener, SentFramePool } from '../../recovery/sent-frame.js'
import type { SentPacketManager } from '../../recovery/sent-packet-manager.js'
import { EncryptionLevel, Perspective, type Micros, type PeerAddress } from '../../types.js'
import { packetNumberLength } from '../../wire/packet-number.js'
import type { CleartextContext, QuicVersion, VersionTraits } from '../../wire/versions/version.js'
import type { ConnectionEntropy } from '../acks/connection-entropy.js'
import type { ReceivedPacketManager } from '../acks/received-packet-manager.js'
import type { ConnectionPath } from '../connection-path.js'
import type { ConnectionVisitor } from '../connection-visitor.js'
import type { CryptoReceiver } from '../crypto-receiver.js'
import type { CryptoSendStream } from '../crypto-stream.js'
import type { Liveness } from '../liveness.js'
import { ObservedPacket, type ConnectionObserver } from '../observer.js'
import type { LateSealer, Transmit } from '../transmit.js'
import { PacketAssembler } from './packet-assembler.js'

// Packets of a batch share one size; one that starts a little short still leads a batch.
const BATCH_SLACK = 16
// Where acks are not acknowledged by count, one packet in twenty asks for it (quic_connection.cc, SendAck).
const MAX_PACKETS_WITHOUT_FRAMES = 19

/** The parts of a connection that have something to send, or to know about what was sent. */
export interface PacketSenderParts {
  readonly perspective: Perspective
  readonly connectionId: ConnectionId
  readonly version: QuicVersion
  readonly maxPacketLength: number
  readonly framePool: SentFramePool
  readonly session: ConnectionVisitor
  readonly cryptoSend: CryptoSendStream
  readonly cryptoReceiver: CryptoReceiver
  readonly sentPackets: SentPacketManager
  readonly received: ReceivedPacketManager
  readonly liveness: Liveness
  /** Learns what a tail loss probe gives back. */
  readonly fates: FrameFateListener
  readonly observer: ConnectionObserver | undefined
  /** What protection at level None depends on. */
  readonly cleartext: CleartextContext
  /** Undefined where no version in question has entropy. */
  readonly entropy: ConnectionEntropy | undefined
  /** What is known of the path; asked for when it is needed, since it is made of this very sender's parts. */
  path(): ConnectionPath
}

/** One a connection. */
export class PacketSender {
  /** The level of everything but crypto data, which keeps the level it was queued at. */
  level: EncryptionLevel = EncryptionLevel.None
  /** Server: goes into Initial-level headers. */
  diversificationNonce: Uint8Array | undefined
  /** The peer wants no connection id in what it receives. */
  omitConnectionId = false
  /** Client: the server has not yet answered in this version, so headers name it. */
  includeVersion: boolean
  /** Whether the session may send. */
  applicationData = false
  /** A keep-alive is to be sent. */
  pingPending = false
  packetsSent = 0
  bytesSent = 0
  /** The packet that told the peer of the end. */
  terminationPacket: Uint8Array | undefined
  /** Sends ACKs without STOP_WAITING although the version has it (COPT NSTP). */
  omitStopWaiting = false
  readonly assembler: PacketAssembler

  private readonly transmit: Transmit = { to: { family: 4, address: '', port: 0 }, length: 0, segmentSize: 0, delay: 0 }
  private nextPacketNumber = 1
  private closing: QuicError | undefined
  private stopped = false
  private entropyBit = false
  private packetsWithoutFrames = 0
  /** The largest packet that the ACK in the packet under construction acknowledges, 0 without one. */
  private carriedAck = 0
  private traits: VersionTraits
  private readonly observed: ObservedPacket | undefined

  constructor(private readonly parts: PacketSenderParts) {
    const { perspective, version, maxPacketLength, framePool, cleartext } = parts
    this.assembler = new PacketAssembler(perspective, version, maxPacketLength, framePool, cleartext)
    this.includeVersion = perspective === Perspective.Client
    this.traits = version.traits
    if (parts.observer?.onPacketSent !== undefined) this.observed = new ObservedPacket(version)
  }

  /** The handshake is long done, and nothing of an earlier level under way: only this level's key is kept. */
  keepOnly(level: EncryptionLevel): void {
    this.assembler.keepOnlySealer(level)
    this.diversificationNonce = undefined
  }

  /** Frees what only traffic needs; no packet is under construction. */
  releaseMemory(): void {
    this.assembler.releaseMemory()
  }

  /** Goes on in the version that negotiation chose. */
  setVersion(version: QuicVersion): void {
    this.assembler.setVersion(version)
    this.traits = version.traits
    if (this.observed !== undefined) this.observed.version = version
  }

  /** From now on nothing is sent but, if `error` is given, one CONNECTION_CLOSE. */
  stop(error: QuicError | undefined): void {
    this.stopped = true
    this.closing = error
  }

  /** Whether the CONNECTION_CLOSE has yet to go. */
  get closePending(): boolean {
    return this.closing !== undefined
  }

  /** Whether there is something to send that congestion control has a say in. */
  wantsToSend(): boolean {
    return (
      this.parts.cryptoSend.hasPending ||
      this.pingPending ||
      this.parts.cryptoReceiver.windowUpdate > 0 ||
      (this.applicationData && this.parts.session.hasFramesToSend())
    )
  }

  /** When the pacer lets the next packet go, if that is all that it waits for; else Infinity. */
  pacingTime(now: Micros): Micros {
    if (this.stopped || !this.wantsToSend()) return Infinity
    const sendTime = this.parts.sentPackets.sendTime(now)
    return sendTime > now ? sendTime : Infinity
  }

  /** Whether an ACK goes together with a STOP_WAITING. */
  get sendsStopWaiting(): boolean {
    return this.traits.stopWaiting && !this.omitStopWaiting
  }

  /**
   * Writes the next packets into `out`; undefined if there are none now.
   * @param sealer who may be left to seal them
   */
  poll(now: Micros, to: PeerAddress, out: Uint8Array, sealer?: LateSealer): Transmit | undefined {
    const { assembler, transmit } = this
    let length = 0
    let segment = 0
    assembler.beginBatch(out)
    transmit.delay = this.delay(now)
    const probe = this.stopped ? 0 : this.probeSize()
    if (probe > 0) length = segment = this.buildMtuProbe(now, probe)
    while (probe === 0 && !assembler.batchFull) {
      const size = this.stopped ? this.buildClose(now) : this.buildPacket(now, length, segment)
      if (size === 0) break
      length += size
      if (segment === 0) segment = size
      if (size < segment || segment < assembler.maxPacketLength - BATCH_SLACK) break
    }
    // The last packet is kept, as it is sent.
    assembler.sealBatch(this.stopped ? undefined : sealer)
    if (length === 0) return undefined
    if (this.stopped) this.terminationPacket ??= out.slice(0, length)
    transmit.to = to
    transmit.length = length
    transmit.segmentSize = segment
    return transmit
  }

  /** How much too early the next packet leaves: an ACK alone, and whatever the pacer has no say in, never is. */
  private delay(now: Micros): Micros {
    const early = this.stopped ? 0 : this.parts.sentPackets.earliness(now)
    return early > 0 && this.wantsToSend() ? early : 0
  }

  /** @returns the packet's length in bytes, or 0 if nothing may or wants to be sent */
  private buildPacket(now: Micros, start: number, segment: number): number {
    const { cryptoSend, received, sentPackets } = this.parts
    const level = cryptoSend.nextLevel ?? this.level
    if (start > 0 && level !== this.assembler.level) return 0
    const ackDue = received.nextAckTime() <= now
    const probing = sentPackets.probesAllowed > 0
    const wants = this.wantsToSend()
    const maySend = probing || (wants && sentPackets.sendTime(now) <= now)
    if (!ackDue && !maySend) {
      if (!wants) sentPackets.onApplicationLimited(now)
      return 0
    }
    this.beginPacket(start, level, segment)
    const overdue = this.sendsStopWaiting && sentPackets.stopWaitingOverdue
    if (ackDue || received.ackPending || overdue) this.addAck(now)
    if (maySend) this.fillPacket(now, probing, start > 0)
    if (this.assembler.empty) return 0
    if (this.packetsWithoutFrames >= MAX_PACKETS_WITHOUT_FRAMES) this.askForAck()
    return this.finishPacket(now, probing)
  }

  /** An ACK alone would never be acknowledged, and so the peer's next ACKs would never grow shorter. */
  private askForAck(): void {
    const { assembler } = this
    if (assembler.frames !== null) return
    const repeated = this.applicationData && assembler.level !== EncryptionLevel.None && this.parts.session.repeatWindowUpdate(assembler)
    if (!repeated) assembler.addPing()
  }

  private probeSize(): number {
    if (this.level !== EncryptionLevel.ForwardSecure || this.parts.cryptoSend.hasPending) return 0
    return this.parts.path().mtu.probeSize(this.nextPacketNumber - 1, this.assembler.maxPacketLength)
  }

  /** A packet of more than today's size: if it is acknowledged, all may be as large; if it is lost, nothing is. */
  private buildMtuProbe(now: Micros, size: number): number {
    this.parts.path().mtu.onProbeSent(this.nextPacketNumber - 1)
    this.beginPacket(0, this.level, size)
    this.assembler.fillWithProbe()
    return this.finishPacket(now, false, true)
  }

  private beginPacket(start: number, level: EncryptionLevel, segment: number): void {
    const { assembler, nextPacketNumber: next } = this
    const { sentPackets, connectionId, entropy } = this.parts
    this.carriedAck = 0
    this.entropyBit = this.traits.entropy && entropy!.draw()
    const windowPackets = Math.floor(sentPackets.congestionWindow / assembler.maxPacketLength)
    assembler.beginPacket(
      start,
      level,
      next,
      packetNumberLength(next, sentPackets.leastUnacked, windowPackets),
      this.omitConnectionId && !this.traits.longHeaders ? undefined : connectionId.bytes,
      this.includeVersion,
      this.diversificationNonce,
      this.entropyBit,
      segment
    )
  }

  private addAck(now: Micros): boolean {
    const { received, sentPackets } = this.parts
    const entropy = this.traits.entropy ? this.parts.entropy : undefined
    if (received.largestReceived === 0) return false
    if (!this.assembler.addAck(received.buildAck(now), entropy?.received)) return false
    this.carriedAck = received.largestReceived
    const { leastUnacked } = sentPackets
    if (this.sendsStopWaiting && this.assembler.addStopWaiting(leastUnacked, entropy?.sent.hashBelow(leastUnacked))) {
      sentPackets.onStopWaitingSent()
    }
    return true
  }

  /** @param follows whether the packet is not the first of its batch, and so may be no longer than that */
  private fillPacket(now: Micros, probing: boolean, follows: boolean): void {
    const { assembler } = this
    const { sentPackets, cryptoSend, cryptoReceiver, session } = this.parts
    if (sentPackets.probeWantsNewData && !this.wantsToSend()) sentPackets.requeueForProbe(this.parts.fates)
    // Handshake data shares its packet with nothing that is retransmitted, and fills it.
    if (cryptoSend.hasPending) {
      this.addCrypto()
      if (assembler.hasCrypto) assembler.pad()
      return
    }
    if (this.pingPending && assembler.addPing()) this.pingPending = false
    const update = cryptoReceiver.windowUpdate
    if (update > 0 && assembler.addWindowUpdate(this.traits.cryptoStreamId, update)) cryptoReceiver.onWindowUpdateSent()
    if (this.applicationData) session.writeFrames(assembler, now)
    if (assembler.frames !== null) return
    // Next to an ACK, or behind a shorter packet of its batch, a lost frame may lack room that it has alone: it is the probe.
    const crowded = follows || (this.carriedAck > 0 && assembler.mayCut)
    if (crowded && this.wantsToSend()) return
    // A probe has to be answered even when there is nothing left to say, or nothing that may be said in pieces yet.
    if (probing || (!assembler.mayCut && !sentPackets.hasRetransmittable)) assembler.addPing()
  }

  private addCrypto(): void {
    const { assembler } = this
    const { cryptoSend } = this.parts
    const capacity = (offset: number): number => assembler.cryptoCapacity(offset)
    for (let chunk = cryptoSend.next(capacity); chunk !== undefined; chunk = cryptoSend.next(capacity)) {
      if (chunk.length === 0 && !this.cutHandshakeData(chunk.offset)) return
      if (chunk.length === 0) continue
      if (chunk.level !== assembler.level) return
      assembler.addCrypto(chunk.offset, chunk.length, cryptoSend.source(chunk.level))
      cryptoSend.onSent(chunk)
    }
  }

  /** Packets have become smaller than one with handshake data that was lost. (A client's hello is never cut.) */
  private cutHandshakeData(offset: number): boolean {
    const { assembler } = this
    const { cryptoSend, perspective } = this.parts
    const capacity = assembler.cryptoCapacity(offset)
    if (perspective === Perspective.Client || assembler.frames !== null || this.carriedAck > 0) return false
    return cryptoSend.cutFirst(capacity)
  }

  /**
   * @param probe whether it may go because a timeout asked for it
   * @param mtuProbe whether it counts against the window although it carries nothing
   */
  private finishPacket(now: Micros, probe: boolean, mtuProbe = false): number {
    const { assembler, carriedAck } = this
    const { sentPackets, received, liveness } = this.parts
    const length = assembler.endPacket()
    if (this.observed !== undefined) this.tellObserver(now, this.observed)
    const { frames } = assembler
    this.parts.entropy?.sent.record(this.nextPacketNumber, this.entropyBit)
    const number = this.nextPacketNumber++
    const { level, hasCrypto } = assembler
    sentPackets.onPacketSent(now, number, length, level, frames, hasCrypto, mtuProbe || frames !== null, carriedAck)
    if (carriedAck > 0) received.onAckSent()
    if (!this.traits.acksAckOnlyPackets) this.packetsWithoutFrames = frames === null ? this.packetsWithoutFrames + 1 : 0
    if (frames !== null) {
      if (probe) sentPackets.takeProbe()
      liveness.onAckElicitingSent(now)
    }
    this.packetsSent++
    this.bytesSent += length
    return length
  }

  private buildClose(now: Micros): number {
    const error = this.closing
    if (error === undefined) return 0
    this.closing = undefined
    this.beginPacket(0, this.level, 0)
    this.addAck(now)
    this.assembler.addConnectionClose(error.wireCode, error.details)
    const length = this.assembler.endPacket()
    if (this.observed !== undefined) this.tellObserver(now, this.observed)
    this.nextPacketNumber++
    this.packetsSent++
    this.bytesSent += length
    return length
  }

  private tellObserver(now: Micros, packet: ObservedPacket): void {
    this.assembler.describe(packet)
    this.parts.observer!.onPacketSent!(now, packet)
  }
}
