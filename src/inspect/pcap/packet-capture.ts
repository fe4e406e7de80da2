/**
 * A packet capture file as a {@link Capture}: finds the Google QUIC connections among what was captured, and who is the
 * client of each.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { ConnectionId } from '../../quic/connection-id.js'
import { Perspective } from '../../quic/types.js'
import { DatagramPeek, peekDatagram } from '../../quic/wire/datagram-peek.js'
import { tagName } from '../../quic/wire/tags.js'
import { unreadable } from '../capture.js'
import type { Capture, CapturedConnection, CapturedDatagram, CapturedEndpoints } from '../capture.js'
import { ByteSource } from './byte-source.js'
import { readPacketFile } from './packet-file.js'
import { findDatagram, type NoDatagram, type UdpDatagram } from './udp-packet.js'

/** What of a file is looked at, and with which keys. */
export interface PacketCaptureOptions {
  /** What `--keys` files hold. */
  readonly connections: readonly CapturedConnection[]
  /** The server's UDP port: nothing else is looked at, and everything there is taken for Google QUIC. */
  readonly port?: number | undefined
}

/** Directions and connection ids that are remembered; in a capture with more the oldest are found anew. */
const MAX_REMEMBERED = 100_000

/** What is known of the datagrams from one address to another. */
interface Direction {
  readonly conn: number
  readonly from: 'client' | 'server'
}

/** Opens a capture file. Rejects with CaptureError if it cannot be read. */
export async function openPacketCapture(path: string, options: PacketCaptureOptions): Promise<Capture> {
  try {
    return new PacketCapture(path, await open(path), options)
  } catch (error) {
    throw unreadable(path, error, 'name a pcap or pcapng file')
  }
}

class PacketCapture implements Capture {
  readonly name: string
  readonly connections: readonly CapturedConnection[]
  private readonly directions = new Map<string, Direction>()
  /** By client socket. */
  private readonly addresses: CapturedEndpoints[] = []
  /** The client socket of each connection id: a connection stays one when its client's address changes. */
  private readonly byId = new Map<string, number>()
  private readonly keyedIds: ReadonlySet<string>
  private readonly peek = new DatagramPeek(Perspective.Server)
  private start = -1
  private readonly left: Record<NoDatagram, number> = { other: 0, fragment: 0, truncated: 0, 'link-type': 0 }

  constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly options: PacketCaptureOptions
  ) {
    this.name = basename(path)
    this.connections = options.connections
    this.keyedIds = new Set(options.connections.map(({ connectionId }) => connectionId.toLowerCase()))
  }

  async *datagrams(): AsyncGenerator<CapturedDatagram> {
    try {
      for await (const { us, linkType, bytes, truncated } of readPacketFile(new ByteSource(this.file), this.path)) {
        const found = findDatagram(linkType, bytes, truncated)
        const direction = typeof found === 'string' ? undefined : this.directionOf(found)
        if (typeof found === 'string' || direction === undefined) {
          this.left[typeof found === 'string' ? found : 'other']++
          continue
        }
        if (this.start < 0) this.start = us
        yield { us: Math.max(0, us - this.start), ...direction, dropped: false, bytes: Buffer.from(found.payload) }
      }
    } finally {
      await this.file.close()
    }
  }

  endpoints(conn: number): CapturedEndpoints | undefined {
    return this.addresses[conn]
  }

  notes(): string[] {
    const { left } = this
    const count = (n: number, what: string): string[] => (n === 0 ? [] : [`${n} ${what}`])
    return [
      ...count(left.other, 'of something else'),
      ...count(left.fragment, 'IP fragments left out'),
      ...count(left.truncated, 'cut off by the capture and left out'),
      ...count(left['link-type'], 'of an unknown link type')
    ]
  }

  private directionOf(datagram: UdpDatagram): Direction | undefined {
    const { payload } = datagram
    const [from, to] = [hostPort(datagram.from, datagram.fromPort), hostPort(datagram.to, datagram.toPort)]
    const readable = peekDatagram(payload, 0, payload.length, this.peek) && this.peek.hasConnectionId
    const id = readable ? ConnectionId.read(payload, this.peek.connectionIdOffset).toString() : undefined
    const key = `${from} ${to}`
    let direction = this.directions.get(key)
    if (direction === undefined) {
      const sender = this.senderOf(datagram, from, to, id)
      if (sender === undefined) return undefined
      direction = this.meet(sender, from, to, id)
    }
    if (id !== undefined && direction.from === 'client' && !this.byId.has(id)) remember(this.byId, id, direction.conn)
    return direction
  }

  /**
   * Who sent the first datagram that is seen between two addresses; undefined if it is not Google QUIC.
   * @param id the connection id where a server would look for it
   */
  private senderOf(
    { fromPort, toPort }: UdpDatagram,
    from: string,
    to: string,
    id: string | undefined
  ): Direction['from'] | undefined {
    const { port } = this.options
    if (port !== undefined && fromPort !== port && toPort !== port) return undefined
    if (port !== undefined && fromPort !== toPort) return toPort === port ? 'client' : 'server'
    if (id === undefined) return undefined
    const { versionTag } = this.peek
    // Only clients name a version and, in that place, an id.
    if (versionTag !== 0) return /^[QT]\d{3}$/.test(tagName(versionTag)) ? 'client' : undefined
    const moved = this.addresses[this.byId.get(id) ?? -1]
    if (moved !== undefined) return moved.server === to ? 'client' : moved.server === from ? 'server' : undefined
    // The capture began within the connection. Servers have the lower port.
    return this.keyedIds.has(id) ? (toPort < fromPort ? 'client' : 'server') : undefined
  }

  /** Remembers both directions between two addresses. @returns the one from `from` */
  private meet(sender: Direction['from'], from: string, to: string, id: string | undefined): Direction {
    const [client, server] = sender === 'client' ? [from, to] : [to, from]
    const before = id === undefined ? undefined : this.byId.get(id)
    const same = before !== undefined && this.addresses[before]!.server === server
    const conn = same ? before : this.addresses.push({ client, server }) - 1
    remember(this.directions, `${client} ${server}`, { conn, from: 'client' })
    remember(this.directions, `${server} ${client}`, { conn, from: 'server' })
    return { conn, from: sender }
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  if (map.size >= MAX_REMEMBERED) map.delete(map.keys().next().value!)
  map.set(key, value)
}

function hostPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
