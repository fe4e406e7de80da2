/**
 * The inspector: reads a capture directory, or a pcap or pcapng file, and tells what was said in it. No other tool
 * decrypts Google QUIC.
 */
import { stat } from 'node:fs/promises'
import { ConnectionId } from '../quic/connection-id.js'
import { Perspective } from '../quic/types.js'
import { DatagramKind, DatagramPeek, peekDatagram } from '../quic/wire/datagram-peek.js'
import { parsePublicReset } from '../quic/wire/public-reset.js'
import { tagName } from '../quic/wire/tags.js'
import { parseVersionNegotiation } from '../quic/wire/version-negotiation.js'
import { knownVersionByTag, knownVersions } from '../quic/wire/versions/registry.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { openCapture } from './capture.js'
import { openPacketCapture } from './pcap/packet-capture.js'
import type { Capture, CapturedDatagram } from './capture.js'
import { CaptureError } from './capture-error.js'
import { ConnectionDecoder } from './connection-decoder.js'
import { readKeyFiles } from './key-file.js'
import { KeyRing } from './key-ring.js'
import { formatPacket, publicResetLines } from './packet-text.js'
import type { PacketSummary } from './packet-text.js'
import type { ConnectionReport, Inspection } from './report.js'

/** How to inspect. */
export interface InspectOptions {
  /** Gets the text of every packet, several lines each, as soon as it is decoded. */
  onPacket?: ((text: string) => void) | undefined
  /** Key logs to decrypt with. */
  keys?: readonly string[] | undefined
  /** Of packet capture files: the server's UDP port. */
  port?: number | undefined
}

/**
 * Inspects one capture directory or packet capture file, reading it once from front to back.
 *
 * Rejects with CaptureError if it cannot be read, or if a directory's connections speak a version that is not supported.
 */
export async function inspectCapture(path: string, options: InspectOptions = {}): Promise<Inspection> {
  const inspector = new Inspector(await openAny(path, options), options)
  return inspector.run()
}

async function openAny(path: string, { keys = [], port }: InspectOptions): Promise<Capture> {
  const connections = await readKeyFiles(keys)
  const isFile = await stat(path).then((found) => !found.isDirectory(), () => false)
  if (isFile) return openPacketCapture(path, { connections, port })
  const capture = await openCapture(path)
  return { ...capture, connections: [...capture.connections, ...connections] }
}

class Inspector {
  private readonly connections = new Map<string, ConnectionDecoder>()
  /** The connection of the last packet on each client socket, for packets that leave the id out. */
  private readonly current = new Map<number, ConnectionDecoder>()
  private readonly unsupported = new Map<number, Set<string>>()
  /** Client sockets that last named such a version: what follows there is not to be taken for another one. */
  private readonly foreign = new Set<number>()
  /** The version that was named last on each client socket. */
  private readonly spoken = new Map<number, QuicVersion>()
  private readonly peeks = [new DatagramPeek(Perspective.Server), new DatagramPeek(Perspective.Client)] as const
  private readonly keyRing: KeyRing
  private datagrams = 0
  private dropped = 0
  private undecryptable = 0

  constructor(
    private readonly capture: Capture,
    private readonly options: InspectOptions
  ) {
    this.keyRing = new KeyRing(capture)
  }

  async run(): Promise<Inspection> {
    for await (const datagram of this.capture.datagrams()) this.take(datagram)
    this.requireSupported()
    return {
      report: {
        case: this.capture.name,
        datagrams: this.datagrams,
        undecryptable: this.undecryptable,
        connections: [...this.connections.values()].map(connection => this.report(connection))
      },
      dropped: this.dropped,
      notes: this.capture.notes?.() ?? [],
      unsupportedVersions: [...new Set([...this.unsupported.values()].flatMap(labels => [...labels]))],
      problems: [...this.connections.values()].flatMap(connection => connection.problems)
    }
  }

  private report(connection: ConnectionDecoder): ConnectionReport {
    return { ...connection.report(), ...this.capture.endpoints?.(connection.conn) }
  }

  private take(datagram: CapturedDatagram): void {
    this.datagrams++
    const summary: PacketSummary | undefined = this.options.onPacket && {
      number: this.datagrams,
      datagram,
      protocol: 'GQUIC',
      topics: [],
      facts: [],
      details: []
    }
    if (datagram.dropped) {
      this.dropped++
      summary?.topics.push('not delivered')
    } else if (!this.decode(datagram, summary)) {
      this.undecryptable++
      summary?.topics.unshift('undecryptable')
    }
    if (summary !== undefined) this.options.onPacket!(formatPacket(summary))
  }

  /** Returns false for what cannot be decoded. */
  private decode(datagram: CapturedDatagram, summary: PacketSummary | undefined): boolean {
    const { bytes, conn } = datagram
    const sender = datagram.from === 'client' ? Perspective.Client : Perspective.Server
    const peek = this.peeks[sender]
    peek.longHeaders = this.spoken.get(conn)?.traits.longHeaders ?? false
    if (!peekDatagram(bytes, 0, bytes.length, peek)) return false
    if (peek.kind === DatagramKind.Data && peek.versionTag === 0 && this.foreign.has(conn)) return false
    if (peek.versionTag !== 0 && !this.noteVersion(conn, peek.versionTag, summary)) return false
    const connection = this.connectionOf(conn, peek, bytes)
    if (connection === undefined) return false
    summary?.facts.push(`CID ${connection.connectionId}`)
    if (peek.kind === DatagramKind.PublicReset) return showPublicReset(bytes, peek.bodyStart, summary)
    if (peek.kind === DatagramKind.VersionNegotiation) return showVersions(bytes, peek.bodyStart, summary)
    return connection.decode(bytes, sender, peek.versionTag, summary)
  }

  /** Returns false for a version that is not known. */
  private noteVersion(conn: number, tag: number, summary: PacketSummary | undefined): boolean {
    const version = knownVersionByTag(tag)
    if (version === undefined) return this.noteUnsupported(conn, tagName(tag), summary)
    this.spoken.set(conn, version)
    this.foreign.delete(conn)
    return true
  }

  private connectionOf(conn: number, peek: DatagramPeek, bytes: Buffer): ConnectionDecoder | undefined {
    if (!peek.hasConnectionId) return this.current.get(conn)
    const id = ConnectionId.read(bytes, peek.connectionIdOffset).toString()
    const key = `${conn} ${id}`
    let connection = this.connections.get(key)
    if (connection === undefined) {
      connection = new ConnectionDecoder(conn, id, this.keyRing)
      this.connections.set(key, connection)
    }
    this.current.set(conn, connection)
    return connection
  }

  private noteUnsupported(conn: number, label: string, summary: PacketSummary | undefined): false {
    const labels = this.unsupported.get(conn) ?? new Set()
    this.unsupported.set(conn, labels.add(label))
    this.foreign.add(conn)
    summary?.facts.unshift(`version ${label} is not supported`)
    return false
  }

  /**
   * A probe in an unknown version, or one that the server turned down, is a fact of the capture; a connection that has
   * keys but opened no packet because of its version is a capture for another program.
   */
  private requireSupported(): void {
    for (const [conn, labels] of this.unsupported) {
      const opened = [...this.connections.values()].some(c => c.conn === conn && c.opened > 0)
      const hasKeys = this.capture.connections.some(c => c.conn === conn && c.keys.length > 0)
      if (opened || !hasKeys) continue
      // Packets of a version without this header look as if they named more versions: keep to what can be a label.
      const named = [...labels].filter(label => /^[QT]\d{3}$/.test(label))
      const spoken = (named.length > 0 ? named : [...labels]).join(' and ')
      const known = knownVersions.map(version => version.label).join(', ')
      throw new CaptureError(
        'CAPTURE_VERSION_UNSUPPORTED',
        `${this.capture.name} speaks ${spoken}, which is not supported: give captures of ${known}`
      )
    }
  }
}

function showPublicReset(bytes: Buffer, bodyStart: number, summary: PacketSummary | undefined): boolean {
  const reset = parsePublicReset(bytes, bodyStart, bytes.length)
  if (reset === undefined) return false
  summary?.topics.push('Public Reset')
  summary?.details.push(...publicResetLines(reset))
  return true
}

function showVersions(bytes: Buffer, bodyStart: number, summary: PacketSummary | undefined): boolean {
  const tags = parseVersionNegotiation(bytes, bodyStart, bytes.length)
  if (tags === undefined) return false
  summary?.topics.push('Version Negotiation')
  summary?.details.push(`versions: ${tags.map(tagName).join(' ')}`)
  return true
}
