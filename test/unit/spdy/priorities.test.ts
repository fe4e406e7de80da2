import { describe, expect, it } from 'vitest'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { Http2FrameType, writePriorityFrame } from '../../../src/quic/spdy/http2-frames.js'
import { supportedVersions, versionByLabel } from '../../../src/quic/wire/versions/registry.js'
import { bytes, codeOf } from '../../helpers/session-fixture.js'
import { drain } from '../../helpers/session-pipe.js'
import { openMessage, Peer, REQUEST, RESPONSE, spdyClient, spdyPair, spdyServer } from '../../helpers/spdy-fixture.js'

/** The streams in the order in which their data went out, repetitions in a row once. */
function order(session: Parameters<typeof drain>[0]): number[] {
  const ids = drain(session)
    .filter(({ frame }) => frame.kind === SentFrameKind.Stream)
    .map(({ frame }) => frame.streamId)
  return ids.filter((id, i) => id !== ids[i - 1])
}

describe('mechanism: priorities', () => {
  for (const version of supportedVersions) {
    const { headersStreamId, firstClientStreamId: first, priorityFrames } = version.traits

    it(`${version.label}: writes headers first, then by the priority of requests, in turns of 16000 bytes`, () => {
      const { connection, session } = spdyServer({}, { peerStreamWindow: 1e6, peerConnectionWindow: 1e6 }, version.label)
      const peer = new Peer(connection, true)
      session.prepare = (stream) => {
        stream.answer = (s) => {
          s.writeHeaders(RESPONSE, false)
          s.write(bytes(20_000), true)
        }
      }
      for (const [i, priority] of [7, 3, 0, 3].entries()) peer.headers(first + 2 * i, REQUEST, true, priority)
      session.deliverEvents(0)
      const [low, normal, high, other] = [first, first + 2, first + 4, first + 6]
      expect(order(session)).toEqual([headersStreamId, high, normal, other, normal, other, low])
    })

    it(`${version.label}: PRIORITY ${priorityFrames ? 'moves a response' : 'closes the connection'}`, () => {
      const { connection, session } = spdyServer({}, { peerConnectionWindow: 1e6 }, version.label)
      const peer = new Peer(connection, true)
      session.prepare = (stream) => (stream.answer = (s) => s.write(bytes(20_000), true))
      peer.headers(first, REQUEST, true, 3)
      peer.headers(first + 2, REQUEST, true, 3)
      peer.raw(writePriorityFrame(first + 2, 0))
      expect(codeOf(connection)).toBe(priorityFrames ? undefined : 56)
      if (!priorityFrames) return
      session.deliverEvents(0)
      expect(order(session)).toEqual([first + 2, first])
      // One for a stream that is unknown or over changes nothing.
      peer.raw(writePriorityFrame(first + 100, 0))
      expect(codeOf(connection)).toBe(undefined)
    })

    it(`${version.label}: a client ${priorityFrames ? 'sends PRIORITY' : 'says nothing'} when a priority changes`, () => {
      const { a, b, pipe } = spdyPair({}, { label: version.label })
      const stream = openMessage(a.session)
      stream.setPriority(5)
      stream.writeHeaders(REQUEST, false)
      pipe.settle()
      const request = b.session.made.get(stream.id)!
      expect(request.priority).toBe(5)
      stream.setPriority(1)
      pipe.settle()
      expect(request.priority).toBe(priorityFrames ? 1 : 5)
      expect([codeOf(a.connection), codeOf(b.connection)]).toEqual([undefined, undefined])
    })
  }

  it('a server sends no PRIORITY, and a client takes none', () => {
    const server = spdyServer({}, {}, 'Q043')
    new Peer(server.connection, true).headers(5, REQUEST, true)
    server.session.deliverEvents(0)
    server.session.made.get(5)!.writeHeaders(RESPONSE, false)
    server.session.made.get(5)!.setPriority(0)
    const sent = drain(server.session).filter(({ frame }) => frame.streamId === 3)
    expect(sent.map(({ data }) => data[3])).toEqual([Http2FrameType.HEADERS])
    const client = spdyClient({}, {}, 'Q043')
    new Peer(client.connection, false).raw(writePriorityFrame(5, 0))
    expect(codeOf(client.connection)).toBe(56)
  })

  it('the same priority frames are in every version from Q043 on', () => {
    for (const version of supportedVersions) expect(version.traits.priorityFrames).toBe(version.number >= 43)
    expect(versionByLabel('Q043')!.traits.priorityFrames).toBe(true)
  })
})
