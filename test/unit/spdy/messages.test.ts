import { describe, expect, it } from 'vitest'
import { QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { bytes } from '../../helpers/session-fixture.js'
import { drain, give, streamFrame } from '../../helpers/session-pipe.js'
import {
  openMessage,
  Peer,
  REQUEST,
  resets,
  RESPONSE,
  spdyClient,
  spdyPair,
  spdyServer
} from '../../helpers/spdy-fixture.js'

describe('messages', () => {
  it('carry headers, body and trailers both ways', () => {
    const { a, b, pipe } = spdyPair()
    b.session.prepare = (stream) => {
      stream.answer = (s) => {
        s.writeHeaders(RESPONSE, false)
        s.write(bytes(50_000))
        s.writeTrailers([['x-sum', '42']])
      }
    }
    const stream = openMessage(a.session)
    stream.writeHeaders(REQUEST, false, 1)
    stream.write(bytes(3000))
    stream.writeTrailers([['x-up', '1']])
    pipe.run(() => stream.closed)
    pipe.settle()
    const request = b.session.made.get(5)!
    expect([request.headers, request.trailers, request.priority]).toEqual([REQUEST, [['x-up', '1']], 1])
    expect(request.body.equals(bytes(3000))).toBe(true)
    expect([stream.headers, stream.trailers]).toEqual([RESPONSE, [['x-sum', '42']]])
    expect(stream.body.equals(bytes(50_000))).toBe(true)
    expect(stream.log.slice(-3)).toEqual(['trailers', 'end', 'close'])
    expect(stream.log[0]).toBe('headers')
    expect([a.connection.closedWith, b.connection.closedWith]).toEqual([undefined, undefined])
  })

  it('end with END_STREAM on HEADERS, without a STREAM frame', () => {
    const { connection, session } = spdyServer()
    const peer = new Peer(connection, true)
    session.prepare = (stream) => (stream.answer = (s) => s.writeHeaders(RESPONSE, true))
    peer.headers(5, REQUEST, true)
    expect(session.made.get(5)!.log).toEqual([])
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['headers fin', 'end', 'close'])
    expect(drain(session).map(({ frame }) => frame.streamId)).toEqual([3])
    expect(session.hasOpenStreams()).toBe(false)
  })

  it('hold body data until the headers are there', () => {
    const { connection, session } = spdyServer()
    const peer = new Peer(connection, true)
    give(connection, streamFrame(5, 0, 'body', true))
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual([])
    peer.headers(5, REQUEST, false)
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['headers', 'end'])
    expect(session.made.get(5)!.body.toString()).toBe('body')
  })

  it('notice an empty body whose FIN came before the headers', () => {
    const { connection, session } = spdyServer()
    give(connection, streamFrame(5, 0, '', true))
    session.deliverEvents(0)
    new Peer(connection, true).headers(5, REQUEST, false)
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['headers', 'end'])
  })

  it('carry the priority in requests only', () => {
    const a = spdyClient()
    openMessage(a.session).writeHeaders(REQUEST, true, 0)
    const frame = drain(a.session)[0]!
    expect(frame.data[4]! & 0x20).toBe(0x20)
    expect([...frame.data.subarray(9, 14)]).toEqual([0, 0, 0, 0, 255])
    const b = spdyServer()
    new Peer(b.connection, true).headers(5, REQUEST, true)
    b.session.made.get(5)!.writeHeaders(RESPONSE, true)
    expect(drain(b.session)[0]!.data[4]! & 0x20).toBe(0)
  })

  it('schedule responses by the priority of the request', () => {
    const { connection, session } = spdyServer()
    const peer = new Peer(connection, true)
    peer.headers(5, REQUEST, true, 7)
    peer.headers(7, REQUEST, true, 0)
    for (const stream of session.made.values()) stream.write(bytes(2000), true)
    expect(drain(session).map(({ frame }) => frame.streamId)).toEqual([7, 7, 5, 5, 5])
  })

  it('survive loss and reordering, many at a time', () => {
    const { a, b, pipe } = spdyPair({ seed: 7, loss: 0.2, reorder: 5, duplicate: 0.1, spuriousLoss: 0.05 })
    b.session.prepare = (stream) => {
      stream.answer = (s) => {
        s.writeHeaders([...RESPONSE, ['x-id', String(s.id)]], false)
        s.write(bytes(s.id * 1000))
        if (s.id % 4 === 1) s.writeTrailers([['x-end', String(s.id)]])
        else s.end()
      }
    }
    const streams = Array.from({ length: 30 }, () => openMessage(a.session))
    for (const [i, stream] of streams.entries()) {
      stream.writeHeaders([...REQUEST, ['x-n', String(i)]], i % 2 === 0, i % 8)
      if (i % 2 === 1) stream.write(bytes(i * 100), true)
    }
    pipe.run(() => streams.every((stream) => stream.closed))
    pipe.settle()
    for (const [i, stream] of streams.entries()) {
      expect(stream.headers).toContainEqual(['x-id', String(stream.id)])
      expect(stream.body.equals(bytes(stream.id * 1000))).toBe(true)
      expect(stream.trailers).toEqual(stream.id % 4 === 1 ? [['x-end', String(stream.id)]] : undefined)
      expect(b.session.made.get(stream.id)!.headers).toContainEqual(['x-n', String(i)])
    }
    expect([a.session.openStreamCount, b.session.openStreamCount]).toEqual([0, 0])
    expect(b.session.flowController.highestReceived).toBe(a.session.flowController.bytesSent)
    expect(a.session.flowController.highestReceived).toBe(b.session.flowController.bytesSent)
  })
})

describe('the server that answers early', () => {
  it('sends RST_STREAM with code 0 behind its FIN once it has stopped reading, and the answer survives loss', () => {
    const { connection, session } = spdyServer()
    const peer = new Peer(connection, true)
    session.prepare = (stream) => {
      stream.answer = (s) => {
        s.stopReading()
        s.writeHeaders(RESPONSE, false)
        s.write(bytes(500), true)
      }
    }
    peer.headers(5, REQUEST, false)
    give(connection, streamFrame(5, 0, bytes(1000)))
    session.deliverEvents(0)
    const frames = drain(session)
    session.deliverEvents(0)
    expect(resets(frames)).toEqual([[5, QuicRstStreamErrorCode.STREAM_NO_ERROR, 500]])
    expect(session.made.get(5)!.log).toEqual(['headers', 'close'])
    for (const { frame } of frames) session.onFrameLost(frame)
    const again = drain(session).filter(({ frame }) => frame.kind === SentFrameKind.Stream && frame.streamId === 5)
    expect(again.map(({ frame }) => [frame.offset, frame.length, frame.fin])).toEqual([[0, 500, true]])
  })

  it('does the same when it stops reading after its answer, also one without a body', () => {
    const { connection, session } = spdyServer()
    const peer = new Peer(connection, true)
    session.prepare = (stream) => {
      stream.answer = (s) => {
        s.writeHeaders(RESPONSE, true)
        expect(s.closed).toBe(false)
        s.stopReading()
      }
    }
    peer.headers(5, REQUEST, false)
    session.deliverEvents(0)
    expect(resets(drain(session))).toEqual([[5, 0, 0]])
  })

  it('does not when the request was complete', () => {
    const { connection, session } = spdyServer()
    session.prepare = (stream) => {
      stream.answer = (s) => {
        s.stopReading()
        s.writeHeaders(RESPONSE, true)
      }
    }
    new Peer(connection, true).headers(5, REQUEST, true)
    session.deliverEvents(0)
    expect(resets(drain(session))).toEqual([])
    expect(session.made.get(5)!.closed).toBe(true)
  })

  it('leaves the client its answer, and both in agreement', () => {
    const { a, b, pipe } = spdyPair({ seed: 3, loss: 0.1 })
    b.session.prepare = (stream) => {
      stream.answer = (s) => {
        s.stopReading()
        s.writeHeaders(RESPONSE, false)
        s.write(bytes(20_000), true)
      }
    }
    const stream = openMessage(a.session)
    stream.writeHeaders(REQUEST, false)
    stream.write(bytes(400_000))
    pipe.run(() => stream.closed)
    pipe.settle()
    expect(stream.body.equals(bytes(20_000))).toBe(true)
    expect(stream.log).toContain('stop')
    expect(b.session.flowController.highestReceived).toBe(a.session.flowController.bytesSent)
    expect([b.session.openStreamCount, b.session.hasOpenStreams()]).toEqual([0, false])
  })
})
