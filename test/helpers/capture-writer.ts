/**
 * Writes capture directories for tests: packets of two made-up sides, sealed by our own codecs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { ConnectionId } from '../../src/quic/connection-id.js'
import { NodeAeadProvider } from '../../src/quic/crypto/node-aead.js'
import { PacketBatch } from '../../src/quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import type { ByteWriter } from '../../src/quic/wire/bytes.js'
import { knownVersionByLabel } from '../../src/quic/wire/versions/registry.js'
import type { FrameCodec } from '../../src/quic/wire/versions/version.js'

const provider = new NodeAeadProvider()
const key = Buffer.alloc(16, 1)

/** How a line of datagrams.jsonl.gz is written. */
export interface DatagramLine {
  us: number
  from: 'client' | 'server'
  conn: number
  dropped?: boolean
  hex: string
}

/** A capture in the making: one connection whose packets carry what the test writes into them. */
export class CaptureWriter {
  readonly directory = mkdtempSync(join(tmpdir(), 'quicgate-capture-'))
  readonly lines: (DatagramLine | string)[] = []
  private readonly numbers: [client: number, server: number] = [0, 0]
  private readonly version

  constructor(
    readonly connectionId = '0102030405060708',
    label = 'Q036'
  ) {
    this.version = knownVersionByLabel(label)!
  }

  private get iv(): Buffer {
    return Buffer.alloc(this.version.protection.ivLength, 2)
  }

  /** Adds a packet. `write` fills its payload. */
  packet(
    from: 'client' | 'server',
    write: (out: ByteWriter, frames: FrameCodec) => void,
    options: { level?: EncryptionLevel; dropped?: boolean; omitConnectionId?: boolean } = {}
  ): this {
    const { level = EncryptionLevel.ForwardSecure, dropped, omitConnectionId = false } = options
    const sender = from === 'client' ? Perspective.Client : Perspective.Server
    const { protection } = this.version
    const context = { connectionId: ConnectionId.fromHex(this.connectionId), aeadProvider: provider }
    const sealer =
      level === EncryptionLevel.None
        ? this.version.nullSealer(sender, context)
        : provider.createSealer('AESG', key, this.iv, protection, key)
    const packetNumber = ++this.numbers[sender]
    const batch = new PacketBatch()
    batch.buffer = Buffer.alloc(3000)
    const header = {
      connectionId: omitConnectionId ? undefined : Buffer.from(this.connectionId, 'hex'),
      includeVersion: from === 'client' && level === EncryptionLevel.None,
      nonce: undefined,
      packetNumber,
      packetNumberLength: this.version.header.packetNumberLength(1, level),
      level
    }
    const headerEnd = this.version.header.write(batch.buffer, 0, sender, header)
    const start = headerEnd + sealer.prefixLength
    const out = this.version.frames.createWriter().reset(batch.buffer, start)
    write(out, this.version.frames)
    const end = out.position + sealer.suffixLength
    batch.add(0, start, out.position, packetNumber, this.version.header.finish(batch.buffer, headerEnd, header, end))
    sealer.seal(batch)
    const hex = Buffer.from(batch.buffer.subarray(0, end)).toString('hex')
    this.lines.push({ us: this.lines.length * 1000, from, conn: 0, dropped, hex })
    return this
  }

  /** Adds a STREAM frame alone in a packet. */
  stream(
    from: 'client' | 'server',
    id: number,
    offset: number,
    data: Uint8Array,
    options: { dropped?: boolean } = {}
  ): this {
    return this.packet(
      from,
      (out, frames) => {
        frames.writeStreamHeader(out, id, offset, data.length, false, true)
        out.bytes(data)
      },
      options
    )
  }

  /** Writes the directory and returns its path. `info` replaces parts of case.json. */
  write(info: Record<string, unknown> = {}): string {
    const { iv } = this
    const side = { clientKey: key, clientIv: iv, serverKey: key, serverIv: iv, clientHp: key, serverHp: key }
    const keys = Object.fromEntries(Object.entries(side).map(([name, bytes]) => [name, bytes.toString('hex')]))
    const levels = [{ level: 'forwardSecure', ...keys }]
    const connection = { conn: 0, connectionId: this.connectionId, aead: 'AESG', keys: levels }
    writeFileSync(
      join(this.directory, 'case.json'),
      JSON.stringify({ case: 'made-up', connections: [connection], ...info })
    )
    const lines = this.lines.map(line => (typeof line === 'string' ? line : JSON.stringify(line)))
    writeFileSync(join(this.directory, 'datagrams.jsonl.gz'), gzipSync(lines.join('\n') + '\n'))
    return this.directory
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
