/**
 * What a connection consists of, besides its session, as it is before the first packet. One that begins anew under
 * another id gets all of it once more.
 */
import type { CryptoHandshake } from '../handshake/handshake.js'
import { SentPacketManager } from '../recovery/sent-packet-manager.js'
import type { SentFramePool } from '../recovery/sent-frame.js'
import { Perspective } from '../types.js'
import type { CleartextContext, QuicVersion } from '../wire/versions/version.js'
import { ConnectionEntropy } from './acks/connection-entropy.js'
import { ReceivedPacketManager } from './acks/received-packet-manager.js'
import type { BandwidthResumption } from './bandwidth-resumption.js'
import { ConnectionHandshakeHost, type HandshakenConnection } from './connection-handshake-host.js'
import { ConnectionPath } from './connection-path.js'
import { ConnectionTimers, type TimedConnection } from './connection-timers.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import { CryptoReceiver } from './crypto-receiver.js'
import { CryptoSendStream } from './crypto-stream.js'
import { DatagramIntake, type ReceivingConnection } from './datagram-intake.js'
import { FrameFates } from './frame-fates.js'
import { FrameRouter, type FrameRouterOwner } from './frame-router.js'
import type { Liveness } from './liveness.js'
import { PacketReceiver } from './packets/packet-receiver.js'
import { PacketSender } from './packets/packet-sender.js'
import { DEFAULT_CLIENT_MAX_PACKET, DEFAULT_SERVER_MAX_PACKET, type QuicConnectionOptions } from './quic-connection-options.js'

/** The connection that the parts are made for: what they have in common survives them. */
export interface PartsOwner
  extends HandshakenConnection, ReceivingConnection, TimedConnection, FrameRouterOwner, CleartextContext {
  readonly session: ConnectionVisitor
  readonly liveness: Liveness
  readonly framePool: SentFramePool
  currentDatagramLength: number
}

/** See the file comment. */
export class ConnectionParts {
  readonly session: ConnectionVisitor
  readonly liveness: Liveness
  readonly sentPackets: SentPacketManager
  readonly received = new ReceivedPacketManager()
  readonly receiver: PacketReceiver
  readonly cryptoSend: CryptoSendStream
  readonly cryptoReceiver: CryptoReceiver
  readonly entropy: ConnectionEntropy | undefined
  readonly fates: FrameFates
  readonly sender: PacketSender
  readonly path: ConnectionPath
  readonly router: FrameRouter
  readonly intake: DatagramIntake
  readonly timers: ConnectionTimers
  readonly handshake: CryptoHandshake
  /** Server: what the client asked for by COPT BWRE or BWMX. */
  resumption: BandwidthResumption | undefined
  private version: QuicVersion

  /** @param packetLength what packets begin with, bytes; as the options say if missing */
  constructor(
    owner: PartsOwner,
    private readonly o: QuicConnectionOptions,
    packetLength?: number
  ) {
    const { perspective, version, session, liveness, framePool } = owner
    const { traits } = version
    const client = perspective === Perspective.Client
    this.version = version
    this.session = session
    this.liveness = liveness
    this.received.schedule.countsAllPackets = traits.acksAckOnlyPackets
    this.sentPackets = new SentPacketManager({
      perspective,
      framePool,
      congestion: o.congestion,
      sentOptions: o.connectionOptions,
      initialRtt: o.initialRtt,
      helper: o.helper,
      onPacketLost: o.observer?.onPacketLost && ((packetNumber) => o.observer!.onPacketLost!(owner.now, packetNumber))
    })
    const peer = client ? Perspective.Server : Perspective.Client
    this.receiver = new PacketReceiver(perspective, version, peer, this.received, owner)
    this.cryptoSend = new CryptoSendStream(traits.cryptoFrames)
    this.cryptoReceiver = new CryptoReceiver(traits, o.cryptoWindow)
    // A server's connection keeps its version; a client's may come down to one with entropy.
    const versions = client ? o.supportedVersions : [version]
    if (versions.some((candidate) => candidate.traits.entropy)) this.entropy = new ConnectionEntropy(o.helper)
    this.fates = new FrameFates(session, this.cryptoSend, this.cryptoReceiver, owner)
    this.sender = new PacketSender({
      perspective,
      connectionId: owner.connectionId,
      version,
      maxPacketLength: packetLength ?? o.maxPacketLength ?? (client ? DEFAULT_CLIENT_MAX_PACKET : DEFAULT_SERVER_MAX_PACKET),
      framePool,
      session,
      cryptoSend: this.cryptoSend,
      cryptoReceiver: this.cryptoReceiver,
      sentPackets: this.sentPackets,
      received: this.received,
      liveness,
      fates: this.fates,
      cleartext: owner,
      entropy: this.entropy,
      observer: o.observer,
      path: () => this.path
    })
    this.path = new ConnectionPath({
      perspective,
      sentPackets: this.sentPackets,
      assembler: this.sender.assembler,
      crypto: this.cryptoSend
    })
    if (o.mtuTarget !== undefined) this.path.mtu.setTarget(o.mtuTarget)
    this.router = new FrameRouter(owner, this.fates, this.cryptoSend, this.sentPackets, session, this.entropy)
    this.intake = new DatagramIntake(owner, this)
    this.timers = new ConnectionTimers(owner, this)
    if (client) this.applyClientOptions(o.connectionOptions ?? [])
    this.handshake = o.createHandshake(new ConnectionHandshakeHost(owner, this.cryptoSend, this.sender, this.receiver))
  }

  /** Client: goes on, from the first packet, in the version that negotiation chose. */
  setVersion(version: QuicVersion): void {
    const { traits } = version
    this.version = version
    this.received.schedule.countsAllPackets = traits.acksAckOnlyPackets
    this.intake.setVersion(version)
    this.sender.setVersion(version)
    this.receiver.setVersion(version)
    this.cryptoSend.setPerLevel(traits.cryptoFrames)
    this.cryptoReceiver.setVersion(traits)
    this.sentPackets.neuterUnencryptedPackets()
    this.cryptoSend.retransmitAll()
    this.handshake.onVersionNegotiated()
    this.session.onVersionNegotiated()
    this.applyClientOptions(this.o.connectionOptions ?? [])
  }

  /** What the client's connection options change at either end (quic_connection.cc, SetFromConfig). */
  applyClientOptions(options: readonly string[]): void {
    this.received.schedule.applyOptions(options, this.sentPackets.rtt)
    this.path.applyOptions(options)
    this.timers.closesAfterFiveTimeouts = this.o.perspective === Perspective.Client && options.includes('5RTO')
    this.sender.omitStopWaiting = this.version.traits.stopWaitingOptional && options.includes('NSTP')
  }
}
