import { describe, expect, it } from 'vitest'
import { QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { bytes, client, codeOf, kinds, pair, server, TestStream } from '../../helpers/session-fixture.js'
import { drain, give, rstFrame, streamFrame } from '../../helpers/session-pipe.js'

describe('mechanism: stream limits', () => {
  it('opens peer streams on their first frame, in any order', () => {
    const { connection, session } = server()
    give(connection, streamFrame(9, 0, 'late'))
    give(connection, streamFrame(5, 0, 'early'))
    session.deliverEvents(0)
    expect([...session.made.keys()]).toEqual([9, 5])
    expect(session.made.get(5)!.input.toString()).toBe('early')
    expect(session.counts).toEqual([2, 0])
  })

  it('also opens them on WINDOW_UPDATE', () => {
    const { connection, session } = server()
    connection.guard(() => session.onWindowUpdateFrame(5, 100_000))
    expect([...session.made.keys()]).toEqual([5])
  })

  it.each([
    ['a stream that only this side may open', 2],
    ['stream 0', 0]
  ])('closes with INVALID_STREAM_ID over data for %s', (_name, id) => {
    const { connection } = server()
    give(connection, streamFrame(id, 0, 'x'))
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_STREAM_ID)
  })

  it('a client does the same for its own stream that it has not opened', () => {
    const { connection } = client()
    give(connection, streamFrame(5, 0, 'x'))
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_STREAM_ID)
  })

  it.each([1, 3])('closes with INVALID_STREAM_ID over RST_STREAM for stream %i', (id) => {
    const { connection } = server()
    give(connection, rstFrame(id, 6, 0))
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_STREAM_ID)
  })

  it('enforces 110 open streams for an announced 100, and takes new ones when old ones end', () => {
    const { connection, session } = server()
    for (let i = 0; i < 111; i++) give(connection, streamFrame(5 + 2 * i, 0, 'x', true))
    expect(session.made.size).toBe(110)
    const [refusal] = kinds(drain(session), SentFrameKind.RstStream)
    expect([refusal!.streamId, refusal!.errorCode]).toEqual([5 + 220, QuicRstStreamErrorCode.REFUSED_STREAM])
    expect(connection.connected).toBe(true)
    session.made.get(5)!.end()
    drain(session)
    give(connection, streamFrame(5 + 222, 0, 'x', true))
    expect(session.made.size).toBe(111)
  })

  it('derives the limits from MSPC before Q035 and from MIDS after', () => {
    const tags = { maxStreamsPerConnection: 20, peerMaxIncomingStreams: 40 }
    const old = server(tags, {}, 'Q034')
    for (let i = 0; i < 40; i++) give(old.connection, streamFrame(5 + 2 * i, 0, 'x'))
    expect(old.session.made.size).toBe(30)
    for (const [label, expected] of [['Q034', 20], ['Q035', 40], ['Q036', 40]] as const) {
      const { session } = client(tags, {}, label)
      let opened = 0
      for (; session.canOpen; opened++) session.open()
      expect(opened).toBe(expected)
    }
    expect(client({ ...tags, peerMaxIncomingStreams: undefined }).session.canOpen).toBe(true)
  })

  it('closes with TOO_MANY_AVAILABLE_STREAMS when ids are skipped beyond ten times the limit', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5 + 2 * 1100, 0, 'x'))
    expect(connection.connected).toBe(true)
    expect(session.made.size).toBe(1)
    give(connection, streamFrame(5 + 2 * 1102, 0, 'x'))
    expect(codeOf(connection)).toBe(QuicErrorCode.TOO_MANY_AVAILABLE_STREAMS)
  })

  it('closes the connection of a peer that never ends what was refused', () => {
    const { connection, session } = server()
    for (let i = 0; i < 110; i++) give(connection, streamFrame(5 + 2 * i, 0, 'x'))
    for (let i = 110; i < 110 + 1100; i++) give(connection, streamFrame(5 + 2 * i, 0, 'x'))
    expect(connection.connected).toBe(true)
    expect(session.made.size).toBe(110)
    give(connection, streamFrame(5 + 2 * 1210, 0, 'x'))
    expect(codeOf(connection)).toBe(QuicErrorCode.TOO_MANY_OPEN_STREAMS)
  })

  it('closes the connection of a peer that makes it owe ever more resets', () => {
    const { connection, session } = server()
    for (let i = 0; i < 10_001 && connection.connected; i++) give(connection, rstFrame(5 + 2 * i, 6, 0))
    expect(codeOf(connection)).toBe(QuicErrorCode.TOO_MANY_OPEN_STREAMS)
    session.deliverEvents(0)
    expect([session.log.at(-1), session.hasFramesToSend()]).toEqual(['closed', false])
  })

  it('tells the client when a place becomes free', () => {
    const { connection, session } = client({ peerMaxIncomingStreams: 1 })
    session.log.length = 0
    const stream = session.open()
    expect(session.canOpen).toBe(false)
    stream.write(bytes(10), true)
    drain(session)
    give(connection, streamFrame(5, 0, 'answer', true))
    session.deliverEvents(0)
    expect(session.log).toEqual(['room'])
    expect(session.canOpen).toBe(true)
  })
})

describe('ends of streams', () => {
  it('ends cleanly after FIN both ways, and is told last', () => {
    const { a, b, pipe } = pair()
    const stream = a.session.open()
    stream.write(bytes(5000), true)
    pipe.run(() => b.session.made.get(5)?.readEnded === true)
    const answer = b.session.made.get(5)!
    answer.write(bytes(3000, 1), true)
    pipe.settle()
    expect(answer.input).toEqual(Buffer.from(bytes(5000)))
    expect(stream.input).toEqual(Buffer.from(bytes(3000, 1)))
    expect(stream.log.slice(-2)).toEqual(['end', 'close'])
    expect([stream.closed, answer.closed]).toEqual([true, true])
    expect([a.session.openStreamCount, b.session.openStreamCount]).toEqual([0, 0])
    expect([a.session.counts, b.session.counts]).toEqual([[0, 0], [0, 0]])
  })

  it('a draining stream does not count although it is unread', () => {
    const { connection, session } = server()
    session.factory = (id) => Object.assign(new TestStream(id, session), { reading: false })
    give(connection, streamFrame(5, 0, 'question', true))
    session.deliverEvents(0)
    expect(session.hasOpenStreams()).toBe(true)
    session.made.get(5)!.end()
    drain(session)
    expect(session.counts).toEqual([0, 0])
    expect(session.hasOpenStreams()).toBe(false)
    expect(session.made.get(5)!.closed).toBe(false)
    session.made.get(5)!.drainInput()
    session.deliverEvents(0)
    expect(session.made.get(5)!.log.at(-1)).toBe('close')
  })

  it('a reset from the peer kills both directions and is answered with RST_ACKNOWLEDGEMENT', () => {
    const { connection, session } = client()
    const stream = session.open()
    stream.write(bytes(100))
    drain(session)
    stream.write(bytes(100))
    give(connection, rstFrame(5, QuicRstStreamErrorCode.STREAM_CANCELLED, 0))
    expect(stream.log).toEqual([])
    session.deliverEvents(0)
    expect(stream.log).toEqual(['reset 6', 'close'])
    const [rst] = kinds(drain(session), SentFrameKind.RstStream)
    expect([rst!.errorCode, rst!.offset]).toEqual([QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 100])
    expect(session.counts).toEqual([0, 0])
  })

  it('a reset after our FIN is answered only if the peer may not have the FIN, which is not repeated', () => {
    const { connection, session } = client()
    for (const acked of [true, false]) {
      const stream = session.open()
      stream.write(bytes(100), true)
      const [frame] = drain(session)
      if (acked) session.onFrameAcked(frame!.frame)
      give(connection, rstFrame(stream.id, 6, 0))
      if (!acked) session.onFrameLost(frame!.frame)
      const codes = drain(session).map((f) => [f.frame.kind, f.frame.errorCode, f.frame.offset])
      expect(codes).toEqual(acked ? [] : [[SentFrameKind.RstStream, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 100]])
    }
  })

  it('code 0 stops sending only; the reset that settles accounts follows at the end', () => {
    const { connection, session } = client()
    const stream = session.open()
    stream.write(bytes(200_000))
    const sent = kinds(drain(session), SentFrameKind.Stream).reduce((sum, frame) => sum + frame.length, 0)
    give(connection, streamFrame(5, 0, 'early answer'))
    give(connection, rstFrame(5, QuicRstStreamErrorCode.STREAM_NO_ERROR, 12))
    session.deliverEvents(0)
    expect(stream.log).toEqual(['data', 'stop'])
    expect([stream.writeEnded, stream.bufferedBytes, stream.write(bytes(10))]).toEqual([true, 0, true])
    expect(drain(session)).toEqual([])
    give(connection, streamFrame(5, 12, '!', true))
    session.deliverEvents(0)
    expect(stream.input.toString()).toBe('early answer!')
    expect(stream.log.at(-1)).toBe('close')
    const [rst] = kinds(drain(session), SentFrameKind.RstStream)
    expect([rst!.errorCode, rst!.offset]).toEqual([QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, sent])
  })

  it('two final offsets reset the stream with MULTIPLE_TERMINATION_OFFSETS', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, 'abc', true))
    give(connection, streamFrame(5, 0, 'abcdef', true))
    expect(connection.connected).toBe(true)
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['close'])
    const [rst] = kinds(drain(session), SentFrameKind.RstStream)
    expect(rst!.errorCode).toBe(QuicRstStreamErrorCode.MULTIPLE_TERMINATION_OFFSETS)
  })

  it('a stream reset here counts until the peer says how much it sent', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, bytes(100)))
    session.made.get(5)!.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
    expect(session.counts).toEqual([1, 0])
    give(connection, streamFrame(5, 100, bytes(50)))
    expect(session.counts).toEqual([1, 0])
    give(connection, rstFrame(5, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 400))
    expect(session.counts).toEqual([0, 0])
    expect(session.flowController.highestReceived).toBe(400)
    expect(session.flowController.consumed).toBe(400)
  })

  it('a reset of an unknown stream is answered without bothering the application', () => {
    const { connection, session } = server()
    give(connection, rstFrame(5, 6, 77))
    expect(session.made.size).toBe(0)
    const [rst] = kinds(drain(session), SentFrameKind.RstStream)
    expect([rst!.streamId, rst!.errorCode, rst!.offset]).toEqual([5, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 0])
    expect([session.flowController.consumed, session.counts]).toEqual([77, [0, 0]])
    give(connection, streamFrame(5, 0, 'x'))
    expect(session.made.size).toBe(0)
  })

  it('keeps finished data until it is acknowledged, and forgets it when the peer resets', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, 'q', true))
    session.deliverEvents(0)
    session.made.get(5)!.write(bytes(2000), true)
    const frames = drain(session)
    session.deliverEvents(0)
    expect(session.made.get(5)!.log.at(-1)).toBe('close')
    expect(session.openStreamCount).toBe(1)
    session.onFrameLost(frames[0]!.frame)
    const again = drain(session)
    expect(again.map(({ frame, data }) => [frame.offset, frame.length, frame.fin, Buffer.from(data)])).toEqual(
      [frames[0]!].map(({ frame, data }) => [frame.offset, frame.length, frame.fin, Buffer.from(data)])
    )
    session.onFrameAcked(again[0]!.frame)
    session.onFrameAcked(frames[1]!.frame)
    expect(session.openStreamCount).toBe(0)

    give(connection, streamFrame(7, 0, 'q', true))
    session.deliverEvents(0)
    session.made.get(7)!.write(bytes(2000), true)
    const second = drain(session)
    session.onFrameLost(second[0]!.frame)
    give(connection, rstFrame(7, 6, 1))
    expect(drain(session).map(({ frame }) => [frame.kind, frame.errorCode, frame.offset])).toEqual([
      [SentFrameKind.RstStream, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 2000]
    ])
    expect(session.openStreamCount).toBe(0)
  })
})
