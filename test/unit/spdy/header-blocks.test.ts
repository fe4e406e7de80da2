import { describe, expect, it } from 'vitest'
import { QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { writeHeadersFrames, writePushPromise, writeSettings } from '../../../src/quic/spdy/http2-frames.js'
import { codeOf } from '../../helpers/session-fixture.js'
import { drain, give, streamFrame } from '../../helpers/session-pipe.js'
import { openMessage, Peer, REQUEST, resets, RESPONSE, spdyClient, spdyServer } from '../../helpers/spdy-fixture.js'

describe('mechanism: header limits', () => {
  it.each([
    ['frames that are not allowed', Uint8Array.of(0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)],
    ['bad HPACK', writeHeadersFrames(5, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff), true, 3)],
    ['a promise from a client', writePushPromise(5, 2, Uint8Array.of(0x82))],
    ['HEADERS without priority', writeHeadersFrames(5, Uint8Array.of(0x82), true, undefined)],
    ['HEADERS for the headers stream', writeHeadersFrames(3, Uint8Array.of(0x82), true, 3)],
    ['settings that are not for this protocol', writeSettings([[3, 100]])]
  ])('%s close the connection', (_name, data) => {
    const { connection } = spdyServer()
    new Peer(connection, true).raw(data)
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
  })

  it('a FIN on the headers stream closes the connection', () => {
    const { connection } = spdyServer()
    give(connection, streamFrame(3, 0, '', true))
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_STREAM_ID)
  })

  it('HEADERS with a priority from a server close the connection', () => {
    const { connection, session } = spdyClient()
    openMessage(session).writeHeaders(REQUEST, true)
    new Peer(connection, false).headers(5, RESPONSE, true, 3)
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_HEADERS_STREAM_DATA)
  })

  it.each<HeaderList>([[[':status', '200'], ['X-Up', '1']], [[':status', '200'], ['', '1']]])(
    'malformed names reset the stream',
    (...list) => {
      const { connection, session } = spdyClient()
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
    const { connection, session } = spdyServer({ maxHeaderListSize: 2000 })
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
    const { connection, session } = spdyClient()
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
    const { connection, session } = spdyClient()
    new Peer(connection, false).raw(writeSettings([[1, 0]]))
    openMessage(session).writeHeaders(REQUEST, true)
    const [frame] = drain(session).filter(({ frame: f }) => f.kind === SentFrameKind.Stream)
    expect(frame!.data[14]).toBe(0x20)
  })

  it('DHDT turns the dynamic table off at the server', () => {
    const { connection, session } = spdyServer({}, { connectionOptions: ['DHDT'] })
    new Peer(connection, true).headers(5, REQUEST, true)
    session.made.get(5)!.writeHeaders(RESPONSE, true)
    expect(drain(session)[0]!.data[9]).toBe(0x20)
  })
})

describe('push', () => {
  it('is decoded and refused', () => {
    const { connection, session } = spdyClient()
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
    const { connection, session } = spdyClient()
    openMessage(session).writeHeaders(REQUEST, true)
    const peer = new Peer(connection, false)
    for (const id of ids) peer.raw(writePushPromise(5, id, peer.encoder.encode(REQUEST)))
    expect(codeOf(connection)).toBe(QuicErrorCode.INVALID_STREAM_ID)
  })
})
