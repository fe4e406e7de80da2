import { describe, expect, it } from 'vitest'
import { QuicErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { bytes, client, codeOf, kinds, limits, server, TestSession, TestStream } from '../../helpers/session-fixture.js'
import {
  drain,
  FakeConnection,
  FakePacket,
  give,
  negotiated,
  onePacket,
  Perspective,
  rstFrame,
  streamFrame,
  type PipeFrame
} from '../../helpers/session-pipe.js'

describe('mechanism: flow control', () => {
  it('holds the peer to the stream window and to the connection window', () => {
    const stream = server({}, { streamWindow: 20_000 })
    give(stream.connection, streamFrame(5, 0, bytes(20_000)))
    expect(stream.connection.connected).toBe(true)
    give(stream.connection, streamFrame(5, 20_000, bytes(1)))
    expect(codeOf(stream.connection)).toBe(QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA)

    const both = server({}, { streamWindow: 20_000, connectionWindow: 30_000 })
    give(both.connection, streamFrame(5, 0, bytes(20_000)))
    give(both.connection, streamFrame(7, 0, bytes(10_000)))
    expect(both.connection.connected).toBe(true)
    give(both.connection, streamFrame(9, 0, bytes(1)))
    expect(codeOf(both.connection)).toBe(QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA)
  })

  it.each([
    ['a FIN', (id: number) => streamFrame(id, 70_000, '', true)],
    ['an RST_STREAM', (id: number) => rstFrame(id, 6, 70_000)]
  ])('counts the final offset of %s', (_name, make) => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, 'x'))
    session.deliverEvents(0)
    give(connection, make(5))
    expect(codeOf(connection)).toBe(QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA)
  })

  it('counts the final offset of a closed stream against the connection', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, 'x'))
    session.made.get(5)!.reset(6)
    give(connection, rstFrame(5, 7, 2_000_000))
    expect(codeOf(connection)).toBe(QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA)
  })

  it('opens windows only as the application reads', () => {
    const { connection, session } = server({}, { streamWindow: 40_000, connectionWindow: 50_000, autoTune: false })
    session.factory = (id) => Object.assign(new TestStream(id, session), { reading: false })
    give(connection, streamFrame(5, 0, bytes(40_000)))
    session.deliverEvents(0)
    expect(drain(session)).toEqual([])
    const wakes = connection.wakes
    session.made.get(5)!.drainInput()
    expect(connection.wakes).toBeGreaterThan(wakes)
    const updates = kinds(drain(session), SentFrameKind.WindowUpdate).map((frame) => [frame.streamId, frame.offset])
    expect(updates.sort()).toEqual([[0, 82_768], [5, 64_576]])
  })

  it('credits the connection with what is discarded or left behind', () => {
    const { connection, session } = server({}, { streamWindow: 40_000, connectionWindow: 50_000, autoTune: false })
    session.factory = (id) => Object.assign(new TestStream(id, session), { reading: false })
    give(connection, streamFrame(5, 0, bytes(40_000)))
    session.made.get(5)!.stopReading()
    expect(session.flowController.consumed).toBe(40_000)
    give(connection, streamFrame(7, 0, bytes(9_000)))
    give(connection, streamFrame(7, 20_000, bytes(1_000)))
    session.made.get(7)!.reset(6)
    expect(session.flowController.consumed).toBe(61_000)
  })

  it('sends no more than both windows allow, says BLOCKED once, and goes on after WINDOW_UPDATE', () => {
    const { connection, session } = client({ peerStreamWindow: 20_000, peerConnectionWindow: 30_000 })
    const [a, b] = [session.open(), session.open()]
    a.write(bytes(50_000))
    b.write(bytes(50_000))
    const first = drain(session)
    const sent = (frames: PipeFrame[], id: number): number =>
      kinds(frames, SentFrameKind.Stream).filter((f) => f.streamId === id).reduce((sum, f) => sum + f.length, 0)
    expect(sent(first, 5) + sent(first, 7)).toBe(30_000)
    expect(kinds(first, SentFrameKind.Blocked).map((f) => f.streamId)).toEqual([0])
    expect(session.hasFramesToSend()).toBe(false)
    connection.guard(() => session.onWindowUpdateFrame(0, 200_000))
    const second = drain(session)
    expect([sent(first, 5) + sent(second, 5), sent(first, 7) + sent(second, 7)]).toEqual([20_000, 20_000])
    expect(kinds(second, SentFrameKind.Blocked).map((f) => f.streamId).sort()).toEqual([5, 7])
    connection.guard(() => session.onWindowUpdateFrame(5, 20_000))
    expect(session.hasFramesToSend()).toBe(false)
    connection.guard(() => session.onWindowUpdateFrame(5, 90_000))
    expect(sent(drain(session), 5)).toBe(30_000)
  })

  it('never holds back an empty FIN', () => {
    const { session } = client({ peerStreamWindow: 20_000, peerConnectionWindow: 20_000 })
    const a = session.open()
    a.write(bytes(20_000))
    drain(session)
    a.end()
    const b = session.open()
    b.end()
    const fins = kinds(drain(session), SentFrameKind.Stream)
    expect(fins.map((f) => [f.streamId, f.offset, f.length, f.fin])).toEqual([
      [5, 20_000, 0, true],
      [7, 0, 0, true]
    ])
  })

  it('starts with 16 KiB and applies the negotiated windows to streams that exist', () => {
    const connection = new FakeConnection(Perspective.Client)
    const session = new TestSession(connection, limits)
    connection.session = session
    const stream = session.open()
    stream.write(bytes(100_000))
    const sent = kinds(drain(session), SentFrameKind.Stream).reduce((sum, f) => sum + f.length, 0)
    expect(sent).toBe(16_384)
    session.onConfigNegotiated(negotiated())
    const more = kinds(drain(session), SentFrameKind.Stream).reduce((sum, f) => sum + f.length, 0)
    expect(sent + more).toBe(64 * 1024)
  })

  const small = [{ peerStreamWindow: 16_383 }, { peerConnectionWindow: 16_383 }]
  it.each(small)('rejects windows below 16 KiB', (config) => {
    const connection = new FakeConnection(Perspective.Client)
    const session = new TestSession(connection, limits)
    connection.session = session
    connection.guard(() => session.onConfigNegotiated(negotiated(config)))
    expect(codeOf(connection)).toBe(QuicErrorCode.FLOW_CONTROL_INVALID_WINDOW)
  })

  it('sends nothing before encryption is established', () => {
    const connection = new FakeConnection(Perspective.Client)
    connection.encryptionEstablished = false
    const session = new TestSession(connection, limits)
    session.open().write(bytes(10))
    expect(session.hasFramesToSend()).toBe(false)
    connection.encryptionEstablished = true
    const packet = new FakePacket()
    packet.level = 0
    session.writeFrames(packet, 0)
    expect(packet.frames).toEqual([])
    expect(onePacket(session).frames).toHaveLength(1)
  })
})

describe('backpressure of writers', () => {
  it('answers false above the high-water mark and calls onWritable below half of it, once', () => {
    const windows = { peerStreamWindow: 1_000_000, peerConnectionWindow: 1_000_000 }
    const { session } = client(windows, { highWaterMark: 10_000 })
    const stream = session.open()
    expect(stream.write(bytes(10_000))).toBe(true)
    expect(stream.write(bytes(1))).toBe(false)
    while (stream.bufferedBytes > 5000) {
      session.deliverEvents(0)
      expect(stream.log).toEqual([])
      onePacket(session)
    }
    session.deliverEvents(0)
    expect(stream.log).toEqual(['writable'])
    drain(session)
    session.deliverEvents(0)
    expect(stream.log).toEqual(['writable'])
  })

  it('refuses writes after the end, but not after the peer reset the stream', () => {
    const { connection, session } = client()
    const ended = session.open()
    ended.end()
    ended.end()
    expect(() => ended.write(bytes(1))).toThrow('write after end')
    const stream = session.open()
    give(connection, rstFrame(stream.id, 6, 0))
    expect(stream.write(bytes(1_000_000))).toBe(true)
    stream.end()
    expect(stream.bufferedBytes).toBe(0)
  })

  it('wakes the driver after every call that gives it something to do', () => {
    const { connection, session } = client()
    const stream = session.open()
    for (const action of [() => stream.write(bytes(1)), () => stream.end(), () => stream.reset(6)]) {
      const before = connection.wakes
      action()
      expect(connection.wakes).toBe(before + 1)
    }
  })
})
