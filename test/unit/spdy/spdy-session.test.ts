import { describe, expect, it } from 'vitest'
import type { QuicSpdyClientSession } from '../../../src/quic/spdy/spdy-client-session.js'
import { QuicSpdyStream } from '../../../src/quic/spdy/spdy-stream.js'
import { clientSessionDefaults, QuicSession } from '../../../src/quic/transport/session.js'
import type { StreamUnavailableError } from '../../../src/quic/transport/streams/stream-unavailable.js'
import { Perspective } from '../../../src/quic/types.js'
import { bytes } from '../../helpers/session-fixture.js'
import { drain, FakeConnection, give, negotiated, rstFrame } from '../../helpers/session-pipe.js'
import { Message, openMessage, Peer, REQUEST, spdyClient, spdyPair, spdyServer } from '../../helpers/spdy-fixture.js'

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
    const { connection, session } = spdyClient({}, { peerMaxIncomingStreams: 1 })
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

describe('streams of this side', () => {
  it('are what createOutgoingDynamicStream makes, unless the call says otherwise', () => {
    const { session } = spdyClient()
    const made = session.openStream()
    expect([made.id, made.constructor]).toEqual([5, QuicSpdyStream])
    const other = openMessage(session)
    expect([other.id, other.constructor]).toEqual([7, Message])
  })

  it('need a session that says what they are', () => {
    class Mute extends QuicSession {
      protected override createIncomingDynamicStream(): undefined {
        return undefined
      }

      open(): void {
        this.openOutgoingStream()
      }
    }
    const session = new Mute(new FakeConnection(Perspective.Client), clientSessionDefaults)
    session.onConfigNegotiated(negotiated())
    expect(() => session.open()).toThrow('override createOutgoingDynamicStream')
  })
})

describe('a server under a hostile client', () => {
  it('does not begin requests that were reset at once', () => {
    const { connection, session } = spdyServer()
    new Peer(connection, true).headers(5, REQUEST, false)
    give(connection, rstFrame(5, 6, 0))
    session.deliverEvents(0)
    expect(session.made.get(5)!.log).toEqual(['reset 6', 'close'])
  })

  it('takes no more requests while the client takes no headers', () => {
    const { connection, session } = spdyServer()
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
    const { a, b, pipe } = spdyPair()
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
