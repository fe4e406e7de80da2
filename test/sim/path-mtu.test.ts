import { describe, expect } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { Bottleneck, Delay, Duplicate, Loss, Mtu, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, runExchanges, scenario, type ConnectedPair } from '../helpers/sim/scenario.js'

/** A path that carries this much, and is bad otherwise. */
function narrow(payload: number, loss = 0.02): NetworkNode[] {
  return [new Mtu(payload), new Delay(15, 3), new Loss(loss), new Reorder(0.03, 20), new Duplicate(0.03)]
}

/** Changes its largest payload while the scenario runs. */
class ChangingMtu implements NetworkNode {
  payload = Infinity

  pass(...[packet, _random, emit]: Parameters<NetworkNode['pass']>): void {
    if (packet.bytes.length <= this.payload) emit(packet)
  }
}

/** Holds back everything that is sent in a while from `begin` on, and lets it go at the end of that, the newest first. */
class Backlog implements NetworkNode {
  begin = Infinity

  constructor(private readonly length: number) {}

  pass(...[packet, _random, emit]: Parameters<NetworkNode['pass']>): void {
    const end = this.begin + this.length
    const held = packet.at >= this.begin && packet.at < end
    emit(held ? { ...packet, at: end + Math.ceil((end - packet.at) / 100) } : packet)
  }
}

function serverOf({ client, world }: ConnectedPair): { maxPacketLength: number } {
  return client.serverSide(world)!
}

describe('mechanism: MTU discovery', () => {
  for (const version of supportedVersions) {
    for (const [option, target] of [
      ['MTUH', 1450],
      ['MTUL', 1430]
    ] as const) {
      scenario(`${option} raises the packet size to ${target}: ${version.label}`, 1, (seed) => {
        const transport = { connectionOptions: [option] }
        const o = { seed, versions: [version], transport, up: narrow(1500), down: narrow(1500) }
        const pair = runExchanges(o, [{ up: 1_500_000, down: 1_500_000, seed }])
        expect(serverOf(pair).maxPacketLength).toBe(target)
        expect(pair.client.connection.maxPacketLength).toBe(target)
        expect(pair.client.largestReceived).toBe(target)
      })
    }

    scenario(`a path too narrow for the probes keeps its size, and its speed: ${version.label}`, 1, (seed) => {
      const took = (connectionOptions: string[]): number => {
        const o = { seed, versions: [version], transport: { connectionOptions } }
        const path = (): NetworkNode[] => [new Mtu(1400), new Bottleneck(500_000, 100_000), new Delay(15)]
        const pair = runExchanges({ ...o, up: path(), down: path() }, [{ up: 0, down: 1_500_000, seed }])
        expect(serverOf(pair).maxPacketLength).toBe(1350)
        return pair.world.elapsedMs
      }
      expect(took(['MTUH'])).toBeLessThan(1.1 * took([]))
    })
  }

  scenario('an endpoint that is told to look does so at both ends', 2, (seed) => {
    const transport = { mtuDiscovery: 'high' as const }
    const pair = runExchanges({ seed, transport, up: narrow(1500), down: narrow(1500) }, [
      { up: 1_000_000, down: 1_000_000, seed }
    ])
    expect([pair.client.connection.maxPacketLength, serverOf(pair).maxPacketLength]).toEqual([1450, 1450])
  })

  scenario('a size that is asked for by its tag is the one, whatever the endpoint is told', 1, (seed) => {
    const transport = { mtuDiscovery: 'high' as const, connectionOptions: ['MTUL'] }
    const pair = runExchanges({ seed, transport, up: narrow(1500), down: narrow(1500) }, [
      { up: 1_000_000, down: 1_000_000, seed }
    ])
    expect([pair.client.connection.maxPacketLength, serverOf(pair).maxPacketLength]).toEqual([1430, 1430])
  })

  scenario('without being asked, nobody looks', 1, (seed) => {
    const pair = runExchanges({ seed }, [{ up: 500_000, down: 500_000, seed }])
    expect(pair.client.largestReceived).toBe(1350)
  })
})

describe('mechanism: packet size', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: is what each side is told, from 1200 to 1452 bytes`, 1, (seed) => {
      for (const [own, its] of [
        [1200, 1452],
        [1452, 1200],
        [1452, 1452]
      ]) {
        const pair = runExchanges(
          {
            seed,
            versions: [version],
            transport: { maxPacketLength: own },
            serverTransport: { maxPacketLength: its },
            up: narrow(1500),
            down: narrow(1500)
          },
          [{ up: 300_000, down: 300_000, seed }]
        )
        // A server sends packets as large as those that it got, if those are larger.
        expect([pair.client.connection.maxPacketLength, serverOf(pair).maxPacketLength]).toEqual([own, Math.max(own!, its!)])
        expect(pair.client.largestReceived).toBe(Math.max(own!, its!))
      }
    })
  }
})

describe('mechanism: black-hole fallback', () => {
  for (const version of supportedVersions) {
    scenario(`a path that becomes narrow in the middle of a transfer: ${version.label}`, 2, (seed) => {
      const [above, below] = [new ChangingMtu(), new ChangingMtu()]
      const transport = { connectionOptions: ['MTUH'] }
      const pair = connectPair({
        seed,
        versions: [version],
        transport,
        up: [above, ...narrow(1500, 0.01)],
        down: [below, ...narrow(1500, 0.01)]
      })
      pair.client.session.start({ up: 2_000_000, down: 2_000_000, seed })
      pair.world.run(() => serverOf(pair).maxPacketLength === 1450 && pair.client.connection.maxPacketLength === 1450)
      above.payload = below.payload = seed % 2 === 0 ? 1200 : 1380
      pair.world.run(() => pair.client.session.done, 120_000)
      for (const size of [serverOf(pair).maxPacketLength, pair.client.connection.maxPacketLength]) {
        expect(size).toBeLessThanOrEqual(above.payload)
        expect(size).toBeGreaterThanOrEqual(1200)
      }
    })

    scenario(`packets that come late after all fit together with those that took their place: ${version.label}`, 2, (seed) => {
      const backlog = new Backlog(3_000_000)
      const pair = connectPair({ seed, versions: [version], down: [new Delay(20), backlog, new Loss(0.01)] })
      pair.client.session.start({ up: 0, down: 1_000_000, seed })
      pair.world.advance(150)
      backlog.begin = pair.world.now
      pair.world.run(() => serverOf(pair).maxPacketLength === 1200, 3_000)
      pair.world.run(() => pair.client.session.done, 60_000)
      expect(serverOf(pair).maxPacketLength).toBe(1350)
    })

    scenario(`a path too narrow for the first hello: ${version.label}`, 2, (seed) => {
      const o = { seed, versions: [version], up: narrow(1280, 0), down: narrow(1280, 0) }
      const pair = runExchanges(o, [{ up: 50_000, down: 50_000, seed }])
      expect(pair.client.connection.maxPacketLength).toBe(1200)
      expect(serverOf(pair).maxPacketLength).toBeLessThanOrEqual(1280)
    })
  }

  scenario('an outage is taken for one at first, and undone by probing', 2, (seed) => {
    const dark = new ChangingMtu()
    const pair = connectPair({ seed, down: [dark, new Bottleneck(500_000, 50_000), new Delay(20)] })
    pair.client.session.start({ up: 0, down: 3_000_000, seed })
    pair.world.advance(500)
    dark.payload = 0
    pair.world.advance(4_000)
    expect(serverOf(pair).maxPacketLength).toBe(1200)
    dark.payload = Infinity
    pair.world.run(() => pair.client.session.done, 60_000)
    expect(serverOf(pair).maxPacketLength).toBe(1350)
  })
})

describe('a packet that the system refuses', () => {
  scenario('as a probe ends the probing, as data makes packets smaller', 1, (seed) => {
    const pair = connectPair({ seed, transport: { connectionOptions: ['MTUH'] } })
    const { client, world } = pair
    client.session.start({ up: 0, down: 100_000, seed })
    world.run(() => client.session.done)
    world.dispatcher.handleTooBig(client.address, 1450)
    client.session.start({ up: 0, down: 2_000_000, seed })
    world.run(() => client.session.done, 60_000)
    expect(serverOf(pair).maxPacketLength).toBe(1350)
    world.dispatcher.handleTooBig({ ...client.address, port: 9 }, 1350)
    expect(serverOf(pair).maxPacketLength).toBe(1350)
    world.dispatcher.handleTooBig(client.address, 1350)
    expect(serverOf(pair).maxPacketLength).toBe(1200)
    client.session.start({ up: 0, down: 200_000, seed })
    world.run(() => client.session.done, 60_000)
  })
})
