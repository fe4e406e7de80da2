/**
 * What handshakes may carry besides keys: sets of certificates that both ends have, what is known of the path,
 * who the client is.
 */
import { describe, expect } from 'vitest'
import { EcChannelIdKey } from '../../src/quic/crypto/channel-id.js'
import { CommonCertificateSet, CommonCertificateSets } from '../../src/quic/crypto/common-certificates.js'
import { InsecureProofVerifier } from '../../src/quic/crypto/proof.js'
import { supportedVersions, versionByLabel } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { recordedKey } from '../helpers/handshake-fixture.js'
import { EarlyWorld, rough, story } from '../helpers/sim/early-world.js'
import { scenario } from '../helpers/sim/scenario.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'
import type { ExchangeOptions } from '../helpers/sim/sim-application.js'
import type { SimWorldOptions } from '../helpers/sim/sim-world.js'

const get: ExchangeOptions = { up: 0, down: 3_000, seed: 1 }

describe('mechanism: common certificate sets', () => {
  const real = recordedKey('chromium56-v36-get-1k')
  const [large, strange] = [new SeededRandom(1).bytes(4_000), new SeededRandom(2).bytes(700)]
  const chain = [...real.chain, large]
  const certificates = [{ chain, sign: (data: Uint8Array) => real.sign(data) }]
  const sets = new CommonCertificateSets([
    new CommonCertificateSet([strange]),
    new CommonCertificateSet([strange, ...chain.slice(1)])
  ])
  const verifier = new InsecureProofVerifier()

  type Client = ReturnType<EarlyWorld['exchange']>

  /** A first connection, which learns the whole chain. */
  const learn = (version: QuicVersion, seed: number, servers?: CommonCertificateSets, clients?: object): Client => {
    const world = new EarlyWorld(seed, [version], { certificates, commonCertificates: servers })
    const client = world.exchange(get, { verifier, ...clients })
    const seen = client.connection.describeHandshake().certificates.map((der) => Buffer.from(der))
    expect(seen).toEqual(chain.map((der) => Buffer.from(der)))
    expect(world.requests).toBe(1)
    return client
  }

  for (const version of supportedVersions) {
    scenario(`${version.label}: what both ends have is not sent, and its proof needs no token`, 1, (seed) => {
      const named = learn(version, seed, sets, { commonCertificates: sets })
      const sent = learn(version, seed, sets)
      expect(sent.bytesReceived - named.bytesReceived).toBeGreaterThan(4_000)
      expect([named, sent].map((client) => client.connection.describeHandshake().helloCount)).toEqual([2, 3])
    })

    scenario(`${version.label}: ends that have different sets go on without, under loss as well`, 1, (seed) => {
      const path = (): object => ({ up: rough(), down: rough(), handshakeTimeout: 60_000_000 })
      const fewer = new CommonCertificateSets(sets.sets.slice(0, 1))
      learn(version, seed, undefined, { ...path(), commonCertificates: sets })
      learn(version, seed, fewer, { ...path(), commonCertificates: sets })
      learn(version, seed, sets, { ...path(), commonCertificates: fewer })
      learn(version, seed, sets, { ...path(), commonCertificates: sets })
    })

    scenario(`${version.label}: what a client learned holds when it has no sets any more`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { certificates, commonCertificates: sets })
      world.exchange(get, { verifier, commonCertificates: sets })
      world.world.restartServer('new')
      const again = story(world.exchange(get, { verifier }))
      expect(again).toMatchObject({ rejections: [['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE']] })
    })
  }
})

describe('mechanism: bandwidth resumption', () => {
  const large: ExchangeOptions = { up: 0, down: 600_000, seed: 3 }
  const asking = (option: string, others: string[] = []): object => ({
    transport: { connectionOptions: [option, ...others] }
  })

  interface Begun {
    /** Bytes that could be in flight when the client's hello had been accepted. */
    readonly window: number
    readonly assumedRtt: number
  }

  /** A world, and how its server's connections began. */
  const watched = (seed: number, versions: readonly QuicVersion[], o: Partial<SimWorldOptions> = {}) => {
    const begun: Begun[] = []
    const world = new EarlyWorld(seed, versions, {
      ...o,
      observe: () => ({
        onStateChanged: (_now, state) => {
          if (state !== 'encrypted') return
          const server = [...world.world.dispatcher.connections()].at(-1)!
          begun.push({ window: server.congestionWindow, assumedRtt: server.smoothedRtt })
        }
      })
    })
    return { world, begun }
  }

  /** A connection long enough for the server to find out, until it has told. */
  const learn = (world: EarlyWorld, o: object): void => {
    const known = world.cache.lookup('www.example.org', 443)
    const client = world.begin(large, o)
    world.finish(client)
    const before = known.sourceAddressToken
    world.world.run(() => known.sourceAddressToken !== before || world.requests > 1, 500)
    client.connection.close(0, 'done')
    world.world.advance(200)
  }

  for (const version of supportedVersions) {
    scenario(`${version.label}: a connection begins with the window that the one before it had come to`, 1, (seed) => {
      for (const option of ['BWRE', 'BWMX']) {
        const { world, begun } = watched(seed, [version])
        learn(world, asking(option))
        learn(world, asking(option))
        const [first, second] = begun as [Begun, Begun]
        expect(first.window).toBe(32 * 1460)
        // Where hellos are accepted at first sight there is no sample yet.
        expect(second.assumedRtt).toBeGreaterThanOrEqual(40_000)
        expect(second.assumedRtt).toBeLessThan(50_000)
        expect(second.window).toBeGreaterThan(1.5 * first.window)
        expect(second.window).toBeLessThanOrEqual(200 * 1460)
      }
    })
  }

  scenario('needs the option, in both connections, and enough packets to know', 1, (seed) => {
    const cases: [object, object, ExchangeOptions][] = [
      [asking('NSTP'), asking('BWRE'), large],
      [asking('BWRE'), asking('NSTP'), large],
      [asking('BWRE'), asking('BWRE'), { ...large, down: 20_000 }]
    ]
    for (const [before, after, exchange] of cases) {
      const { world, begun } = watched(seed, [versionByLabel('Q036')!])
      world.finish(world.begin(exchange, before))
      world.world.advance(500)
      world.exchange(get, after)
      expect(begun.map(({ window }) => window)).toEqual([32 * 1460, 32 * 1460])
    }
  })

  scenario('is by an estimate of the last hour, found in the same region', 1, (seed) => {
    let region = 'north'
    const second = (seconds: number, then: string): number => {
      region = 'north'
      const { world, begun } = watched(seed, [versionByLabel('Q039')!], { servingRegion: () => region })
      learn(world, asking('BWRE'))
      world.world.advance(seconds * 1000)
      region = then
      world.world.restartServer('kept')
      world.exchange(get, asking('BWRE'))
      return begun[1]!.window
    }
    expect(second(60, 'north')).toBeGreaterThan(33 * 1460)
    expect(second(60, 'south')).toBe(32 * 1460)
    expect(second(3_700, 'north')).toBe(32 * 1460)
  })

  scenario('outlives a rejection, under loss as well', 3, (seed) => {
    const { world, begun } = watched(seed, [versionByLabel('Q043')!], { earlyData: { accept: 'never' } })
    learn(world, asking('BWMX'))
    const client = world.exchange(get, { ...asking('BWMX'), up: rough(), down: rough(), handshakeTimeout: 60_000_000 })
    expect(story(client)).toMatchObject({ earlyData: 'rejected', rejections: [['SERVER_NONCE_REQUIRED_FAILURE']] })
    expect(begun.at(-1)!.window).toBeGreaterThan(33 * 1460)
  })
})

describe('mechanism: Channel ID', () => {
  const key = EcChannelIdKey.generate()
  const channelIds = { keyFor: () => key }
  const proven = (world: EarlyWorld): (Uint8Array | undefined)[] => world.sessions.map(({ channelId }) => channelId)

  for (const version of supportedVersions) {
    scenario(`${version.label}: the server knows a client by its key, also at first sight, over a rough path`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { channelIds: true })
      const o = { channelIds, up: rough(), down: rough(), handshakeTimeout: 60_000_000 }
      const clients = [world.exchange(get, o), world.exchange(get, o)]
      expect(proven(world)).toEqual([key.publicKey, key.publicKey])
      expect(clients.map(({ session }) => session.channelId)).toEqual([key.publicKey, key.publicKey])
      world.exchange(get)
      expect(proven(world).at(-1)).toBeUndefined()
    })
  }

  scenario('is not proven to a server that does not ask, and survives rejections of all kinds', 2, (seed) => {
    const version = versionByLabel('Q036')!
    const quiet = new EarlyWorld(seed, [version])
    quiet.exchange(get, { channelIds })
    expect(proven(quiet)).toEqual([undefined])
    const world = new EarlyWorld(seed, [version], { channelIds: true })
    world.exchange(get, { channelIds })
    world.world.restartServer('new')
    expect(story(world.exchange(get, { channelIds }))).toMatchObject({ earlyData: 'rejected' })
    world.world.restartServer('new')
    world.exchange(get, { channelIds, transport: { connectionOptions: ['SREJ'] } })
    expect(proven(world)).toEqual([key.publicKey, key.publicKey, key.publicKey])
  })
})
