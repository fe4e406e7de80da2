/**
 * Packets that wait in the native engine to be sealed when they are sent: that none of them ever leaves unsealed.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { constants } from 'node:os'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { QuicClient } from '../../../src/endpoint/client.js'
import type { DatagramEngine, DatagramHandler, DatagramSocket } from '../../../src/endpoint/datagram-engine.js'
import type { NativeAddon } from '../../../src/endpoint/engines/native-addon.js'
import type { NativeSealer } from '../../../src/endpoint/engines/native-aead.js'
import { NativeEngine } from '../../../src/endpoint/engines/native-engine.js'
import { QuicServer } from '../../../src/endpoint/server.js'
import { sessionOptions } from '../../../src/endpoint/transport-options.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import { NullSealer } from '../../../src/quic/crypto/null-protection.js'
import { InsecureProofVerifier, StaticProofSource, certifiedKeyFromPem } from '../../../src/quic/crypto/proof.js'
import { CLASSIC_PROTECTION, PacketBatch, type PacketSealer } from '../../../src/quic/crypto/protection.js'
import { QuicSpdyServerSession } from '../../../src/quic/spdy/spdy-server-session.js'
import { QuicSpdyStream } from '../../../src/quic/spdy/spdy-stream.js'
import type { PeerAddress } from '../../../src/quic/types.js'
import { addon } from '../../helpers/engines.js'
import { addonThat, SocketLog } from '../../helpers/fake-udp-sockets.js'
import { HEADER, secrets, writePackets, type Keyed } from '../../helpers/sealed-packets.js'
import { certificateOne } from '../../helpers/static-certificates.js'

const { EAGAIN, EHOSTUNREACH, EMSGSIZE } = constants.errno
const node = new NodeAeadProvider()
const peer: PeerAddress = { family: 4, address: '127.0.0.1', port: 9 }
const key: Keyed = { aead: 'AESG', style: CLASSIC_PROTECTION, seed: 5 }

class Session extends QuicSpdyServerSession {
  protected override createIncomingDynamicStream(id: number): QuicSpdyStream {
    return new QuicSpdyStream(id, this)
  }
}

const open: DatagramSocket[] = []

afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close()
})

async function openOn(engine: NativeEngine, handler: DatagramHandler = new SocketLog()): Promise<DatagramSocket> {
  const socket = await engine.open({ address: '127.0.0.1', port: 0, handler })
  open.push(socket)
  return socket
}

/** Writes packets into the acquired buffer as a connection does, and leaves it to the socket to seal them if it can. */
function fill(socket: DatagramSocket, sealer: PacketSealer, size: number, numbers: readonly number[]): { buffer: Uint8Array; late: boolean } {
  const buffer = socket.acquireBuffer()
  return { buffer, late: poll(socket, buffer, sealer, size, numbers) }
}

function poll(socket: DatagramSocket, buffer: Uint8Array, sealer: PacketSealer, size: number, numbers: readonly number[]): boolean {
  const batch = writePackets(buffer, 0, size, sealer.suffixLength, numbers)
  const late = socket.lateSealer?.takeSealing(sealer, batch) === true
  if (!late) sealer.seal(batch)
  return late
}

describe.skipIf(addon === undefined)('a native socket that seals what it sends', () => {
  const isPlain = (datagram: string): boolean => datagram.includes('PPPPPPPP')

  function opens(datagram: Uint8Array, by: Keyed, number: number): boolean {
    const opener = node.createOpener(...secrets({ ...by, style: { ...by.style, headerProtection: false } }))
    const length = opener.open(datagram, 0, HEADER, datagram.length, number)
    return length > 0 && datagram.subarray(HEADER, HEADER + length).every((byte) => byte === 0x50)
  }

  function numberOf(datagram: Uint8Array): number {
    return new DataView(datagram.buffer, datagram.byteOffset).getUint32(HEADER - 4)
  }

  it('sends nothing but packets that open, sealed early or late, with whatever keys, cut or not', async () => {
    const receiver = createSocket('udp4')
    receiver.bind(0, '127.0.0.1')
    await once(receiver, 'listening')
    receiver.setRecvBufferSize(4_000_000)
    const arrived: Uint8Array[] = []
    receiver.on('message', (message) => arrived.push(Uint8Array.from(message)))
    const to = { ...peer, port: receiver.address().port }
    for (const segmentationOffload of [true, false]) {
      const engine = new NativeEngine({ segmentationOffload }, addon)
      const socket = await openOn(engine)
      const sealers = (['AESG', 'CC20'] as const).flatMap((aead) => [12, 16].map((tagLength) => {
        const by: Keyed = { aead, seed: tagLength, style: { ivLength: 4, tagLength: tagLength as 12 | 16, headerProtection: false } }
        return { by, late: engine.aeadProvider.createSealer(...secrets(by)), early: node.createSealer(...secrets(by)) }
      }))
      const expected: Keyed[] = []
      let [late, early] = [0, 0]
      arrived.length = 0
      for (let round = 0; round < 150; round++) {
        const { by, ...pair } = sealers[round % sealers.length]!
        const sealer = round % 5 === 3 ? pair.early : pair.late
        const numbers = Array.from({ length: 1 + (round % 16) }, () => expected.push(by) - 1)
        const size = 60 + ((round * 37) % 1300)
        const filled = fill(socket, sealer, size, numbers)
        if (filled.late) late++
        else early++
        // Only what waits to be sealed can still be read.
        expect(isPlain(Buffer.from(filled.buffer.subarray(0, size)).toString('latin1'))).toBe(filled.late)
        expect(socket.send({ to, length: size * numbers.length, segmentSize: size }, filled.buffer)).toBe(true)
        if (round % 7 === 0) expect(socket.flush()).toBe(true)
        if (round % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      socket.flush()
      expect([late, early]).toEqual([120, 30])
      while (arrived.length < expected.length) await new Promise((resolve) => setTimeout(resolve, 1))
      for (const datagram of arrived) {
        const number = numberOf(datagram)
        expect(opens(datagram, expected[number]!, number)).toBe(true)
      }
      expect(new Set(arrived.map(numberOf)).size).toBe(expected.length)
    }
    receiver.close()
  })

  /** A socket on a fake system, a sealer of its addon, and what was sent. */
  async function faked(answer: (datagram: string) => number = () => 0): Promise<{
    sent: string[]; socket: DatagramSocket; other: DatagramSocket; sealer: NativeSealer; log: SocketLog; room(): void; addon: NativeAddon
  }> {
    const sent: string[] = []
    const log = new SocketLog()
    const fake = addonThat((datagram) => answer(datagram), sent)
    const engine = new NativeEngine({}, fake.addon)
    const socket = await openOn(engine, log)
    const other = await openOn(engine)
    const sealer = engine.aeadProvider.createSealer(...secrets(key)) as NativeSealer
    return { sent, socket, other, sealer, log, room: fake.room, addon: fake.addon }
  }

  function expectOpen(sent: string[], numbers: number[]): void {
    const datagrams = sent.map((text) => Uint8Array.from(Buffer.from(text, 'latin1')))
    expect(datagrams.map(numberOf)).toEqual(numbers)
    datagrams.forEach((datagram, i) => expect(opens(datagram, key, numbers[i]!)).toBe(true))
  }

  it('keeps sealed what there is no room for', async () => {
    let room = 1
    const { sent, socket, other, sealer, ...fake } = await faked(() => (room-- > 0 ? 0 : EAGAIN))
    for (const numbers of [[1, 2], [3]]) {
      const { buffer, late } = fill(socket, sealer, 100, numbers)
      expect(late).toBe(true)
      socket.send({ to: peer, length: 100 * numbers.length, segmentSize: 100 }, buffer)
    }
    expect(socket.flush()).toBe(false)
    // While it is full nothing waits for it to seal.
    const { buffer, late } = fill(socket, sealer, 100, [9])
    expect(late).toBe(false)
    socket.send({ to: peer, length: 100, segmentSize: 100 }, buffer)
    expect(socket.flush()).toBe(false)
    // Others write to the same memory meanwhile.
    other.acquireBuffer().fill(0x78)
    room = 100
    fake.room()
    expectOpen(sent, [1, 2, 3])
    expect(fake.log.said).toEqual(['writable'])
  })

  it('goes on behind datagrams that are refused, none of which is sealed twice', async () => {
    const { sent, socket, sealer, log } = await faked((datagram) => (datagram.length === 200 ? EMSGSIZE : datagram.length === 300 ? EHOSTUNREACH : 0))
    for (const [size, number] of [[100, 1], [200, 2], [100, 3], [300, 4], [100, 5]] as const) {
      const { buffer } = fill(socket, sealer, size, [number])
      socket.send({ to: peer, length: size, segmentSize: size }, buffer)
    }
    socket.flush()
    expectOpen(sent, [1, 3, 5])
    expect(log.said).toEqual(['too big for 9: 200', 'sendmsg EHOSTUNREACH 127.0.0.1:9'])
  })

  it('seals what a handler writes in the middle of sending, whether it sends it at once or later', async () => {
    const { sent, socket, sealer, log } = await faked((datagram) => (datagram.length === 200 ? EMSGSIZE : 0))
    const transmit = { to: peer, length: 100, segmentSize: 100 }
    let kept: Uint8Array | undefined
    log.onTooBig = () => {
      const { buffer, late } = fill(socket, sealer, 100, [3])
      expect(late).toBe(true)
      socket.send(transmit, buffer)
      kept = fill(socket, sealer, 100, [4]).buffer
    }
    for (const [size, number] of [[200, 1], [100, 2]] as const) {
      socket.send({ to: peer, length: size, segmentSize: size }, fill(socket, sealer, size, [number]).buffer)
    }
    expect(socket.flush()).toBe(true)
    socket.send(transmit, kept!)
    log.onTooBig = () => (kept = fill(socket, sealer, 100, [6]).buffer)
    socket.send({ to: peer, length: 200, segmentSize: 200 }, fill(socket, sealer, 200, [5]).buffer)
    expect(socket.flush()).toBe(true)
    socket.send(transmit, kept!)
    expect(socket.flush()).toBe(true)
    expectOpen(sent, [2, 3, 4, 6])
  })

  it('seals at once what takes another way: a piece of the buffer, a buffer that is no longer the current one', async () => {
    const { sent, socket, other, sealer } = await faked()
    const piece = fill(socket, sealer, 100, [1])
    socket.send({ to: peer, length: 100, segmentSize: 100 }, piece.buffer.subarray(0, 100))
    const late = fill(socket, sealer, 100, [2])
    other.acquireBuffer()
    socket.send({ to: peer, length: 100, segmentSize: 100 }, late.buffer)
    const acquiredAnew = fill(socket, sealer, 100, [3])
    socket.acquireBuffer()
    socket.send({ to: peer, length: 100, segmentSize: 100 }, acquiredAnew.buffer)
    const flushed = fill(socket, sealer, 100, [4])
    socket.flush()
    socket.send({ to: peer, length: 100, segmentSize: 100 }, flushed.buffer)
    const before = fill(socket, sealer, 100, [5])
    socket.send({ to: peer, length: 100, segmentSize: 100 }, before.buffer)
    const behind = fill(socket, sealer, 100, [6])
    socket.flush()
    socket.send({ to: peer, length: 100, segmentSize: 100 }, behind.buffer)
    socket.flush()
    expect([piece, late, acquiredAnew, flushed, before, behind].map((one) => one.late)).toEqual([true, true, true, true, true, true])
    expectOpen(sent, [1, 2, 3, 4, 5, 6])
  })

  it('takes only what it can seal: keys of the addon, and the buffer that it gave', async () => {
    const { socket, other, sealer } = await faked()
    const buffer = socket.acquireBuffer()
    expect(poll(socket, buffer, node.createSealer(...secrets(key)), 100, [1])).toBe(false)
    expect(poll(socket, buffer.subarray(0), sealer, 100, [1])).toBe(false)
    expect(poll(socket, new Uint8Array(buffer.length), sealer, 100, [1])).toBe(false)
    expect(poll(other, buffer, sealer, 100, [1])).toBe(false)
    const unkeyed = new PacketBatch()
    unkeyed.buffer = buffer
    unkeyed.add(0, 20, 50, 1)
    expect(socket.lateSealer!.takeSealing(new NullSealer(), unkeyed)).toBe(false)
    expect(poll(socket, buffer, sealer, 100, [1])).toBe(true)
    await socket.close()
    expect(poll(socket, buffer, sealer, 100, [1])).toBe(false)
  })

  it('sends what it was given before it is closed, and seals it', async () => {
    const { sent, socket, sealer } = await faked()
    const { buffer } = fill(socket, sealer, 100, [1])
    socket.send({ to: peer, length: 100, segmentSize: 100 }, buffer)
    await socket.close()
    expectOpen(sent, [1])
    socket.send({ to: peer, length: 100, segmentSize: 100 }, buffer)
    expect(sent).toHaveLength(1)
  })

  it('leaves alone what is sealed already, where something else waited before', async () => {
    const { sent, socket, sealer } = await faked()
    expect(fill(socket, sealer, 100, [1]).late).toBe(true)
    const { buffer, late } = fill(socket, node.createSealer(...secrets(key)), 100, [2])
    expect(late).toBe(false)
    socket.send({ to: peer, length: 100, segmentSize: 100 }, buffer)
    socket.flush()
    expectOpen(sent, [2])
  })

  it('keeps nothing of a buffer that is written anew instead of being sent', async () => {
    const { sent, socket, sealer } = await faked()
    const { buffer } = fill(socket, sealer, 100, [1, 2, 3])
    expect(poll(socket, buffer, sealer, 100, [4])).toBe(true)
    // Whoever believes that the first ones are still there gets nothing of them.
    socket.send({ to: peer, length: 300, segmentSize: 100 }, buffer)
    socket.flush()
    expectOpen(sent.slice(0, 1), [4])
    expect(sent.slice(1)).toEqual(['\0'.repeat(100), '\0'.repeat(100)])
  })

  it('leaves nothing behind when the addon fails', async () => {
    const { sent, socket, sealer, addon: fake } = await faked()
    const real = fake.UdpSocket
    let failing = true
    class Failing extends (real as unknown as new () => { send: (...list: unknown[]) => void }) {
      constructor() {
        super()
        const { send } = this
        this.send = (...list) => {
          if (failing) throw new Error('OpenSSL failed')
          send(...list)
        }
      }
    }
    const broken = await openOn(new NativeEngine({}, { ...fake, UdpSocket: Failing as never }))
    const { buffer } = fill(broken, sealer, 100, [1])
    broken.send({ to: peer, length: 100, segmentSize: 100 }, buffer)
    expect(() => broken.flush()).toThrow('OpenSSL failed')
    failing = false
    expect(broken.flush()).toBe(true)
    expect(sent).toEqual([])
    // What could not be sealed is gone.
    broken.send({ to: peer, length: 100, segmentSize: 100 }, buffer)
    broken.flush()
    expect(sent).toEqual(['\0'.repeat(100)])
    sent.length = 0
    const { buffer: next } = fill(broken, sealer, 100, [2])
    broken.send({ to: peer, length: 100, segmentSize: 100 }, next)
    broken.flush()
    expectOpen(sent, [2])
    expect(socket.flush()).toBe(true)
  })

  it('says so to its owner only: whoever stands around it gets its packets sealed', async () => {
    const { socket } = await faked()
    expect(socket.lateSealer).toBe(socket)
    expect((Object.create(socket) as DatagramSocket).lateSealer).toBeUndefined()
    expect(new Proxy(socket, { get: (target, name, receiver) => Reflect.get(target, name, receiver) as unknown }).lateSealer).toBeUndefined()
    expect({ ...socket }.lateSealer).toBeUndefined()
  })

  it('gives endpoints sealed packets where an engine stands around it that copies what is sent', async () => {
    const engine = new NativeEngine({}, addon)
    let copied = 0
    const around: DatagramEngine = {
      name: 'around',
      aeadProvider: engine.aeadProvider,
      open: async (options) => {
        const socket = await engine.open(options)
        return {
          localAddress: socket.localAddress,
          receiveBufferSize: socket.receiveBufferSize,
          acquireBuffer: () => socket.acquireBuffer(),
          send: (transmit, bytes) => (copied++, socket.send(transmit, bytes.slice())),
          flush: () => socket.flush(),
          kernelDrops: () => socket.kernelDrops(),
          close: () => socket.close()
        }
      }
    }
    const server = await QuicServer.listen({
      host: '127.0.0.1',
      port: 0,
      engine: around,
      proofSource: new StaticProofSource([certifiedKeyFromPem(certificateOne.cert, certificateOne.key)]),
      createSession: (connection) => new Session(connection, sessionOptions('server', {}))
    })
    const { port } = server.address
    const verifier = new InsecureProofVerifier()
    const client = await QuicClient.connect({ host: '127.0.0.1', port, serverName: 'one.test', serverPort: 443, verifier, engine: around })
    while (!client.connection.handshakeConfirmed) await new Promise((resolve) => setTimeout(resolve, 1))
    await client.close()
    await server.close()
    expect(copied).toBeGreaterThan(4)
  })

  it('lets no plaintext leave, whatever its users do in whatever order', async () => {
    let answer = 0
    const { sent, socket, other, sealer, room } = await faked(() => answer)
    const sockets = [socket, other]
    const buffers: Uint8Array[] = []
    const from = fc.nat(1)
    const which = fc.nat(3)
    const count = fc.integer({ min: 1, max: 3 })
    const step = fc.oneof(
      fc.tuple(fc.constant('acquire' as const), from, which, count),
      fc.tuple(fc.constant('poll' as const), from, which, count),
      fc.tuple(fc.constant('send' as const), from, which, count),
      fc.tuple(fc.constant('send a piece' as const), from, which, count),
      fc.tuple(fc.constant('turn' as const), from, which, count),
      fc.tuple(fc.constantFrom('flush', 'full', 'room', 'too big', 'good', 'nowhere'), from, which, count)
    )
    let number = 0
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        answer = 0
        room()
        for (const one of sockets) one.flush()
        buffers.length = 0
        sent.length = 0
        for (const [what, who, place, packets] of steps) {
          const user = sockets[who]!
          const buffer = buffers[buffers.length - 1 - place]
          const transmit = { to: peer, length: 60 * packets, segmentSize: 60 }
          const numbers = Array.from({ length: packets }, () => ++number)
          if (what === 'acquire') buffers.push(user.acquireBuffer())
          else if (what === 'turn') user.send(transmit, fill(user, sealer, 60, numbers).buffer)
          else if (what === 'flush') user.flush()
          else if (what === 'full') answer = EAGAIN
          else if (what === 'too big') answer = EMSGSIZE
          else if (what === 'good') answer = 0
          else if (what === 'room') room()
          else if (buffer === undefined) continue
          else if (what === 'poll') poll(user, buffer, sealer, 60, numbers)
          else if (what === 'send') user.send(transmit, buffer)
          else if (what === 'nowhere') user.send({ ...transmit, to: { ...peer, address: 'nowhere' } }, buffer)
          else user.send(transmit, buffer.subarray(60 * (packets - 1)))
        }
        for (const one of sockets) one.flush()
        expect(sent.filter(isPlain)).toEqual([])
      }),
      { numRuns: 2000 }
    )
  })
})
