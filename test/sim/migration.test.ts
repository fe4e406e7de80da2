import { describe, expect } from 'vitest'
import type { PeerAddress } from '../../src/quic/types.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { Bottleneck, Delay, DropIf, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, scenario, type ConnectedPair } from '../helpers/sim/scenario.js'

const RATE = 500_000

function path(loss = 0.02): NetworkNode[] {
  return [new Bottleneck(RATE, 60_000), new Delay(20, 5), new Loss(loss), new Reorder(0.05, 30), new Duplicate(0.05)]
}

function quiet(): NetworkNode[] {
  return [new Bottleneck(RATE, 200_000), new Delay(20)]
}

/** The client at another port, or another address. Ports are never used twice. */
function elsewhere({ client }: ConnectedPair, n: number, address = client.address.address): PeerAddress {
  return { family: 4, address, port: 50_000 + n }
}

function start(pair: ConnectedPair, seed: number, bytes = 800_000): void {
  pair.client.session.start({ up: bytes, down: bytes, seed })
}

describe('mechanism: NAT rebinding', () => {
  for (const version of supportedVersions) {
    scenario(`the client's port changes in the middle of a transfer, twice: ${version.label}`, 2, (seed) => {
      const pair = connectPair({ seed, versions: [version], up: path(), down: path() })
      const { client, world } = pair
      start(pair, seed)
      for (let n = 1; n <= 2; n++) {
        world.advance(600)
        client.move(elsewhere(pair, n))
      }
      world.run(() => client.session.done, 60_000)
      expect(client.serverSide(world)!.peerAddress).toEqual(client.seenAt)
    })

    scenario(`the client's address changes in the middle of a transfer: ${version.label}`, 2, (seed) => {
      const pair = connectPair({ seed, versions: [version], up: path(), down: path() })
      const { client, world } = pair
      start(pair, seed)
      world.advance(600)
      client.move(elsewhere(pair, 1, '192.0.2.77'))
      world.run(() => client.session.done, 60_000)
      expect(client.serverSide(world)!.peerAddress).toEqual(client.seenAt)
    })
  }

  scenario('a new port keeps window and round trip, a new address begins again', 2, (seed) => {
    for (const address of [undefined, '203.0.113.200', '192.0.2.77']) {
      const pair = connectPair({ seed, up: quiet(), down: quiet() })
      const { client, world } = pair
      client.session.start({ up: 0, down: 3_000_000, seed })
      world.run(() => client.serverSide(world)!.congestionWindow > 60 * 1460)
      const server = client.serverSide(world)!
      const before = { window: server.congestionWindow, rtt: server.smoothedRtt }
      const moved = elsewhere(pair, 1, address)
      client.move(moved)
      world.run(() => server.peerAddress.port === moved.port, 2_000)
      const kept = address !== '192.0.2.77'
      if (kept) {
        expect(server.congestionWindow).toBeGreaterThanOrEqual(before.window * 0.8)
        expect(server.smoothedRtt).toBeGreaterThan(before.rtt * 0.8)
      } else {
        // The packet that told of the move brought an acknowledgement or two with it.
        expect(server.congestionWindow).toBeLessThanOrEqual(34 * 1460)
        expect(before.window).toBeGreaterThan(60 * 1460)
      }
      world.run(() => client.session.done, 60_000)
    }
  })

  scenario('a move that nobody confirms is followed by another all the same', 3, (seed) => {
    const pair = connectPair({ seed, up: path(0), down: path(0) })
    const { client, world } = pair
    start(pair, seed)
    world.advance(500)
    // Away again before anything sent to the first new port can be acknowledged.
    client.move(elsewhere(pair, 1))
    world.run(() => client.serverSide(world)!.peerAddress.port === 50_001, 2_000)
    client.move(elsewhere(pair, 2))
    world.run(() => client.session.done, 60_000)
    expect(client.serverSide(world)!.peerAddress).toEqual(client.seenAt)
  })

  scenario('a late packet of the older path moves nobody back, though the new one does not answer yet', 1, (seed) => {
    const late: Uint8Array[] = []
    const [hold, dark] = [{ on: false }, { on: false }]
    const up = [new DropIf((bytes) => hold.on && late.push(bytes.slice()) > 0), new Delay(20)]
    const pair = connectPair({ seed, up, down: [new Delay(20), new DropIf(() => dark.on)] })
    const { client, world } = pair
    world.run(() => client.serverSide(world)!.handshakeConfirmed)
    const server = client.serverSide(world)!
    hold.on = true
    start(pair, seed, 100)
    world.run(() => late.length > 0)
    hold.on = false
    dark.on = true
    client.move(elsewhere(pair, 1))
    start(pair, seed + 1, 100)
    world.run(() => server.peerAddress.port === 50_001, 1_000)
    world.run(() => server.stats.tailLossProbes > 0, 1_000)
    const before = server.stats.packetsReceived
    world.inject(client.address, late[0]!)
    world.advance(1)
    expect(server.stats.packetsReceived).toBe(before + 1)
    expect(server.peerAddress.port).toBe(50_001)
    dark.on = false
    world.run(() => client.session.done, 10_000)
  })

  scenario('packets of an older path that come late do not move the client back', 2, (seed) => {
    const late = new Reorder(0.3, 200)
    const pair = connectPair({ seed, up: [late, new Delay(20)], down: [new Delay(20), new Bottleneck(RATE, 60_000)] })
    const { client, world } = pair
    start(pair, seed, 500_000)
    world.advance(200)
    client.move(elsewhere(pair, 1))
    const server = client.serverSide(world)!
    world.run(() => server.peerAddress.port === 50_001, 5_000)
    let back = 0
    world.run(() => {
      if (server.connected && server.peerAddress.port !== 50_001) back++
      return client.session.done
    }, 60_000)
    expect(back).toBe(0)
  })

  for (const version of supportedVersions) {
    scenario(`a client that moves before the server's hello arrives: ${version.label}`, 2, (seed) => {
      const pair = connectPair({ seed, versions: [version] })
      const { client, world } = pair
      start(pair, seed, 50_000)
      // The full hello is under way, the answer to it will go to the old port.
      world.advance(10)
      client.move(elsewhere(pair, 1))
      world.run(() => client.session.done, 10_000)
      expect(client.connection.handshakeConfirmed).toBe(true)
    })
  }

  scenario('an idle client that moves is found at its next request', 1, (seed) => {
    const pair = connectPair({ seed })
    const { client, world } = pair
    start(pair, seed, 1_000)
    world.run(() => client.session.done)
    client.move(elsewhere(pair, 1, '192.0.2.77'))
    start(pair, seed + 1, 20_000)
    world.run(() => client.session.done, 10_000)
  })

  scenario('an attacker who repeats the packets of others moves nobody', 2, (seed) => {
    const seen: Uint8Array[] = []
    const tap: NetworkNode = {
      pass(packet, _random, emit) {
        seen.push(packet.bytes.slice())
        emit(packet)
      }
    }
    const pair = connectPair({ seed, up: [tap, new Delay(20)] })
    const { client, world } = pair
    start(pair, seed, 100_000)
    const attacker: PeerAddress = { family: 4, address: '192.0.2.66', port: 666 }
    for (let i = 0; i < 20; i++) {
      world.advance(10)
      // All but what is still under way: that one would be the first to arrive.
      for (const bytes of seen.slice(-40, -20)) world.inject(attacker, bytes.slice())
    }
    world.run(() => client.session.done, 30_000)
    expect(client.serverSide(world)!.peerAddress).toEqual(client.address)
  })
})
