import { describe, expect, it } from 'vitest'
import { QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { bytes, client, kinds, pair, server, TestStream } from '../../helpers/session-fixture.js'
import { drain, give, streamFrame } from '../../helpers/session-pipe.js'

describe('retransmission', () => {
  it('repeats lost frames first and with their boundaries; acknowledged ones vanish from the queue', () => {
    const { session } = client()
    const stream = session.open()
    stream.write(bytes(3000))
    const frames = drain(session)
    expect(frames).toHaveLength(3)
    for (const { frame } of frames) session.onFrameLost(frame)
    session.onFrameAcked(frames[1]!.frame)
    stream.write(bytes(100, 3), true)
    const again = drain(session)
    expect(again.map(({ frame }) => [frame.offset, frame.length])).toEqual([
      [0, frames[0]!.frame.length],
      [frames[2]!.frame.offset, frames[2]!.frame.length],
      [3000, 100]
    ])
    for (const { frame } of again) session.onFrameLost(frame)
    for (const { frame } of again) session.onFrameAcked(frame)
    expect(session.hasFramesToSend()).toBe(false)
  })

  it('repeats a lost FIN', () => {
    const { session } = client()
    session.open().end()
    const [fin] = drain(session)
    session.onFrameLost(fin!.frame)
    expect(kinds(drain(session), SentFrameKind.Stream).map((f) => f.fin)).toEqual([true])
  })

  it('drops the data of a stream that was reset', () => {
    const { session } = client()
    const stream = session.open()
    stream.write(bytes(3000))
    const frames = drain(session)
    stream.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
    for (const { frame } of frames) session.onFrameLost(frame)
    expect(drain(session).map(({ frame }) => frame.kind)).toEqual([SentFrameKind.RstStream])
  })

  it('repeats RST_STREAM and GOAWAY, and control frames go before data', () => {
    const { session } = client()
    session.open().write(bytes(2000))
    const stream = session.open()
    stream.reset(6)
    session.sendGoAway(QuicErrorCode.PEER_GOING_AWAY, 'bye')
    session.sendGoAway(QuicErrorCode.PEER_GOING_AWAY, 'again')
    const frames = drain(session)
    expect(frames.map(({ frame }) => frame.kind)).toEqual([
      SentFrameKind.GoAway,
      SentFrameKind.RstStream,
      SentFrameKind.Stream,
      SentFrameKind.Stream
    ])
    for (const { frame } of frames.slice(0, 2)) session.onFrameLost(frame)
    const again = drain(session)
    expect(again.map(({ frame, reason }) => [frame.kind, frame.streamId, frame.errorCode, reason])).toEqual(
      frames.slice(0, 2).map(({ frame, reason }) => [frame.kind, frame.streamId, frame.errorCode, reason])
    )
  })

  it('repeats a WINDOW_UPDATE only while it is the newest, and with the limit of then', () => {
    const { connection, session } = server({}, { streamWindow: 20_000, connectionWindow: 1_000_000, autoTune: false })
    give(connection, streamFrame(5, 0, bytes(11_000)))
    session.deliverEvents(0)
    const [first] = drain(session)
    expect(first!.frame.offset).toBe(31_000)
    give(connection, streamFrame(5, 11_000, bytes(11_000)))
    session.deliverEvents(0)
    session.onFrameLost(first!.frame)
    const [second] = drain(session)
    expect(second!.frame.offset).toBe(42_000)
    session.onFrameLost(first!.frame)
    expect(session.hasFramesToSend()).toBe(false)
    session.onFrameLost(second!.frame)
    expect(drain(session).map(({ frame }) => frame.offset)).toEqual([42_000])
    session.onFrameLost(second!.frame)
    session.made.get(5)!.reset(6)
    expect(kinds(drain(session), SentFrameKind.WindowUpdate)).toEqual([])
  })

  it('repeats BLOCKED only while blocked', () => {
    const { connection, session } = client({ peerStreamWindow: 16_384 })
    session.open().write(bytes(17_000))
    const [blocked] = kinds(drain(session), SentFrameKind.Blocked)
    session.onFrameLost(blocked!)
    expect(drain(session).map(({ frame }) => frame.kind)).toEqual([SentFrameKind.Blocked])
    connection.guard(() => session.onWindowUpdateFrame(5, 16_500))
    session.onFrameLost(blocked!)
    expect(kinds(drain(session), SentFrameKind.Blocked)).toHaveLength(1)
    connection.guard(() => session.onWindowUpdateFrame(5, 17_500))
    drain(session)
    session.onFrameLost(blocked!)
    expect(session.hasFramesToSend()).toBe(false)
  })
})

describe('two sessions over a bad path', () => {
  it.each([1, 2, 3, 4, 5, 6])('move every byte both ways whatever happens to packets (seed %i)', (seed) => {
    const path = { seed, loss: 0.2, duplicate: 0.1, reorder: 6, spuriousLoss: 0.1 }
    const { a, b, pipe } = pair(path, { peerStreamWindow: 20_000, peerConnectionWindow: 60_000 }, {
      streamWindow: 20_000,
      connectionWindow: 60_000
    })
    const streams = Array.from({ length: 12 }, (_, i) => {
      const stream = a.session.open()
      stream.priority = i % 8
      for (let at = 0; at < 60_000; at += 1500 * (i + 1)) {
        stream.write(bytes(60_000, i).subarray(at, Math.min(60_000, at + 1500 * (i + 1))))
      }
      stream.end()
      return stream
    })
    b.session.factory = (id) => {
      const stream = new TestStream(id, b.session)
      stream.onData = () => {
        for (let part = stream.read(); part !== undefined; part = stream.read()) {
          stream.input = Buffer.concat([stream.input, part])
          stream.write(part)
        }
        if (stream.readEnded) stream.end()
      }
      return stream
    }
    pipe.run(() => streams.every((stream) => stream.closed))
    pipe.settle()
    for (const [i, stream] of streams.entries()) expect(stream.input.equals(bytes(60_000, i))).toBe(true)
    expect(pipe.framesLost).toBeGreaterThan(0)
    for (const side of [a, b]) {
      expect(side.connection.closedWith).toBeUndefined()
      expect([side.session.openStreamCount, ...side.session.counts]).toEqual([0, 0, 0])
    }
    expect(a.session.flowController.consumed).toBe(720_000)
    expect(b.session.flowController.consumed).toBe(720_000)
  })

  it.each([11, 12, 13])('keep their accounts equal when streams are reset at random (seed %i)', (seed) => {
    const { a, b, pipe } = pair({ seed, loss: 0.15, reorder: 4 })
    const total = 60
    let opened = 0
    for (let step = 0; opened < total || step < 400; step++) {
      if (opened < total && a.session.canOpen) {
        const stream = a.session.open()
        stream.write(bytes(30_000), opened % 3 === 0)
        opened++
      }
      const victims = [...b.session.made.values()].filter((stream) => !stream.closed)
      if (step % 5 === 0) victims[step % Math.max(1, victims.length)]?.reset(6)
      pipe.step()
    }
    for (const stream of b.session.made.values()) stream.reset(6)
    pipe.settle()
    expect([a.connection.closedWith, b.connection.closedWith]).toEqual([undefined, undefined])
    expect([a.session.counts, b.session.counts]).toEqual([[0, 0], [0, 0]])
    const { consumed, highestReceived } = b.session.flowController
    expect(consumed).toBe(highestReceived)
    expect(highestReceived).toBe(a.session.flowController.bytesSent)
  })
})
