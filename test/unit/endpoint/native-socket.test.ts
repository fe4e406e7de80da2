import { once } from 'node:events'
import { constants } from 'node:os'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { DatagramHandler, DatagramSocket } from '../../../src/endpoint/datagram-engine.js'
import { Lost, Outcome, checkAddon } from '../../../src/endpoint/engines/native-addon.js'
import type { NativeAddon, NativeUdpSocket } from '../../../src/endpoint/engines/native-addon.js'
import { NativeEngine, type NativeEngineOptions } from '../../../src/endpoint/engines/native-engine.js'
import type { PeerAddress } from '../../../src/quic/types.js'
import { addon } from '../../helpers/engines.js'
import { addonThat, SocketLog as Log } from '../../helpers/fake-udp-sockets.js'

const { EAGAIN, EHOSTUNREACH, EMSGSIZE, ENOPROTOOPT } = constants.errno
const peer: PeerAddress = { family: 4, address: '127.0.0.1', port: 9 }

function write(socket: DatagramSocket, to: PeerAddress, text: string, segmentSize: number): boolean {
  const buffer = socket.acquireBuffer()
  new TextEncoder().encodeInto(text, buffer)
  return socket.send({ to, length: text.length, segmentSize }, buffer)
}

const open: DatagramSocket[] = []

afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close()
})

async function socketOn(fake: NativeAddon, handler: DatagramHandler, options: NativeEngineOptions = {}): Promise<DatagramSocket> {
  const socket = await new NativeEngine(options, fake).open({ address: '127.0.0.1', port: 0, handler })
  open.push(socket)
  return socket
}

describe.skipIf(addon === undefined)('a native socket', () => {
  it('hands on when what it sends is due; what had to wait for room is due at once', async () => {
    let full = false
    const fake = addonThat(() => (full ? EAGAIN : 0), [])
    const socket = await socketOn(fake.addon, new Log(), { pacingTime: true })
    for (const delay of [undefined, 7, 1000]) {
      expect(socket.send({ to: peer, length: 4, segmentSize: 2, delay }, socket.acquireBuffer())).toBe(true)
    }
    expect(socket.flush()).toBe(true)
    expect(fake.delays.splice(0)).toEqual([0, 7, 1000])
    full = true
    socket.send({ to: peer, length: 4, segmentSize: 2, delay: 500 }, socket.acquireBuffer())
    expect(socket.flush()).toBe(false)
    full = false
    fake.room()
    expect(fake.delays).toEqual([500, 0])
  })

  it('asks for that only where it is wanted, and goes on where the system knows nothing of it', async () => {
    const fake = addonThat(() => 0, [])
    fake.paces = ENOPROTOOPT
    const told: string[] = []
    const onDegraded = (message: string): void => void told.push(message)
    await socketOn(fake.addon, new Log(), { onDegraded })
    expect(told).toEqual([])
    const engine = new NativeEngine({ pacingTime: true, onDegraded }, fake.addon)
    for (let i = 0; i < 2; i++) open.push(await engine.open({ address: '127.0.0.1', port: 0, handler: new Log() }))
    expect(told).toEqual([expect.stringContaining('SO_TXTIME')])
  })

  it('that is full keeps what it was given, in order, and says when there is room', async () => {
    const sent: string[] = []
    const log = new Log()
    let room = 3
    const fake = addonThat(() => (room-- > 0 ? 0 : EAGAIN), sent)
    const socket = await socketOn(fake.addon, log)
    expect(write(socket, peer, 'a1a2a3a4a5', 2)).toBe(true)
    expect(write(socket, { ...peer, port: 10 }, 'b1b2', 2)).toBe(true)
    expect(socket.flush()).toBe(false)
    expect(socket.flush()).toBe(false)
    expect(sent).toEqual(['a1', 'a2', 'a3'])
    expect(fake.watched).toBe(true)
    // Others write to the same memory meanwhile.
    const other = await socketOn(fake.addon, new Log())
    other.acquireBuffer().fill(0x78)
    room = 1
    fake.room()
    expect(sent).toEqual(['a1', 'a2', 'a3', 'a4'])
    expect(log.said).toEqual([])
    room = 100
    fake.room()
    expect(sent).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2'])
    expect(log.said).toEqual(['writable'])
    expect(fake.watched).toBe(false)
    expect(socket.flush()).toBe(true)
  })

  it('sends by itself when much has been gathered, and says so if there is no room for it', async () => {
    const sent: string[] = []
    let full = false
    const socket = await socketOn(addonThat(() => (full ? EAGAIN : 0), sent).addon, new Log())
    for (let i = 0; i < 64; i++) expect(write(socket, peer, `${i}`, 10)).toBe(true)
    expect(sent).toHaveLength(64)
    full = true
    const results = Array.from({ length: 7 }, () => write(socket, peer, 'x'.repeat(20_000), 1250))
    expect(results).toEqual([true, true, true, true, true, true, false])
  })

  it('tells of every datagram that is too big, and of another error once until sending works again', async () => {
    const sent: string[] = []
    const log = new Log()
    const errors: Record<string, number> = { B: EMSGSIZE, H: EHOSTUNREACH }
    const fake = addonThat((datagram) => errors[datagram[0]!] ?? 0, sent)
    const socket = await socketOn(fake.addon, log)
    write(socket, peer, 'B1B22B3', 2)
    write(socket, { ...peer, port: 10 }, 'BBB', 3)
    write(socket, peer, 'H1H2', 2)
    socket.flush()
    write(socket, peer, 'H3', 2)
    socket.flush()
    write(socket, peer, 'ok', 2)
    write(socket, peer, 'H4', 2)
    socket.flush()
    write(socket, peer, 'ok', 2)
    socket.flush()
    write(socket, peer, 'H5', 2)
    socket.flush()
    const unreachable = 'sendmsg EHOSTUNREACH 127.0.0.1:9'
    expect(log.said).toEqual([
      'too big for 9: 2', 'too big for 9: 2', 'too big for 10: 3', unreachable, unreachable
    ])
    expect(sent).toEqual(['2B', '3', 'ok', 'ok'])
  })

  it('says once, for all sockets of its engine, what it has to go without', async () => {
    const said: string[] = []
    const engine = new NativeEngine({ onDegraded: (message) => said.push(message) }, {
      ...addon!,
      UdpSocket: class extends addon!.UdpSocket {
        override useOffloads(): number {
          return 0
        }

        override send(...[bytes, words, first, last, outcome]: Parameters<NativeUdpSocket['send']>): void {
          super.send(bytes, words, first, last, outcome)
          outcome[Outcome.Lost] = Lost.ManyMessages | Lost.Segmentation
        }
      }
    })
    for (let i = 0; i < 3; i++) {
      const socket = await engine.open({ address: '127.0.0.1', port: 0, handler: new Log() })
      open.push(socket)
      write(socket, peer, 'x', 1)
      socket.flush()
    }
    expect(said).toEqual([expect.stringMatching(/segmentation/), expect.stringMatching(/sendmmsg/)])
  })

  it('keeps apart peers that differ in one bit, and knows them again', async () => {
    const log: PeerAddress[] = []
    const handler = new Log()
    handler.onDatagram = (from) => void log.push(from)
    const receiver = await new NativeEngine({}, addon).open({ address: '::', port: 0, handler })
    open.push(receiver)
    const target = { family: 6 as const, address: '::1', port: receiver.localAddress.port }
    const senders = await Promise.all(['::1', '::1', '127.0.0.1', '127.0.0.2'].map(async (address) => {
      const socket = await new NativeEngine({}, addon).open({ address, port: 0, handler: new Log() })
      open.push(socket)
      return socket
    }))
    for (let round = 0; round < 2; round++) {
      for (const sender of senders) {
        const to = sender.localAddress.family === 6 ? target : { ...target, family: 4 as const, address: '127.0.0.1' }
        write(sender, to, 'x', 1)
        sender.flush()
      }
    }
    while (log.length < 8) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(new Set(log).size).toBe(4)
    const expected = senders.map(({ localAddress: { address, port } }) => `${address.includes(':') ? '' : '::ffff:'}${address} ${port}`)
    expect(new Set(log.map(({ address, port }) => `${address} ${port}`))).toEqual(new Set(expected))
  })

  it('works in threads, which may end at any moment with their sockets open', async () => {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      const addon = require('node-gyp-build')(workerData)
      const record = new Int32Array(7)
      const pool = new Uint8Array(70000)
      const messages = new Int32Array(11)
      const sockets = Array.from({ length: 20 }, () => {
        const socket = new addon.UdpSocket(4)
        addon.parseAddress('127.0.0.1', 0, record, 0)
        socket.bind(record)
        socket.start(() => parentPort.postMessage(socket.receive(pool, 70000, 1, messages)))
        return socket
      })
      sockets[0].localAddress(record)
      new addon.UdpSocket(4).send(new Uint8Array(5), Int32Array.of(0, 5, 5, ...record, 0), 0, 1, new Int32Array(5))
      const key = new addon.AeadKey(0, 1, new Uint8Array(16), new Uint8Array(12), 16, undefined)
      setInterval(() => key.seal(new Uint8Array(100), Float64Array.of(0, 1, 50, 7, 0), 1), 1)
      sockets[1].close()`
    const root = new URL('../../../', import.meta.url).pathname
    for (let i = 0; i < 10; i++) {
      const worker = new Worker(code, { eval: true, workerData: root })
      expect(await once(worker, 'message')).toEqual([1])
      expect(await worker.terminate()).toBe(1)
    }
  })
})

describe.skipIf(addon === undefined)('the addon', () => {
  it('is refused if it was built from sources that know less', () => {
    expect(checkAddon(addon!)).toBe(addon)
    expect(() => checkAddon({ ...addon!, UdpSocket: undefined as never })).toThrow('built from other sources')
    // It would send what it does not know that it has to seal.
    const AeadKey = class {} as unknown as NativeAddon['AeadKey']
    expect(() => checkAddon({ ...addon!, AeadKey })).toThrow('built from other sources')
    class Older extends addon!.AeadKey {
      declare openMany: never
    }
    Object.defineProperty(Older.prototype, 'openMany', { value: undefined })
    expect(() => checkAddon({ ...addon!, AeadKey: Older })).toThrow('built from other sources')
    const UdpSocket = class {} as unknown as NativeAddon['UdpSocket']
    expect(() => checkAddon({ ...addon!, UdpSocket })).toThrow('built from other sources')
  })

  const { min, max } = Math

  /** Anything that a program gone wrong could hand over. */
  const anything = fc.oneof(
    fc.anything(),
    fc.double(),
    fc.integer({ min: -3, max: 100_000 }),
    fc.uint8Array({ maxLength: 100 }),
    fc.int32Array({ maxLength: 40 }),
    fc.float64Array({ maxLength: 40 }),
    fc.constantFrom(4, 6, 12, 16, 32, Infinity, NaN, -1, 2 ** 31, 2 ** 32, 2 ** 53, 70_000),
    fc.constantFrom('127.0.0.1', '::1', 'fe80::1%lo', 'fe80::1%nobody', '%', 'x'.repeat(300), ''),
    fc.constantFrom(16, 32, 70_000, 140_000).map((length) => new Uint8Array(length)),
    fc.constant(0).map(() => {
      const detached = new Uint8Array(100)
      structuredClone(detached.buffer, { transfer: [detached.buffer] })
      return detached
    }),
    fc.constant(0).map(() => new Int32Array(new SharedArrayBuffer(400)))
  )

  it('answers nonsense with exceptions, and goes on', () => {
    const { AeadKey, HeaderMask, UdpSocket, parseAddress, formatAddress } = addon!
    const own = [
      () => new AeadKey(0, 1, new Uint8Array(16), new Uint8Array(4), 12, undefined),
      () => new AeadKey(1, 1, new Uint8Array(32), new Uint8Array(12), 16, new Uint8Array(32)),
      () => new AeadKey(1, 0, new Uint8Array(32), new Uint8Array(12), 16, undefined),
      () => new HeaderMask(1, new Uint8Array(32)),
      () => new UdpSocket(4)
    ]
    const makers = [...own, ...[AeadKey, HeaderMask, UdpSocket].flatMap((type) => [type, Object.create(type.prototype)])]
    const thrown = new Set<string>()
    let calls = 0
    const attempt = (run: () => unknown): void => {
      calls++
      try {
        run()
      } catch (error) {
        thrown.add((error as Error).name)
      }
    }
    fc.assert(
      fc.property(fc.constantFrom(...makers), fc.nat(60), fc.array(anything, { maxLength: 8 }), (maker, choice, list) => {
        const object = own.includes(maker as () => never) ? (maker as () => object)() : maker
        const prototypes = [AeadKey.prototype, HeaderMask.prototype, UdpSocket.prototype]
        const methods = prototypes.flatMap((type) => Object.getOwnPropertyNames(type).filter((name) => name !== 'start').map((name) => [type, name]))
        const [type, name] = methods[choice % methods.length] as [Record<string, (...a: unknown[]) => unknown>, string]
        attempt(() => type[name]!.apply(object, list))
        if (typeof (object as Record<string, unknown>)[name] === 'function') attempt(() => type[name]!.apply(object, list))
        const types = [AeadKey, HeaderMask, UdpSocket] as unknown as (new (...a: unknown[]) => unknown)[]
        for (const constructor of types) {
          attempt(() => new constructor(...list))
          attempt(() => Reflect.apply(constructor, object, list))
        }
        for (const call of [parseAddress, formatAddress]) attempt(() => Reflect.apply(call, undefined, list))
        if (object instanceof UdpSocket) attempt(() => object.close())
      }),
      { numRuns: 3000 }
    )
    expect(calls).toBeGreaterThan(20_000)
    expect([...thrown].filter((name) => !['RangeError', 'TypeError', 'Error'].includes(name))).toEqual([])
  }, 60_000)

  it('takes no packet that does not lie in its buffer', () => {
    const sealer = new addon!.AeadKey(0, 1, new Uint8Array(16), new Uint8Array(12), 16, new Uint8Array(16))
    const opener = new addon!.AeadKey(0, 0, new Uint8Array(16), new Uint8Array(12), 16, undefined)
    const place = fc.oneof(fc.integer({ min: -2, max: 130 }), fc.constantFrom(NaN, 2 ** 31, 2 ** 32, 2 ** 53, Infinity))
    let sealed = 0
    fc.assert(
      fc.property(fc.array(place, { minLength: 5, maxLength: 5 }), fc.nat(100), (places, length) => {
        const [start, payload, end, number, numberAt] = places as [number, number, number, number, number]
        const buffer = new Uint8Array(length)
        const fits =
          min(...places) >= 0 && start < numberAt && numberAt < payload && payload <= end && end + 16 <= length &&
          max(...places) < 2 ** 53 && payload - 1 + 4 + 16 <= end + 16
        const run = (): void => sealer.seal(buffer, Float64Array.from(places), 1)
        if (!fits) {
          expect(run).toThrow(RangeError)
          expect(buffer.every((byte) => byte === 0)).toBe(true)
        } else {
          run()
          sealed++
          expect(buffer.subarray(end + 16).every((byte) => byte === 0)).toBe(true)
        }
        const inside = [start, payload, end].every((at) => Number.isInteger(at) && at >= 0) && start <= payload && payload <= end && end <= length
        const opens = (): number => opener.open(buffer, start, payload, end, number)
        if (!inside || !(number >= 0 && number < 2 ** 53)) expect(opens).toThrow(RangeError)
        else if (!fits) expect(opens()).toBe(-1)
      }),
      { numRuns: 5000, examples: [[[0, 2, 20, 1, 1], 100]] }
    )
    expect(sealed).toBeGreaterThan(0)
  })

  it('opens none of several packets, and makes none of several masks, unless all lie in their buffer', () => {
    const iv = new Uint8Array(12)
    const sealer = new addon!.AeadKey(0, 1, new Uint8Array(16), iv, 16, undefined)
    const opener = new addon!.AeadKey(0, 0, new Uint8Array(16), iv, 16, undefined)
    const sealed = new Uint8Array(100)
    sealer.seal(sealed, Float64Array.of(0, 4, 40, 7, 0, 60, 61, 80, 8, 60), 2)
    const good = [0, 4, 56, 7]
    const lengths = new Int32Array(2).fill(9)
    const bad = [
      [60, 61, 101, 8], [61, 60, 96, 8], [60, 97, 96, 8], [-1, 61, 96, 8], [60, 61, 96, -1],
      [60, 61, 96, 2 ** 53], [60, NaN, 96, 8], [60, 61, Infinity, 8]
    ]
    for (const packet of bad) {
      const buffer = Uint8Array.from(sealed)
      expect(() => opener.openMany(buffer, Float64Array.of(...good, ...packet), 2, lengths)).toThrow(RangeError)
      expect(buffer).toEqual(sealed)
      expect(lengths).toEqual(Int32Array.of(9, 9))
    }
    const both = Float64Array.of(...good, 60, 61, 96, 8)
    expect(() => opener.openMany(sealed, both, 3, new Int32Array(3))).toThrow(RangeError)
    expect(() => opener.openMany(sealed, both, 2, new Int32Array(1))).toThrow(RangeError)
    expect(() => opener.openMany(sealed, new Float64Array(400), 65, new Int32Array(100))).toThrow(RangeError)
    expect(() => sealer.openMany(sealed, both, 2, lengths)).toThrow(RangeError)
    opener.openMany(sealed, both, 2, lengths)
    expect(lengths).toEqual(Int32Array.of(36, 19))

    const mask = new addon!.HeaderMask(0, new Uint8Array(16))
    for (const offset of [-1, 85, 2 ** 31 - 1]) {
      const out = new Uint8Array(32)
      expect(() => mask.makeMany(sealed, Int32Array.of(0, offset), 2, out)).toThrow(RangeError)
      expect(out.every((byte) => byte === 0)).toBe(true)
    }
    expect(() => mask.makeMany(sealed, Int32Array.of(0), 2, new Uint8Array(32))).toThrow(RangeError)
    expect(() => mask.makeMany(sealed, Int32Array.of(0, 1), 2, new Uint8Array(31))).toThrow(RangeError)
    expect(() => mask.makeMany(new Uint8Array(15), Int32Array.of(0), 1, new Uint8Array(32))).toThrow(RangeError)
    // Samples may lie where the masks go.
    const [out, alone] = [Uint8Array.from(sealed), new Uint8Array(16)]
    mask.makeMany(out, Int32Array.of(84, 3), 2, out)
    for (const [i, at] of [84, 3].entries()) {
      mask.make(sealed, at, alone)
      expect(out.subarray(16 * i, 16 * i + 16)).toEqual(alone)
    }
  })

  it('takes no transmit and no pool that does not lie in its memory', async () => {
    const socket = new addon!.UdpSocket(4)
    const record = new Int32Array(7)
    addon!.parseAddress('127.0.0.1', 9, record, 0)
    const send = (words: number[], last = 1): void =>
      socket.send(new Uint8Array(100), Int32Array.of(...words, ...record, 0), 0, last, new Int32Array(5))
    for (const words of [[0, 101, 10], [-1, 10, 10], [20, 10, 10], [0, 10, 0], [0, 10, -1]]) {
      expect(() => send(words)).toThrow(RangeError)
    }
    expect(() => send([0, 10, 10], 2)).toThrow(RangeError)
    expect(() => socket.send(new Uint8Array(9), Int32Array.of(0, 9, 9, 5, 0, 0, 0, 0, 0, 0, 0), 0, 1, new Int32Array(5))).toThrow(RangeError)
    expect(() => socket.send(new Uint8Array(9), new Int32Array(11), 0, 1, new Int32Array(4))).toThrow(RangeError)
    expect(() => socket.receive(new Uint8Array(65_535), 65_535, 1, new Int32Array(11))).toThrow(RangeError)
    expect(() => socket.receive(new Uint8Array(70_000), 65_536, 2, new Int32Array(22))).toThrow(RangeError)
    expect(() => socket.receive(new Uint8Array(70_000), 65_536, 1, new Int32Array(10))).toThrow(RangeError)
    // The outcome may lie anywhere, even where it overwrites what it is the outcome of.
    const words = Int32Array.of(0, 100, 10, ...record, 0)
    socket.send(new Uint8Array(100), words, 0, 1, words.subarray(0, 5))
    socket.close()
    socket.close()
    expect(() => socket.bind(record)).toThrow('closed')
    expect(socket.receive(new Uint8Array(70_000), 65_536, 1, new Int32Array(11))).toBe(-constants.errno.EBADF)
  })
})
