/**
 * A server's front door: finds the connection of each datagram by its connection id, never by address, makes new ones
 * within a budget, and answers what belongs to none (quic_dispatcher.cc).
 */
import { ConnectionId, ConnectionIdMap } from '../connection-id.js'
import type { AeadProvider } from '../crypto/protection.js'
import type { ClientHelloContext } from '../handshake/server/client-hello-check.js'
import { Perspective, type Micros, type PeerAddress, type QuicHelper } from '../types.js'
import { buildPublicReset } from '../wire/public-reset.js'
import { DatagramKind, DatagramPeek, HeaderForm, peekDatagram } from '../wire/datagram-peek.js'
import {
  RESET_RANDOM_LENGTH,
  RESET_TOKEN_LENGTH,
  buildStatelessReset
} from '../wire/stateless-reset.js'
import { answerVersion } from '../wire/version-negotiation.js'
import type { QuicVersion } from '../wire/versions/version.js'
import { BufferedPacketStore, type BufferedConnection } from './buffered-packet-store.js'
import { ChloExtractor } from './chlo-extractor.js'
import { DEFAULT_CLIENT_MAX_PACKET, type QuicConnection } from './connection.js'
import type { DatagramBatch } from './datagram-batch.js'
import { DeadlineHeap, type HeapMember } from './deadline-heap.js'
import { RingQueue } from './ring-queue.js'
import { handshakePackets } from './stateless-packets.js'
import { TimeWaitList } from './time-wait-list.js'
import type { LateSealer, QuicEndpoint, Transmit } from './transmit.js'

// kDefaultMaxConnectionsInStore, kMaxReasonableInitialPacketNumber and the reference's new-session budget.
const MAX_INITIAL_PACKET_NUMBER = 100
const NEW_CONNECTIONS_PER_TURN = 16
const MAX_STATELESS_QUEUE = 1024
/** The least UDP payload of a packet with a long header that is worth an answer (quic_dispatcher.cc of later QUICHE). */
const MIN_LONG_HEADER_DATAGRAM = 1200
/** The same for Q044 and Q046: quic-go's first packet of Q044 has 1072 bytes. */
const MIN_NIBBLE_HEADER_DATAGRAM = 1024
/** With less, a reset would not look like a packet (RFC 9000 section 10.3). */
const MIN_RESET_RANDOM = 4

/** What a dispatcher knows about a connection that it asks for. */
export interface NewConnection {
  readonly connectionId: ConnectionId
  readonly version: QuicVersion
  readonly peerAddress: PeerAddress
  readonly now: Micros
  /** To be passed on to the connection. */
  readonly onWake: () => void
}

/** What makes a dispatcher. */
export interface QuicDispatcherOptions {
  /** In the order in which version negotiation packets list them. */
  supportedVersions: readonly QuicVersion[]
  createConnection(init: NewConnection): QuicConnection
  /** For versions whose first packets are under keys that everybody can derive. */
  aeadProvider: AeadProvider
  helper: QuicHelper
  /**
   * The token, 16 bytes, of a stateless reset of the connection with this id: the one that its SHLO told the client.
   * Without it packets with short headers for no connection get no answer.
   */
  resetToken?(connectionId: Uint8Array): Uint8Array
  /**
   * Answers first hellos without a connection (SREJ, see StatelessRejector): gives the answer, or undefined where a
   * connection is to be made.
   */
  rejectStatelessly?(chlo: Uint8Array, context: ClientHelloContext): Uint8Array | undefined
  /** Called when something is to be sent while no door is open. */
  onWake(): void
  /** Connections above this number are refused with silence. */
  maxConnections?: number
}

/** Counters for logs and metrics. */
export interface DispatcherStats {
  datagramsReceived: number
  /** UDP payload. */
  bytesReceived: number
  datagramsSent: number
  /** UDP payload. */
  bytesSent: number
  /** Neither a connection's nor worth an answer. */
  datagramsDropped: number
  versionNegotiationsSent: number
  /** Public and stateless ones. */
  publicResetsSent: number
  connectionsCreated: number
  /** Hellos that were answered without making a connection. */
  statelessRejects: number
}

interface Member extends HeapMember {
  readonly connection: QuicConnection
  touched: boolean
  queued: boolean
}

interface StatelessPacket {
  readonly to: PeerAddress
  readonly bytes: Uint8Array
}

/** Runs all connections of one server socket as one {@link QuicEndpoint}. */
export class QuicDispatcher implements QuicEndpoint {
  readonly stats: DispatcherStats = {
    datagramsReceived: 0,
    bytesReceived: 0,
    datagramsSent: 0,
    bytesSent: 0,
    datagramsDropped: 0,
    versionNegotiationsSent: 0,
    publicResetsSent: 0,
    connectionsCreated: 0,
    statelessRejects: 0
  }

  private readonly members = new ConnectionIdMap<Member>()
  private readonly deadlines = new DeadlineHeap<Member>()
  private readonly timeWait = new TimeWaitList()
  private readonly buffered = new BufferedPacketStore()
  private readonly extractor: ChloExtractor
  private readonly peek = new DatagramPeek(Perspective.Server)
  private readonly versionTags: number[]
  private readonly transmit: Transmit = { to: { family: 4, address: '', port: 0 }, length: 0, segmentSize: 0, delay: 0 }
  private stateless: StatelessPacket[] = []
  private readonly touched = new RingQueue<Member>()
  private readonly writable = new RingQueue<Member>()
  private budget = NEW_CONNECTIONS_PER_TURN
  private accepting = true

  constructor(private readonly o: QuicDispatcherOptions) {
    this.extractor = new ChloExtractor(o.aeadProvider)
    this.versionTags = o.supportedVersions.map((version) => version.tag)
  }

  get connectionCount(): number {
    return this.members.size
  }

  *connections(): IterableIterator<QuicConnection> {
    for (const member of this.members.values()) yield member.connection
  }

  /** New connections are no longer made; those that exist go on. */
  stopAccepting(): void {
    this.accepting = false
  }

  // ---- in ----

  handleDatagram(now: Micros, from: PeerAddress, datagram: Uint8Array): void {
    const { peek } = this
    if (!this.readId(from, datagram)) return
    const member = this.members.lookup(peek.connectionIdLow, peek.connectionIdHigh)
    if (member !== undefined) {
      member.connection.handleDatagram(now, from, datagram)
      this.touch(member)
    } else {
      this.handleUnknown(now, from, datagram)
    }
  }

  /** Counts a datagram. @returns whether {@link peek} has its connection id; else it is dropped */
  private readId(from: PeerAddress, datagram: Uint8Array): boolean {
    const { peek, stats } = this
    stats.datagramsReceived++
    stats.bytesReceived += datagram.length
    const named = from.port !== 0 && peekDatagram(datagram, 0, datagram.length, peek) && peek.hasConnectionId
    if (!named) stats.datagramsDropped++
    return named
  }

  /** What has the id of the datagram before it goes to that one's connection together with it. */
  handleDatagrams(batch: DatagramBatch): void {
    const { peek } = this
    let member: Member | undefined
    let first = 0
    for (let i = 0; i < batch.count; i++) {
      const from = batch.from[i]!
      const bytes = batch.bytes[i]!
      const named = this.readId(from, bytes)
      const found = named ? this.memberOf(peek, member) : undefined
      if (found !== undefined && found === member) continue
      this.handleRun(member, batch, first, i)
      member = found
      first = i
      if (named && found === undefined) this.handleUnknown(batch.receivedAt[i]!, from, bytes)
    }
    this.handleRun(member, batch, first, batch.count)
  }

  /** @param last whom the datagram before was for */
  private memberOf(peek: DatagramPeek, last: Member | undefined): Member | undefined {
    const { connectionIdLow: low, connectionIdHigh: high } = peek
    const lastId = last?.connection.connectionId
    return lastId?.low === low && lastId.high === high ? last : this.members.lookup(low, high)
  }

  private handleRun(member: Member | undefined, batch: DatagramBatch, first: number, end: number): void {
    if (member === undefined) return
    member.connection.handleDatagrams(batch, first, end)
    this.touch(member)
  }

  private handleUnknown(now: Micros, from: PeerAddress, datagram: Uint8Array): void {
    const { peek } = this
    if (peek.kind === DatagramKind.PublicReset) {
      this.stats.datagramsDropped++
      return
    }
    const id = ConnectionId.read(datagram, peek.connectionIdOffset)
    if (this.timeWait.has(id.low, id.high)) {
      this.answerTimeWait(from, id, datagram)
      return
    }
    const version = this.o.supportedVersions.find((candidate) => candidate.tag === peek.versionTag)
    if (version !== undefined) this.handleFirstPacket(now, from, id, version, datagram)
    else if (peek.versionTag !== 0) this.negotiateVersion(from, datagram)
    else this.toTimeWait(now, from, id, datagram)
  }

  private negotiateVersion(to: PeerAddress, datagram: Uint8Array): void {
    // With long headers only what could be a full first packet is answered, so that forged ones amplify nothing.
    const least = this.peek.form === HeaderForm.LongPrefixed ? MIN_LONG_HEADER_DATAGRAM : MIN_NIBBLE_HEADER_DATAGRAM
    if (this.peek.form !== HeaderForm.Public && datagram.length < least) {
      this.stats.datagramsDropped++
      return
    }
    this.stats.versionNegotiationsSent++
    this.sendStateless(to, answerVersion(datagram, this.peek, this.versionTags))
  }

  private handleFirstPacket(
    now: Micros,
    from: PeerAddress,
    id: ConnectionId,
    version: QuicVersion,
    datagram: Uint8Array
  ): void {
    const kind = this.extractor.inspect(version, id, datagram)
    const { packetNumber } = this.extractor
    const tooSmall = kind === 'chlo' && datagram.length < version.traits.minClientHelloDatagram
    if (kind === 'malformed' || tooSmall || packetNumber === 0 || !this.hasRoom()) {
      this.stats.datagramsDropped++
    } else if (packetNumber > MAX_INITIAL_PACKET_NUMBER) {
      this.toTimeWait(now, from, id, datagram)
    } else if (kind === 'other' || this.budget === 0) {
      const kept = this.buffered.add(now, id, version, from, datagram, kind === 'chlo')
      if (!kept) this.stats.datagramsDropped++
      else if (kind === 'chlo') this.o.onWake()
    } else {
      const early = this.buffered.take(id)
      if (!this.rejectStatelessly(now, from, id, version, datagram.length)) {
        this.createConnection(now, from, id, version, datagram, early)
      }
    }
  }

  /** What follows the hello that the extractor has just found is dropped with it: its keys will never be. */
  private rejectStatelessly(
    now: Micros,
    from: PeerAddress,
    id: ConnectionId,
    version: QuicVersion,
    datagramLength: number
  ): boolean {
    const { helper, supportedVersions, aeadProvider, rejectStatelessly } = this.o
    const context = { version, supportedVersions, helper, peerAddress: from, currentDatagramLength: datagramLength }
    const rejection = rejectStatelessly?.(this.extractor.chlo!, context)
    if (rejection === undefined) return false
    this.budget--
    this.stats.statelessRejects++
    // What came through one way comes through the other.
    const packetLength = Math.min(datagramLength, DEFAULT_CLIENT_MAX_PACKET)
    const packets = handshakePackets(rejection, { connectionId: id, version, aeadProvider, packetLength })
    this.timeWait.add(now, id, packets)
    this.timeWait.onPacket(id.low, id.high)
    for (const packet of packets) this.sendStateless(from, packet)
    return true
  }

  private hasRoom(): boolean {
    return this.accepting && this.members.size < (this.o.maxConnections ?? Infinity)
  }

  private createConnection(
    now: Micros,
    from: PeerAddress,
    id: ConnectionId,
    version: QuicVersion,
    chlo: Uint8Array,
    early: BufferedConnection | undefined
  ): void {
    this.budget--
    this.stats.connectionsCreated++
    const onWake = (): void => {
      const member = this.members.get(id)
      if (member !== undefined) this.onConnectionWake(member)
    }
    const connection = this.o.createConnection({ connectionId: id, version, peerAddress: from, now, onWake })
    const member: Member = { connection, deadline: Infinity, heapIndex: -1, touched: false, queued: false }
    this.members.set(id, member)
    connection.start(now)
    connection.handleDatagram(now, from, chlo)
    for (const packet of early?.packets ?? []) connection.handleDatagram(now, packet.from, packet.bytes)
    this.touch(member)
  }

  // ---- events, time ----

  deliverEvents(now: Micros): void {
    this.budget = NEW_CONNECTIONS_PER_TURN
    // Who is touched meanwhile has its turn the next time.
    for (let left = this.touched.length; left > 0; left--) {
      const member = this.touched.shift()!
      member.touched = false
      member.connection.deliverEvents(now)
      this.settle(now, member)
    }
  }

  handleTimeout(now: Micros): void {
    for (let due = this.deadlines.peek(); due !== undefined && due.deadline <= now; due = this.deadlines.peek()) {
      due.connection.handleTimeout(now)
      this.touch(due)
      // Moved out of the way here; settle gives it its real deadline once its packets are out.
      this.deadlines.set(due, Infinity)
    }
    this.timeWait.expire(now)
    for (const { id } of this.buffered.takeExpired(now)) this.timeWait.add(now, id)
    this.createBuffered(now)
    this.deliverEvents(now)
  }

  private createBuffered(now: Micros): void {
    while (this.budget > 0 && this.buffered.hasChlos && this.hasRoom()) {
      const { id, version, packets } = this.buffered.takeNextWithChlo()!
      const [chlo, ...rest] = packets
      const early = { id, version, from: chlo!.from, expiry: 0, hasChlo: false, packets: rest }
      this.extractor.inspect(version, id, chlo!.bytes)
      if (this.rejectStatelessly(now, chlo!.from, id, version, chlo!.bytes.length)) continue
      this.createConnection(now, chlo!.from, id, version, chlo!.bytes, early)
    }
  }

  nextTimeout(): Micros {
    if (this.buffered.hasChlos && this.hasRoom()) return 0
    const connections = this.deadlines.peek()?.deadline ?? Infinity
    return Math.min(connections, this.timeWait.nextExpiry(), this.buffered.nextExpiry())
  }

  /** Tells the connections with this peer. Such refusals are rare, and so there is no index by address. */
  handleTooBig(to: PeerAddress, size: number): void {
    for (const { connection } of this.members.values()) connection.handleTooBig(to, size)
  }

  // ---- out ----

  pollTransmit(now: Micros, out: Uint8Array, sealer?: LateSealer): Transmit | undefined {
    const packet = this.stateless.shift()
    if (packet !== undefined) return this.transmitStateless(packet, out)
    for (let member = this.writable.first; member !== undefined; member = this.writable.first) {
      const transmit = member.connection.pollTransmit(now, out, sealer)
      this.writable.shift()
      if (transmit !== undefined) {
        // Back of the line: connections take turns of one transmit each.
        this.writable.push(member)
        this.stats.datagramsSent += Math.ceil(transmit.length / transmit.segmentSize)
        this.stats.bytesSent += transmit.length
        return transmit
      }
      member.queued = false
      this.settle(now, member)
    }
    return undefined
  }

  private transmitStateless(packet: StatelessPacket, out: Uint8Array): Transmit {
    out.set(packet.bytes)
    this.stats.datagramsSent++
    this.stats.bytesSent += packet.bytes.length
    this.transmit.to = packet.to
    this.transmit.length = packet.bytes.length
    this.transmit.segmentSize = packet.bytes.length
    return this.transmit
  }

  // ---- bookkeeping ----

  private touch(member: Member): void {
    if (!member.touched) {
      member.touched = true
      this.touched.push(member)
    }
  }

  private onConnectionWake(member: Member): void {
    this.touch(member)
    if (!member.queued) {
      member.queued = true
      this.writable.push(member)
    }
    this.o.onWake()
  }

  /** Files a connection under its new deadline, or away if it is over and has said so. */
  private settle(now: Micros, member: Member): void {
    const { connection } = member
    if (connection.connected) {
      this.deadlines.set(member, connection.nextTimeout())
    } else if (!connection.hasClosePending) {
      this.deadlines.remove(member)
      if (this.members.delete(connection.connectionId)) {
        const { connectionId, terminationPacket } = connection
        this.timeWait.add(now, connectionId, terminationPacket && [terminationPacket])
      }
    }
  }

  private toTimeWait(now: Micros, from: PeerAddress, id: ConnectionId, datagram: Uint8Array): void {
    this.timeWait.add(now, id)
    this.answerTimeWait(from, id, datagram)
  }

  private answerTimeWait(to: PeerAddress, id: ConnectionId, datagram: Uint8Array): void {
    const answer = this.timeWait.onPacket(id.low, id.high)
    if (answer === 'silence') return
    if (answer !== 'public-reset') for (const packet of answer) this.sendStateless(to, packet)
    else if (this.peek.form === HeaderForm.Public) this.sendPublicReset(to, id, datagram)
    else if (this.peek.form === HeaderForm.Short) this.sendStatelessReset(to, id, datagram)
  }

  private sendPublicReset(to: PeerAddress, id: ConnectionId, datagram: Uint8Array): void {
    this.stats.publicResetsSent++
    const version = this.o.supportedVersions.find(({ traits }) => !traits.longHeaders)
    const rejectedPacketNumber = version === undefined ? 0 : this.extractor.packetNumberOf(version, datagram)
    this.sendStateless(to, buildPublicReset(id.bytes, { rejectedPacketNumber, clientAddress: to }))
  }

  private sendStatelessReset(to: PeerAddress, id: ConnectionId, datagram: Uint8Array): void {
    const { resetToken, helper } = this.o
    // Never longer than what it answers: two ends that know nothing of each other must not keep each other busy.
    const room = datagram.length - 1 - RESET_TOKEN_LENGTH - 1
    if (resetToken === undefined || room < MIN_RESET_RANDOM) return
    this.stats.publicResetsSent++
    const random = helper.randomBytes(Math.min(RESET_RANDOM_LENGTH, room))
    this.sendStateless(to, buildStatelessReset(resetToken(id.bytes), random))
  }

  private sendStateless(to: PeerAddress, bytes: Uint8Array): void {
    if (this.stateless.length >= MAX_STATELESS_QUEUE) return
    this.stateless.push({ to, bytes })
    this.o.onWake()
  }
}
