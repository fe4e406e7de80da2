import { describe, expect } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import {
  Bottleneck,
  Corrupt,
  Delay,
  DropIf,
  Duplicate,
  Loss,
  Reorder,
  type NetworkNode
} from '../helpers/sim/network.js'
import { makePair, scenario } from '../helpers/sim/scenario.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'

/**
 * Nothing protects a public reset: one that answers a damaged connection id, damaged itself in the same bit, rightly ends
 * the connection.
 */
const isPublicReset = (bytes: Uint8Array): boolean => (bytes[0]! & 0x82) === 0x02

/** Some path: mostly bearable, sometimes awful. */
function somePath(random: SeededRandom, damage: boolean): NetworkNode[] {
  const nodes: NetworkNode[] = []
  if (random.chance(0.3)) nodes.push(new Bottleneck(50_000 + random.below(3_000_000), 15_000 + random.below(200_000)))
  nodes.push(new Delay(random.below(150), random.below(60)))
  if (random.chance(0.5)) nodes.push(new Loss(random.unit() * 0.2))
  if (random.chance(0.3)) nodes.push(new Reorder(random.unit() * 0.5, 1 + random.below(150)))
  if (random.chance(0.3)) nodes.push(new Duplicate(random.unit() * 0.5, 1 + random.below(200)))
  if (damage) nodes.push(new Corrupt(random.unit() * 0.15, isPublicReset))
  if (random.chance(0.2)) {
    // Now and then everything is lost for a while.
    const every = 1_000_000 + random.below(4_000_000)
    const length = random.below(600_000)
    nodes.push(new DropIf((_bytes, _index, at) => at % every < length))
  }
  return nodes
}

const window = (random: SeededRandom): number => 16_384 * (1 + random.below(random.chance(0.5) ? 3 : 40))

// 200 runs, in parts so that no single test takes long; `npm run test:nightly` makes it 10,000.
const PARTS = 8

describe('whatever the network does', () => {
  for (let part = 1; part <= PARTS; part++) {
    scenario(`what arrives is what was sent, and everything arrives (part ${part})`, 25, anyExchange)
  }
})

function anyExchange(seed: number): void {
  const random = new SeededRandom(seed)
  const newest = random.below(supportedVersions.length)
  const versions = supportedVersions.slice(newest)
  // Nothing protects a version negotiation packet: one that is damaged rightly looks like a downgrade attack later.
  const damage = random.chance(0.3)
  const serverVersions = supportedVersions.slice(damage ? 0 : random.below(supportedVersions.length))
  const transport = { streamWindow: window(random), connectionWindow: window(random), idleTimeoutSeconds: 300 }
  const serverTransport = { ...transport, streamWindow: window(random), connectionWindow: window(random) }
  if (random.chance(0.3)) Object.assign(transport, { congestion: 'reno', maxPacketLength: 1200 + random.below(200) })
  const handshakeTimeout = 60_000_000
  const [up, down] = [somePath(random, damage), somePath(random, damage)]
  const pair = makePair({ seed, versions, serverVersions, transport, serverTransport, handshakeTimeout, up, down })
  const { world, client } = pair
  world.run(() => client.connection.encryptionEstablished || !client.connection.connected, 90_000)
  const big = random.below(30)
  const count = client.connection.connected ? 1 + random.below(30) : 0
  for (let i = 0; i < count; i++) {
    const scale = i === big ? 300_000 : 15_000
    const up = random.chance(0.4) ? 0 : random.below(scale)
    const down = random.chance(0.2) ? 0 : random.below(scale)
    client.session.start({ up, down, seed: i, priority: random.below(8) })
    if (random.chance(0.1)) world.advance(random.below(500))
  }
  world.run(() => client.connection.handshakeConfirmed || !client.connection.connected, 90_000)
  if (!client.connection.handshakeConfirmed) {
    // A path may be so bad that the handshake runs into its idle timeout; and a first hello whose packet number is damaged
    // looks like a packet of a connection that the server has forgotten. There is no other way out.
    const ways = damage ? ['QUIC_NETWORK_IDLE_TIMEOUT', 'QUIC_PUBLIC_RESET'] : ['QUIC_NETWORK_IDLE_TIMEOUT']
    expect(ways).toContain(client.connection.closeError!.code)
    return
  }
  world.run(() => client.session.done, 900_000)
  const server = pair.serverSession()
  if (server.applicationError !== undefined) throw server.applicationError
}
