import { describe, expect, it } from 'vitest'
import { QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { SentFrameKind } from '../../../src/quic/recovery/sent-frame.js'
import { client, kinds, server } from '../../helpers/session-fixture.js'
import { drain, give, rstFrame, streamFrame } from '../../helpers/session-pipe.js'

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
    expect(session.closeError!.wireCode).toBe(QuicErrorCode.PEER_GOING_AWAY)
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
