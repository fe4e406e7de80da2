/** A server and clients of the library on full sockets. */
import { QuicClient } from '../../../src/endpoint/client.js'
import { QuicServer } from '../../../src/endpoint/server.js'
import { CaProofVerifier, StaticProofSource } from '../../../src/quic/crypto/proof.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import { recordedAuthority, recordedKey } from '../handshake-fixture.js'
import { FullSocketEngine, VirtualClock, type FullSocketOptions } from './full-sockets.js'
import { SeededRandom } from './seeded-random.js'
import { SimClientSession, SimServerSession, type ExchangeOptions } from './sim-application.js'

const CERTIFICATE_CASE = 'chromium56-v36-get-1k'

/** What became of it. */
export interface FullSocketRun {
  clock: VirtualClock
  engine: FullSocketEngine
  elapsedMs: number
  /** What the server says that the kernel threw away, and how much of it it has told by events. */
  kernelDrops: number | undefined
  dropsTold: number
  clients: QuicClient<SimClientSession>[]
}

/** A server and clients on full sockets, each client with these exchanges, to their end. */
export async function runOnFullSockets(
  seed: number,
  o: FullSocketOptions,
  exchanges: ExchangeOptions[],
  clients = 1,
  versions: readonly QuicVersion[] = supportedVersions
): Promise<FullSocketRun> {
  const random = new SeededRandom(seed)
  const clock = new VirtualClock(random.fork())
  const engine = new FullSocketEngine(clock, random.fork(), o)
  let dropsTold = 0
  const server = await QuicServer.listen({
    host: '127.0.0.1',
    port: 443,
    proofSource: new StaticProofSource([recordedKey(CERTIFICATE_CASE)]),
    engine,
    helper: clock,
    onEvent: (event) => {
      if (event.type === 'datagrams-dropped') dropsTold += event.dropped
    },
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
  const { kernelDrops } = server
  for (const client of connected) client.connection.disconnect(0, 'the test is over')
  void server.close()
  await clock.run(() => server.connectionCount === 0, 60_000).catch(() => undefined)
  return { clock, engine, elapsedMs, kernelDrops, dropsTold, clients: connected }
}
