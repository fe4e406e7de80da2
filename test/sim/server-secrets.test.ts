/**
 * What servers remember so that nothing is accepted twice, and how server configs succeed one another.
 */
import { describe, expect } from 'vitest'
import { ClientSessionCache } from '../../src/quic/handshake/client/session-cache.js'
import type { EarlyDataPolicy } from '../../src/quic/handshake/server/server-handshakes.js'
import { HandshakeMessage } from '../../src/quic/wire/handshake-message.js'
import { MessageTag, Tag, rejectReasonName, tagName } from '../../src/quic/wire/tags.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { badPath, EarlyWorld } from '../helpers/sim/early-world.js'
import { Delay, Recorder } from '../helpers/sim/network.js'
import { scenario } from '../helpers/sim/scenario.js'
import type { ExchangeOptions } from '../helpers/sim/sim-application.js'

type Client = ReturnType<EarlyWorld['exchange']>
type ClientOptions = NonNullable<Parameters<EarlyWorld['exchange']>[1]>

const get: ExchangeOptions = { up: 0, down: 2_000, seed: 1 }
const post: ExchangeOptions = { up: 4_000, down: 2_000, seed: 2 }
const early = supportedVersions.filter(({ traits }) => traits.diversification)

/** A connection whose packets somebody recorded. */
interface Recorded {
  readonly client: Client
  readonly packets: readonly Uint8Array[]
}

/** Makes an exchange that somebody records, until the server has forgotten the connection. */
function record(world: EarlyWorld, o: ClientOptions = {}): Recorded {
  const recorder = new Recorder()
  const client = world.exchange(get, { ...o, up: [recorder, new Delay(20)] })
  client.connection.close(0, 'done')
  return { client, packets: recorder.seen }
}

let lastPort = 7_000

/** Sends what was recorded once more, each packet twice; tells what the server had against it. */
function replay(world: EarlyWorld, { client, packets }: Recorded): { carriedOut: number; reasons: string[] } {
  const { world: simulation } = world
  const requests = world.requests
  const before = new Map(simulation.handshakes.stats.rejections)
  const from = { ...client.address, port: lastPort++ }
  for (const bytes of packets) {
    for (let copies = 0; copies < 2; copies++) simulation.inject(from, bytes)
    // What acknowledges an answer is believed once there has been one.
    simulation.advance(1)
  }
  simulation.advance(30_000)
  const reasons = [...simulation.handshakes.stats.rejections]
    .filter(([reason, count]) => count > (before.get(reason) ?? 0))
    .map(([reason]) => rejectReasonName(reason))
  return { carriedOut: world.requests - requests, reasons }
}

/** Long enough for a connection that was closed to be forgotten, its id in the time-wait list with it. */
const FORGOTTEN_MS = 250_000

function story(client: Client): [string, readonly string[]] {
  const { earlyData, rejections } = client.connection.describeHandshake()
  return [earlyData, rejections.flat()]
}

describe('mechanism: strike register', () => {
  for (const { label } of early) {
    const version = supportedVersions.find((candidate) => candidate.label === label)!
    const worldWith = (seed: number, earlyData: EarlyDataPolicy): EarlyWorld => {
      const world = new EarlyWorld(seed, [version], { earlyData })
      world.exchange(get)
      return world
    }

    scenario(`${label}: that is full refuses the oldest, never takes one twice, and goes on taking new ones`, 1, (seed) => {
      const world = worldWith(seed, { maxEntries: 2 })
      const recorded = Array.from({ length: 4 }, () => {
        world.world.advance(2_000)
        return record(world)
      })
      expect(recorded.map(({ client }) => story(client)[0])).toEqual(Array(4).fill('accepted'))
      world.world.advance(FORGOTTEN_MS)
      const [again, forgotten] = ['CLIENT_NONCE_NOT_UNIQUE_FAILURE', 'CLIENT_NONCE_INVALID_TIME_FAILURE']
      expect(recorded.map((one) => replay(world, one))).toEqual([
        { carriedOut: 0, reasons: [forgotten] },
        { carriedOut: 0, reasons: [forgotten] },
        { carriedOut: 0, reasons: [again] },
        { carriedOut: 0, reasons: [again] }
      ])
      expect(story(world.exchange(post, badPath()))).toEqual(['accepted', []])
    })

    scenario(`${label}: takes clients whose clocks are about right, in the window that it is given`, 1, (seed) => {
      const world = worldWith(seed, { windowSeconds: 60 })
      world.world.advance(100_000)
      const wrong = ['rejected', ['CLIENT_NONCE_INVALID_TIME_FAILURE']]
      const outcomes = [-63, -57, 57, 63].map((clockAhead) => story(world.exchange(post, { ...badPath(), clockAhead })))
      expect(outcomes).toEqual([wrong, ['accepted', []], ['accepted', []], wrong])
    })

    scenario(`${label}: is one of its own for each server config`, 1, (seed) => {
      const policy = { rotateEvery: 3_600, acceptFor: 7_200, lead: 60 }
      const world = new EarlyWorld(seed, [version], { earlyData: { maxEntries: 2 }, secretsPolicy: policy })
      world.exchange(get)
      world.world.advance(3_540_000)
      const old = record(world)
      const first = world.world.handshakes.primary
      world.world.rotateSecrets()
      world.world.advance(FORGOTTEN_MS)
      world.world.rotateSecrets()
      expect(world.world.handshakes.primary).not.toBe(first)
      // Clients of the next config fill its register up; the one of the first has room for all that it remembers.
      const sessionCache = new ClientSessionCache()
      for (let i = 0; i < 4; i++) record(world, { sessionCache })
      expect(story(old.client)[0]).toBe('accepted')
      expect(replay(world, old)).toEqual({ carriedOut: 0, reasons: ['CLIENT_NONCE_NOT_UNIQUE_FAILURE'] })
    })
  }
})

describe('mechanism: replay protection', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: whole connections that are repeated are carried out where nobody remembers, and only there`, 1, (seed) => {
      const repeated = (accept: 'once' | 'always' | 'never'): { carriedOut: number; reasons: string[] } => {
        const world = new EarlyWorld(seed, [version], { earlyData: { accept } })
        const recorded = record(world)
        world.world.advance(FORGOTTEN_MS)
        return replay(world, recorded)
      }
      // The first hello asks for a server config. The second answers a rejection: its server nonce ends before the id of the
      // connection is good again.
      const inchoate = 'SERVER_CONFIG_INCHOATE_HELLO_FAILURE'
      const refused = { carriedOut: 0, reasons: [inchoate, 'SERVER_NONCE_INVALID_TIME_FAILURE'] }
      const outcomes = (['once', 'never', 'always'] as const).map(repeated)
      // With entropy what the second packet acknowledges is wrong most of the time, which ends the connection.
      if (version.traits.entropy) expect(outcomes.slice(0, 2).map(({ carriedOut }) => carriedOut)).toEqual([0, 0])
      else expect(outcomes).toEqual([refused, refused, { carriedOut: 1, reasons: [inchoate] }])
    })
  }
})

describe('mechanism: server nonces', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: are new in every rejection and server hello, and answered with in the next hello`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { earlyData: { accept: 'never' } })
      const received: string[] = []
      const sent: string[] = []
      const observe: ClientOptions['observe'] = () => ({
        onHandshakeMessage: (_now, own, bytes) => {
          const message = HandshakeMessage.parse(bytes)
          const nonce = message.get(Tag.SNO)
          if (nonce !== undefined) (own ? sent : received).push(`${tagName(message.tag)} ${Buffer.from(nonce).toString('hex')}`)
        }
      })
      for (let i = 0; i < 3; i++) world.exchange(post, { ...badPath(), observe })
      expect(received.map((text) => text.split(' ')[0])).toEqual(Array(3).fill(['REJ', 'SHLO']).flat())
      expect(new Set(received).size).toBe(6)
      expect(received.every((text) => text.split(' ')[1]!.length === 2 * 48)).toBe(true)
      const rejected = received.filter((text) => text.startsWith(tagName(MessageTag.REJ)))
      expect(sent).toEqual(rejected.map((text) => text.replace('REJ', 'CHLO')))
      expect(world.requests).toBe(3)
    })

    scenario(`${version.label}: end with the process that gave them`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { earlyData: { accept: 'never', trustAfterRestart: true } })
      const known = world.cache.lookup('www.example.org', 443)
      const observe: ClientOptions['observe'] = () => ({
        onHandshakeMessage: (_now, own, bytes) => {
          const message = HandshakeMessage.parse(bytes)
          // Kept for the next connection, as that of a stateless rejection would be.
          if (!own && message.tag === MessageTag.SHLO) known.addServerNonce(message.get(Tag.SNO)!)
        }
      })
      world.exchange(get, { observe })
      world.world.restartServer('kept')
      expect(story(world.exchange(post, badPath()))).toEqual(['none', ['SERVER_NONCE_DECRYPTION_FAILURE']])
      expect(world.requests).toBe(2)
    })
  }
})

describe('mechanism: source-address tokens', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: last for a day after the last connection, in which the server hello brought another`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version])
      const after = (hours: number): ReturnType<typeof story> => {
        world.world.advance(hours * 3_600_000)
        return story(world.exchange(post, badPath()))
      }
      world.exchange(get)
      const good = version.traits.diversification ? ['accepted', []] : ['rejected', ['SERVER_NONCE_REQUIRED_FAILURE']]
      expect([after(20), after(20)]).toEqual([good, good])
      expect(after(25)).toEqual(['rejected', ['SOURCE_ADDRESS_TOKEN_EXPIRED_FAILURE']])
      expect(after(1)).toEqual(good)
    })
  }
})

describe('mechanism: server config rotation', () => {
  const policy = { rotateEvery: 3_600, acceptFor: 7_200, lead: 600 }

  for (const version of supportedVersions) {
    const accepted = version.traits.diversification
      ? ['accepted', []]
      : ['rejected', ['SERVER_NONCE_REQUIRED_FAILURE']]

    scenario(`${version.label}: several are good at a time, each until its end`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { secretsPolicy: policy })
      const { world: simulation } = world
      const caches = Array.from({ length: 3 }, () => new ClientSessionCache())
      const configOf = (cache: ClientSessionCache): Buffer => Buffer.from(cache.lookup('www.example.org', 443).serverConfigBytes)
      const untilMinute = (minute: number): void => {
        simulation.advance(minute * 60_000 - simulation.elapsedMs)
        simulation.rotateSecrets()
      }
      // One client of each hour, which the server gives its config of that hour.
      for (const [hour, sessionCache] of caches.entries()) {
        untilMinute(hour * 60 + 55)
        if (hour > 0) expect(simulation.secrets.configs.length).toBeGreaterThan(hour)
        expect(story(world.exchange(post, { ...badPath(), sessionCache }))).toEqual([
          'none',
          ['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']
        ])
        expect(configOf(sessionCache)).toEqual(Buffer.from(simulation.handshakes.primary.bytes))
      }
      expect(new Set(caches.map((cache) => configOf(cache).toString('hex'))).size).toBe(3)
      // In the third hour all three are good, and nobody is given another.
      const before = caches.map(configOf)
      for (const sessionCache of caches) expect(story(world.exchange(post, { ...badPath(), sessionCache }))).toEqual(accepted)
      if (version.traits.diversification) expect(caches.map(configOf)).toEqual(before)
      else expect(caches.map(configOf)).toEqual(Array(3).fill(before[2]))
    })

    scenario(`${version.label}: one that has ended is asked for in vain, by a full hello if the client's clock is slow`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { secretsPolicy: policy })
      const slow = new ClientSessionCache()
      for (const sessionCache of [slow, world.cache]) world.exchange(get, { sessionCache })
      world.world.advance(10_830_000)
      world.world.rotateSecrets()
      const unknown = ['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE']
      const late = world.exchange(post, { ...badPath(), clockAhead: -300, sessionCache: slow })
      expect(story(late)).toEqual(['rejected', unknown])
      expect(story(world.exchange(post, badPath()))).toEqual(['none', unknown])
      expect(world.requests).toBe(4)
      expect(story(world.exchange(get, { sessionCache: slow }))).toEqual(accepted)
    })
  }
})
