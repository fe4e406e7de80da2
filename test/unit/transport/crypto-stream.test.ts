import { describe, expect, it } from 'vitest'
import { QuicError } from '../../../src/quic/errors.js'
import { SentFrame } from '../../../src/quic/recovery/sent-frame.js'
import { CryptoReceiver } from '../../../src/quic/transport/crypto-receiver.js'
import { CryptoSendStream, type CryptoChunk } from '../../../src/quic/transport/crypto-stream.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { q036 } from '../../../src/quic/wire/versions/q034-q036.js'
import { q050 } from '../../../src/quic/wire/versions/q050.js'

const room = (bytes: number) => (): number => bytes
const message = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill)

function frameOf(chunk: CryptoChunk): SentFrame {
  const frame = new SentFrame()
  frame.offset = chunk.offset
  frame.length = chunk.length
  return frame
}

/** Takes all that is pending, `capacity` bytes a time. */
function drain(stream: CryptoSendStream, capacity: number): CryptoChunk[] {
  const chunks: CryptoChunk[] = []
  for (let next = stream.next(room(capacity)); next !== undefined; next = stream.next(room(capacity))) {
    chunks.push(next)
    stream.onSent(next)
  }
  return chunks
}

describe('CryptoSendStream', () => {
  it('cuts messages into frames and keeps each at the level it was queued at', () => {
    const stream = new CryptoSendStream(false)
    stream.write(message(250, 1), EncryptionLevel.None)
    stream.write(message(50, 2), EncryptionLevel.Initial)
    expect(drain(stream, 100)).toEqual([
      { offset: 0, length: 100, level: EncryptionLevel.None },
      { offset: 100, length: 100, level: EncryptionLevel.None },
      { offset: 200, length: 50, level: EncryptionLevel.None },
      { offset: 250, length: 50, level: EncryptionLevel.Initial }
    ])
    expect(stream.hasPending).toBe(false)
    expect(stream.hasOutstanding).toBe(true)
  })

  it('sends a lost frame again with its boundaries and level, before anything new', () => {
    const stream = new CryptoSendStream(false)
    stream.write(message(200, 1), EncryptionLevel.None)
    const [first] = drain(stream, 100)
    stream.write(message(10, 2), EncryptionLevel.ForwardSecure)
    stream.onLost(frameOf(first!))
    stream.onLost(frameOf(first!))
    expect(stream.nextLevel).toBe(EncryptionLevel.None)
    // It does not fit: it is not split.
    expect(stream.next(room(99))).toMatchObject({ offset: 0, length: 0 })
    expect(drain(stream, 1000)).toEqual([
      { offset: 0, length: 100, level: EncryptionLevel.None },
      { offset: 200, length: 10, level: EncryptionLevel.ForwardSecure }
    ])
  })

  it('drops a queued retransmission when the original is acknowledged after all', () => {
    const stream = new CryptoSendStream(false)
    stream.write(message(100, 1), EncryptionLevel.None)
    const [first] = drain(stream, 100)
    stream.onLost(frameOf(first!))
    stream.onAcked(frameOf(first!))
    expect(stream.hasPending).toBe(false)
    stream.onLost(frameOf(first!))
    expect(stream.hasPending).toBe(false)
  })

  it('sends everything unacknowledged again after version negotiation', () => {
    const stream = new CryptoSendStream(false)
    stream.write(message(300, 1), EncryptionLevel.None)
    const [first, ...others] = drain(stream, 100)
    stream.onAcked(frameOf(first!))
    stream.retransmitAll()
    expect(drain(stream, 100)).toEqual(others)
  })

  it('forgets what a level left behind', () => {
    const stream = new CryptoSendStream(false)
    stream.write(message(100, 1), EncryptionLevel.None)
    stream.write(message(100, 2), EncryptionLevel.Initial)
    const [first, second] = drain(stream, 100)
    stream.onLost(frameOf(first!))
    stream.abandon(EncryptionLevel.None)
    expect(stream.hasPending).toBe(false)
    stream.onLost(frameOf(second!))
    expect(stream.nextLevel).toBe(EncryptionLevel.Initial)
  })

  it('stays within the window that the peer granted', () => {
    const stream = new CryptoSendStream(false)
    stream.write(message(20_000, 1), EncryptionLevel.None)
    const sent = drain(stream, 5000)
    expect(sent.reduce((sum, { length }) => sum + length, 0)).toBe(16_384)
    stream.raiseLimit(65_536)
    expect(drain(stream, 5000)).toMatchObject([{ offset: 16_384, length: 3616 }])
  })

  it('counts offsets anew on each level where frames of their own carry the handshake, without flow control', () => {
    const stream = new CryptoSendStream(true)
    stream.write(message(20_000, 1), EncryptionLevel.None)
    stream.write(message(4, 2), EncryptionLevel.Initial)
    const sent = drain(stream, 20_000)
    expect(sent).toEqual([
      { offset: 0, length: 20_000, level: EncryptionLevel.None },
      { offset: 0, length: 4, level: EncryptionLevel.Initial }
    ])
    const target = new Uint8Array(4)
    stream.source(EncryptionLevel.Initial).copyTo(target, 0, 0, 4)
    expect([...target]).toEqual([2, 2, 2, 2])
    const frame = frameOf(sent[1]!)
    frame.level = EncryptionLevel.Initial
    stream.onLost(frame)
    expect(stream.nextLevel).toBe(EncryptionLevel.Initial)
    stream.onAcked(frame)
    expect(stream.hasPending).toBe(false)
  })

  it('copies any range, across messages', () => {
    const stream = new CryptoSendStream(false)
    stream.write(message(4, 1), EncryptionLevel.None)
    stream.write(message(4, 2), EncryptionLevel.None)
    const target = new Uint8Array(8)
    stream.source(EncryptionLevel.None).copyTo(target, 1, 2, 4)
    expect([...target]).toEqual([0, 1, 1, 2, 2, 0, 0, 0])
    expect(() => stream.source(EncryptionLevel.None).copyTo(target, 0, 6, 4)).toThrow(QuicError)
  })
})

describe('CryptoReceiver', () => {
  const receive = (receiver: CryptoReceiver, offset: number, length: number): void =>
    receiver.receive(EncryptionLevel.None, offset, new Uint8Array(length), 0, length)

  it('reads in order, whatever the order of arrival', () => {
    const receiver = new CryptoReceiver(q036.traits, 65_536)
    receive(receiver, 100, 50)
    expect(receiver.read(EncryptionLevel.None)).toBeUndefined()
    receive(receiver, 0, 100)
    expect(receiver.read(EncryptionLevel.None)?.length).toBe(150)
  })

  it('renews its window once half is used, and repeats a lost update', () => {
    const receiver = new CryptoReceiver(q036.traits, 1000)
    receive(receiver, 0, 400)
    receiver.read(EncryptionLevel.None)
    expect(receiver.windowUpdate).toBe(0)
    receive(receiver, 400, 200)
    receiver.read(EncryptionLevel.None)
    expect(receiver.windowUpdate).toBe(1600)
    receiver.onWindowUpdateSent()
    expect(receiver.windowUpdate).toBe(0)
    receiver.onWindowUpdateLost()
    expect(receiver.windowUpdate).toBe(1600)
  })

  it('keeps levels apart where frames of their own carry the handshake, and announces nothing', () => {
    const receiver = new CryptoReceiver(q050.traits, 1000)
    receiver.receive(EncryptionLevel.None, 0, new Uint8Array(600), 0, 600)
    receiver.receive(EncryptionLevel.Initial, 0, new Uint8Array(7), 0, 7)
    expect(receiver.read(EncryptionLevel.None)?.length).toBe(600)
    expect(receiver.read(EncryptionLevel.Initial)?.length).toBe(7)
    expect(receiver.windowUpdate).toBe(0)
  })

  it('closes on data beyond the window', () => {
    const receiver = new CryptoReceiver(q036.traits, 1000)
    expect(() => receive(receiver, 900, 101)).toThrow(/QUIC_FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA/)
  })
})
