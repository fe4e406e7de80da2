import { afterEach, describe, expect, it } from 'vitest'
import { RECEIVE_BUDGET, type DatagramHandler, type DatagramSocket } from '../../../src/endpoint/datagram-engine.js'
import { NodeEngine } from '../../../src/endpoint/engines/node-engine.js'
import { kernelDrops } from '../../../src/endpoint/kernel-drops.js'
import type { PeerAddress } from '../../../src/quic/types.js'

/** Keeps what a socket says, in order. */
class Log implements DatagramHandler {
  readonly batches: number[] = []
  readonly tooBig: { to: PeerAddress; size: number }[] = []
  readonly errors: Error[] = []
  received = 0
  private inBatch = 0

  onDatagram(): void {
    this.received++
    this.inBatch++
  }

  onBatchEnd(): void {
    this.batches.push(this.inBatch)
    this.inBatch = 0
  }

  onWritable(): void {}

  onTooBig(to: PeerAddress, size: number): void {
    this.tooBig.push({ to, size })
  }

  onSocketError(error: Error): void {
    this.errors.push(error)
  }
}

const open: DatagramSocket[] = []

async function socketWith(handler: DatagramHandler, receiveBufferSize?: number): Promise<DatagramSocket> {
  const socket = await new NodeEngine().open({ address: '127.0.0.1', port: 0, handler, receiveBufferSize })
  open.push(socket)
  return socket
}

afterEach(async () => {
  for (const socket of open.splice(0)) await socket.close()
})

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Sends `count` datagrams of `size` bytes, 16 to a transmit, without letting the loop turn. */
function flood(from: DatagramSocket, to: PeerAddress, count: number, size: number): void {
  for (let left = count; left > 0; left -= 16) {
    const length = Math.min(left, 16) * size
    expect(from.send({ to, length, segmentSize: size }, from.acquireBuffer())).toBe(true)
  }
}

describe('mechanism: receive budget and packets that are too big', () => {
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
    await until(() => other.received === 1)
  })

  it.skipIf(process.platform !== 'linux')('that is too slow to read has its losses counted', async () => {
    const log = new Log()
    const receiver = await socketWith(log, 4096)
    const sender = await socketWith(new Log())
    expect(kernelDrops(receiver.localAddress)).toBe(0)
    flood(sender, receiver.localAddress, 400, 1200)
    const drops = kernelDrops(receiver.localAddress)!
    expect(drops).toBeGreaterThan(100)
    await until(() => log.received === 400 - drops)
  })
})
