import { describe, expect, it } from 'vitest'
import { QuicClient } from '../../src/endpoint/client.js'
import { QuicServer } from '../../src/endpoint/server.js'
import { CaProofVerifier, StaticProofSource } from '../../src/quic/crypto/proof.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { recordedAuthority, recordedKey } from '../helpers/handshake-fixture.js'
import { FullSocketEngine, VirtualClock, type FullSocketOptions } from '../helpers/sim/full-sockets.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'
import { SimClientSession, SimServerSession, type ExchangeOptions } from '../helpers/sim/sim-application.js'

const CERTIFICATE_CASE = 'chromium56-v36-get-1k'

interface Run {
  clock: VirtualClock
  engine: FullSocketEngine
  elapsedMs: number
}

/** A server and clients on full sockets, each client with these exchanges, to their end. */
async function run(
  seed: number,
  o: FullSocketOptions,
  exchanges: ExchangeOptions[],
  clients = 1,
  versions: readonly QuicVersion[] = supportedVersions
): Promise<Run> {
  const random = new SeededRandom(seed)
  const clock = new VirtualClock(random.fork())
  const engine = new FullSocketEngine(clock, random.fork(), o)
  const server = await QuicServer.listen({
    host: '127.0.0.1',
    port: 443,
    proofSource: new StaticProofSource([recordedKey(CERTIFICATE_CASE)]),
    engine,
    helper: clock,
    createSession: (connection) => new SimServerSession(connection)
  })
  const start = clock.now()
  const connected: QuicClient<SimClientSession>[] = []
  for (let i = 0; i < clients; i++) {
    const connecting = QuicClient.connect({
      host: '127.0.0.1',
      port: 443,
      serverName: 'www.example.org',
      verifier: new CaProofVerifier({ ca: [recordedAuthority(CERTIFICATE_CASE)] }),
      versions,
      engine,
      helper: clock,
      createSession: (connection) => new SimClientSession(connection)
    }).then((client) => connected.push(client))
    await Promise.race([connecting, clock.run(() => connected.length > i, 30_000)])
  }
  for (const client of connected) for (const exchange of exchanges) client.session.start(exchange)
  await clock.run(() => connected.every((client) => client.session.done), 300_000)
  const elapsedMs = (clock.now() - start) / 1000
  for (const client of connected) client.connection.disconnect(0, 'the test is over')
  void server.close()
  await clock.run(() => server.connectionCount === 0, 60_000).catch(() => undefined)
  return { clock, engine, elapsedMs }
}

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
