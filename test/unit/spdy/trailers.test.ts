import { describe, expect, it } from 'vitest'
import { QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { HpackDecoder } from '../../../src/quic/spdy/hpack/hpack-decoder.js'
import { bytes, codeOf } from '../../helpers/session-fixture.js'
import { drain, give, streamFrame } from '../../helpers/session-pipe.js'
import { openMessage, Peer, REQUEST, resets, RESPONSE, spdyClient } from '../../helpers/spdy-fixture.js'

describe('mechanism: trailers', () => {
  function withResponse(...body: string[]) {
    const { connection, session } = spdyClient()
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
    const { session } = spdyClient({}, { peerStreamWindow: 16_384 })
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
