/**
 * One connection of a capture: opens its packets and hands what is in them to the decoders of both directions.
 */
import { ConnectionId } from '../quic/connection-id.js'
import type { PacketOpener } from '../quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../quic/types.js'
import type { FrameVisitor } from '../quic/wire/frames/frames.js'
import { completePacketNumber } from '../quic/wire/packet-number.js'
import { tagName } from '../quic/wire/tags.js'
import { knownVersionByLabel, knownVersionByTag, knownVersions } from '../quic/wire/versions/registry.js'
import { ANY_LEVEL, createPacketHeader } from '../quic/wire/versions/version.js'
import type { CleartextContext, PacketHeader, QuicVersion } from '../quic/wire/versions/version.js'
import { DirectionDecoder } from './direction-decoder.js'
import type { SpeechListener } from './direction-decoder.js'
import type { KeyRing } from './key-ring.js'
import {
  ackText,
  connectionCloseText,
  cryptoText,
  goAwayText,
  handshakeLines,
  headerLines,
  levelText,
  rstStreamText,
  settingsText,
  stopWaitingText,
  streamOrConnection,
  streamText
} from './packet-text.js'
import type { PacketSummary } from './packet-text.js'
import type { ConnectionReport } from './report.js'

/** An opened packet, frames still to be decoded. One object is reused. */
interface OpenedPacket {
  version: QuicVersion
  level: EncryptionLevel
  packetNumber: number
  packetNumberLength: number
  start: number
  end: number
}

/** What one side's packets need beyond the keys. */
class Side {
  largest = 0
  /** The opener that worked last: the first to try. */
  latest: PacketOpener | undefined
  readonly nullOpeners = new Map<QuicVersion, PacketOpener>()
  readonly decoder: DirectionDecoder

  constructor(
    readonly sender: Perspective,
    listener: SpeechListener
  ) {
    this.decoder = new DirectionDecoder(sender, listener)
  }

  nullOpener(version: QuicVersion, context: CleartextContext): PacketOpener {
    let opener = this.nullOpeners.get(version)
    if (opener === undefined) {
      opener = version.nullOpener(this.sender, context)
      this.nullOpeners.set(version, opener)
    }
    return opener
  }
}

/** Q036 first: the one that most packets without a name are in. */
const guesses = [knownVersionByLabel('Q036')!, ...knownVersions]

const ignore = (): void => {}
const deafVisitor: FrameVisitor = {
  onEntropyFlag: ignore,
  onPadding: ignore,
  onStream: ignore,
  onCrypto: ignore,
  onAck: ignore,
  onStopWaiting: ignore,
  onRstStream: ignore,
  onConnectionClose: ignore,
  onGoAway: ignore,
  onWindowUpdate: ignore,
  onBlocked: ignore,
  onPing: ignore,
  onMessage: ignore,
  onPathClose: ignore
}

/** Decodes one connection, given by client socket and connection id. */
export class ConnectionDecoder {
  /** What violated the protocol. */
  readonly problems: string[] = []
  /** Delivered data packets that opened. */
  opened = 0
  private readonly sides: readonly [client: Side, server: Side]
  private readonly header: PacketHeader = createPacketHeader()
  private readonly packet: OpenedPacket = {
    version: knownVersions[0]!,
    level: EncryptionLevel.None,
    packetNumber: 0,
    packetNumberLength: 0,
    start: 0,
    end: 0
  }
  /** What the client named last, which is what the server answers in. */
  private namedVersion: QuicVersion | undefined
  private lastVersion: QuicVersion | undefined
  private summary: PacketSummary | undefined
  private readonly context: CleartextContext

  /** @param connectionId 16 hexadecimal digits */
  constructor(
    readonly conn: number,
    readonly connectionId: string,
    private readonly keyRing: KeyRing
  ) {
    this.context = { connectionId: ConnectionId.fromHex(connectionId), aeadProvider: keyRing.provider }
    this.sides = [new Side(Perspective.Client, this.listener()), new Side(Perspective.Server, this.listener())]
  }

  /** The report as it stands; nothing may be decoded afterwards. */
  report(): ConnectionReport {
    return {
      conn: this.conn,
      connectionId: this.connectionId,
      version: this.lastVersion?.label ?? null,
      requests: this.sides[0].decoder.requests(),
      responses: this.sides[1].decoder.responses()
    }
  }

  /**
   * Opens the data packets of a datagram in place and decodes their frames.
   *
   * @param versionTag what the first header names, 0 for nothing; a known version
   * @param summary filled with what the packets say, if it is to be shown
   * @returns false if no key opens the first one
   */
  decode(bytes: Buffer, sender: Perspective, versionTag: number, summary: PacketSummary | undefined): boolean {
    const named = knownVersionByTag(versionTag)
    if (named !== undefined) this.namedVersion = named
    const side = this.sides[sender]
    const version = named ?? this.namedVersion ?? this.guessVersion(bytes, side)
    if (version === undefined || !this.open(bytes, side, version)) return false
    this.summary = summary
    let rest = bytes
    // Where headers tell a packet's length another may follow it. What cannot be read there means nothing.
    do {
      const { packetEnd } = this.header
      this.decodeFrames(rest, side)
      rest = rest.subarray(packetEnd)
    } while (rest.length > 0 && this.open(rest, side, version))
    return true
  }

  /**
   * The version of a packet whose connection never named one: the first in which it opens and makes sense, or at least
   * opens. Versions whose packets look alike are the same to us.
   */
  private guessVersion(bytes: Buffer, side: Side): QuicVersion | undefined {
    let fallback: QuicVersion | undefined
    for (const version of guesses) {
      const copy = Buffer.from(bytes)
      if (!this.open(copy, side, version)) continue
      fallback ??= version
      const { start, end, packetNumber, packetNumberLength } = this.packet
      try {
        version.frames.decode(copy, start, end, packetNumber, packetNumberLength, deafVisitor)
        return version
      } catch {
        // Not yet an error of the packet's, only a sign that this is not its version.
      }
    }
    return fallback
  }

  private decodeFrames(bytes: Buffer, side: Side): void {
    const { packet, summary } = this
    const { version, start, end, packetNumber, packetNumberLength } = packet
    side.largest = Math.max(side.largest, packetNumber)
    this.opened++
    this.lastVersion = version
    if (summary !== undefined) {
      summary.protocol = version.label
      summary.facts.push(`PKN ${packetNumber}`, levelText(packet.level, version))
    }
    try {
      version.frames.decode(bytes, start, end, packetNumber, packetNumberLength, this.visitor(side))
    } catch (error) {
      this.addProblem(`packet ${packetNumber} of the ${senderName(side.sender)}: ${(error as Error).message}`)
    }
  }

  private open(bytes: Buffer, side: Side, version: QuicVersion): boolean {
    const { header } = this
    if (!version.header.parse(bytes, 0, bytes.length, receiverOf(side), header)) return false
    if (header.versionTag !== 0 && header.versionTag !== version.tag) return false
    this.packet.version = version
    const keys = this.keyRing.find(this.connectionId, side.sender, version.protection)
    const latest = keys.find(key => key.opener === side.latest)
    if (latest !== undefined && this.tryKey(bytes, side, latest.opener, latest.level)) return true
    if (this.tryKey(bytes, side, side.nullOpener(version, this.context), EncryptionLevel.None)) return true
    for (const { opener, level } of keys) {
      if (opener === side.latest || !this.tryKey(bytes, side, opener, level)) continue
      side.latest = opener
      return true
    }
    return false
  }

  private tryKey(bytes: Buffer, side: Side, opener: PacketOpener, level: EncryptionLevel): boolean {
    const { packet, header } = this
    const codec = packet.version.header
    if (header.keyLevel !== ANY_LEVEL && header.keyLevel !== level) return false
    if (!codec.reveal(bytes, 0, receiverOf(side), opener.headerProtector, header)) return false
    packet.packetNumberLength = header.packetNumberLength
    packet.packetNumber = completePacketNumber(header.wirePacketNumber, header.packetNumberLength, side.largest)
    const length =
      packet.packetNumber < 1 ? -1 : opener.open(bytes, 0, header.headerEnd, header.packetEnd, packet.packetNumber)
    if (length < 0) {
      codec.conceal(bytes, 0, opener.headerProtector, header)
      return false
    }
    packet.level = level
    packet.start = header.headerEnd + opener.prefixLength
    packet.end = packet.start + length
    return true
  }

  private visitor(side: Side): FrameVisitor {
    const { traits } = this.packet.version
    return {
      onEntropyFlag: entropy => {
        if (entropy) this.summary?.facts.push('entropy')
      },
      onPadding: length => this.show('PADDING', `PADDING ${length} bytes`),
      onStream: (id, offset, fin, buffer, start, end) => {
        // A handshake message names its packet better than the stream that carries it does.
        const known = this.summary?.topics.length
        const topic = id === traits.cryptoStreamId ? undefined : 'STREAM'
        this.show(topic, () => streamText(traits, id, offset, end - start, fin))
        side.decoder.onStream(traits, id, offset, buffer.subarray(start, end))
        if (topic === undefined && this.summary?.topics.length === known) this.addTopic('STREAM')
      },
      onCrypto: (offset, buffer, start, end) => {
        const known = this.summary?.topics.length
        this.show(undefined, () => cryptoText(offset, end - start))
        side.decoder.onHandshakeData(this.packet.level, offset, buffer.subarray(start, end))
        if (this.summary?.topics.length === known) this.addTopic('CRYPTO')
      },
      onAck: (ack, hash, truncated) => this.show('ACK', () => ackText(ack, hash, truncated)),
      onStopWaiting: (least, hash) => this.show('STOP_WAITING', () => stopWaitingText(least, hash)),
      onRstStream: (id, code, offset) => this.show('RST_STREAM', () => rstStreamText(id, code, offset)),
      onConnectionClose: (code, reason) => this.show('CONNECTION_CLOSE', () => connectionCloseText(code, reason)),
      onGoAway: (code, id, reason) => this.show('GOAWAY', () => goAwayText(code, id, reason)),
      onWindowUpdate: (id, limit) => this.show('WINDOW_UPDATE', `WINDOW_UPDATE ${streamOrConnection(id)} to ${limit}`),
      onBlocked: id => this.show('BLOCKED', `BLOCKED ${streamOrConnection(id)}`),
      onPing: () => this.show('PING', 'PING'),
      onMessage: (_buffer, start, end) => this.show('MESSAGE', `MESSAGE ${end - start} bytes`),
      onPathClose: id => this.show('PATH_CLOSE', `PATH_CLOSE ${id}`)
    }
  }

  private listener(): SpeechListener {
    return {
      onHandshakeMessage: message => {
        if (this.summary === undefined) return
        this.addTopic(tagName(message.tag))
        this.summary.details.push(...handshakeLines(message))
      },
      onHeaders: (id, headers, fin, priority) => {
        if (this.summary === undefined) return
        const extra = (priority === undefined ? '' : ` priority ${priority}`) + (fin ? ' END_STREAM' : '')
        this.addTopic('HEADERS')
        this.summary.details.push(...headerLines(`HEADERS stream ${id}${extra}`, headers))
      },
      onPushPromise: (id, promisedId, headers) => {
        if (this.summary === undefined) return
        this.addTopic('PUSH_PROMISE')
        const title = `PUSH_PROMISE stream ${id} promises ${promisedId}`
        this.summary.details.push(...headerLines(title, headers))
      },
      onSettings: entries => this.show('SETTINGS', () => settingsText(entries)),
      onFramedData: (id, length, fin) =>
        this.show('DATA', () => `  DATA stream ${id} length ${length}${fin ? ' END_STREAM' : ''}`),
      onProblem: what => this.addProblem(what)
    }
  }

  private show(topic: string | undefined, line: string | (() => string)): void {
    if (this.summary === undefined) return
    if (topic !== undefined) this.addTopic(topic)
    this.summary.details.push(typeof line === 'string' ? line : line())
  }

  private addTopic(topic: string): void {
    if (this.summary?.topics.includes(topic) === false) this.summary.topics.push(topic)
  }

  private addProblem(what: string): void {
    this.problems.push(`connection ${this.connectionId}: ${what}`)
    this.summary?.details.push(`MALFORMED: ${what}`)
  }
}

function receiverOf(side: Side): Perspective {
  return side.sender === Perspective.Client ? Perspective.Server : Perspective.Client
}

function senderName(sender: Perspective): string {
  return sender === Perspective.Client ? 'client' : 'server'
}
