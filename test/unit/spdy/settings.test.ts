import { describe, expect, it } from 'vitest'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { Http2Setting, writeSettings } from '../../../src/quic/spdy/http2-frames.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { codeOf } from '../../helpers/session-fixture.js'
import { drain } from '../../helpers/session-pipe.js'
import { openMessage, Peer, REQUEST, spdyClient, spdyPair, spdyServer } from '../../helpers/spdy-fixture.js'

const HEADERS_TOO_LARGE = 15

describe('mechanism: SETTINGS', () => {
  for (const version of supportedVersions) {
    it(`${version.label}: takes what the version knows and closes over the rest`, () => {
      const verdict = (server: boolean, id: number, value: number): number | undefined => {
        const side = server ? spdyServer({}, {}, version.label) : spdyClient({}, {}, version.label)
        new Peer(side.connection, server).raw(writeSettings([[id, value]]))
        return codeOf(side.connection)
      }
      const listSize = version.number >= 39 ? undefined : 56
      for (const server of [true, false]) {
        expect(verdict(server, Http2Setting.HEADER_TABLE_SIZE, 1024)).toBe(undefined)
        expect(verdict(server, Http2Setting.ENABLE_PUSH, 0)).toBe(server ? undefined : 56)
        for (const id of [3, 4, 5]) expect(verdict(server, id, 1)).toBe(56)
        expect(verdict(server, Http2Setting.MAX_HEADER_LIST_SIZE, 16_384)).toBe(listSize)
        expect(verdict(server, 7, 1)).toBe(undefined)
      }
    })

    it(`${version.label}: DHDT turns the dynamic table off at both ends, whatever SETTINGS say later`, () => {
      const options = { connectionOptions: ['DHDT'] }
      const { a, b, pipe } = spdyPair({}, { label: version.label, client: options, hello: options })
      new Peer(b.connection, true)
      const request: HeaderList = [...REQUEST, ['x-custom', 'some value']]
      const sizes = [0, 1, 2].map(() => {
        const stream = openMessage(a.session)
        stream.writeHeaders(request, true)
        const [frame] = drain(a.session)
        return frame!.data.length
      })
      // Beside the size update in the first, no block profits from the one before.
      expect([sizes[0]! - sizes[1]!, sizes[1]]).toEqual([1, sizes[2]])
      pipe.settle()
      const server = spdyServer({}, { connectionOptions: ['DHDT'] }, version.label)
      const peer = new Peer(server.connection, true)
      peer.raw(writeSettings([[Http2Setting.HEADER_TABLE_SIZE, 4096]]))
      for (let i = 0; i < 2; i++) peer.headers(version.traits.firstClientStreamId + 2 * i, REQUEST, true)
      server.session.deliverEvents(0)
      const answers = [...server.session.made.values()].map((stream) => {
        stream.writeHeaders([[':status', '200'], ['x-custom', 'some value']], true)
        return drain(server.session)[0]!.data.length
      })
      expect(answers[0]! - answers[1]!).toBe(1)
    })
  }

  it("keeps the peer's limit of header lists for the application", () => {
    const { connection, session } = spdyServer({}, {}, 'Q046')
    expect(session.peerMaxHeaderListSize).toBe(Infinity)
    new Peer(connection, true).raw(writeSettings([[Http2Setting.MAX_HEADER_LIST_SIZE, 16_384]]))
    expect(session.peerMaxHeaderListSize).toBe(16_384)
  })

  it('resets a stream, or a promise, whose header list goes over the limit', () => {
    const large: HeaderList = [...REQUEST, ['x', 'y'.repeat(2000)]]
    const { connection, session } = spdyClient({ maxHeaderListSize: 1000, push: 'accept' })
    openMessage(session).writeHeaders(REQUEST, true)
    drain(session)
    const peer = new Peer(connection, false)
    peer.promise(5, 2, large)
    peer.headers(5, large, false)
    const codes = drain(session).map(({ frame }) => [frame.streamId, frame.errorCode])
    expect(codes).toEqual([
      [2, HEADERS_TOO_LARGE],
      [5, HEADERS_TOO_LARGE]
    ])
    expect(codeOf(connection)).toBe(undefined)
  })
})
