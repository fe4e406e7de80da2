/**
 * The HTTP of real implementations, as their recorded packets carry it, taken in by our sessions: requests by a server's,
 * responses, promises and pushed responses by a client's.
 */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { QuicRstStreamErrorCode } from '../../src/quic/errors.js'
import type { QuicSession } from '../../src/quic/transport/session.js'
import { Perspective } from '../../src/quic/types.js'
import { FrameLog } from '../helpers/frame-log.js'
import { openCase, type OpenedRecording } from '../helpers/recorded-packets.js'
import { resets, openMessage, spdyClient, spdyServer, type Message } from '../helpers/spdy-fixture.js'
import { drain, type FakeConnection } from '../helpers/session-pipe.js'
import { caseNames, loadCase, type ConnectionJson, type MessageJson } from '../helpers/vectors.js'

const WINDOW = 16 * 1024 * 1024
const roomy = { streamWindow: WINDOW, connectionWindow: WINDOW, maxHeaderListSize: 1024 * 1024 }

/** Gives a session the frames that concern streams, in the order in which they arrived. */
function feed(connection: FakeConnection, session: QuicSession, packets: readonly OpenedRecording[]): void {
  const { cryptoStreamId } = connection.version.traits
  for (const { plaintext, version, packetNumber, header } of packets) {
    const log = new FrameLog()
    version.frames.decode(plaintext, 0, plaintext.length, packetNumber, header.packetNumberLength, log)
    for (const frame of log.frames) {
      connection.guard(() => {
        if (frame.kind === 'stream' && frame.streamId !== cryptoStreamId) {
          session.onStreamFrame(frame.streamId, frame.offset, frame.fin, frame.data, 0, frame.data.length)
        } else if (frame.kind === 'rstStream') {
          session.onRstStreamFrame(frame.streamId, frame.errorCode, frame.finalOffset)
        } else if (frame.kind === 'windowUpdate' && frame.streamId !== cryptoStreamId) {
          session.onWindowUpdateFrame(frame.streamId, frame.limit)
        } else if (frame.kind === 'goAway') {
          session.onGoAwayFrame(frame.errorCode, frame.lastGoodStreamId, frame.reason)
        }
      })
    }
    session.deliverEvents(connection.now)
  }
}

function compare(message: Message | undefined, expected: MessageJson): void {
  const where = `stream ${expected.streamId}`
  expect(message?.headers, where).toEqual(expected.headers)
  expect(message!.body.length, where).toBe(expected.bodyLength)
  expect(createHash('sha256').update(message!.body).digest('hex'), where).toBe(expected.bodySha256)
  expect(message!.trailers, where).toEqual(expected.trailers)
}

/** The packets of one connection that arrived at one side. */
function arrived(packets: readonly OpenedRecording[], connection: ConnectionJson, sender: Perspective): OpenedRecording[] {
  return packets.filter(
    (packet) =>
      packet.sender === sender &&
      !packet.datagram.dropped &&
      packet.connectionId.toString('hex') === connection.connectionId
  )
}

describe('mechanism: HTTP of recorded connections', () => {
  for (const name of caseNames()) {
    const recorded = loadCase(name)
    for (const connection of recorded.info.connections) {
      if (connection.version === null || connection.requests.length === 0) continue
      const { version: label, connectionId } = connection

      it(`${label}: ${name} ${connectionId}: a server takes in the requests`, () => {
        const { packets } = openCase(recorded)
        const { connection: own, session } = spdyServer(roomy, {}, label)
        // The client speaks of streams that it was promised.
        const pushed = connection.responses.filter((response) => response.pushed === true)
        session.prepare = (stream) => {
          stream.answer = (s) => {
            const resource = { scheme: 'https', authority: recorded.info.serverName, path: '/pushed' }
            if (!session.isPushed(s)) for (const _ of pushed) session.pushResource(s, s.headers!, resource)
          }
        }
        feed(own, session, arrived(packets, connection, Perspective.Client))
        expect(own.closedWith).toBe(undefined)
        for (const request of connection.requests) {
          compare(session.made.get(request.streamId), request)
        }
      })

      it(`${label}: ${name} ${connectionId}: a client takes in the responses`, () => {
        const { packets } = openCase(recorded)
        const { connection: own, session } = spdyClient({ ...roomy, push: 'accept' }, {}, label)
        own.serverName = recorded.info.serverName
        const sent = new Map<number, Message>()
        for (const { streamId, headers } of connection.requests) {
          const stream = openMessage(session)
          expect(stream.id).toBe(streamId)
          stream.writeHeaders(headers, true)
          sent.set(streamId, stream)
        }
        feed(own, session, arrived(packets, connection, Perspective.Server))
        expect(own.closedWith).toBe(undefined)
        for (const { headers } of [...session.promised]) {
          session.claimPush<Message>(headers, (stream) => void sent.set(stream!.id, stream!))
        }
        session.deliverEvents(own.now)
        for (const response of connection.responses) compare(sent.get(response.streamId), response)
      })
    }
  }
})

describe('mechanism: push, resets and GOAWAY of recorded connections', () => {
  it('Q035 and Q036: promises name the request that asks for them, and claimed pushes are acknowledged by a reset', () => {
    for (const name of ['chromium56-v36-push', 'chromium56-v35-push-claimed']) {
      const recorded = loadCase(name)
      const [connection] = recorded.info.connections
      const { packets } = openCase(recorded)
      const { connection: own, session } = spdyClient({ ...roomy, push: 'accept' }, {}, connection!.version!)
      own.serverName = recorded.info.serverName
      openMessage(session).writeHeaders(connection!.requests[0]!.headers, true)
      drain(session)
      feed(own, session, arrived(packets, connection!, Perspective.Server))
      expect(session.promised.map(({ streamId, headers }) => [streamId, ...headers])).toEqual(
        ['/p1.css', '/p2.js'].map((path, i) => [
          2 + 2 * i,
          [':method', 'GET'],
          [':scheme', 'https'],
          [':authority', 'www.example.org'],
          [':path', path],
          ['referer', 'www.example.org/push.html'],
          ['content-length', '0']
        ])
      )
      for (const { headers } of session.promised) expect(session.claimPush(headers, () => {})).toBeDefined()
      session.deliverEvents(own.now)
      // What the recorded client sent when it had read a pushed response.
      expect(resets(drain(session))).toEqual([
        [2, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 0],
        [4, QuicRstStreamErrorCode.RST_ACKNOWLEDGEMENT, 0]
      ])
    }
  })

  it('Q036: a reset of a response and GOAWAY reach the server', () => {
    const take = (name: string) => {
      const recorded = loadCase(name)
      const [connection] = recorded.info.connections
      const { connection: own, session } = spdyServer(roomy)
      feed(own, session, arrived(openCase(recorded).packets, connection!, Perspective.Client))
      return session
    }
    expect(take('chromium56-v36-rst-stream').made.get(7)!.log).toContain('reset 6')
    const gone = take('chromium56-v36-goaway')
    expect([gone.goAwayReceived, gone.pushEnabled]).toEqual([true, false])
  })
})
