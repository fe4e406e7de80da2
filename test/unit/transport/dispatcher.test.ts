/**
 * What a dispatcher does before and after there is a connection: with datagrams of none, with hellos beyond its budget,
 * and with packets that overtook their hello. Whole connections are the simulations' business.
 */
import { describe, expect, it } from 'vitest'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import { SentFramePool } from '../../../src/quic/recovery/sent-frame.js'
import { BufferedPacketStore } from '../../../src/quic/transport/buffered-packet-store.js'
import { ChloExtractor } from '../../../src/quic/transport/chlo-extractor.js'
import type { QuicConnection } from '../../../src/quic/transport/connection.js'
import { QuicDispatcher, type NewConnection, type QuicDispatcherOptions } from '../../../src/quic/transport/dispatcher.js'
import { PacketAssembler } from '../../../src/quic/transport/packets/packet-assembler.js'
import { TRANSMIT_BUFFER_SIZE, type Transmit } from '../../../src/quic/transport/transmit.js'
import { EncryptionLevel, Perspective, type PeerAddress } from '../../../src/quic/types.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { MessageTag, Tag } from '../../../src/quic/wire/tags.js'
import { supportedVersions, versionByLabel } from '../../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import { SeededRandom, simulatedHelper } from '../../helpers/sim/seeded-random.js'
import { loadCase } from '../../helpers/vectors.js'

const aeadProvider = new NodeAeadProvider()
const q036 = versionByLabel('Q036')!
const from: PeerAddress = { family: 4, address: '127.0.0.1', port: 0xaec1 }
const SECOND = 1_000_000

function idOf(n: number): ConnectionId {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(n, 4)
  return ConnectionId.read(bytes)
}

/** A client's packet with the part of a handshake message that fits. */
function firstPacket(
  message: HandshakeMessage,
  id: ConnectionId,
  version: QuicVersion,
  o: { length?: number; offset?: number; edit?: (plain: Uint8Array) => void } = {}
): Uint8Array {
  const { length = 1350, offset = 0 } = o
  const assembler = new PacketAssembler(Perspective.Client, version, length, new SentFramePool(), { connectionId: id, aeadProvider })
  const bytes = message.serialize()
  const source = {
    copyTo: (target: Uint8Array, at: number, from: number, count: number) => {
      target.set(bytes.subarray(from - offset, from - offset + count), at)
    }
  }
  const out = new Uint8Array(TRANSMIT_BUFFER_SIZE)
  assembler.beginBatch(out)
  assembler.beginPacket(0, EncryptionLevel.None, 1, 1, id.bytes, true, undefined, false, 0)
  assembler.addCrypto(offset, Math.min(bytes.length, assembler.cryptoCapacity(offset)), source)
  assembler.pad()
  const size = assembler.endPacket()
  o.edit?.(out)
  assembler.sealBatch()
  return out.slice(0, size)
}

function hello(id: ConnectionId, version: QuicVersion = q036, nonceLength = 32): Uint8Array {
  return firstPacket(new HandshakeMessage(MessageTag.CHLO).set(Tag.NONP, new Uint8Array(nonceLength)), id, version)
}

/** A later packet of the same client: nothing opens it. */
function early(id: ConnectionId, packetNumber: number, version: QuicVersion = q036): Uint8Array {
  return Buffer.concat([Buffer.from([0x0d]), id.bytes, Buffer.from(version.label), Buffer.from([packetNumber]), Buffer.alloc(60, 7)])
}

/** Stands for a connection: remembers what it is given. */
class FakeServerConnection {
  readonly connected = true
  readonly hasClosePending = false
  readonly got: Uint8Array[] = []
  readonly gotFrom: PeerAddress[] = []
  /** Transmits that it has yet to send. */
  toSend = 0

  constructor(
    readonly connectionId: ConnectionId,
    readonly onWake: () => void
  ) {}

  start(): void {}
  deliverEvents(): void {}
  handleTimeout(): void {}
  nextTimeout(): number {
    return Infinity
  }
  pollTransmit(_now: number, out: Uint8Array): Transmit | undefined {
    if (this.toSend === 0) return undefined
    this.toSend--
    out.set(this.connectionId.bytes)
    return { to: from, length: 8, segmentSize: 8 }
  }
  handleDatagram(_now: number, sender: PeerAddress, bytes: Uint8Array): void {
    this.gotFrom.push(sender)
    this.got.push(Uint8Array.from(bytes))
  }
}

class Server {
  readonly made: FakeServerConnection[] = []
  readonly dispatcher: QuicDispatcher
  now = 100 * SECOND
  wakes = 0

  constructor(versions: readonly QuicVersion[] = supportedVersions, o: Partial<QuicDispatcherOptions> = {}) {
    const random = new SeededRandom(1)
    this.dispatcher = new QuicDispatcher({
      supportedVersions: versions,
      aeadProvider,
      helper: simulatedHelper(random, () => 0),
      resetToken: () => new Uint8Array(16).fill(0xab),
      onWake: () => this.wakes++,
      ...o,
      createConnection: ({ connectionId, onWake }: NewConnection) => {
        const connection = new FakeServerConnection(connectionId, onWake)
        this.made.push(connection)
        return connection as unknown as QuicConnection
      }
    })
  }

  /** @returns what the dispatcher sends by itself in answer */
  take(datagram: Uint8Array): string[] {
    this.dispatcher.handleDatagram(this.now, from, datagram)
    return this.sent()
  }

  sent(): string[] {
    const out = new Uint8Array(TRANSMIT_BUFFER_SIZE)
    const sent: string[] = []
    for (let t = this.dispatcher.pollTransmit(this.now, out); t !== undefined; t = this.dispatcher.pollTransmit(this.now, out)) {
      expect(t.to).toEqual(from)
      sent.push(Buffer.from(out.subarray(0, t.length)).toString('hex'))
    }
    return sent
  }

  turn(): void {
    if (this.dispatcher.nextTimeout() <= this.now) this.dispatcher.handleTimeout(this.now)
    else this.dispatcher.deliverEvents(this.now)
  }
}

describe('mechanism: time-wait list', () => {
  it.each(['chromium56-probe-vn', 'chromium56-probe-public-reset'])('%s: are answered as the reference answered', (name) => {
    const { info, datagrams } = loadCase(name)
    const server = new Server(info.serverVersions!.map((label) => versionByLabel(label)!))
    const bytes = (side: string): Buffer[] => datagrams.filter((d) => d.from === side).map((d) => d.bytes)
    const answers = bytes('client').flatMap((datagram) => server.take(datagram))
    expect(answers).toEqual(bytes('server').map((datagram) => datagram.toString('hex')))
    expect(server.made).toEqual([])
  })

  it('are answered for the 1st, 2nd, 4th and 8th packet of one id, and for nothing else', () => {
    const server = new Server()
    const packet = Buffer.concat([Buffer.from([0x0c]), idOf(1).bytes, Buffer.from([5]), Buffer.alloc(30, 7)])
    const answered = Array.from({ length: 10 }, (_, i) => (server.take(packet).length > 0 ? i + 1 : 0)).filter((n) => n > 0)
    expect(answered).toEqual([1, 2, 4, 8])
    // After 200 s the id is forgotten, and so is how often it came.
    server.now += 200 * SECOND
    server.turn()
    expect(server.take(packet)).toHaveLength(1)
  })

  it('get no answer if they are resets, come from port 0, have no whole id, or would amplify', () => {
    const server = new Server()
    const reset = Buffer.from(server.take(Buffer.concat([Buffer.from([0x0c]), idOf(1).bytes, Buffer.alloc(40, 5)]))[0]!, 'hex')
    expect(server.take(reset)).toEqual([])
    server.dispatcher.handleDatagram(server.now, { ...from, port: 0 }, hello(idOf(2)))
    for (const bytes of [[], [0x0c], [0x0c, 1, 2, 3], [0x04, 5, 6, 7, 8, 9, 10, 11, 12, 13]]) {
      expect(server.take(Uint8Array.from(bytes))).toEqual([])
    }
    // A long header in an unknown version, in a datagram too small to be a first one.
    const long = Buffer.concat([Buffer.from('c0aabbccdd08', 'hex'), idOf(3).bytes, Buffer.from([0]), Buffer.alloc(1100)])
    expect(server.take(long)).toEqual([])
    expect(server.take(Buffer.concat([long, Buffer.alloc(200)]))).toHaveLength(1)
    // The same in the form of Q044 and Q046, whose first packets may be smaller.
    const older = new Server([q036])
    const nibbles = Buffer.concat([Buffer.of(0xff), Buffer.from('Q046'), Buffer.of(0x50), idOf(3).bytes, Buffer.alloc(1010)])
    expect(older.take(nibbles.subarray(0, 1023))).toEqual([])
    expect(older.take(nibbles)).toHaveLength(1)
    // No packet has the number 0.
    expect(server.take(early(idOf(4), 0))).toEqual([])
    expect(server.dispatcher.nextTimeout()).toBe(server.now + 200 * SECOND)
    expect(server.made).toEqual([])
  })

  it('wait to be sent in a queue that has an end', () => {
    const server = new Server()
    for (let i = 0; i < 1_100; i++) {
      const packet = Buffer.concat([Buffer.from([0x0c]), idOf(i).bytes, Buffer.from([5]), Buffer.alloc(30, 7)])
      server.dispatcher.handleDatagram(server.now, from, packet)
    }
    expect(server.sent()).toHaveLength(1_024)
    expect(server.wakes).toBe(1_024)
  })

  it('with short headers get a stateless reset, shorter than they are', () => {
    const server = new Server()
    const short = (length: number): Buffer => Buffer.concat([Buffer.from([0x40]), idOf(length).bytes, Buffer.alloc(length - 9, 7)])
    const [answer] = server.take(short(60))
    expect(answer!.endsWith('ab'.repeat(16))).toBe(true)
    expect(answer!.length / 2).toBe(1 + 24 + 16)
    expect(server.take(short(30))[0]!.length / 2).toBe(29)
    expect(server.take(short(20))).toEqual([])
  })

  it('that claim to be first packets but are numbered above 100 are of a connection that is gone', () => {
    const server = new Server()
    expect(server.take(early(idOf(1), 101))[0]!.slice(0, 2)).toBe('0e')
    expect(server.take(early(idOf(2), 100))).toEqual([])
  })
})

describe('mechanism: session budget', () => {
  it('are no more than 16 in one turn; the others wait for theirs, in order', () => {
    const server = new Server()
    for (let i = 0; i < 40; i++) server.take(hello(idOf(i)))
    expect(server.made).toHaveLength(16)
    server.turn()
    server.turn()
    expect(server.made).toHaveLength(32)
    server.turn()
    expect(server.made.map(({ connectionId }) => connectionId.toString())).toEqual(
      Array.from({ length: 40 }, (_, i) => idOf(i).toString())
    )
    for (const { got } of server.made) expect(got).toHaveLength(1)
  })

  it('get what overtook their hello, after it, and what comes while they wait', () => {
    const server = new Server()
    for (const n of [2, 3]) expect(server.take(early(idOf(1), n))).toEqual([])
    expect(server.made).toEqual([])
    server.take(hello(idOf(1)))
    expect(server.made[0]!.got.map((bytes) => bytes[13])).toEqual([1, 2, 3])

    for (let i = 0; i < 15; i++) server.take(hello(idOf(100 + i)))
    server.take(hello(idOf(2)))
    server.take(early(idOf(2), 2))
    expect(server.made).toHaveLength(16)
    server.turn()
    server.turn()
    expect(server.made[16]!.got.map((bytes) => bytes[13])).toEqual([1, 2])
  })

  it('have the server called back for those that wait', () => {
    const server = new Server()
    for (let i = 0; i < 16; i++) server.take(hello(idOf(i)))
    expect(server.wakes).toBe(0)
    server.take(early(idOf(16), 2))
    expect(server.wakes).toBe(0)
    server.take(hello(idOf(17)))
    expect(server.wakes).toBe(1)
    expect(server.dispatcher.nextTimeout()).toBe(0)
  })

  it('are not made once the server stops, nor above its limit', () => {
    const server = new Server()
    server.dispatcher.stopAccepting()
    server.take(hello(idOf(1)))
    server.turn()
    expect(server.made).toEqual([])
    expect(server.dispatcher.stats.datagramsDropped).toBe(1)
    const small = new Server(supportedVersions, { maxConnections: 2 })
    for (let i = 0; i < 3; i++) expect(small.take(hello(idOf(i)))).toEqual([])
    expect(small.made).toHaveLength(2)
    expect(small.dispatcher.stats.datagramsDropped).toBe(1)
    expect(small.dispatcher.nextTimeout()).toBe(Infinity)
  })

  it.each(supportedVersions)('are made for hellos of $label in packets of 1200 bytes, and in smaller ones where the version has no such rule', (version) => {
    const message = new HandshakeMessage(MessageTag.CHLO).set(Tag.NONP, new Uint8Array(32))
    const server = new Server()
    server.take(firstPacket(message, idOf(1), version, { length: 1199 }))
    expect(server.made).toHaveLength(version.number >= 46 ? 0 : 1)
    server.take(firstPacket(message, idOf(2), version, { length: 1200 }))
    expect(server.made.at(-1)?.connectionId).toEqual(idOf(2))
  })

  it('whose hello never comes are given up after five seconds', () => {
    const server = new Server()
    server.take(early(idOf(1), 2))
    expect(server.dispatcher.nextTimeout()).toBe(server.now + 5 * SECOND)
    server.now += 5 * SECOND
    server.turn()
    // Known as gone from now on.
    expect(server.take(early(idOf(1), 3))[0]!.slice(0, 2)).toBe('0e')
  })
})

describe('connections with much to send', () => {
  it('take turns of one transmit each', () => {
    const server = new Server()
    for (const n of [1, 2, 3]) server.take(hello(idOf(n)))
    for (const [i, connection] of server.made.entries()) {
      connection.toSend = 3 - i
      connection.onWake()
      connection.onWake()
    }
    expect(server.sent().map((bytes) => Number(`0x${bytes}`))).toEqual([1, 2, 3, 1, 2, 1])
    expect(server.dispatcher.stats).toMatchObject({ datagramsSent: 6, bytesSent: 48 })
  })
})

describe('mechanism: stateless reject', () => {
  const reject = (): Uint8Array => new HandshakeMessage(MessageTag.SREJ).set(Tag.RCID, idOf(9).bytes).serialize()

  it('is the answer to whatever else comes under its id, ever more seldom', () => {
    const server = new Server(supportedVersions, { rejectStatelessly: reject })
    const answer = server.take(hello(idOf(1)))
    expect(answer).toHaveLength(1)
    // The hello was the first packet: the 2nd, 4th and 8th are answered.
    const answers = Array.from({ length: 8 }, (_, i) => server.take(i === 1 ? hello(idOf(1)) : early(idOf(1), 2 + i)))
    expect(answers.flatMap((packets, i) => (packets.length > 0 ? [i + 2] : []))).toEqual([2, 4, 8])
    expect(new Set(answers.flat())).toEqual(new Set(answer))
    expect(server.dispatcher.stats).toMatchObject({ statelessRejects: 1, connectionsCreated: 0, publicResetsSent: 0 })
  })

  it('counts for the budget of a turn as a connection does', () => {
    const server = new Server(supportedVersions, { rejectStatelessly: reject })
    const answered = Array.from({ length: 20 }, (_, i) => server.take(hello(idOf(i))).length)
    expect(answered).toEqual([...Array<number>(16).fill(1), 0, 0, 0, 0])
    server.turn()
    server.turn()
    expect(server.sent()).toHaveLength(4)
    expect(server.dispatcher.stats).toMatchObject({ statelessRejects: 20, connectionsCreated: 0 })
  })
})

describe('mechanism: early packets', () => {
  const add = (store: BufferedPacketStore, id: number, chlo = false): boolean =>
    store.add(0, idOf(id), q036, from, Uint8Array.of(id), chlo)

  it('keeps ten packets of a connection besides its hello', () => {
    const store = new BufferedPacketStore()
    for (let i = 0; i < 10; i++) expect(add(store, 1)).toBe(true)
    expect(add(store, 1)).toBe(false)
    expect(add(store, 1, true)).toBe(true)
    expect(store.takeNextWithChlo()!.packets).toHaveLength(11)
    expect(store.size).toBe(0)
    // In the other order as well.
    expect(add(store, 2, true)).toBe(true)
    for (let i = 0; i < 10; i++) expect(add(store, 2)).toBe(true)
    expect(add(store, 2)).toBe(false)
    expect(store.take(idOf(2))!.packets).toHaveLength(11)
  })

  it('keeps packets as they were, and where they came from', () => {
    const server = new Server()
    const elsewhere = { ...from, port: 9 }
    const buffer = early(idOf(1), 2)
    const before = Buffer.from(buffer)
    server.dispatcher.handleDatagram(server.now, elsewhere, buffer)
    buffer.fill(0)
    server.take(hello(idOf(1)))
    expect(before.equals(server.made[0]!.got[1]!)).toBe(true)
    expect(server.made[0]!.gotFrom).toEqual([from, elsewhere])
  })

  it('takes a second hello of a connection for a packet like any other', () => {
    const store = new BufferedPacketStore()
    for (let i = 0; i < 11; i++) expect(add(store, 1, true)).toBe(true)
    expect(add(store, 1, true)).toBe(false)
    expect(store.takeNextWithChlo()!.packets).toHaveLength(11)
    expect(store.takeNextWithChlo()).toBeUndefined()
  })

  it('keeps a hundred connections, no more than half of them without hello', () => {
    const store = new BufferedPacketStore()
    for (let i = 0; i < 50; i++) expect(add(store, i)).toBe(true)
    expect(add(store, 50)).toBe(false)
    for (let i = 50; i < 100; i++) expect(add(store, i, true)).toBe(true)
    expect(add(store, 100, true)).toBe(false)
    expect(add(store, 0)).toBe(true)
    expect(store.size).toBe(100)
  })
})

describe('mechanism: client hello extraction', () => {
  const extractor = new ChloExtractor(aeadProvider)

  it.each(supportedVersions)('finds a whole hello of $label, and leaves the datagram as it was', (version) => {
    const datagram = hello(idOf(1), version)
    const before = Buffer.from(datagram)
    expect(extractor.inspect(version, idOf(1), datagram)).toBe('chlo')
    expect(extractor.packetNumber).toBe(1)
    expect(HandshakeMessage.parse(Uint8Array.from(extractor.chlo!)).get(Tag.NONP)).toHaveLength(32)
    expect(before.equals(datagram)).toBe(true)
  })

  it.each(supportedVersions)('takes nothing else in $label for one', (version) => {
    const damaged = hello(idOf(1), version)
    damaged[200]! ^= 1
    expect(extractor.inspect(version, idOf(1), damaged)).toBe('other')
    expect(extractor.chlo).toBe(undefined)
    const cut = hello(idOf(1), version, 2000)
    expect(extractor.inspect(version, idOf(1), cut)).toBe('other')
    const rej = new HandshakeMessage(MessageTag.REJ).set(Tag.NONP, new Uint8Array(32))
    expect(extractor.inspect(version, idOf(1), firstPacket(rej, idOf(1), version))).toBe('other')
    expect(extractor.inspect(version, idOf(1), hello(idOf(1), version).subarray(0, 12))).toBe('malformed')
  })

  it.each(supportedVersions)('finds none of $label that does not begin where the stream begins', (version) => {
    const message = new HandshakeMessage(MessageTag.CHLO).set(Tag.NONP, new Uint8Array(32))
    expect(extractor.inspect(version, idOf(1), firstPacket(message, idOf(1), version, { offset: 5 }))).toBe('other')
  })

  it('finds none on another stream, and nothing in frames that are none', () => {
    const message = new HandshakeMessage(MessageTag.CHLO).set(Tag.NONP, new Uint8Array(32))
    const inspect = (edit: (plain: Uint8Array, frame: number) => void): string => {
      // Behind flags, connection id, version, packet number and hash.
      const datagram = firstPacket(message, idOf(1), q036, { edit: (plain) => edit(plain, 1 + 8 + 4 + 1 + 12) })
      return extractor.inspect(q036, idOf(1), datagram)
    }
    expect(inspect((plain, frame) => expect([plain[frame]! & 0x80, plain[frame + 1]]).toEqual([0x80, 1]))).toBe('chlo')
    expect(inspect((plain, frame) => (plain[frame + 1] = 3))).toBe('other')
    expect(inspect((plain, frame) => (plain[frame] = 0x1f))).toBe('malformed')
  })
})
