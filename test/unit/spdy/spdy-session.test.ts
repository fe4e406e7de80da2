import { describe, expect, it } from 'vitest'
import { QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { HpackDecoder } from '../../../src/quic/spdy/hpack/hpack-decoder.js'
import { HpackEncoder } from '../../../src/quic/spdy/hpack/hpack-encoder.js'
import { writeHeadersFrames, writePushPromise, writeSettings } from '../../../src/quic/spdy/http2-frames.js'
import { QuicSpdyClientSession, type StreamUnavailableError } from '../../../src/quic/spdy/spdy-client-session.js'
import { QuicSpdyServerSession } from '../../../src/quic/spdy/spdy-server-session.js'
import { QuicSpdyStream } from '../../../src/quic/spdy/spdy-stream.js'
import { clientSessionDefaults, serverSessionDefaults } from '../../../src/quic/transport/session-options.js'
import {
  connect,
  drain,
  give,
  Perspective,
  rstFrame,
  SessionPipe,
  streamFrame,
  type FakeConnection,
  type PipeFrame
} from '../../helpers/session-pipe.js'

const REQUEST: HeaderList = [[':method', 'POST'], [':scheme', 'https'], [':authority', 'a.example'], [':path', '/x']]
const RESPONSE: HeaderList = [[':status', '200'], ['server', 'test']]
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 13) & 0xff)

class Message extends QuicSpdyStream {
  readonly log: string[] = []
  headers: HeaderList | undefined
  trailers: HeaderList | undefined
  body = Buffer.alloc(0)
  reading = true
  answer: ((stream: Message) => void) | undefined

  override onInitialHeaders(headers: HeaderList, fin: boolean): void {
    this.headers = headers
    this.log.push(fin ? 'headers fin' : 'headers')
    this.answer?.(this)
  }

  override onDataAvailable(): void {
    if (this.reading) for (let part = this.read(); part !== undefined; part = this.read()) this.take(part)
    this.log.push(this.readEnded ? 'end' : 'data')
  }

  private take(part: Uint8Array): void {
    this.body = Buffer.concat([this.body, part])
  }

  override onTrailers(headers: HeaderList): void {
    this.trailers = headers
    this.log.push('trailers')
  }

  override onReset(code: number): void {
    this.log.push(`reset ${code}`)
  }

  override onStopSending(): void {
    this.log.push('stop')
  }

  override onClose(): void {
    this.log.push('close')
  }
}

class Server extends QuicSpdyServerSession {
  readonly made = new Map<number, Message>()
  prepare: (stream: Message) => void = () => {}

  protected override createIncomingDynamicStream(id: number): Message {
    const stream = new Message(id, this)
    this.prepare(stream)
    this.made.set(id, stream)
    return stream
  }
}

const openMessage = (session: QuicSpdyClientSession): Message => session.openStream((id, owner) => new Message(id, owner))

function server(options = {}, config = {}) {
  return connect(Perspective.Server, (c) => new Server(c, { ...serverSessionDefaults, ...options }), config)
}

function client(options = {}, config = {}) {
  return connect(Perspective.Client, (c) => new QuicSpdyClientSession(c, { ...clientSessionDefaults, ...options }), config)
}

function pair(path = {}) {
  const a = client({ streamWindow: 64 * 1024, connectionWindow: 1024 * 1024 })
  const b = server()
  return { a, b, pipe: new SessionPipe(a.connection, b.connection, path) }
}

/** The sending end of a headers stream, by hand. */
class Peer {
  readonly encoder = new HpackEncoder()
  private offset = 0
  constructor(
    readonly connection: FakeConnection,
    readonly isClient: boolean
  ) {}

  headers(id: number, list: HeaderList, fin: boolean, priority: number | undefined = this.isClient ? 3 : undefined): void {
    this.raw(writeHeadersFrames(id, this.encoder.encode(list), fin, priority))
  }

  raw(data: Uint8Array): void {
    give(this.connection, streamFrame(3, this.offset, data))
    this.offset += data.length
  }
}

const codeOf = (connection: FakeConnection): number | undefined => connection.closedWith?.wireCode

function resets(frames: PipeFrame[]): [number, number, number][] {
  return frames
    .filter(({ frame }) => frame.kind === SentFrameKind.RstStream)
    .map(({ frame }) => [frame.streamId, frame.errorCode, frame.offset])
}

describe('messages', () => {
  it('carry headers, body and trailers both ways', () => {
    const { a, b, pipe } = pair()
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
    const { connection, session } = server()
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
    const { connection, session } = server()
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
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, '', true))
    session.deliverEvents(0)
    new Peer(connection, true).headers(5, REQUEST, false)
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['headers', 'end'])
  })

  it('carry the priority in requests only', () => {
    const a = client()
    openMessage(a.session).writeHeaders(REQUEST, true, 0)
    const frame = drain(a.session)[0]!
    expect(frame.data[4]! & 0x20).toBe(0x20)
    expect([...frame.data.subarray(9, 14)]).toEqual([0, 0, 0, 0, 255])
    const b = server()
    new Peer(b.connection, true).headers(5, REQUEST, true)
    b.session.made.get(5)!.writeHeaders(RESPONSE, true)
    expect(drain(b.session)[0]!.data[4]! & 0x20).toBe(0)
  })

  it('schedule responses by the priority of the request', () => {
    const { connection, session } = server()
    const peer = new Peer(connection, true)
    peer.headers(5, REQUEST, true, 7)
    peer.headers(7, REQUEST, true, 0)
    for (const stream of session.made.values()) stream.write(bytes(2000), true)
    expect(drain(session).map(({ frame }) => frame.streamId)).toEqual([7, 7, 5, 5, 5])
  })

  it('survive loss and reordering, many at a time', () => {
    const { a, b, pipe } = pair({ seed: 7, loss: 0.2, reorder: 5, duplicate: 0.1, spuriousLoss: 0.05 })
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

describe('trailers', () => {
  function withResponse(...body: string[]) {
    const { connection, session } = client()
    const stream = openMessage(session)
    stream.writeHeaders(REQUEST, true)
    drain(session)
    const peer = new Peer(connection, false)
    peer.headers(5, RESPONSE, false)
    for (const part of body) give(connection, streamFrame(5, 0, part))
    return { connection, session, stream, peer }
  }

  it('wait for the body that they announce', () => {
    const { connection, session, stream, peer } = withResponse()
    peer.headers(5, [[':final-offset', '4'], ['x', 'y']], true)
    session.deliverEvents(0)
    expect([stream.trailers, stream.readEnded]).toEqual([undefined, false])
    give(connection, streamFrame(5, 0, 'body'))
    session.deliverEvents(0)
    expect(stream.trailers).toEqual([['x', 'y']])
    expect(stream.log).toEqual(['headers', 'data', 'trailers', 'end', 'close'])
  })

  it('come once a slow reader has read everything', () => {
    const { session, stream, peer } = withResponse('body')
    stream.reading = false
    peer.headers(5, [['x', 'y'], [':final-offset', '4']], true)
    session.deliverEvents(0)
    expect([stream.trailers, stream.closed]).toEqual([undefined, false])
    expect(stream.readAll()).toEqual(Uint8Array.from(Buffer.from('body')))
    session.deliverEvents(0)
    expect(stream.log.slice(-3)).toEqual(['trailers', 'end', 'close'])
  })

  it('name the length that was really sent', () => {
    const { session } = client({}, { peerStreamWindow: 16_384 })
    const stream = openMessage(session)
    stream.writeHeaders(REQUEST, false)
    stream.write(bytes(20_000))
    stream.writeTrailers([['a', 'b']])
    expect(() => stream.end()).not.toThrow()
    expect(() => stream.write(bytes(1))).toThrow()
    expect(() => stream.writeTrailers([])).toThrow()
    expect(drain(session).filter(({ frame }) => frame.streamId === 3)).toHaveLength(1)
    session.onWindowUpdateFrame(5, 40_000)
    const last = drain(session).at(-1)!
    expect(last.frame.streamId).toBe(3)
    const decoder = new HpackDecoder()
    expect(decoder.decode(last.data.subarray(14))).toEqual([[':final-offset', '20000'], ['a', 'b']])
  })

  it.each<[string, HeaderList, boolean]>([
    ['without END_STREAM', [[':final-offset', '0']], false],
    ['without :final-offset', [['a', 'b']], true],
    ['with a bad :final-offset', [[':final-offset', '-1']], true],
    ['with an unsafe :final-offset', [[':final-offset', '9007199254740993']], true],
    ['with two :final-offset', [[':final-offset', '0'], [':final-offset', '0']], true],
    ['with another pseudo-header', [[':final-offset', '0'], [':status', '200']], true],
    ['with a name twice', [[':final-offset', '0'], ['a', 'b'], ['a', 'c']], true],
    ['with an upper-case name', [[':final-offset', '0'], ['A', 'b']], true],
    ['with an empty name', [[':final-offset', '0'], ['', 'b']], true]
  ])('%s close the connection', (_name, list, fin) => {
    const { connection, peer } = withResponse()
    peer.headers(5, list, fin)
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
  })

  it('after a FIN close the connection', () => {
    const { connection, stream, peer } = withResponse()
    stream.reading = false
    give(connection, streamFrame(5, 0, 'body', true))
    peer.headers(5, [[':final-offset', '4']], true)
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
  })

  it('that contradict the body reset the stream', () => {
    const { connection, session, peer } = withResponse('body')
    peer.headers(5, [[':final-offset', '3']], true)
    expect(connection.connected).toBe(true)
    expect(resets(drain(session))).toEqual([[5, QuicRstStreamErrorCode.MULTIPLE_TERMINATION_OFFSETS, 0]])
  })
})

describe('the server that answers early', () => {
  it('sends RST_STREAM with code 0 behind its FIN once it has stopped reading, and the answer survives loss', () => {
    const { connection, session } = server()
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
    const { connection, session } = server()
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
    const { connection, session } = server()
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
    const { a, b, pipe } = pair({ seed: 3, loss: 0.1 })
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

describe('bad header blocks', () => {
  it.each([
    ['frames that are not allowed', Uint8Array.of(0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)],
    ['bad HPACK', writeHeadersFrames(5, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff), true, 3)],
    ['a promise from a client', writePushPromise(5, 2, Uint8Array.of(0x82))],
    ['HEADERS without priority', writeHeadersFrames(5, Uint8Array.of(0x82), true, undefined)],
    ['HEADERS for the headers stream', writeHeadersFrames(3, Uint8Array.of(0x82), true, 3)],
    ['settings that are not for this protocol', writeSettings([[3, 100]])]
  ])('%s close the connection', (_name, data) => {
    const { connection } = server()
    new Peer(connection, true).raw(data)
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
  })

  it('a FIN on the headers stream closes the connection', () => {
    const { connection } = server()
    give(connection, streamFrame(3, 0, '', true))
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_STREAM_ID)
  })

  it('HEADERS with a priority from a server close the connection', () => {
    const { connection, session } = client()
    openMessage(session).writeHeaders(REQUEST, true)
    new Peer(connection, false).headers(5, RESPONSE, true, 3)
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
  })

  it.each<HeaderList>([[[':status', '200'], ['X-Up', '1']], [[':status', '200'], ['', '1']]])(
    'malformed names reset the stream',
    (...list) => {
      const { connection, session } = client()
      const stream = openMessage(session)
      stream.writeHeaders(REQUEST, true)
      drain(session)
      new Peer(connection, false).headers(5, list as unknown as HeaderList, true)
      session.deliverEvents(0)
      expect(stream.log).toEqual(['close'])
      expect(resets(drain(session))).toEqual([[5, QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD, 0]])
    }
  )

  it('a list over the limit resets its stream; the next one still decodes', () => {
    const { connection, session } = server({ maxHeaderListSize: 2000 })
    const peer = new Peer(connection, true)
    peer.headers(5, [...REQUEST, ['x-indexed', 'value'], ['x-big', 'y'.repeat(3000)]], true)
    peer.headers(7, [...REQUEST, ['x-indexed', 'value']], true)
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['close'])
    expect(session.made.get(7)!.headers).toEqual([...REQUEST, ['x-indexed', 'value']])
    expect(resets(drain(session))).toEqual([[5, QuicRstStreamErrorCode.HEADERS_TOO_LARGE, 0]])
    expect(session.hasOpenStreams()).toBe(true)
  })

  it('blocks of closed streams are decoded and settle their accounts', () => {
    const { connection, session } = client()
    const [a, b] = [openMessage(session), openMessage(session)]
    a.writeHeaders(REQUEST, true)
    b.writeHeaders(REQUEST, true)
    a.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
    drain(session)
    const peer = new Peer(connection, false)
    peer.headers(5, [...RESPONSE, ['x-new', 'value']], true)
    peer.headers(7, [...RESPONSE, ['x-new', 'value']], true)
    session.deliverEvents(0)
    expect(b.headers).toEqual([...RESPONSE, ['x-new', 'value']])
    expect(a.log).toEqual(['close'])
    expect(session.hasOpenStreams()).toBe(false)
  })

  it('a peer table size of 0 is obeyed', () => {
    const { connection, session } = client()
    new Peer(connection, false).raw(writeSettings([[1, 0]]))
    openMessage(session).writeHeaders(REQUEST, true)
    const [frame] = drain(session).filter(({ frame: f }) => f.kind === SentFrameKind.Stream)
    expect(frame!.data[14]).toBe(0x20)
  })

  it('DHDT turns the dynamic table off at the server', () => {
    const { connection, session } = server({}, { connectionOptions: ['DHDT'] })
    new Peer(connection, true).headers(5, REQUEST, true)
    session.made.get(5)!.writeHeaders(RESPONSE, true)
    expect(drain(session)[0]!.data[9]).toBe(0x20)
  })
})

describe('push', () => {
  it('is decoded and refused', () => {
    const { connection, session } = client()
    const stream = openMessage(session)
    stream.writeHeaders(REQUEST, true)
    drain(session)
    const peer = new Peer(connection, false)
    peer.raw(writePushPromise(5, 2, peer.encoder.encode([...REQUEST, ['x-new', 'value']])))
    peer.headers(5, [...RESPONSE, ['x-new', 'value']], true)
    peer.headers(2, RESPONSE, false)
    give(connection, streamFrame(2, 0, 'pushed', true))
    session.deliverEvents(0)
    expect(stream.headers).toContainEqual(['x-new', 'value'])
    expect(resets(drain(session))).toEqual([[2, QuicRstStreamErrorCode.REFUSED_STREAM, 0]])
    expect(session.flowController.consumed).toBe(6)
    expect(connection.connected).toBe(true)
  })

  it.each([
    ['twice the same', [2, 2]],
    ['downwards', [4, 2]],
    ['of a stream that only the client may open', [7]],
    ['of the request itself', [5]]
  ])('promised %s closes the connection', (_name, ids) => {
    const { connection, session } = client()
    openMessage(session).writeHeaders(REQUEST, true)
    const peer = new Peer(connection, false)
    for (const id of ids) peer.raw(writePushPromise(5, id, peer.encoder.encode(REQUEST)))
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_STREAM_ID)
  })
})

describe('opening streams', () => {
  it('throws with a reason when it cannot', () => {
    const reason = (session: QuicSpdyClientSession): string | undefined => {
      try {
        openMessage(session)
        return undefined
      } catch (error) {
        return (error as StreamUnavailableError).code
      }
    }
    const { connection, session } = client({}, { peerMaxIncomingStreams: 1 })
    expect([session.canOpenStream, reason(session), session.canOpenStream]).toEqual([true, undefined, false])
    expect(reason(session)).toBe('STREAM_LIMIT')
    connection.encryptionEstablished = false
    expect(reason(session)).toBe('NOT_ESTABLISHED')
    session.onGoAwayFrame(16, 0, '')
    expect(reason(session)).toBe('GOING_AWAY')
    connection.close(16, '')
    expect(reason(session)).toBe('CLOSED')
  })
})

describe('a server under a hostile client', () => {
  it('does not begin requests that were reset at once', () => {
    const { connection, session } = server()
    new Peer(connection, true).headers(5, REQUEST, false)
    give(connection, rstFrame(5, 6, 0))
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['reset 6', 'close'])
  })

  it('takes no more requests while the client takes no headers', () => {
    const { connection, session } = server()
    const peer = new Peer(connection, true)
    session.prepare = (stream) => {
      stream.answer = (s) => s.writeHeaders([[':status', '200'], ['x', 'y'.repeat(20_000)]], true)
    }
    for (let id = 5; id < 5 + 2 * 100; id += 2) {
      peer.headers(id, REQUEST, true)
      session.deliverEvents(0)
      drain(session)
    }
    expect(session.made.size).toBeLessThan(25)
    expect(session.made.size).toBeGreaterThan(10)
  })

  it('keeps a stalled upload within its window', () => {
    const { a, b, pipe } = pair()
    b.session.prepare = (stream) => (stream.reading = false)
    const stream = openMessage(a.session)
    stream.writeHeaders(REQUEST, false)
    stream.write(bytes(1_000_000), true)
    pipe.settle()
    const stalled = b.session.made.get(5)!
    expect(stalled.readableBytes).toBe(64 * 1024)
    for (let i = 0; i < 3; i++) stalled.read()
    pipe.settle()
    expect(stalled.readableBytes).toBe(64 * 1024 - 3 * 8192)
    stalled.reading = true
    stalled.onDataAvailable()
    pipe.run(() => stalled.readEnded)
    expect(stalled.body.length + 3 * 8192).toBe(1_000_000)
  })
})
