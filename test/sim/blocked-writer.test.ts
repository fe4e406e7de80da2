import { describe, expect, it } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { runOnFullSockets as run } from '../helpers/sim/full-socket-run.js'
import type { FullSocketOptions } from '../helpers/sim/full-sockets.js'

const tight: FullSocketOptions = { capacity: 20, perDatagram: 300, delay: 5_000, loss: 0 }

describe('mechanism: blocked writer', () => {
  for (const version of supportedVersions) {
    it(`a socket that is full again and again loses nothing: ${version.label}`, async () => {
      const seed = 7 + version.number
      const { engine } = await run(seed, tight, [{ up: 300_000, down: 300_000, seed }], 1, [version])
      const [server, client] = engine.sockets
      expect(server!.timesFull).toBeGreaterThan(5)
      expect(client!.timesFull).toBeGreaterThan(5)
      // One transmit of 16 over the mark at most.
      expect(server!.largestQueue).toBeLessThan(tight.capacity + 16)
    })
  }

  it('serves all connections of a server in turn', async () => {
    const { engine } = await run(3, { ...tight, loss: 0.02 }, [{ up: 40_000, down: 120_000, seed: 3 }], 12)
    expect(engine.sockets[0]!.timesFull).toBeGreaterThan(20)
  }, 30_000)

  it('does not spin while it waits: nothing is sent again for being slow, and alarms are few', async () => {
    // Each datagram takes 20 ms to leave: a full socket is one for 200 ms.
    const slow = { capacity: 10, perDatagram: 20_000, delay: 5_000, loss: 0 }
    const { clock, engine, elapsedMs } = await run(5, slow, [{ up: 0, down: 150_000, seed: 5 }])
    const [server] = engine.sockets
    expect(server!.timesFull).toBeGreaterThan(3)
    expect(server!.sent).toBeLessThan(1.6 * (150_000 / 1350))
    expect(clock.alarms).toBeLessThan(elapsedMs / 10)
  })
})
