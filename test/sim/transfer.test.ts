import { describe, expect } from 'vitest'
import { supportedVersions, versionByLabel } from '../../src/quic/wire/versions/registry.js'
import { Bottleneck, Corrupt, Delay, Duplicate, Loss, Mtu, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { runExchanges, scenario } from '../helpers/sim/scenario.js'
import type { ExchangeOptions } from '../helpers/sim/sim-application.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'

const MEGABYTE = 1_000_000

/** Fifty exchanges of mixed size and priority. */
function fifty(seed: number): ExchangeOptions[] {
  const random = new SeededRandom(seed)
  return Array.from({ length: 50 }, (_, i) => ({
    up: random.chance(0.5) ? 0 : random.below(4_000),
    down: random.chance(0.1) ? 0 : random.below(12_000),
    seed: i,
    priority: random.below(8)
  }))
}

describe('mechanism: bodies both ways', () => {
  for (const version of supportedVersions) {
    for (const loss of [0, 0.02, 0.1]) {
      scenario(`${version.label}, ${loss * 100} % loss`, loss === 0 ? 1 : 2, (seed) => {
        const up = [new Delay(15, 3), new Loss(loss)]
        const down = [new Delay(15, 3), new Loss(loss)]
        const exchange = { up: MEGABYTE, down: MEGABYTE, seed }
        const { client } = runExchanges({ seed, versions: [version], up, down }, [exchange])
        // Without loss nothing is sent in vain: headers and acknowledgements apart, the bytes are the bodies'.
        if (loss === 0) {
          expect(client.connection.stats.packetsLost).toBe(0)
          expect(client.bytesReceived).toBeLessThan(MEGABYTE * 1.1)
        }
      })
    }
  }

  scenario('over a slow link with a short queue, the link is used and not flooded', 2, (seed) => {
    const rate = 500_000
    const link = new Bottleneck(rate, 40_000)
    const down = [link, new Delay(25)]
    const { world, client } = runExchanges({ seed, down }, [{ up: 0, down: 2 * MEGABYTE, seed }])
    const ideal = ((2 * MEGABYTE) / rate) * 1000
    expect(world.elapsedMs).toBeGreaterThan(ideal)
    expect(world.elapsedMs).toBeLessThan(ideal * 1.5)
    const sent = client.serverSide(world)!.stats.packetsSent
    expect(link.dropped).toBeGreaterThan(0)
    expect(link.dropped / sent).toBeLessThan(0.1)
  })

  scenario('over a long path', 1, (seed) => {
    const { world } = runExchanges({ seed, up: [new Delay(300)], down: [new Delay(300)] }, [
      { up: MEGABYTE, down: MEGABYTE, seed }
    ])
    expect(world.elapsedMs).toBeLessThan(12_000)
  })
})

describe('mechanism: many streams at once', () => {
  for (const version of supportedVersions) {
    for (const loss of [0, 0.05, 0.15, 0.3]) {
      scenario(`${version.label}, ${loss * 100} % loss`, 2, (seed) => {
        const up = [new Delay(20, 5), new Loss(loss)]
        const down = [new Delay(20, 5), new Loss(loss)]
        runExchanges({ seed, versions: [version], up, down }, fifty(seed))
      })
    }
  }

  scenario('more than the server allows wait their turn', 1, (seed) => {
    const exchanges = Array.from({ length: 250 }, (_, i) => ({ up: i % 2 === 0 ? 10 : 0, down: 500, seed: i }))
    const { client } = runExchanges({ seed, up: [new Delay(10), new Loss(0.02)] }, exchanges)
    expect(client.session.streams.length).toBe(250)
  })
})

describe('mechanism: bad paths', () => {
  const paths: Record<string, () => NetworkNode[]> = {
    reorders: () => [new Delay(20), new Reorder(0.3, 80)],
    'reorders nearly everything': () => [new Delay(5), new Reorder(0.9, 40)],
    duplicates: () => [new Delay(20), new Duplicate(0.5)],
    damages: () => [new Delay(20), new Corrupt(0.1)],
    jitters: () => [new Delay(60, 55)],
    'does all of it': () => [
      new Delay(25, 10),
      new Loss(0.05),
      new Reorder(0.1, 50),
      new Duplicate(0.1),
      new Corrupt(0.05)
    ]
  }
  for (const [name, path] of Object.entries(paths)) {
    for (const version of supportedVersions) {
      scenario(`${name}: ${version.label}`, 2, (seed) => {
        const exchanges = [...fifty(seed).slice(0, 10), { up: 200_000, down: 200_000, seed }]
        runExchanges({ seed, versions: [version], up: path(), down: path() }, exchanges)
      })
    }
  }

  scenario('carries packets of 1200 bytes only', 3, (seed) => {
    const version = supportedVersions[seed % supportedVersions.length]!
    const up = [new Mtu(1200), new Delay(20), new Loss(0.02)]
    const down = [new Mtu(1200), new Delay(20), new Loss(0.02)]
    const transport = { maxPacketLength: 1200 }
    runExchanges({ seed, versions: [version], transport, up, down }, [{ up: 300_000, down: 300_000, seed }])
  })

  scenario('has small windows at its ends', 3, (seed) => {
    const transport = { streamWindow: 16_384, connectionWindow: 16_384 }
    const versions = [versionByLabel('Q036')!]
    const up = [new Delay(10), new Loss(0.05)]
    const exchanges = Array.from({ length: 8 }, (_, i) => ({ up: 40_000, down: 40_000, seed: seed + i }))
    runExchanges({ seed, versions, transport, serverTransport: transport, up }, exchanges)
  })
})
