import { describe, expect } from 'vitest'
import { InsecureProofVerifier } from '../../src/quic/crypto/proof.js'
import { supportedVersions, versionByLabel } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { recordedKey } from '../helpers/handshake-fixture.js'
import { EarlyWorld, rough, story } from '../helpers/sim/early-world.js'
import { Delay, DropIf, Recorder, type InTransit, type NetworkNode } from '../helpers/sim/network.js'
import { scenario } from '../helpers/sim/scenario.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'
import { SimClientSession, type ExchangeOptions } from '../helpers/sim/sim-application.js'

const get: ExchangeOptions = { up: 0, down: 3_000, seed: 1 }
const post: ExchangeOptions = { up: 20_000, down: 3_000, seed: 2 }
const DAY_MS = 86_400_000

/** Holds the first packet back, so that others overtake it. */
class HeldBack implements NetworkNode {
  private first = true

  constructor(private readonly ms: number) {}

  pass(packet: InTransit, _random: SeededRandom, emit: (packet: InTransit) => void): void {
    emit(this.first ? { ...packet, at: packet.at + this.ms * 1000 } : packet)
    this.first = false
  }
}

function randomBytes(seed: number, length: number): Uint8Array {
  return new SeededRandom(seed).bytes(length)
}

describe('mechanism: 0-RTT', () => {
  for (const version of supportedVersions) {
    const { label } = version
    const early = version.traits.diversification

    scenario(`${label}: requests of a later connection leave with its first flight`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version])
      expect(story(world.exchange(get))).toMatchObject({ helloCount: 2, earlyData: 'none' })
      const before = world.world.elapsedMs
      const client = world.begin(get)
      expect(world.world.elapsedMs).toBe(before)
      world.world.run(() => client.session.streams[0]!.receivedHeaders !== undefined)
      expect(world.world.elapsedMs - before).toBe(early ? 40 : 80)
      world.finish(client)
      expect(story(client)).toEqual(
        early
          ? { helloCount: 1, earlyData: 'accepted', rejections: [] }
          : { helloCount: 2, earlyData: 'rejected', rejections: [['SERVER_NONCE_REQUIRED_FAILURE']] }
      )
      const server = client.serverSide(world.world)!.describeHandshake()
      expect(server.earlyData).toBe(early ? 'accepted' : 'rejected')
      expect(world.requests).toBe(2)
    })

    scenario(`${label}: what a server that was replaced could not read arrives once, under new keys`, 2, (seed) => {
      const world = new EarlyWorld(seed, [version])
      world.exchange(get)
      world.world.restartServer('new')
      const before = world.world.elapsedMs
      const client = world.begin(post)
      world.world.run(() => world.requests === 2)
      // Behind the second hello, without waiting for anything to count as lost.
      expect(world.world.elapsedMs - before).toBe(60)
      world.finish(client)
      expect(story(client)).toEqual({
        helloCount: 2,
        earlyData: 'rejected',
        rejections: [['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE']]
      })
      expect(world.requests).toBe(2)
      expect(story(world.exchange(post))).toMatchObject({ earlyData: early ? 'accepted' : 'rejected' })
    })

    scenario(`${label}: accepted or rejected, requests arrive once on a bad path`, 4, (seed) => {
      const world = new EarlyWorld(seed, [version])
      world.exchange(get)
      for (const [i, change] of (['none', 'new', 'none', 'kept'] as const).entries()) {
        if (change !== 'none') world.world.restartServer(change)
        world.exchange({ ...post, seed: i + 10 }, { up: rough(), down: rough(), handshakeTimeout: 60_000_000 })
      }
      expect(world.requests).toBe(5)
    })
  }

  scenario('is followed by a round trip where a proof that comes anew is too large for the first rejection', 2, (seed) => {
    const real = recordedKey('chromium56-v36-get-1k')
    const ballast = randomBytes(seed, 5_000)
    const large = { chain: [...real.chain, ballast], sign: (data: Uint8Array) => real.sign(data) }
    const world = new EarlyWorld(seed, supportedVersions, { certificates: [large] })
    const verifier = new InsecureProofVerifier()
    expect(story(world.exchange(get, { verifier }))).toEqual({
      helloCount: 3,
      earlyData: 'none',
      rejections: [['SERVER_CONFIG_INCHOATE_HELLO_FAILURE'], ['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']]
    })
    // Whoever comes from another address has to prove that one first; the chain it knows need not come again.
    world.world.restartServer('new')
    const client = world.exchange(post, { verifier })
    expect(story(client)).toMatchObject({ earlyData: 'rejected' })
    expect(world.requests).toBe(2)
  })

  scenario('takes a chain of many packets, beyond what the crypto stream holds at first', 2, (seed) => {
    const real = recordedKey('chromium56-v36-get-1k')
    const chain = [...real.chain, randomBytes(seed, 40_000)]
    const large = { chain, sign: (data: Uint8Array) => real.sign(data) }
    for (const version of supportedVersions) {
      const world = new EarlyWorld(seed, [version], { certificates: [large] })
      const path = { up: rough(), down: rough(), handshakeTimeout: 60_000_000 }
      const client = world.exchange(get, { verifier: new InsecureProofVerifier(), ...path })
      expect(story(client)).toMatchObject({ helloCount: 3 })
      expect(client.connection.describeHandshake().certificates).toHaveLength(chain.length)
    }
  })

  scenario('begins anew where the cached proof no longer holds', 1, (seed) => {
    const world = new EarlyWorld(seed, supportedVersions)
    world.exchange(get)
    let checks = 0
    const verifier = { verify: () => (checks++ === 0 ? 'the certificate was withdrawn' : undefined) }
    expect(story(world.exchange(get, { verifier }))).toMatchObject({ helloCount: 2, earlyData: 'none' })
    expect(checks).toBe(2)
  })

  describe('where the server does not speak the version any more', () => {
    const downgrade = (seed: number, from: string, to: string): EarlyWorld => {
      const [newer, older] = [versionByLabel(from)!, versionByLabel(to)!]
      const world = new EarlyWorld(seed, [newer, older])
      world.exchange(get)
      world.world.speak([older])
      world.world.restartServer('kept')
      return world
    }
    const trust = { trustAfterRestart: true }

    scenario('requests are sent again in the one that negotiation finds', 2, (seed) => {
      for (const [from, to] of [['Q046', 'Q043'], ['Q036', 'Q033'], ['Q043', 'Q039'], ['Q034', 'Q032']] as const) {
        for (const path of [{}, { up: rough(), down: rough(), handshakeTimeout: 60_000_000 }]) {
          const world = downgrade(seed, from, to)
          const client = world.exchange(post, path)
          expect(client.connection.version.label).toBe(to)
          expect(world.requests).toBe(2)
          expect(client.connection.describeHandshake().earlyData).toBe('rejected')
        }
      }
    })

    scenario('and numbers streams otherwise, the connection ends once, and later ones know', 2, (seed) => {
      const world = downgrade(seed, 'Q050', 'Q046')
      const client = world.begin(post)
      world.world.run(() => !client.connection.connected)
      expect(client.connection.closeError!.code).toBe('QUIC_INVALID_VERSION')
      expect(world.exchange(post).connection.version.label).toBe('Q046')
      expect(world.requests).toBe(2)
    })

    scenario('a client that knows waits for the negotiation, and no longer', 1, (seed) => {
      const versions = [versionByLabel('Q050')!, versionByLabel('Q046')!]
      const world = new EarlyWorld(seed, versions, { versions: versions.slice(1), earlyData: trust })
      world.exchange(get)
      const before = world.world.elapsedMs
      const client = world.begin(get)
      expect(world.world.elapsedMs - before).toBe(40)
      world.finish(client)
      expect(story(client)).toMatchObject({ helloCount: 1, rejections: [] })
      // The server may speak it again one day.
      world.world.speak(versions)
      world.world.restartServer('kept')
      expect(world.exchange(get).connection.version.label).toBe('Q050')
      expect(story(world.exchange(get))).toMatchObject({ earlyData: 'accepted' })
    })
  })
})

describe('mechanism: early packets', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: requests that overtake their hello wait for it, and need not be sent again`, 2, (seed) => {
      const world = new EarlyWorld(seed, [version])
      world.exchange(get)
      const begun = world.world.elapsedMs
      const late = new HeldBack(30)
      const client = world.begin({ ...post, up: 5_000 }, { up: [late, new Delay(20)] })
      world.world.run(() => world.sessions.at(-1)!.streams.length > 0 && world.requests === 2)
      // The hello takes 50 ms; where it is rejected, and requests are sent for the first time later, a round trip more.
      const early = version.traits.diversification
      expect(world.world.elapsedMs - begun).toBe(early ? 50 : 90)
      world.finish(client)
      expect(client.connection.stats.packetsLost).toBe(0)
    })
  }
})

describe('mechanism: replay protection', () => {
  const replayed = (seed: number, accept: 'once' | 'always', version: QuicVersion): number => {
    const world = new EarlyWorld(seed, [version], { earlyData: { accept } })
    world.exchange(get)
    const recorder = new Recorder()
    const client = world.exchange(get, { up: [recorder, new Delay(20)] })
    client.connection.close(0, '')
    // The connection is forgotten, its id even by the time-wait list; the hello is not.
    world.world.advance(300_000)
    expect(world.requests).toBe(2)
    for (const bytes of recorder.seen) world.world.inject({ ...client.address, port: 7777 }, bytes)
    world.world.advance(60_000)
    return world.requests - 2
  }

  for (const version of supportedVersions.filter(({ traits }) => traits.diversification)) {
    scenario(`${version.label}: a recorded first flight is carried out once`, 1, (seed) => {
      expect(replayed(seed, 'once', version)).toBe(0)
      // What it is good for: the same without a register.
      expect(replayed(seed, 'always', version)).toBe(1)
    })
  }

  scenario('makes clients wait for a round trip after a restart, until what was accepted before has run out', 1, (seed) => {
    const world = new EarlyWorld(seed, supportedVersions)
    world.exchange(get)
    world.world.restartServer('kept')
    expect(story(world.exchange(get))).toMatchObject({
      earlyData: 'rejected',
      rejections: [['CLIENT_NONCE_INVALID_TIME_FAILURE']]
    })
    world.world.advance(601_000)
    expect(story(world.exchange(get))).toMatchObject({ earlyData: 'accepted' })
    const trusting = new EarlyWorld(seed, supportedVersions, { earlyData: { trustAfterRestart: true } })
    trusting.exchange(get)
    trusting.world.restartServer('kept')
    expect(story(trusting.exchange(get))).toMatchObject({ earlyData: 'accepted' })
  })

  scenario('makes every client wait where early requests are refused', 1, (seed) => {
    const world = new EarlyWorld(seed, supportedVersions, { earlyData: { accept: 'never' } })
    world.exchange(get)
    expect(story(world.exchange(post))).toMatchObject({
      earlyData: 'rejected',
      rejections: [['SERVER_NONCE_REQUIRED_FAILURE']]
    })
    expect(world.requests).toBe(2)
  })
})

describe('mechanism: stateless reject', () => {
  const transport = { connectionOptions: ['SREJ'] }

  for (const version of supportedVersions) {
    scenario(`${version.label}: the client comes back under the id that the server chose`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version])
      const id = (): string => client.connection.connectionId.toString()
      const client = world.world.addClient({
        versions: [version],
        transport,
        sessionCache: world.cache,
        createSession: (connection) => new SimClientSession(connection, transport)
      })
      const first = id()
      world.world.run(() => client.connection.encryptionEstablished)
      expect(id()).not.toBe(first)
      expect(world.world.elapsedMs).toBe(40)
      expect(world.world.dispatcher.connectionCount).toBe(0)
      client.session.start(post)
      world.finish(client)
      expect(story(client)).toEqual({
        helloCount: 1,
        earlyData: 'none',
        rejections: [['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']]
      })
      const { statelessRejects, connectionsCreated } = world.world.dispatcher.stats
      expect([statelessRejects, connectionsCreated, world.sessions.length]).toEqual([1, 1, 1])
    })

    scenario(`${version.label}: requests sent before it are sent again, and arrive once, on a bad path`, 3, (seed) => {
      const world = new EarlyWorld(seed, [version])
      world.exchange(get, { transport })
      world.world.restartServer('new')
      const path = { up: rough(), down: rough(), handshakeTimeout: 60_000_000 }
      const client = world.exchange(post, { transport, ...path })
      expect(client.connection.describeHandshake().rejections[0]).toEqual(['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE'])
      expect(world.world.dispatcher.stats.statelessRejects).toBeGreaterThan(0)
      expect(world.requests).toBe(2)
    })
  }

  scenario('is repeated for a client that lost it', 2, (seed) => {
    const world = new EarlyWorld(seed, supportedVersions)
    const down = [new Delay(20), new DropIf((_bytes, index) => index < 3)]
    const client = world.exchange(get, { transport, down })
    expect(story(client)).toMatchObject({ helloCount: 1 })
    expect(world.world.dispatcher.stats.statelessRejects).toBe(1)
  })

  scenario('does not come to clients that did not ask for it', 1, (seed) => {
    const world = new EarlyWorld(seed, supportedVersions)
    world.exchange(get)
    expect(world.world.dispatcher.stats.statelessRejects).toBe(0)
  })

  scenario('is given up after the fourth', 1, (seed) => {
    const world = new EarlyWorld(seed, supportedVersions)
    const verifier = new InsecureProofVerifier()
    // A token for another address each time: the server never gets to know this one.
    const client = world.world.addClient({
      transport,
      verifier,
      createSession: (connection) => new SimClientSession(connection, transport)
    })
    let port = 1
    world.world.rewriteSource = (from) => ({ ...from, address: `10.0.0.${port++}` })
    world.world.run(() => !client.connection.connected, 60_000)
    expect(client.connection.closeError!.code).toBe('QUIC_CRYPTO_TOO_MANY_REJECTS')
    expect(client.connection.closeError!.details).toMatch(/^4 stateless rejects, the last for SERVER_CONFIG/)
  })
})

describe('mechanism: server config update', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: connected clients learn the next config and begin with it`, 2, (seed) => {
      const world = new EarlyWorld(seed, [version])
      const until = (ms: number): void => world.world.advance(ms - world.world.elapsedMs)
      until(DAY_MS - 600_000)
      world.world.rotateSecrets()
      until(DAY_MS - 20_000)
      world.exchange(get, { up: rough(), down: rough(), handshakeTimeout: 60_000_000 })
      const first = world.world.handshakes.primary
      world.world.rotateSecrets()
      expect(world.world.handshakes.primary).toBe(first)
      const known = world.cache.lookup('www.example.org', 443)
      expect(Buffer.compare(known.serverConfigBytes, first.bytes)).toBe(0)
      until(DAY_MS)
      world.world.rotateSecrets()
      expect(world.world.handshakes.primary).not.toBe(first)
      world.world.run(() => Buffer.compare(known.serverConfigBytes, world.world.handshakes.primary.bytes) === 0, 60_000)
      expect(known.proofValid).toBe(true)
      expect(story(world.exchange(get))).toMatchObject({
        earlyData: version.traits.diversification ? 'accepted' : 'rejected'
      })
    })
  }
})
