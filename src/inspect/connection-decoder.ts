/**
 * One connection of a capture: opens its packets and hands what is in them to the decoders of both directions.
 */
import type { PacketOpener } from '../quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../quic/types.js'
import type { AckFrame, FrameVisitor } from '../quic/wire/frames/frames.js'
import { completePacketNumber } from '../quic/wire/packet-number.js'
import { tagName } from '../quic/wire/tags.js'
import { supportedVersions, versionByTag } from '../quic/wire/versions/registry.js'
import { createPacketHeader } from '../quic/wire/versions/version.js'
import type { PacketHeader, QuicVersion } from '../quic/wire/versions/version.js'
import { DirectionDecoder } from './direction-decoder.js'
import type { SpeechListener } from './direction-decoder.js'
import type { KeyRing } from './key-ring.js'
import {
  ackText,
  connectionCloseText,
  goAwayText,
  handshakeLines,
  headerLines,
  levelText,
  rstStreamText,
  settingsText,
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

  nullOpener(version: QuicVersion): PacketOpener {
    let opener = this.nullOpeners.get(version)
    if (opener === undefined) {
      opener = version.nullOpener(this.sender)
      this.nullOpeners.set(version, opener)
    }
    return opener
  }
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
    version: supportedVersions[0]!,
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

  constructor(
    readonly conn: number,
    readonly connectionId: string,
    private readonly keyRing: KeyRing
  ) {
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
   * Opens a data packet in place and decodes its frames.
   *
   * @param versionTag what the packet's header names, 0 for nothing; a supported version
   * @param summary filled with what the packet says, if it is to be shown
   * @returns false if no key opens it
   */
  decode(bytes: Buffer, sender: Perspective, versionTag: number, summary: PacketSummary | undefined): boolean {
    const side = this.sides[sender]
    const versions = this.candidates(versionTag)
    if (versionTag !== 0) this.namedVersion = versions[0]
    if (!versions.some(version => this.open(bytes, side, version))) return false
    const { packet } = this
    side.largest = Math.max(side.largest, packet.packetNumber)
    this.opened++
    this.lastVersion = packet.version
    this.summary = summary
    if (summary !== undefined) {
      summary.protocol = packet.version.label
      summary.facts.push(`PKN ${packet.packetNumber}`, levelText(packet.level))
    }
    try {
      const { version, start, end, packetNumber, packetNumberLength } = packet
      version.frames.decode(bytes, start, end, packetNumber, packetNumberLength, this.visitor(side))
    } catch (error) {
      this.addProblem(`packet ${packet.packetNumber} of the ${senderName(sender)}: ${(error as Error).message}`)
    }
    return true
  }

  /** The versions a packet may be in: the one it names, the one the client named last, or any. */
  private candidates(versionTag: number): readonly QuicVersion[] {
    const known = versionByTag(versionTag) ?? this.namedVersion
    return known === undefined ? supportedVersions : [known]
  }

  private open(bytes: Buffer, side: Side, version: QuicVersion): boolean {
    const { header } = this
    const receiver = side.sender === Perspective.Client ? Perspective.Server : Perspective.Client
    if (!version.header.parse(bytes, 0, bytes.length, receiver, header)) return false
    const packetNumber = completePacketNumber(header.wirePacketNumber, header.packetNumberLength, side.largest)
    if (packetNumber < 1) return false
    this.packet.version = version
    this.packet.packetNumber = packetNumber
    this.packet.packetNumberLength = header.packetNumberLength

    const keys = this.keyRing.find(this.connectionId, side.sender)
    const latest = keys.find(key => key.opener === side.latest)
    if (latest !== undefined && this.tryKey(bytes, latest.opener, latest.level)) return true
    if (this.tryKey(bytes, side.nullOpener(version), EncryptionLevel.None)) return true
    for (const { opener, level } of keys) {
      if (opener === side.latest || !this.tryKey(bytes, opener, level)) continue
      side.latest = opener
      return true
    }
    return false
  }

  private tryKey(bytes: Buffer, opener: PacketOpener, level: EncryptionLevel): boolean {
    const { packet, header } = this
    const length = opener.open(bytes, 0, header.headerEnd, bytes.length, packet.packetNumber)
    if (length < 0) return false
    packet.level = level
    packet.start = header.headerEnd + opener.prefixLength
    packet.end = packet.start + length
    return true
  }

  private visitor(side: Side): FrameVisitor {
    const { traits } = this.packet.version
    return {
      onEntropyFlag: () => {},
      onCrypto: () => {},
      onMessage: () => {},
      onPadding: length => this.show('PADDING', `PADDING ${length} bytes`),
      onStream: (id, offset, fin, buffer, start, end) => {
        // A handshake message names its packet better than the stream that carries it does.
        const known = this.summary?.topics.length
        const topic = id === traits.cryptoStreamId ? undefined : 'STREAM'
        this.show(topic, () => streamText(traits, id, offset, end - start, fin))
        side.decoder.onStream(traits, id, offset, buffer.subarray(start, end))
        if (topic === undefined && this.summary?.topics.length === known) this.addTopic('STREAM')
      },
      onAck: (ack: AckFrame) => this.show('ACK', () => ackText(ack)),
      onStopWaiting: least => this.show('STOP_WAITING', `STOP_WAITING least unacked ${least}`),
      onRstStream: (id, code, offset) => this.show('RST_STREAM', () => rstStreamText(id, code, offset)),
      onConnectionClose: (code, reason) => this.show('CONNECTION_CLOSE', () => connectionCloseText(code, reason)),
      onGoAway: (code, id, reason) => this.show('GOAWAY', () => goAwayText(code, id, reason)),
      onWindowUpdate: (id, limit) => this.show('WINDOW_UPDATE', `WINDOW_UPDATE ${streamOrConnection(id)} to ${limit}`),
      onBlocked: id => this.show('BLOCKED', `BLOCKED ${streamOrConnection(id)}`),
      onPing: () => this.show('PING', 'PING'),
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

function senderName(sender: Perspective): string {
  return sender === Perspective.Client ? 'client' : 'server'
}
