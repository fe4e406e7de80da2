import { describe, expect, it } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { logFlights } from '../helpers/sim/flight-log.js'
import { runOnFullSockets } from '../helpers/sim/full-socket-run.js'
import { Delay, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, scenario } from '../helpers/sim/scenario.js'
import { SimClientSession, SimServerSession } from '../helpers/sim/sim-application.js'
import { SimWorld } from '../helpers/sim/sim-world.js'

function bad(): NetworkNode[] {
  return [new Delay(20, 3), new Loss(0.01), new Reorder(0.02, 4), new Duplicate(0.05)]
}

describe('mechanism: packets that the system refuses', () => {
  for (const version of supportedVersions) {
    scenario(`a probe that is too big is the last one: ${version.label}`, 1, (seed) => {
      const logs = logFlights()
      const transport = { connectionOptions: ['MTUH'] }
      const pair = connectPair({ seed, versions: [version], transport, observe: logs.observe, up: bad(), down: bad() })
      pair.world.largestDatagram = 1400
      pair.client.session.start({ up: 300_000, down: 300_000, seed })
      pair.world.run(() => pair.client.session.done)
      for (const { sent } of [{ sent: logs.client.sent() }, { sent: logs.server.sent() }]) {
        expect(sent.length).toBeGreaterThan(150)
        expect(sent.filter(({ length }) => length > 1400).map(({ length }) => length)).toEqual([1450])
      }
      expect([pair.client.connection.maxPacketLength, pair.client.serverSide(pair.world)!.maxPacketLength]).toEqual([1350, 1350])
    })

    scenario(`data that is too big goes again in smaller packets, and nobody waits for a timeout: ${version.label}`, 1, (seed) => {
      const logs = logFlights()
      const pair = connectPair({ seed, versions: [version], observe: logs.observe, up: bad(), down: bad() })
      const { client, world } = pair
      client.session.start({ up: 150_000, down: 200_000, seed })
      world.advance(60)
      expect(client.session.done).toBe(false)
      world.largestDatagram = 1300
      const begin = world.now
      world.run(() => client.session.done)
      for (const log of [logs.client, logs.server]) {
        const refused = log.sent(begin - 1).filter(({ length }) => length > 1300)
        expect(refused.length).toBeGreaterThan(0)
        // What was built before the system had its say: no more than one call's worth.
        expect(refused.length).toBeLessThanOrEqual(16)
        expect(new Set(refused.map(({ at }) => at)).size).toBe(1)
        expect(Math.max(...log.sent(refused[0]!.at).map(({ length }) => length))).toBe(1200)
      }
      for (const end of [client.connection, client.serverSide(world)!]) {
        expect(end.maxPacketLength).toBe(1200)
        expect(end.stats.retransmissionTimeouts).toBe(0)
      }
    })
  }
})

describe('mechanism: kernel drops', () => {
  for (const version of supportedVersions) {
    it(`what a busy server's socket had no room for is counted, told and sent again: ${version.label}`, async () => {
      const seed = 11 + version.number
      const o = { capacity: 100, perDatagram: 100, delay: 5_000, loss: 0.01, receive: { every: 4_000, capacity: 12 } }
      const { engine, kernelDrops, dropsTold, clients } = await runOnFullSockets(seed, o, [{ up: 120_000, down: 20_000, seed }], 1, [version])
      const [socket] = engine.sockets
      expect(socket!.dropped).toBeGreaterThan(5)
      expect([kernelDrops, dropsTold]).toEqual([socket!.dropped, socket!.dropped])
      expect(clients[0]!.connection.stats.packetsLost).toBeGreaterThan(5)
    })
  }
})

describe('mechanism: session budget', () => {
  for (const version of supportedVersions) {
    scenario(`sixteen connections a turn, and the others in the turns after it: ${version.label}`, 1, (seed) => {
      const world = new SimWorld({ seed, createSession: (connection) => new SimServerSession(connection) })
      const clients = Array.from({ length: 20 }, () =>
        world.addClient({
          versions: [version],
          up: [new Delay(20), new Duplicate(0.2)],
          down: [new Delay(20)],
          createSession: (connection) => new SimClientSession(connection)
        })
      )
      const counts = new Set<number>()
      world.run(() => counts.add(world.dispatcher.connectionCount).size > 0 && world.dispatcher.connectionCount === clients.length)
      // All hellos came at the same time, and were answered then.
      expect([...counts]).toEqual([0, 16, 20])
      expect(world.elapsedMs).toBeLessThan(20.1)
      const last = clients.at(-1)!
      world.run(() => last.connection.encryptionEstablished)
      last.session.start({ up: 1_000, down: 1_000, seed })
      world.run(() => last.session.done)
    })
  }
})
