/**
 * A server and its clients on simulated paths: one virtual clock, one seed, no sockets. The endpoints are driven through
 * the same doors as by a real driver.
 */
import { createHash, type Hash } from 'node:crypto'
import {
  defaultSecretsPolicy,
  parseSecrets,
  rotateSecrets,
  serializeSecrets,
  tokenSecretsAt,
  type SecretsIngredients,
  type SecretsPolicy,
  type ServerSecrets
} from '../../../src/endpoint/server-secrets.js'
import { configProposal, connectionParameters, type TransportOptions } from '../../../src/endpoint/transport-options.js'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import type { ChannelIdSource } from '../../../src/quic/crypto/channel-id.js'
import type { AeadProvider } from '../../../src/quic/crypto/protection.js'
import type { CommonCertificateSets } from '../../../src/quic/crypto/common-certificates.js'
import { CaProofVerifier, StaticProofSource, type CertifiedKey, type ProofVerifier } from '../../../src/quic/crypto/proof.js'
import { resetTokens } from '../../../src/quic/crypto/reset-token.js'
import { QuicCryptoClientHandshake } from '../../../src/quic/handshake/client/client-handshake.js'
import type { ClientSessionCache } from '../../../src/quic/handshake/client/session-cache.js'
import { ServerHandshakes } from '../../../src/quic/handshake/server/server-handshakes.js'
import type { EarlyDataPolicy } from '../../../src/quic/handshake/server/server-handshakes.js'
import type { HandshakeHost } from '../../../src/quic/handshake/handshake.js'
import { QuicConnection } from '../../../src/quic/transport/connection.js'
import type { ConnectionVisitor } from '../../../src/quic/transport/connection-visitor.js'
import { QuicDispatcher, type NewConnection } from '../../../src/quic/transport/dispatcher.js'
import type { ObserveConnection } from '../../../src/quic/transport/observer.js'
import type { SessionConnection } from '../../../src/quic/transport/session-connection.js'
import { TRANSMIT_BUFFER_SIZE, type QuicEndpoint, type Transmit } from '../../../src/quic/transport/transmit.js'
import { Perspective, type Micros, type PeerAddress, type QuicHelper } from '../../../src/quic/types.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { Tag } from '../../../src/quic/wire/tags.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import { recordedAuthority, recordedKey } from '../handshake-fixture.js'
import type { DeferredSealing } from './deferred-sealing.js'
import { EventQueue } from './event-queue.js'
import { Delay, Path, type NetworkNode } from './network.js'
import { SeededRandom, simulatedHelper } from './seeded-random.js'

// An RSA certificate: its signatures always have the same length, so that a trace follows from the seed alone.
const CERTIFICATE_CASE = 'chromium56-v36-get-1k'
const SERVER_NAME = 'www.example.org'
const SERVER_ADDRESS: PeerAddress = { family: 4, address: '198.51.100.1', port: 443 }
// Somewhere within the recorded certificate's life.
const WALL_SECONDS_AT_START = 1_811_000_000
const START: Micros = 1_234_567_000
const MAX_TURNS_AT_ONE_TIME = 500

let certificate: { key: CertifiedKey; authority: string } | undefined

/** What makes a world. */
export interface SimWorldOptions {
  seed: number
  /** What the server speaks. */
  versions?: readonly QuicVersion[]
  transport?: TransportOptions
  /** The recorded RSA one, if not given. */
  certificates?: readonly CertifiedKey[]
  earlyData?: EarlyDataPolicy
  /** When server configs and token secrets are succeeded; see {@link SimWorld.rotateSecrets}. */
  secretsPolicy?: SecretsPolicy
  /** Whether clients that say so are rejected without a connection (default true). */
  statelessRejects?: boolean
  /** Where the server stands; a later one may stand elsewhere. */
  servingRegion?: () => string
  commonCertificates?: CommonCertificateSets
  /** Whether the server asks for them. */
  channelIds?: boolean
  /** Everybody's. node:crypto's, if not given. */
  aeadProvider?: AeadProvider
  /** Sees the server's connections. */
  observe?: ObserveConnection | undefined
  createSession(connection: SessionConnection): ConnectionVisitor
}

/** What makes a client in a world. */
export interface SimClientOptions<S extends ConnectionVisitor> {
  /** What it offers, preferred first. */
  versions?: readonly QuicVersion[]
  transport?: TransportOptions
  /** The path to the server, and back. 20 ms each way if nothing else is said. */
  up?: NetworkNode[]
  down?: NetworkNode[]
  /** µs */
  handshakeTimeout?: Micros
  sessionCache?: ClientSessionCache
  /** The name that it looks for, the recorded certificate's if not given. */
  serverName?: string
  /** How far its calendar is ahead of the server's, seconds. */
  clockAhead?: number
  /** Changes its hellos before they leave, as an odd client might; the client itself does not know. */
  editHello?: (chlo: HandshakeMessage) => void
  verifier?: ProofVerifier
  commonCertificates?: CommonCertificateSets
  channelIds?: ChannelIdSource
  /** Shares the IP address of an earlier client. */
  hostOf?: SimClient<ConnectionVisitor>
  observe?: ObserveConnection | undefined
  createSession(connection: SessionConnection): S
}

interface Party {
  endpoint: QuicEndpoint
  readonly address: PeerAddress
}

/** A datagram that has arrived. */
export interface Arrived {
  readonly from: PeerAddress
  readonly bytes: Uint8Array
}

interface Arrival {
  readonly to: Party
  readonly from: PeerAddress
  readonly bytes: Uint8Array
  /** To a client: the port that it was sent to, where the client may no longer be. */
  readonly port: number
}

/** Lets `edit` change the hellos that leave by this host; they stay as long as they were. */
function editing(host: HandshakeHost, edit: (chlo: HandshakeMessage) => void): HandshakeHost {
  const send = host.sendHandshakeMessage.bind(host)
  host.sendHandshakeMessage = (bytes) => {
    const chlo = HandshakeMessage.parse(bytes)
    edit(chlo)
    if (Buffer.compare(chlo.serialize(), bytes) !== 0) {
      chlo.delete(Tag.PAD)
      chlo.minimumSize = bytes.length
    }
    send(chlo.serialize())
  }
  return host
}

/** One client: its connection, its session, and what passed on its path. */
export class SimClient<S extends ConnectionVisitor> {
  datagramsSent = 0
  datagramsReceived = 0
  bytesReceived = 0
  /** Largest datagram that arrived, bytes. */
  largestReceived = 0
  /** Where the server sees it; see {@link move}. */
  seenAt: PeerAddress

  constructor(
    readonly connection: QuicConnection,
    readonly session: S,
    readonly address: PeerAddress,
    readonly up: Path,
    readonly down: Path
  ) {
    this.seenAt = address
  }

  /**
   * From now on its datagrams come from elsewhere, as when a NAT forgets a mapping; what is under way to the old port, or
   * is sent there, is lost. The port has to be a new one.
   */
  move(to: PeerAddress): void {
    this.seenAt = to
  }

  /** The server's end of the connection, while it has one. */
  serverSide(world: SimWorld): QuicConnection | undefined {
    for (const connection of world.dispatcher.connections()) {
      if (connection.connectionId.equals(this.connection.connectionId)) return connection
    }
    return undefined
  }
}

/** The simulation. Time stands still but in {@link run} and {@link advance}. */
export class SimWorld {
  now: Micros = START
  readonly random: SeededRandom
  dispatcher: QuicDispatcher
  /** What the server keeps over {@link restartServer}. */
  secrets: ServerSecrets
  handshakes: ServerHandshakes
  private readonly server: Party
  private readonly clients: SimClient<ConnectionVisitor>[] = []
  private readonly parties: Party[] = []
  private readonly queue = new EventQueue<Arrival>()
  private readonly hash: Hash = createHash('sha256')
  private readonly buffer = new Uint8Array(TRANSMIT_BUFFER_SIZE)
  private readonly aeadProvider: AeadProvider
  private readonly helper: QuicHelper
  private spoken: readonly QuicVersion[] | undefined
  private shown: readonly CertifiedKey[] | undefined
  private turnsAtThisTime = 0
  /** The system refuses to send larger datagrams, and says so to who sent them (EMSGSIZE). Bytes. */
  largestDatagram = Infinity
  /** Where the server sees datagrams come from: a translator of addresses on the way. Ports have to stay. */
  rewriteSource: (from: PeerAddress) => PeerAddress = (from) => from
  /** Seals packets after they have been written, if there is one: a socket that does that when it sends them. */
  sealing: DeferredSealing | undefined
  /** Hands an endpoint what arrives for it at one time. */
  handOver = (endpoint: QuicEndpoint, now: Micros, arrived: readonly Arrived[]): void => {
    for (const { from, bytes } of arrived) endpoint.handleDatagram(now, from, bytes)
  }

  constructor(private readonly o: SimWorldOptions) {
    this.random = new SeededRandom(o.seed)
    this.aeadProvider = o.aeadProvider ?? new NodeAeadProvider()
    this.helper = simulatedHelper(this.random.fork(), () => this.wallSeconds())
    certificate ??= { key: recordedKey(CERTIFICATE_CASE), authority: recordedAuthority(CERTIFICATE_CASE) }
    this.secrets = this.newSecrets()
    this.handshakes = this.makeHandshakes()
    this.dispatcher = this.makeDispatcher()
    this.server = { endpoint: this.dispatcher, address: SERVER_ADDRESS }
    this.parties.push(this.server)
  }

  private newSecrets(): ServerSecrets {
    return rotateSecrets(undefined, this.wallSeconds(), this.secretsPolicy, this.ingredients())
  }

  private get secretsPolicy(): SecretsPolicy {
    return this.o.secretsPolicy ?? defaultSecretsPolicy
  }

  private ingredients(): SecretsIngredients {
    const { helper, aeadProvider, o } = this
    return { random: helper.randomBytes, aeads: aeadProvider.preference, channelIds: o.channelIds }
  }

  private makeHandshakes(): ServerHandshakes {
    const { configs } = this.secrets
    return new ServerHandshakes({
      helper: this.helper,
      proofSource: new StaticProofSource(this.shown ?? this.o.certificates ?? [certificate!.key]),
      configs,
      tokenSecrets: tokenSecretsAt(this.secrets, this.wallSeconds()),
      config: configProposal('server', this.o.transport ?? {}),
      resetToken: resetTokens(this.secrets.resetSecret),
      earlyData: this.o.earlyData,
      statelessRejects: this.o.statelessRejects,
      servingRegion: this.o.servingRegion?.(),
      commonCertificates: this.o.commonCertificates
    })
  }

  private makeDispatcher(): QuicDispatcher {
    const { o, handshakes } = this
    return new QuicDispatcher({
      supportedVersions: this.versions,
      aeadProvider: this.aeadProvider,
      helper: this.helper,
      resetToken: resetTokens(this.secrets.resetSecret),
      rejectStatelessly: (chlo, context) => handshakes.rejectStatelessly(chlo, context),
      onWake: () => {},
      createConnection: (init: NewConnection) =>
        new QuicConnection({
          ...init,
          perspective: Perspective.Server,
          supportedVersions: this.versions,
          observer: o.observe?.(
            { ...init, perspective: Perspective.Server, supportedVersions: this.versions },
            () => SERVER_ADDRESS
          ),
          helper: this.helper,
          aeadProvider: this.aeadProvider,
          cryptoWindow: handshakes.config.streamWindow,
          ...connectionParameters('server', o.transport ?? {}),
          createHandshake: (host) => handshakes.create(host),
          createSession: o.createSession
        })
    })
  }

  /** The server dies without a word and comes back, with what it kept or as somebody new. */
  restartServer(secrets: 'kept' | 'new'): void {
    if (secrets === 'kept') this.secrets = parseSecrets(serializeSecrets(this.secrets))
    else this.secrets = this.newSecrets()
    this.handshakes = this.makeHandshakes()
    this.dispatcher = this.makeDispatcher()
    this.server.endpoint = this.dispatcher
  }

  /** The server goes on with what its secrets have become by now. */
  rotateSecrets(): void {
    this.secrets = rotateSecrets(this.secrets, this.wallSeconds(), this.secretsPolicy, this.ingredients())
    const tokenSecrets = tokenSecretsAt(this.secrets, this.wallSeconds())
    if (!this.handshakes.useSecrets(this.secrets.configs, tokenSecrets)) return
    for (const connection of this.dispatcher.connections()) connection.sendConfigUpdate()
  }

  /** What the server speaks from its next {@link restartServer} on. */
  speak(versions: readonly QuicVersion[]): void {
    this.spoken = versions
  }

  /** The certificates that the server has from its next {@link restartServer} on. */
  show(certificates: readonly CertifiedKey[]): void {
    this.shown = certificates
  }

  private get versions(): readonly QuicVersion[] {
    return this.spoken ?? this.o.versions ?? supportedVersions
  }

  /** Times and sizes of every datagram sent and delivered so far, as one hash. */
  get trace(): string {
    return this.hash.copy().digest('hex')
  }

  /** Milliseconds since the simulation began. */
  get elapsedMs(): number {
    return (this.now - START) / 1000
  }

  /** The server's calendar, seconds since the UNIX epoch. */
  wallSeconds(): number {
    return WALL_SECONDS_AT_START + Math.floor((this.now - START) / 1e6)
  }

  /** Adds a client, which begins to connect at once. */
  addClient<S extends ConnectionVisitor>(o: SimClientOptions<S>): SimClient<S> {
    const { serverName = SERVER_NAME, clockAhead = 0, editHello } = o
    const helper = simulatedHelper(this.random.fork(), () => this.wallSeconds() + clockAhead)
    const versions = o.versions ?? supportedVersions
    const transport = o.transport ?? {}
    const config = configProposal('client', transport)
    const verifier = o.verifier ?? new CaProofVerifier({ ca: [certificate!.authority] })
    const cached = o.sessionCache?.lookup(serverName, 443)
    let session: S | undefined
    const facts = {
      perspective: Perspective.Client,
      connectionId: ConnectionId.read(helper.randomBytes(8)),
      version: versions[0]!,
      supportedVersions: versions,
      peerAddress: SERVER_ADDRESS,
      now: this.now
    }
    const connection = new QuicConnection({
      ...facts,
      observer: o.observe?.(facts, () => undefined),
      helper,
      aeadProvider: this.aeadProvider,
      cryptoWindow: config.streamWindow,
      handshakeTimeout: o.handshakeTimeout,
      ...connectionParameters('client', transport),
      createHandshake: (host) =>
        new QuicCryptoClientHandshake(editHello === undefined ? host : editing(host, editHello), {
          serverName,
          serverPort: 443,
          verifier,
          config,
          cached,
          commonCertificates: o.commonCertificates,
          channelIds: o.channelIds
        }),
      createSession: (sessionConnection) => (session = o.createSession(sessionConnection)),
      onWake: () => {}
    })
    const index = this.clients.length
    const ip = o.hostOf?.address.address ?? `203.0.113.${index + 1}`
    const address: PeerAddress = { family: 4, address: ip, port: 40_000 + index }
    const up = new Path(o.up ?? [new Delay(20)], this.random)
    const down = new Path(o.down ?? [new Delay(20)], this.random)
    const client = new SimClient(connection, session!, address, up, down)
    this.clients.push(client)
    this.parties.push({ endpoint: connection, address })
    connection.start(this.now)
    return client
  }

  /**
   * Lets time pass until `done` holds.
   * @throws Error if that takes more than `limitMs` of virtual time, or if nothing is left that could happen
   */
  run(done: () => boolean, limitMs = 120_000): void {
    const end = this.now + limitMs * 1000
    this.turn()
    while (!done()) {
      if (!this.step(end)) throw new Error(`not done after ${limitMs} ms of virtual time (at ${this.elapsedMs} ms)`)
    }
  }

  /** Lets `ms` milliseconds pass. */
  advance(ms: number): void {
    const end = this.now + Math.round(ms * 1000)
    this.turn()
    while (this.step(end));
    this.now = end
  }

  /** Sends bytes to the server from anywhere, as an attacker may; they arrive at once. */
  inject(from: PeerAddress, bytes: Uint8Array): void {
    this.queue.add(this.now, { to: this.server, from, bytes, port: 0 })
  }

  /** Sends bytes to a client in the server's name, as an attacker on the way may; they arrive at once. */
  injectTo(client: SimClient<ConnectionVisitor>, bytes: Uint8Array): void {
    const to = this.parties[this.clients.indexOf(client) + 1]!
    this.queue.add(this.now, { to, from: SERVER_ADDRESS, bytes, port: client.seenAt.port })
  }

  /** The next thing that happens; false if nothing does before `end`. */
  private step(end: Micros): boolean {
    let next = this.queue.nextTime
    for (const { endpoint } of this.parties) next = Math.min(next, endpoint.nextTimeout())
    if (next > end) return false
    this.moveTo(next)
    this.deliverDue()
    for (const { endpoint } of this.parties) if (endpoint.nextTimeout() <= this.now) endpoint.handleTimeout(this.now)
    this.turn()
    return true
  }

  private moveTo(time: Micros): void {
    if (!Number.isInteger(time)) throw new Error(`a deadline of ${time} µs: times are integers`)
    if (time > this.now) {
      this.now = time
      this.turnsAtThisTime = 0
    } else if (++this.turnsAtThisTime > MAX_TURNS_AT_ONE_TIME) {
      throw new Error(`a deadline that has passed is asked for again and again at ${this.elapsedMs} ms`)
    }
  }

  private deliverDue(): void {
    const due = new Map<Party, Arrived[]>()
    while (this.queue.nextTime <= this.now) {
      const { to, from, bytes, port } = this.queue.take()
      this.note('arrive', to.address.port, bytes.length)
      if (!this.isReached(to, port, bytes.length)) continue
      const arrived = { from: to === this.server ? this.rewriteSource(from) : from, bytes }
      const others = due.get(to)
      if (others === undefined) due.set(to, [arrived])
      else others.push(arrived)
    }
    for (const [{ endpoint }, arrived] of due) this.handOver(endpoint, this.now, arrived)
  }

  /** Whether what was sent to a port finds somebody there. */
  private isReached(to: Party, port: number, length: number): boolean {
    const client = this.clients.find((candidate) => candidate.address === to.address)
    if (client === undefined) return true
    if (client.seenAt.port !== port) return false
    client.largestReceived = Math.max(client.largestReceived, length)
    client.datagramsReceived++
    client.bytesReceived += length
    return true
  }

  /** Sees what is given to be sent, if a test sets it. */
  onTransmit: ((byServer: boolean, transmit: Readonly<Transmit>) => void) | undefined

  /** What a driver does after each batch of datagrams. */
  private turn(): void {
    for (const party of this.parties) {
      const { endpoint } = party
      endpoint.deliverEvents(this.now)
      for (let t = this.poll(endpoint); t !== undefined; t = this.poll(endpoint)) {
        this.onTransmit?.(party === this.server, t)
        for (let at = 0; at < t.length; at += t.segmentSize) {
          const bytes = this.buffer.slice(at, Math.min(at + t.segmentSize, t.length))
          if (bytes.length <= this.largestDatagram) this.sendDatagram(party, t.to, bytes)
          else endpoint.handleTooBig(t.to, bytes.length)
        }
        this.buffer.fill(0xee)
      }
    }
  }

  private poll(endpoint: QuicEndpoint): Transmit | undefined {
    const transmit = endpoint.pollTransmit(this.now, this.buffer, this.sealing)
    this.sealing?.seal()
    return transmit
  }

  private sendDatagram(from: Party, to: PeerAddress, bytes: Uint8Array): void {
    this.note('send', from.address.port, bytes.length)
    const down = from === this.server
    const index = this.clients.findIndex((c) => (down ? c.seenAt.port === to.port : c.address === from.address))
    // Answers to injected datagrams, and to where a client was, go nowhere.
    if (index < 0) return
    const client = this.clients[index]!
    const source = down ? from.address : client.seenAt
    if (!down) client.datagramsSent++
    const target = down ? this.parties[index + 1]! : this.server
    const path = down ? client.down : client.up
    path.send(this.now, bytes, (packet) => {
      this.queue.add(packet.at, { to: target, from: source, bytes: packet.bytes, port: to.port })
    })
  }

  private note(what: string, port: number, length: number): void {
    this.hash.update(`${what} ${port} ${this.now} ${length}\n`)
  }
}
