import { describe, expect, it } from 'vitest'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { Http2FrameType, writeDataHeader } from '../../../src/quic/spdy/http2-frames.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { bytes, codeOf } from '../../helpers/session-fixture.js'
import { drain, give, onePacket, rstFrame } from '../../helpers/session-pipe.js'
import {
  openMessage,
  Peer,
  REQUEST,
  resets,
  RESPONSE,
  spdyClient,
  spdyPair,
  spdyServer,
  type Message,
  type PairOptions
} from '../../helpers/spdy-fixture.js'

const asked: PairOptions = { client: { forceHolBlocking: true }, hello: { forceHolBlocking: true } }

/** A server that answers with `length` bytes, and trailers. */
function answers(length: number) {
  return (stream: Message): void => {
    stream.answer = (s) => {
      s.writeHeaders(RESPONSE, false)
      s.write(bytes(length, s.id))
      s.writeTrailers([['x-sum', String(s.id)]])
    }
  }
}

function dataFrame(id: number, data: Uint8Array, fin: boolean): Uint8Array {
  const frame = new Uint8Array(9 + data.length)
  writeDataHeader(frame, id, data.length, fin)
  frame.set(data, 9)
  return frame
}

/** The HTTP/2 frames in what was sent on the headers stream: type, stream, payload length, END_STREAM. */
function http2Frames(session: Parameters<typeof drain>[0], headersStreamId: number): [number, number, number, boolean][] {
  const stream = drain(session).filter(({ frame }) => frame.kind === SentFrameKind.Stream)
  expect(new Set(stream.map(({ frame }) => frame.streamId))).toEqual(new Set([headersStreamId]))
  const all = Buffer.concat(stream.map(({ data }) => data))
  const frames: [number, number, number, boolean][] = []
  for (let at = 0; at < all.length; ) {
    const length = all.readUIntBE(at, 3)
    frames.push([all[at + 3]!, all.readUInt32BE(at + 5), length, (all[at + 4]! & 1) === 1])
    at += 9 + length
  }
  return frames
}

describe('mechanism: forced head-of-line blocking', () => {
  for (const version of supportedVersions) {
    const { forcedHolBlocking } = version.traits

    it(`${version.label}: ${forcedHolBlocking ? 'carries every body on the headers stream' : 'is ignored'}`, () => {
      const { a, b, pipe } = spdyPair({}, { ...asked, label: version.label })
      expect([a.session.forcedHolBlocking, b.session.forcedHolBlocking]).toEqual([forcedHolBlocking, forcedHolBlocking])
      b.session.prepare = answers(100_000)
      const streams = [0, 1, 2].map(() => openMessage(a.session))
      for (const stream of streams) {
        stream.writeHeaders(REQUEST, false)
        stream.write(bytes(50_000, stream.id), true)
      }
      pipe.run(() => streams.every(({ closed }) => closed))
      pipe.settle()
      for (const stream of streams) {
        const request = b.session.made.get(stream.id)!
        expect(request.body.equals(bytes(50_000, stream.id))).toBe(true)
        expect(stream.body.equals(bytes(100_000, stream.id))).toBe(true)
        expect(stream.trailers).toEqual([['x-sum', String(stream.id)]])
      }
      expect([codeOf(a.connection), codeOf(b.connection)]).toEqual([undefined, undefined])
      expect(b.session.flowController.bytesSent).toBe(a.session.flowController.consumed)
    })

    if (!forcedHolBlocking) continue

    it(`${version.label}: survives loss, reordering and duplication`, () => {
      for (let seed = 1; seed <= 5; seed++) {
        const { a, b, pipe } = spdyPair({ seed, loss: 0.1, reorder: 5, duplicate: 0.1, spuriousLoss: 0.05 }, asked)
        b.session.prepare = answers(60_000)
        const streams = [0, 1, 2, 3].map(() => openMessage(a.session))
        for (const stream of streams) {
          stream.writeHeaders(REQUEST, false)
          stream.write(bytes(30_000, stream.id))
          stream.writeTrailers([['x-up', '1']])
        }
        pipe.run(() => streams.every(({ closed }) => closed))
        pipe.settle()
        for (const stream of streams) {
          expect(stream.body.equals(bytes(60_000, stream.id))).toBe(true)
          expect(b.session.made.get(stream.id)!.trailers).toEqual([['x-up', '1']])
        }
        expect([codeOf(a.connection), codeOf(b.connection)]).toEqual([undefined, undefined])
        expect(b.session.openStreamCount).toBe(0)
      }
    })
  }

  it('writes HTTP/2 DATA frames of at most 16375 bytes, the end in the last', () => {
    const { session } = spdyClient({ forceHolBlocking: true })
    const stream = openMessage(session)
    stream.writeHeaders(REQUEST, false)
    stream.write(bytes(40_000), true)
    const frames = http2Frames(session, 3)
    expect(frames[0]!.slice(0, 2)).toEqual([Http2FrameType.HEADERS, 5])
    expect(frames.slice(1)).toEqual([
      [Http2FrameType.DATA, 5, 16_375, false],
      [Http2FrameType.DATA, 5, 16_375, false],
      [Http2FrameType.DATA, 5, 7_250, true]
    ])
  })

  it('sends an end without data as an empty DATA frame', () => {
    const { session } = spdyClient({ forceHolBlocking: true })
    const stream = openMessage(session)
    stream.writeHeaders(REQUEST, false)
    drain(session)
    stream.end()
    expect(http2Frames(session, 3)).toEqual([[Http2FrameType.DATA, 5, 0, true]])
  })

  it('is refused where it was not negotiated: DATA closes the connection', () => {
    const { connection } = spdyServer()
    const peer = new Peer(connection, true)
    peer.headers(5, REQUEST, false)
    peer.raw(dataFrame(5, bytes(3), true))
    expect(codeOf(connection)).toBe(56)
  })

  it("counts bodies against the stream's, the connection's and the headers stream's windows", () => {
    const windows = { peerStreamWindow: 20_000, peerConnectionWindow: 30_000 }
    const { connection, session } = spdyClient({ forceHolBlocking: true }, windows)
    const [first, second] = [openMessage(session), openMessage(session)]
    for (const stream of [first, second]) {
      stream.writeHeaders(REQUEST, false)
      stream.write(bytes(50_000), true)
    }
    const sent = drain(session).filter(({ frame }) => frame.kind === SentFrameKind.Stream)
    const onHeaders = sent.reduce((sum, { data }) => sum + data.length, 0)
    // The headers stream's own window is what ends first: headers and frame headers count there as well.
    expect(onHeaders).toBe(20_000)
    expect(session.flowController.bytesSent).toBeLessThanOrEqual(30_000)
    expect(session.hasFramesToSend()).toBe(false)
    session.onWindowUpdateFrame(3, 60_000)
    drain(session)
    // One stream has all that its window allows, the other what the connection's leaves.
    expect(session.flowController.bytesSent).toBe(30_000)
    session.onWindowUpdateFrame(0, 100_000)
    session.onWindowUpdateFrame(5, 50_000)
    session.onWindowUpdateFrame(7, 50_000)
    session.onWindowUpdateFrame(3, 200_000)
    drain(session)
    expect([session.flowController.bytesSent, codeOf(connection)]).toEqual([100_000, undefined])
  })

  it('says BLOCKED for the headers stream, and goes on after its WINDOW_UPDATE', () => {
    const { session } = spdyClient({ forceHolBlocking: true }, { peerStreamWindow: 16_384 })
    const stream = openMessage(session)
    stream.writeHeaders(REQUEST, false)
    drain(session)
    stream.write(bytes(20_000), true)
    const blocked = drain(session).filter(({ frame }) => frame.kind === SentFrameKind.Blocked)
    expect(blocked.map(({ frame }) => frame.streamId)).toContain(3)
    expect(session.hasFramesToSend()).toBe(false)
    session.onWindowUpdateFrame(3, 100_000)
    session.onWindowUpdateFrame(5, 100_000)
    expect(onePacket(session).frames.some(({ frame }) => frame.streamId === 3)).toBe(true)
  })

  it('lets the window of the headers stream grow at both ends', () => {
    const { connection, session } = spdyServer({ streamWindow: 32_768, autoTune: false }, { forceHolBlocking: true })
    const peer = new Peer(connection, true)
    peer.headers(5, REQUEST, false)
    session.deliverEvents(0)
    for (let i = 0; i < 40; i++) {
      connection.now += 1000
      peer.raw(dataFrame(5, bytes(1600), false))
      session.deliverEvents(0)
    }
    const limits = drain(session).filter(({ frame }) => frame.kind === SentFrameKind.WindowUpdate && frame.streamId === 3)
    expect(limits.length).toBeGreaterThan(0)
    expect(limits.at(-1)!.frame.offset).toBeGreaterThan(64_000 + 32_768)
  })

  it('credits data of streams that are closed to the connection', () => {
    const { connection, session } = spdyServer({}, { forceHolBlocking: true })
    const peer = new Peer(connection, true)
    peer.headers(5, REQUEST, false)
    peer.raw(dataFrame(5, bytes(100), false))
    session.deliverEvents(0)
    session.made.get(5)!.reset(6)
    peer.raw(dataFrame(5, bytes(1000), false))
    peer.raw(dataFrame(5, bytes(500), true))
    expect([session.flowController.highestReceived, session.flowController.consumed]).toEqual([1600, 1600])
    expect([session.openStreamCount, codeOf(connection)]).toEqual([0, undefined])
  })

  it('refuses DATA of the headers stream, and beyond the window', () => {
    for (const [id, code] of [[3, 56], [5, 59]] as const) {
      const { connection } = spdyServer({ streamWindow: 16_384 }, { forceHolBlocking: true })
      const peer = new Peer(connection, true)
      peer.headers(5, REQUEST, false)
      if (id === 5) connection.session!.onWindowUpdateFrame(3, 1_000_000)
      for (let i = 0; i < 12 && codeOf(connection) === undefined; i++) peer.raw(dataFrame(id, bytes(1600), false))
      expect(codeOf(connection)).toBe(code)
    }
  })

  it('keeps the answer of a server that stops reading: code 0 names an offset that DATA has yet to reach', () => {
    const { a, b, pipe } = spdyPair({}, asked)
    b.session.prepare = (stream) => {
      stream.reading = false
      stream.answer = (s) => {
        s.writeHeaders(RESPONSE, false)
        s.write(bytes(80_000), true)
        s.stopReading()
      }
    }
    const stream = openMessage(a.session)
    stream.writeHeaders(REQUEST, false)
    stream.write(bytes(10))
    pipe.run(() => stream.closed)
    expect(stream.body.equals(bytes(80_000))).toBe(true)
    expect(codeOf(a.connection)).toBe(undefined)
  })

  it('takes a reset of a stream whose data it has yet to receive', () => {
    const { connection, session } = spdyClient({ forceHolBlocking: true })
    const stream = openMessage(session)
    stream.writeHeaders(REQUEST, true)
    drain(session)
    const peer = new Peer(connection, false)
    peer.headers(5, RESPONSE, false)
    give(connection, rstFrame(5, 6, 3000))
    peer.raw(dataFrame(5, bytes(3000), false))
    session.deliverEvents(0)
    expect([session.flowController.consumed, codeOf(connection)]).toEqual([3000, undefined])
    expect(resets(drain(session))).toEqual([])
  })

  it('keeps a draining server waiting until the client has everything', () => {
    const { session, connection } = spdyServer({}, { forceHolBlocking: true })
    session.prepare = answers(100)
    new Peer(connection, true).headers(5, REQUEST, true)
    session.deliverEvents(0)
    const frames = drain(session)
    expect(session.openStreamCount).toBe(1)
    for (const { frame } of frames) session.onFrameAcked(frame)
    expect(session.openStreamCount).toBe(0)
  })
})
