import { describe, expect, it } from 'vitest'
import { QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { serverSessionDefaults } from '../../../src/quic/transport/session-options.js'
import { QuicSession } from '../../../src/quic/transport/session.js'
import { QuicStream } from '../../../src/quic/transport/streams/quic-stream.js'
import type { QuicError } from '../../../src/quic/errors.js'
import {
  connect,
  drain,
  FakeConnection,
  FakePacket,
  give,
  negotiated,
  onePacket,
  Perspective,
  rstFrame,
  SessionPipe,
  streamFrame,
  type PipeFrame
} from '../../helpers/session-pipe.js'

const bytes = (length: number, seed = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + seed) & 0xff)

class TestStream extends QuicStream {
  readonly log: string[] = []
  input = Buffer.alloc(0)
  reading = true
  onData: (() => void) | undefined

  override onDataAvailable(): void {
    this.log.push('data')
    this.onData?.()
    if (this.reading) this.drainInput()
    if (this.readEnded) this.log.push('end')
  }

  drainInput(): void {
    for (let part = this.read(); part !== undefined; part = this.read()) this.input = Buffer.concat([this.input, part])
  }

  override onReset(errorCode: number): void {
    this.log.push(`reset ${errorCode}`)
  }

  override onStopSending(): void {
    this.log.push('stop')
  }

  override onWritable(): void {
    this.log.push('writable')
  }

  override onClose(): void {
    this.log.push('close')
  }
}

class TestSession extends QuicSession {
  readonly made = new Map<number, TestStream>()
  readonly errors: [TestStream | undefined, unknown][] = []
  readonly log: string[] = []
  factory: ((id: number) => TestStream | undefined) | undefined

  protected override createIncomingDynamicStream(id: number): QuicStream | undefined {
    const stream = this.factory === undefined ? new TestStream(id, this) : this.factory(id)
    if (stream !== undefined) this.made.set(id, stream)
    return stream
  }

  open(): TestStream {
    const stream = new TestStream(this.ids.nextOutgoing, this)
    this.ids.nextOutgoing += 2
    this.activate(stream)
    return stream
  }

  get canOpen(): boolean {
    return this.mayOpenStream
  }

  get counts(): [number, number] {
    return [this.ids.openIncoming, this.ids.openOutgoing]
  }

  protected override onApplicationError(stream: QuicStream | undefined, error: unknown): void {
    this.errors.push([stream as TestStream | undefined, error])
  }

  protected override onGoAway(): void {
    this.log.push('goaway')
  }

  protected override onCanOpenStream(): void {
    this.log.push('room')
  }

  protected override onSessionClosed(): void {
    this.log.push('closed')
  }
}

const limits = { ...serverSessionDefaults }

function server(config = {}, options = {}, label = 'Q036') {
  return connect(Perspective.Server, (c) => new TestSession(c, { ...limits, ...options }), config, label)
}

function client(config = {}, options = {}, label = 'Q036') {
  return connect(Perspective.Client, (c) => new TestSession(c, { ...limits, autoTune: false, ...options }), config, label)
}

function pair(pipe = {}, config = {}, options = {}) {
  const a = client(config, options)
  const b = server(config, options)
  return { a, b, pipe: new SessionPipe(a.connection, b.connection, pipe) }
}

function kinds(frames: PipeFrame[], kind: number): PipeFrame['frame'][] {
  return frames.filter(({ frame }) => frame.kind === kind).map(({ frame }) => frame)
}

const codeOf = (connection: FakeConnection): number | undefined => connection.closedWith?.wireCode

describe('ids and limits', () => {
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

describe('flow control', () => {
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

  it.each([{ peerStreamWindow: 16_383 }, { peerConnectionWindow: 16_383 }])('rejects windows below 16 KiB', (config) => {
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

describe('backpressure of writers', () => {
  it('answers false above the high-water mark and calls onWritable below half of it, once', () => {
    const { session } = client({ peerStreamWindow: 1_000_000, peerConnectionWindow: 1_000_000 }, { highWaterMark: 10_000 })
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

  it('a wake follows every call that gives the driver something to do, and none comes while packets are written', () => {
    const { connection, session } = client()
    const stream = session.open()
    for (const action of [() => stream.write(bytes(1)), () => stream.end(), () => stream.reset(6)]) {
      const before = connection.wakes
      action()
      expect(connection.wakes).toBe(before + 1)
    }
  })
})

describe('the application', () => {
  it('is called from deliverEvents only', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, 'x', true))
    give(connection, rstFrame(7, 0, 0))
    expect(session.made.get(5)!.log).toEqual([])
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['data', 'end'])
  })

  it('may fail: its stream is reset, others go on', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, 'x'))
    give(connection, streamFrame(7, 0, 'y'))
    const error = new Error('oops')
    session.made.get(5)!.onData = () => {
      throw error
    }
    session.deliverEvents(0)
    expect(session.errors).toEqual([[session.made.get(5), error]])
    expect(session.made.get(5)!.log).toEqual(['data', 'close'])
    expect(session.made.get(7)!.input.toString()).toBe('y')
    const [rst] = kinds(drain(session), SentFrameKind.RstStream)
    expect([rst!.streamId, rst!.errorCode]).toEqual([5, QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM])
    expect(connection.connected).toBe(true)
  })

  it('closes the connection by throwing a QuicError, and every stream hears of it once', () => {
    const { connection, session } = server()
    give(connection, streamFrame(5, 0, 'x'))
    give(connection, streamFrame(7, 0, 'y'))
    session.made.get(5)!.onData = () => connection.close(QuicErrorCode.PEER_GOING_AWAY, 'enough')
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['data', 'close'])
    expect(session.made.get(7)!.log).toEqual(['data', 'close'])
    expect(session.made.get(7)!.input.toString()).toBe('y')
    expect(session.log.at(-1)).toBe('closed')
    expect((session.closeError as QuicError).wireCode).toBe(QuicErrorCode.PEER_GOING_AWAY)
    expect([session.closedByPeer, session.hasFramesToSend(), session.openStreamCount]).toEqual([false, false, 0])
  })

  it('may fail when it makes a stream', () => {
    const { connection, session } = server()
    session.factory = () => {
      throw new Error('no memory')
    }
    give(connection, streamFrame(5, 0, 'x'))
    expect(session.errors).toEqual([])
    session.deliverEvents(0)
    expect(session.errors).toEqual([[undefined, new Error('no memory')]])
    expect(kinds(drain(session), SentFrameKind.RstStream)[0]!.errorCode).toBe(
      QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM
    )
  })

  it('learns of GOAWAY and opens nothing afterwards', () => {
    const { connection, session } = client()
    connection.guard(() => session.onGoAwayFrame(QuicErrorCode.PEER_GOING_AWAY, 0, 'bye'))
    session.deliverEvents(0)
    expect(session.log.at(-1)).toBe('goaway')
    expect([session.canOpen, session.goAwayReceived]).toEqual([false, true])
  })

  it('gets complete data that came together with the end of the connection', () => {
    const { connection, session } = client()
    const stream = session.open()
    stream.end()
    drain(session)
    give(connection, streamFrame(5, 0, 'answer', true))
    connection.close(QuicErrorCode.PEER_GOING_AWAY, '')
    session.deliverEvents(0)
    expect(stream.input.toString()).toBe('answer')
    expect(stream.log).toEqual(['data', 'end', 'close'])
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
