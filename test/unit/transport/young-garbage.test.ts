/**
 * What ends is to be gone with the next collection of young objects: what survives those waits for one of all objects, and is
 * copied, with everything that it refers to, until then.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { ConnectionId, ConnectionIdMap } from '../../../src/quic/connection-id.js'
import { serverSessionDefaults } from '../../../src/quic/transport/session.js'
import { QuicSpdyServerSession } from '../../../src/quic/spdy/spdy-server-session.js'
import type { QuicSpdyStream } from '../../../src/quic/spdy/spdy-stream.js'
import { Perspective } from '../../../src/quic/types.js'
import { FakeConnection } from '../../helpers/session-pipe.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void
const ROUNDS = 100
const WEIGHT = 50_000

class Session extends QuicSpdyServerSession {
  protected override createIncomingDynamicStream(): QuicSpdyStream {
    throw new Error('no stream is opened here')
  }
}

/** How many of the objects that `make` made and forgot are still there. */
function survivors(make: (round: number) => object): number {
  const weigh = (round: number): void => void Object.assign(make(round), { weight: new Uint8Array(WEIGHT) })
  weigh(0)
  collect()
  collect()
  const before = process.memoryUsage().arrayBuffers
  for (let round = 1; round <= ROUNDS; round++) weigh(round)
  collect({ type: 'minor' })
  collect({ type: 'minor' })
  return (process.memoryUsage().arrayBuffers - before) / WEIGHT
}

describe('a collection of young objects', () => {
  it('takes what a map of connection ids has let go of', () => {
    const map = new ConnectionIdMap<object>()
    const ids = Array.from({ length: ROUNDS + 1 }, (_, i) => ConnectionId.read(Uint8Array.of(i, i, i, 200, 0, 0, 0, 1)))
    const left = survivors((round) => {
      const value = {}
      map.set(ids[round]!, value)
      if (round > 3) map.delete(ids[round - 3]!)
      return value
    })
    expect(left).toBeLessThan(ROUNDS / 4)
  })

  it('takes sessions that nobody uses any more', () => {
    const left = survivors(() => new Session(new FakeConnection(Perspective.Server, 'Q043'), serverSessionDefaults))
    expect(left).toBeLessThan(ROUNDS / 4)
  })
})
