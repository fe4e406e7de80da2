import { describe, expect } from 'vitest'
import type { TransportOptions } from '../../src/endpoint/transport-options.js'
import { BbrMode, type BbrSender } from '../../src/quic/recovery/bbr-sender.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { Bottleneck, Delay, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, runExchanges, scenario, type ConnectedPair } from '../helpers/sim/scenario.js'

/** 4 Mbit/s with 64 ms and a queue of two round trips: the link of the reference's BBR tests. */
const RATE = 500_000
const LINK_DELAY = 32
const BDP = (RATE * 2 * LINK_DELAY) / 1000

function link(queue = 2 * BDP): NetworkNode[] {
  return [new Bottleneck(RATE, queue), new Delay(LINK_DELAY)]
}

function bad(): NetworkNode[] {
  return [new Delay(20, 5), new Loss(0.03), new Reorder(0.05, 30), new Duplicate(0.05)]
}

function bbrOf({ client, world }: ConnectedPair): BbrSender {
  return client.serverSide(world)!.congestionControl as BbrSender
}

function connectWith(seed: number, transport: TransportOptions, down: NetworkNode[]): ConnectedPair {
  return connectPair({ seed, transport, up: [new Delay(LINK_DELAY)], down })
}

describe('mechanism: congestion control by COPT', () => {
  const controllers: Record<string, readonly string[]> = {
    bbr: ['TBBR'],
    reno: ['RENO', 'BYTE'],
    'reno-packets': ['RENO'],
    'cubic-packets': ['BYTE']
  }
  for (const version of supportedVersions) {
    for (const [name, connectionOptions] of Object.entries(controllers)) {
      scenario(`${name}: ${version.label}`, 1, (seed) => {
        const o = { seed, versions: [version], transport: { connectionOptions }, up: bad(), down: bad() }
        const pair = runExchanges(o, [{ up: 100_000, down: 300_000, seed }])
        expect(pair.client.serverSide(pair.world)!.congestionControl.name).toBe(name)
        expect(pair.client.connection.congestionControl.name).toBe('cubic')
      })
    }
  }

  scenario('an endpoint that is told to use BBR does so without being asked', 2, (seed) => {
    const transport = { congestion: 'bbr' as const }
    const pair = runExchanges({ seed, transport, serverTransport: transport, up: bad(), down: bad() }, [
      { up: 500_000, down: 500_000, seed }
    ])
    expect(pair.client.connection.congestionControl.name).toBe('bbr')
    expect(bbrOf(pair).name).toBe('bbr')
  })
})

describe('mechanism: BBR', () => {
  const transport = { connectionOptions: ['TBBR'], streamWindow: 2_000_000, connectionWindow: 3_000_000 }

  scenario('uses a link without losing anything to its queue, and keeps the queue short', 2, (seed) => {
    // In startup the window is 2.885 round trips' worth.
    const bottleneck = new Bottleneck(RATE, 2.3 * BDP)
    const pair = connectWith(seed, transport, [bottleneck, new Delay(LINK_DELAY)])
    pair.client.session.start({ up: 0, down: 6_000_000, seed })
    pair.world.run(() => bbrOf(pair).mode === BbrMode.ProbeBandwidth, 15_000)
    // What it measures are its packets' payloads of the link's bytes.
    expect(bbrOf(pair).bandwidthEstimate * 1e6).toBeGreaterThan(0.97 * RATE)
    expect(bbrOf(pair).bandwidthEstimate * 1e6).toBeLessThan(1.03 * RATE)
    pair.world.run(() => pair.client.session.done, 60_000)
    expect(bottleneck.dropped).toBe(0)
    expect(pair.client.serverSide(pair.world)!.stats.packetsLost).toBe(0)
    expect(pair.world.elapsedMs).toBeLessThan((6_000_000 / RATE) * 1000 * 1.2)
    expect(pair.client.serverSide(pair.world)!.smoothedRtt).toBeLessThan(1.4 * 2 * LINK_DELAY * 1000)
  })

  scenario('copes with a queue of half a round trip', 2, (seed) => {
    const pair = connectWith(seed, transport, link(0.5 * BDP))
    pair.client.session.start({ up: 0, down: 4_000_000, seed })
    pair.world.run(() => pair.client.session.done, 60_000)
    expect(bbrOf(pair).bandwidthEstimate * 1e6).toBeGreaterThan(0.95 * RATE)
    expect(bbrOf(pair).bandwidthEstimate * 1e6).toBeLessThan(1.05 * RATE)
  })

  scenario('keeps its speed where packets are lost at random, and CUBIC does not', 2, (seed) => {
    const took = (connectionOptions: string[]): number => {
      const down = [new Loss(0.02), ...link(4 * BDP)]
      const pair = connectWith(seed, { ...transport, connectionOptions }, down)
      pair.client.session.start({ up: 0, down: 3_000_000, seed })
      pair.world.run(() => pair.client.session.done, 120_000)
      return pair.world.elapsedMs
    }
    const ideal = (3_000_000 / RATE) * 1000
    const bbr = took(['TBBR'])
    expect(bbr).toBeLessThan(1.35 * ideal)
    expect(bbr).toBeLessThan(took([]))
  })

  scenario('goes on after a blackout', 2, (seed) => {
    const pair = connectWith(seed, transport, link())
    pair.client.session.start({ up: 0, down: 3_000_000, seed })
    pair.world.advance(3_000)
    expect(pair.client.session.done).toBe(false)
    pair.world.run(() => pair.client.session.done, 60_000)
  })
})

describe('mechanism: N-connection emulation', () => {
  scenario('sends eight streams over a bad path as one to five connections', 1, (seed) => {
    const transport = { connectionOptions: ['NCON'] }
    const exchanges = Array.from({ length: 8 }, (_, i) => ({ up: 20_000, down: 100_000, seed: seed + i }))
    const { client } = runExchanges({ seed, transport, up: bad(), down: bad() }, exchanges)
    expect(client.session.done).toBe(true)
  })
})
