import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { RECEIVE_BUDGET } from '../../../src/endpoint/datagram-engine.js'
import type { DatagramEngine, DatagramHandler, DatagramSocket, SocketOptions } from '../../../src/endpoint/datagram-engine.js'
import { TRANSMIT_BUFFER_SIZE } from '../../../src/quic/transport/transmit.js'
import type { PeerAddress } from '../../../src/quic/types.js'
import { hasEngine, makeEngine, testedEngines } from '../../helpers/engines.js'

/** Keeps what a socket says, in order. */
class Log implements DatagramHandler {
  readonly batches: number[] = []
  readonly datagrams: string[] = []
  readonly from: PeerAddress[] = []
  readonly tooBig: { to: PeerAddress; size: number }[] = []
  readonly errors: NodeJS.ErrnoException[] = []
  received = 0
  writable = 0
  private inBatch = 0

  onDatagram(from: PeerAddress, bytes: Uint8Array): void {
    this.received++
    this.inBatch++
    this.from.push(from)
    this.datagrams.push(Buffer.from(bytes).toString('latin1'))
  }

  onBatchEnd(): void {
    this.batches.push(this.inBatch)
    this.inBatch = 0
  }

  onWritable(): void {
    this.writable++
  }

  onTooBig(to: PeerAddress, size: number): void {
    this.tooBig.push({ to, size })
  }

  onSocketError(error: Error): void {
    this.errors.push(error)
  }
}

const open: DatagramSocket[] = []

afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close()
})

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Keeps the loop from turning, as a busy program does. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** Sends `count` datagrams of `size` bytes, 16 to a transmit, without letting the loop turn. */
function flood(from: DatagramSocket, to: PeerAddress, count: number, size: number): void {
  for (let left = count; left > 0; left -= 16) {
    const length = Math.min(left, 16) * size
    expect(from.send({ to, length, segmentSize: size }, from.acquireBuffer())).toBe(true)
  }
  expect(from.flush()).toBe(true)
}

/** Sends texts, in one transmit; all but the last have to be equally long. */
function sendTexts(from: DatagramSocket, to: PeerAddress, texts: string[], delay?: number): boolean {
  const buffer = from.acquireBuffer()
  const { written } = new TextEncoder().encodeInto(texts.join(''), buffer)
  return from.send({ to, length: written, segmentSize: texts[0]!.length, delay }, buffer)
}

for (const name of testedEngines) {
  describe.skipIf(!hasEngine(name))(`mechanism: receive budget and packets that are too big: the ${name} engine`, () => testSockets(makeEngine(name)))
}

describe.skipIf(!hasEngine('native'))('a socket of the native engine that tells the kernel when packets are due', () => {
  testSockets(makeEngine('native', { pacingTime: true }))
})

describe.skipIf(!hasEngine('native'))('a socket of the native engine without segmentation offload', () => {
  testSockets(makeEngine('native', { segmentationOffload: false }))
})

function testSockets(engine: DatagramEngine): void {
  async function socketWith(handler: DatagramHandler, o: Partial<SocketOptions> = {}): Promise<DatagramSocket> {
    const socket = await engine.open({ address: '127.0.0.1', port: 0, handler, ...o })
    open.push(socket)
    return socket
  }

  it('ends a batch after as many datagrams as one may have, however many wait', async () => {
    const log = new Log()
    const receiver = await socketWith(log)
    const sender = await socketWith(new Log())
    flood(sender, receiver.localAddress, 160, 20)
    await until(() => log.received === 160)
    await until(() => log.batches.reduce((sum, n) => sum + n, 0) === 160)
    expect(Math.max(...log.batches)).toBeLessThanOrEqual(RECEIVE_BUDGET)
    expect(log.batches.every((n) => n > 0)).toBe(true)
  })

  it.each(['127.0.0.1', '::1'])('carries transmits of any shape in order on %s, and tells whom they are from', async (address) => {
    const log = new Log()
    const receiver = await socketWith(log, { address })
    const sender = await socketWith(new Log(), { address })
    const texts: string[] = []
    for (let i = 0; i < 200; i++) {
      const size = 1 + ((i * 37) % 1400)
      const packets = Array.from({ length: 1 + (i % 16) }, (_, n) => String.fromCharCode(65 + n).repeat(size))
      packets[packets.length - 1] = 'z'.repeat(Math.max(1, size - (i % 5)))
      texts.push(...packets)
      expect(sendTexts(sender, receiver.localAddress, packets)).toBe(true)
      if (i % 7 === 0) expect(sender.flush()).toBe(true)
      await new Promise((resolve) => setImmediate(resolve))
    }
    sender.flush()
    await until(() => log.received === texts.length)
    expect(log.datagrams).toEqual(texts)
    const { family, port } = sender.localAddress
    expect(family).toBe(address === '::1' ? 6 : 4)
    expect(new Set(log.from).size).toBe(1)
    expect(log.from[0]).toMatchObject({ family, address, port })
    const back = new Log()
    const answerer = await socketWith(back, { address, connectTo: log.from[0] })
    expect(answerer.localAddress).toMatchObject({ family, address })
  })

  it.each(['127.0.0.1', '::1'])('sends what is not due yet, in order, on %s', async (address) => {
    const log = new Log()
    const receiver = await socketWith(log, { address })
    const sender = await socketWith(new Log(), { address })
    const texts: string[] = []
    for (let i = 0; i < 40; i++) {
      const text = String.fromCharCode(65 + (i % 26)).repeat(400)
      // Some alike, some not, some cut into datagrams.
      const packets = i % 3 === 0 ? [text + text] : [text, text]
      texts.push(...packets)
      sendTexts(sender, receiver.localAddress, packets, 25 * Math.floor(i / 2))
    }
    expect(sender.flush()).toBe(true)
    await until(() => log.received === texts.length)
    expect(log.datagrams).toEqual(texts)
  })

  it('tells how long the system had what it hands over, or nothing', async () => {
    const ages: (number | undefined)[] = []
    const log = new Log()
    log.onDatagram = (_from, _bytes, age?: number) => void ages.push(age)
    const receiver = await socketWith(log)
    const sender = await socketWith(new Log())
    flood(sender, receiver.localAddress, 48, 100)
    block(60)
    flood(sender, receiver.localAddress, 48, 1000)
    await until(() => ages.length === 96)
    if (engine.name === 'node') {
      expect(new Set(ages)).toEqual(new Set([undefined]))
      return
    }
    expect(Math.min(...ages.slice(0, 48).map(Number))).toBeGreaterThanOrEqual(60_000)
    expect(Math.max(...ages.map(Number))).toBeLessThan(2_000_000)
    expect(Math.min(...ages.slice(48).map(Number))).toBeLessThan(Number(ages[0]) - 50_000)
  })

  it('whose handler is slow tells it of each batch anew', async () => {
    if (engine.name === 'node') return
    const ages: number[] = []
    const log = new Log()
    log.onDatagram = (_from, _bytes, age?: number) => void ages.push(age!)
    log.onBatchEnd = () => block(30)
    const receiver = await socketWith(log)
    const sender = await socketWith(new Log())
    flood(sender, receiver.localAddress, 2 * RECEIVE_BUDGET, 100)
    await until(() => ages.length === 2 * RECEIVE_BUDGET)
    expect(ages[RECEIVE_BUDGET]! - ages[0]!).toBeGreaterThanOrEqual(29_000)
  })

  it('takes transmits for many peers in one turn, and each gets its own', async () => {
    const logs = Array.from({ length: 100 }, () => new Log())
    const receivers = await Promise.all(logs.map((log) => socketWith(log)))
    const sender = await socketWith(new Log())
    for (const round of ['a', 'b']) {
      receivers.forEach((receiver, i) => expect(sendTexts(sender, receiver.localAddress, [`${round}${i}`])).toBe(true))
    }
    sender.flush()
    await until(() => logs.every((log) => log.received === 2))
    expect(logs.map((log) => log.datagrams)).toEqual(logs.map((_, i) => [`a${i}`, `b${i}`]))
  })

  it('sends what several sockets write in turns, none of them losing anything', async () => {
    const log = new Log()
    const receiver = await socketWith(log)
    const senders = await Promise.all([1, 2, 3].map(() => socketWith(new Log())))
    for (let i = 0; i < 30; i++) sendTexts(senders[i % 3]!, receiver.localAddress, [`${i}`])
    for (const sender of senders) sender.flush()
    await until(() => log.received === 30)
    expect(log.datagrams.map(Number).sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i))
  })

  it('tells of a datagram that the system finds too big, and goes on', async () => {
    const log = new Log()
    const other = new Log()
    const sender = await socketWith(log)
    const receiver = await socketWith(other)
    const to = receiver.localAddress
    sender.send({ to, length: 70_000, segmentSize: 70_000 }, new Uint8Array(70_000))
    await until(() => log.tooBig.length > 0)
    expect(log.tooBig).toEqual([{ to, size: 70_000 }])
    expect(log.errors).toEqual([])
    sender.send({ to, length: 1450, segmentSize: 1450 }, sender.acquireBuffer())
    sender.flush()
    await until(() => other.received === 1)
  })

  it('that is connected hears of a port where nobody listens, and goes on', async () => {
    const closed = await socketWith(new Log())
    const { localAddress } = closed
    await closed.close()
    const log = new Log()
    const client = await socketWith(log, { connectTo: localAddress })
    for (let i = 0; log.errors.length === 0; i++) {
      sendTexts(client, localAddress, [`${i}`])
      client.flush()
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(log.errors[0]).toMatchObject({ code: 'ECONNREFUSED' })
    const later = new Log()
    await socketWith(later, { port: localAddress.port })
    await until(() => {
      sendTexts(client, localAddress, ['there'])
      client.flush()
      return later.received > 0
    })
  })

  it('that is connected hears nothing from others', async () => {
    const peerLog = new Log()
    const peer = await socketWith(peerLog)
    const log = new Log()
    const client = await socketWith(log, { connectTo: peer.localAddress })
    const stranger = await socketWith(new Log())
    sendTexts(stranger, client.localAddress, ['stranger'])
    stranger.flush()
    sendTexts(peer, client.localAddress, ['peer'])
    peer.flush()
    await until(() => log.received > 0)
    expect(log.datagrams).toEqual(['peer'])
  })

  it('rejects what cannot be opened as the system words it', async () => {
    const taken = await socketWith(new Log())
    const { address, port } = taken.localAddress
    await expect(socketWith(new Log(), { port })).rejects.toMatchObject({ code: 'EADDRINUSE', syscall: 'bind', address, port })
    await expect(socketWith(new Log(), { address: '192.0.2.1' })).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' })
    await taken.close()
    await taken.close()
    await socketWith(new Log(), { port })
  })

  it('may be closed by whoever hears from it, in the middle of a batch', async () => {
    const log = new Log()
    const receiver = await socketWith(log)
    const sender = await socketWith(new Log())
    log.onDatagram = () => {
      log.received++
      void receiver.close()
    }
    flood(sender, receiver.localAddress, 16, 100)
    await until(() => log.received > 0)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(log.received).toBeLessThanOrEqual(16)
    expect(log.batches.length).toBe(0)
    expect(receiver.send({ to: sender.localAddress, length: 1, segmentSize: 1 }, new Uint8Array(1))).toBe(true)
  })

  it('understands other programs, empty datagrams and large ones included', async () => {
    const log = new Log()
    const receiver = await socketWith(log)
    const plain = createSocket('udp4')
    plain.bind(0, '127.0.0.1')
    await once(plain, 'listening')
    const { port } = receiver.localAddress
    const message = once(plain, 'message') as Promise<[Buffer]>
    plain.send('', port, '127.0.0.1')
    plain.send('x'.repeat(60_000), port, '127.0.0.1')
    await until(() => log.received === 2)
    expect(log.datagrams.map((text) => text.length)).toEqual([0, 60_000])
    sendTexts(receiver, log.from[0]!, ['answer'])
    receiver.flush()
    expect((await message)[0].toString()).toBe('answer')
    plain.close()
  })

  it('gives buffers for whole transmits', async () => {
    const socket = await socketWith(new Log())
    expect(socket.acquireBuffer().length).toBe(TRANSMIT_BUFFER_SIZE)
    expect(socket.receiveBufferSize).toBeGreaterThan(100_000)
  })

  it.skipIf(process.platform !== 'linux')('that is too slow to read has its losses counted', async () => {
    const log = new Log()
    const receiver = await socketWith(log, { receiveBufferSize: 4096 })
    const sender = await socketWith(new Log())
    // An engine may have to ask the system first, and not ask it again soon.
    await until(() => sender.kernelDrops() !== undefined)
    expect(sender.kernelDrops()).toBe(0)
    // One by one: what the kernel has joined fits a small buffer as a whole, or not at all.
    for (let i = 0; i < 400; i++) {
      sender.send({ to: receiver.localAddress, length: 1200, segmentSize: 1200 }, sender.acquireBuffer())
    }
    sender.flush()
    await until(() => receiver.kernelDrops() !== undefined)
    const drops = receiver.kernelDrops()!
    expect(drops).toBeGreaterThan(100)
    await until(() => log.received === 400 - drops)
  })
}
