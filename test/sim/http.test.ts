/**
 * What HTTP adds to the transport, on whole connections: pushed responses, forced head-of-line blocking, priorities.
 */
import { describe, expect } from 'vitest'
import { acceptingPush } from '../../src/client/hooked-client-session.js'
import { sessionOptions } from '../../src/endpoint/transport-options.js'
import type { HeaderList } from '../../src/quic/spdy/header-list.js'
import { QuicSpdyClientSession } from '../../src/quic/spdy/spdy-client-session.js'
import { QuicSpdyServerSession } from '../../src/quic/spdy/spdy-server-session.js'
import { QuicSpdyStream } from '../../src/quic/spdy/spdy-stream.js'
import type { SessionConnection } from '../../src/quic/transport/session-connection.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { Bottleneck, Delay, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { runExchanges, scenario } from '../helpers/sim/scenario.js'
import { bodyDigest } from '../helpers/sim/sim-application.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'
import { SimWorld, type SimClient } from '../helpers/sim/sim-world.js'
import { createHash } from 'node:crypto'

const bad = (): NetworkNode[] => [new Delay(20, 5), new Loss(0.08), new Reorder(0.15, 60), new Duplicate(0.1)]

const request = (path: string): HeaderList => [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'www.example.org'],
  [':path', path]
]

/** Receives a body and its digest. */
class Received extends QuicSpdyStream {
  length = 0
  ended = false
  resetWith: number | undefined
  private readonly hash = createHash('sha256')

  override onDataAvailable(): void {
    for (let bytes = this.read(); bytes !== undefined; bytes = this.read()) {
      this.length += bytes.length
      this.hash.update(bytes)
    }
    this.ended = this.readEnded
  }

  override onReset(errorCode: number): void {
    this.resetWith = errorCode
  }

  digest(): string {
    return this.hash.copy().digest('hex')
  }
}

/** Answers `/N` with N bytes; `/page` promises the paths that the session is told to. */
class Site extends QuicSpdyServerSession {
  pushes: string[] = []

  constructor(connection: SessionConnection) {
    super(connection, sessionOptions('server', {}))
  }

  protected override createIncomingDynamicStream(id: number): QuicSpdyStream {
    return new Page(id, this)
  }
}

class Page extends QuicSpdyStream {
  override onInitialHeaders(headers: HeaderList): void {
    const path = headers.find(([name]) => name === ':path')![1]
    const site = this.session as Site
    const length = path === '/page' ? 1000 : Number(path.slice(1))
    if (path === '/page') {
      for (const each of site.pushes) {
        site.pushResource(this, headers, { scheme: 'https', authority: 'www.example.org', path: each })
      }
    }
    this.writeHeaders([[':status', '200']], false)
    const random = new SeededRandom(length)
    for (let left = length; left > 0; left -= 4096) this.write(random.bytes(Math.min(left, 4096)))
    this.end()
  }
}

class Reader extends QuicSpdyClientSession {
  constructor(
    connection: SessionConnection,
    private readonly held: Received[] = []
  ) {
    super(connection, { ...sessionOptions('client', {}), push: 'accept' })
  }

  protected override createPushedStream(id: number): Received {
    const stream = new Received(id, this)
    this.held.push(stream)
    return stream
  }
}

function visit(seed: number, version: QuicVersion, pushes: string[], path = bad) {
  const transport = acceptingPush({}, [version])
  const world = new SimWorld({
    seed,
    createSession: (connection) => {
      const site = new Site(connection)
      site.pushes = pushes
      return site
    }
  })
  const held: Received[] = []
  const client: SimClient<Reader> = world.addClient({
    versions: [version],
    transport,
    up: path(),
    down: path(),
    createSession: (connection) => new Reader(connection, held)
  })
  const { session } = client
  world.run(() => client.connection.encryptionEstablished, 60_000)
  const page = session.openStream((id, owner) => new Received(id, owner))
  page.writeHeaders(request('/page'), true)
  return { world, client, session, page, held }
}

describe('mechanism: server push', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: claimed while it comes, over a bad path`, 3, (seed) => {
      const lengths = [100, 5_000, 60_000, 200_000]
      const { world, session, page } = visit(seed, version, lengths.map((length) => `/${length}`))
      const claimed = new Map<number, Received>()
      const waiting = new Set<number>()
      world.run(() => {
        if (session.closeError !== undefined) throw session.closeError
        for (const length of lengths) {
          if (waiting.has(length)) continue
          const claim = session.claimPush<Received>(request(`/${length}`), (stream) => {
            if (stream === undefined) throw new Error(`/${length} was not pushed after all`)
            claimed.set(length, stream)
          })
          if (claim !== undefined) waiting.add(length)
        }
        return page.ended && claimed.size === lengths.length && [...claimed.values()].every(({ ended }) => ended)
      }, 300_000)
      for (const [length, stream] of claimed) {
        expect([stream.length, stream.digest()]).toEqual([length, bodyDigest(length, length)])
      }
      expect(session.promiseCount).toBe(0)
    })

    scenario(`${version.label}: given up after a minute when nobody claims it`, 1, (seed) => {
      const { world, client, session, page, held } = visit(seed, version, ['/30000', '/40000'], () => [new Delay(20)])
      world.run(() => page.ended && session.promiseCount === 2)
      world.advance(2_000)
      expect(session.flowController.highestReceived).toBe(71_000)
      expect(session.promiseCount).toBe(2)
      world.advance(60_000)
      expect(session.promiseCount).toBe(0)
      expect(held.map(({ closed, length }) => [closed, length])).toEqual([[true, 0], [true, 0]])
      // What nobody read is credited all the same.
      expect(session.flowController.consumed).toBe(71_000)
      world.advance(1_000)
      expect((client.serverSide(world)!.session as Site).openStreamCount).toBe(0)
    })
  }
})

describe('mechanism: forced head-of-line blocking', () => {
  for (const version of supportedVersions.filter(({ traits }) => traits.forcedHolBlocking)) {
    for (const loss of [0, 0.1]) {
      scenario(`${version.label}: twenty exchanges, ${loss * 100} % loss`, 3, (seed) => {
        const transport = { forceHolBlocking: true }
        const random = new SeededRandom(seed)
        const exchanges = Array.from({ length: 20 }, (_, i) => ({
          up: random.below(30_000),
          down: random.below(100_000),
          seed: i,
          priority: random.below(8)
        }))
        const path = (): NetworkNode[] => [new Delay(20, 5), new Loss(loss), new Reorder(0.1, 40)]
        const { client } = runExchanges({ seed, versions: [version], transport, up: path(), down: path() }, exchanges)
        expect(client.session.forcedHolBlocking).toBe(true)
      })
    }
  }

  for (const version of supportedVersions.filter(({ traits }) => !traits.forcedHolBlocking)) {
    scenario(`${version.label}: is ignored`, 1, (seed) => {
      const transport = { forceHolBlocking: true }
      const { client } = runExchanges({ seed, versions: [version], transport }, [{ up: 20_000, down: 20_000, seed }])
      expect(client.session.forcedHolBlocking).toBe(false)
    })
  }
})

describe('mechanism: priorities', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: the urgent response overtakes the others on a slow link`, 2, (seed) => {
      const order: number[] = []
      const down = [new Bottleneck(200_000, 60_000), new Delay(20)]
      const { world, session } = visit(seed, version, [], () => down)
      const streams = [7, 7, 3, 0].map((priority) => {
        const stream = session.openStream((id, owner) => new Received(id, owner))
        stream.writeHeaders(request('/150000'), true, priority)
        return stream
      })
      world.run(() => {
        for (const [i, { ended }] of streams.entries()) if (ended && !order.includes(i)) order.push(i)
        return order.length === streams.length
      })
      expect(order.slice(0, 2)).toEqual([3, 2])
      for (const stream of streams) expect(stream.digest()).toBe(bodyDigest(150_000, 150_000))
    })
  }
})

describe('mechanism: trailers', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: come once the body is read, though they travel on the headers stream`, 2, (seed) => {
      const exchanges = [0, 1, 5_000, 200_000].map((down, i) => ({ up: 2_000, down, seed: i }))
      const { client } = runExchanges({ seed, versions: [version], up: bad(), down: bad() }, exchanges)
      // The digest in them is checked by each stream, and that the body was complete before.
      for (const { receivedTrailers } of client.session.streams) {
        expect(receivedTrailers!.map(([name]) => name)).toEqual(['x-received'])
      }
    })
  }
})
