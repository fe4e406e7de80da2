/**
 * What becomes of sent packets: acknowledged, lost, timed out; and how many more may go (quic_sent_packet_manager.cc).
 * Retransmission is per frame: a packet's frames are given back through the listener once, and the packet itself is
 * kept about a round trip longer, so that a late acknowledgement can still retire them.
 */
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import type { EncryptionLevel, Micros, QuicHelper } from '../types.js'
import { EncryptionLevel as Level, Perspective } from '../types.js'
import type { AckFrame } from '../wire/frames/frames.js'
import { AckWalk, validateAck } from './ack-walk.js'
import type { CongestionController } from './congestion-controller.js'
import {
  createController,
  requestedController,
  requestedControllerOptions,
  requestedLossMode,
  type CongestionAlgorithm,
  type ControllerKind
} from './connection-options.js'
import { FrameRequeuer } from './frame-requeuer.js'
import { LossDetection } from './loss-detection.js'
import { Pacer } from './pacer.js'
import { PacketList } from './packet-list.js'
import { RecoveryStats } from './recovery-stats.js'
import { RetransmissionTimer, TimeoutMode } from './retransmission-timer.js'
import { RttStats } from './rtt-stats.js'
import type { FrameFateListener, SentFrame, SentFramePool } from './sent-frame.js'
import { SentPacketMap } from './sent-packet-map.js'
import type { SustainedBandwidthRecorder } from './sustained-bandwidth.js'

const RTO_PACKETS = 2
/** The reference's limit on what one side keeps about packets (quic_protocol.h, kMaxTrackedPackets). */
const MAX_TRACKED_PACKETS = 10_000
/** The most TCP connections that COPT NCON makes one out of. */
const MAX_EMULATED_CONNECTIONS = 5

export type { CongestionAlgorithm } from './connection-options.js'

export interface SentPacketManagerOptions {
  perspective: Perspective
  /** Where frame lists are released to. */
  framePool: SentFramePool
  /** Default `cubic`. */
  congestion?: CongestionAlgorithm
  /** Own IRTT: assumed until the first sample, or until the peer's hello says otherwise, µs (default 100 ms). */
  initialRtt?: Micros
  /** First congestion window in segments of 1460 bytes (default 32). */
  initialWindowPackets?: number
  /** Default true. */
  pacing?: boolean
  /** For observers: a packet was found lost. */
  onPacketLost?: ((packetNumber: number) => void) | undefined
  /** Randomness for controllers that want it; theirs is always 0 if missing. */
  helper?: Pick<QuicHelper, 'randomBytes'>
  /** Client: the connection options in its own hello, which hold for itself as well. */
  sentOptions?: readonly string[]
}

/** Filled and emptied while one acknowledgement or timeout is processed, so that one list does for all connections. */
const newlyLost = new PacketList()

/** The sending half of one connection's reliability. Times in absolute µs of the caller's clock. */
export class SentPacketManager {
  readonly rtt: RttStats
  controller: CongestionController
  readonly stats = new RecoveryStats()
  /** Highest packet number that the peer has reported, 0 before its first ack. */
  largestAcked = 0
  /** Packets that may go now whatever the congestion window and the pacer say: {@link takeProbe} uses one up. */
  probesAllowed = 0
  /**
   * A tail loss probe is due and should carry new data. If the session has none, {@link requeueForProbe} gives it old
   * data to send.
   */
  probeWantsNewData = false
  /** Whether {@link setOpenStreams} makes a difference (COPT NCON). */
  emulatesStreams = false
  /** Notes the bandwidth after every acknowledgement, where somebody wants to know it. */
  bandwidthRecorder: SustainedBandwidthRecorder | undefined
  private readonly perspective: Perspective
  private readonly map: SentPacketMap
  private readonly pacer: Pacer
  private readonly loss = new LossDetection()
  private readonly timer: RetransmissionTimer
  private readonly requeuer: FrameRequeuer
  private readonly walk: AckWalk
  private readonly lost = newlyLost
  private firstRtoPacket = 0
  private obsoleteAcks = 0
  /** COPT NRTO: a retransmission timeout is no more than the losses that follow it. */
  private newRto = false
  /** COPT UNDO. */
  private undo = false

  constructor(private readonly options: SentPacketManagerOptions) {
    this.perspective = options.perspective
    this.map = new SentPacketMap(options.framePool)
    this.rtt = new RttStats()
    this.assumeRtt(options.initialRtt)
    this.controller = this.makeController(options.congestion ?? 'cubic')
    this.pacer = new Pacer(this.controller, options.pacing ?? true)
    this.timer = new RetransmissionTimer(this.rtt, this.map, this.loss)
    this.requeuer = new FrameRequeuer(this.map, this.stats)
    this.walk = new AckWalk(this.map, this.rtt, this.loss, this.stats)
    this.applyClientOptions(options.sentOptions ?? [])
  }

  /** The smallest packet number still tracked: what STOP_WAITING says. */
  get leastUnacked(): number {
    return this.map.leastUnacked
  }

  get largestSent(): number {
    return this.map.largestSent
  }

  /** UDP payload bytes. */
  get bytesInFlight(): number {
    return this.map.bytesInFlight
  }

  /** Bytes. */
  get congestionWindow(): number {
    return this.controller.congestionWindow
  }

  /** Whether something in flight would have to be sent again if it were lost. */
  get hasRetransmittable(): boolean {
    return this.map.retransmittableInFlight > 0
  }

  /** The largest packet that the peer is known to know that this side received: an ACK of ours that it acknowledged. */
  get largestPeerKnowsAcked(): number {
    return this.walk.largestPeerKnowsAcked
  }

  /** UDP payload of the largest packet that arrived, bytes. */
  get largestAckedLength(): number {
    return this.walk.largestAckedLength
  }

  /** Smaller packets go from now on: what {@link largestAckedLength} said is no longer news. */
  forgetLargestAckedLength(): void {
    this.walk.largestAckedLength = 0
  }

  get hasUnackedCrypto(): boolean {
    return this.map.cryptoInFlight > 0
  }

  get consecutiveRtoCount(): number {
    return this.timer.rtoCount
  }

  get consecutiveTlpCount(): number {
    return this.timer.tlpCount
  }

  get consecutiveCryptoTimeouts(): number {
    return this.timer.cryptoCount
  }

  /**
   * The peer keeps acknowledging packets that are no longer tracked: it has missed the last STOP_WAITING, so the next
   * data packet should carry one with an ack (quic_connection.cc, stop_waiting_count_).
   */
  get stopWaitingOverdue(): boolean {
    return this.obsoleteAcks > 1
  }

  /**
   * The peer has left so much unacknowledged that tracking it is no longer reasonable: close with
   * TOO_MANY_OUTSTANDING_SENT_PACKETS. An honest peer acks at least every 20 packets and never comes near.
   */
  get tooManyOutstanding(): boolean {
    return this.map.largestSent - this.map.leastUnacked >= MAX_TRACKED_PACKETS
  }

  /**
   * Records a packet that goes out now. Takes over the frame list.
   * @param bytes UDP payload bytes
   * @param frames retransmittable frames; null for a packet with none, which is not congestion controlled
   * @param hasCrypto whether it carries handshake data
   * @param inFlight set for a packet without frames that is congestion controlled all the same (an MTU probe)
   * @param carriedAck the largest packet that an ACK in it acknowledges, 0 for none
   */
  onPacketSent(
    now: Micros,
    packetNumber: number,
    bytes: number,
    level: EncryptionLevel,
    frames: SentFrame | null,
    hasCrypto: boolean,
    inFlight: boolean = frames !== null,
    carriedAck = 0
  ): void {
    this.stats.packetsSent++
    this.stats.bytesSent += bytes
    if (inFlight) {
      this.controller.onPacketSent(now, packetNumber, bytes, this.map.bytesInFlight)
      this.pacer.onPacketSent(now, this.map.bytesInFlight, bytes)
      this.timer.onPacketSent(now, hasCrypto)
    }
    this.map.add(packetNumber, now, bytes, level, frames, hasCrypto, inFlight, carriedAck)
  }

  /** STOP_WAITING went out: see {@link stopWaitingOverdue}. */
  onStopWaitingSent(): void {
    this.obsoleteAcks = 0
  }

  /**
   * Processes an acknowledgement. Those in packets older than the newest that carried one must not come here.
   * @returns whether it acknowledged anything new
   * @throws QuicError INVALID_ACK_DATA where the reference closes (quic_connection.cc, ValidateAckFrame)
   */
  onAck(now: Micros, ack: AckFrame, listener: FrameFateListener): boolean {
    validateAck(ack, this.map.largestSent, this.largestAcked)
    const priorInFlight = this.map.bytesInFlight
    const rttUpdated = this.updateRtt(now, ack)
    this.largestAcked = ack.largestAcked
    const anyAcked = this.walk.take(now, ack, listener)
    this.detectLosses(now, listener)
    // What a timeout has resent already is no new sign of congestion.
    if (this.timer.rtoCount > 0 && !this.newRto) this.lost.clear()
    this.notifyController(now, rttUpdated, priorInFlight)
    this.bandwidthRecorder?.record(now, this.controller, this.rtt)
    if (rttUpdated) this.onProgress()
    if (this.undo) this.requeuer.undoLosses(this.walk.largestNewlyAcked, listener)
    const lowestAcked = ack.rangeCount > 0 ? ack.ranges[2 * ack.rangeCount - 2]! : Infinity
    this.obsoleteAcks = lowestAcked < this.map.leastUnacked ? this.obsoleteAcks + 1 : 0
    return anyAcked
  }

  /** When {@link onTimeout} is due, absolute; `Infinity` if nothing waits for an acknowledgement. */
  nextTimeout(): Micros {
    return this.timer.deadline()
  }

  /** Does what is due, if anything is: gives frames back and grants packets that bypass the congestion window. */
  onTimeout(now: Micros, listener: FrameFateListener): void {
    if (now < this.timer.deadline()) return
    switch (this.timer.onExpired(now)) {
      case TimeoutMode.Handshake:
        this.stats.cryptoTimeouts++
        this.probesAllowed = this.requeuer.requeueCrypto(now, listener)
        // A server that has answered reads no hello any more; where a client is now, only newer keys tell it.
        if (this.timer.cryptoCount > 1 && this.perspective === Perspective.Client) {
          this.probesAllowed += this.requeuer.requeueOldest(1, listener)
        }
        return
      case TimeoutMode.Loss: {
        this.stats.lossTimeouts++
        const priorInFlight = this.map.bytesInFlight
        this.detectLosses(now, listener)
        this.notifyController(now, false, priorInFlight)
        return
      }
      case TimeoutMode.TailLossProbe:
        this.stats.tailLossProbes++
        this.probesAllowed = 1
        this.probeWantsNewData = true
        return
      case TimeoutMode.Retransmission:
        this.stats.retransmissionTimeouts++
        if (this.timer.rtoCount === 1) this.firstRtoPacket = this.map.largestSent + 1
        this.probesAllowed = this.requeuer.requeueOldest(RTO_PACKETS, listener)
        if (this.probesAllowed === 0) this.requeuer.abandonFlight(now)
    }
  }

  /** Gives back the oldest frames in flight for a tail loss probe that found no new data. False if there are none. */
  requeueForProbe(listener: FrameFateListener): boolean {
    this.probeWantsNewData = false
    return this.requeuer.requeueOldest(1, listener) > 0
  }

  /** Uses up one probe, for a packet that went out. False if none was allowed. */
  takeProbe(): boolean {
    this.probeWantsNewData = false
    if (this.probesAllowed === 0) return false
    this.probesAllowed--
    return true
  }

  /** When a full data packet may go: 0 for now, else an absolute time; `Infinity` when only an ack will tell. */
  sendTime(now: Micros): Micros {
    return this.probesAllowed > 0 ? 0 : this.pacer.sendTime(now, this.map.bytesInFlight)
  }

  /** How much earlier than the pacer has it due, µs, a full data packet may go now; 0 if it may not. */
  earliness(now: Micros): Micros {
    return this.probesAllowed > 0 ? 0 : this.pacer.earliness(now, this.map.bytesInFlight)
  }

  /** The window has room and there is nothing to send. */
  onApplicationLimited(_now: Micros): void {
    this.controller.onApplicationLimited(this.map.bytesInFlight)
  }

  /** Takes from the peer's hello what concerns recovery: IRTT and connection options. */
  onConfigNegotiated(config: NegotiatedConfig): void {
    this.assumeRtt(config.initialRtt)
    const received = config.connectionOptions
    const kind = requestedController(received)
    if (kind !== undefined) {
      this.controller = this.makeController(kind)
      this.pacer.setController(this.controller)
    }
    const lossMode = requestedLossMode(received)
    if (lossMode !== undefined) this.loss.setMode(lossMode)
    const server = this.perspective === Perspective.Server
    this.applyClientOptions(server ? received : (this.options.sentOptions ?? []))
    if (server) this.controller.applyOptions(requestedControllerOptions(received))
  }

  /** Begins as fast as an earlier connection on this path was: see {@link CongestionController.resume}. */
  resume(bandwidth: number, rtt: Micros): void {
    this.rtt.setInitial(rtt)
    this.controller.resume(bandwidth, rtt)
  }

  /** COPT NCON: this many streams are open, and the connection behaves like as many TCP connections, up to five. */
  setOpenStreams(count: number): void {
    if (!this.emulatesStreams) return
    this.controller.setEmulatedConnections(Math.min(MAX_EMULATED_CONNECTIONS, Math.max(1, count)))
  }

  /** Abandons every packet of level None: the peer will not read them any more, which is no congestion. */
  neuterUnencryptedPackets(): void {
    for (let at = this.map.first; at !== 0; at = this.map.next(at)) {
      if (this.map.level(at) === Level.None && this.map.frames(at) !== null) this.map.abandon(at)
    }
  }

  /**
   * Gives back what was sent at `level` and is not acknowledged, and forgets its packets: the peer cannot read them,
   * which is no congestion (RetransmitUnackedPackets, ALL_INITIAL_RETRANSMISSION).
   */
  giveBack(level: EncryptionLevel, listener: FrameFateListener): void {
    for (let at = this.map.first; at !== 0; at = this.map.next(at)) {
      if (this.map.level(at) !== level || this.map.frames(at) === null) continue
      this.requeuer.requeue(at, listener)
      this.map.abandon(at)
    }
  }

  /** Frees what only traffic needs; nothing may be in flight. */
  releaseMemory(): void {
    this.map.releaseMemory()
    this.options.framePool.releaseMemory()
  }

  onHandshakeConfirmed(): void {
    this.timer.handshakeConfirmed = true
  }

  /** The connection moved to a path of which nothing is known (OnConnectionMigration). */
  onPathChanged(): void {
    this.timer.reset()
    this.rtt.reset()
    this.controller.onPathChanged()
  }

  /** An IRTT; 0 says as little as none. */
  private assumeRtt(initial: Micros | undefined): void {
    if (initial !== undefined && initial > 0) this.rtt.setInitial(initial)
  }

  private makeController(kind: ControllerKind): CongestionController {
    const { helper, initialWindowPackets } = this.options
    return createController(kind, this.rtt, this.map, helper, initialWindowPackets)
  }

  /** Options that hold on both sides, whichever of them is the client that sent them. */
  private applyClientOptions(options: readonly string[]): void {
    if (options.includes('1CON')) this.controller.setEmulatedConnections(1)
    if (options.includes('NCON')) this.emulatesStreams = true
    if (options.includes('NTLP')) this.timer.maxTailLossProbes = 0
    if (options.includes('TLPR')) this.timer.halfRttFirstProbe = true
    if (options.includes('CONH')) this.timer.conservativeHandshake = true
    if (options.includes('NRTO')) this.newRto = true
    if (options.includes('UNDO')) this.undo = true
  }

  /** Only the largest packet gives a sample, and only the first time: for others the peer's delay is unknown. */
  private updateRtt(now: Micros, ack: AckFrame): boolean {
    if (ack.rangeCount === 0 || !this.map.contains(ack.largestAcked)) return false
    this.rtt.update(now - this.map.sentTime(ack.largestAcked), ack.ackDelay)
    return true
  }

  private detectLosses(now: Micros, listener: FrameFateListener): void {
    const { lost } = this
    lost.clear()
    const { largestNewlyAcked, largestNewlyAckedSentTime } = this.walk
    this.loss.detect(now, this.map, this.rtt, largestNewlyAcked, largestNewlyAckedSentTime, lost)
    this.stats.packetsLost += lost.count
    let real = 0
    for (let i = 0; i < lost.count; i++) {
      const packetNumber = lost.numbers[i]!
      this.requeuer.requeue(packetNumber, listener)
      this.map.markLost(packetNumber, now)
      this.options.onPacketLost?.(packetNumber)
      // A probe that is too large for the path says nothing about how much the path carries.
      if (!this.map.isProbe(packetNumber)) lost.move(i, real++)
    }
    lost.count = real
  }

  private notifyController(now: Micros, rttUpdated: boolean, priorInFlight: number): void {
    const { acked } = this.walk
    if (rttUpdated || acked.count > 0 || this.lost.count > 0) {
      if (this.lost.count > 0) this.pacer.onLoss()
      this.controller.onCongestionEvent(now, rttUpdated, priorInFlight, acked, this.lost)
    }
    acked.clear()
    this.lost.clear()
  }

  /** A new RTT sample means that the path works: backoffs end, and it shows whether a timeout was real. */
  private onProgress(): void {
    if (this.timer.rtoCount > 0) {
      if (this.largestAcked < this.firstRtoPacket) this.rtt.expireSmoothed()
      else if (!this.newRto) this.controller.onRetransmissionTimeout()
    }
    this.timer.resetBackoff()
    this.probesAllowed = 0
    this.probeWantsNewData = false
  }
}
