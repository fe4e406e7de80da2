import { describe, expect } from 'vitest'
import { ConnectionId } from '../../src/quic/connection-id.js'
import { QuicErrorCode } from '../../src/quic/errors.js'
import { buildPublicReset } from '../../src/quic/wire/public-reset.js'
import { buildStatelessReset } from '../../src/quic/wire/stateless-reset.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { DeferredSealing } from '../helpers/sim/deferred-sealing.js'
import { badPath } from '../helpers/sim/early-world.js'
import type { SimClientStream } from '../helpers/sim/sim-application.js'
import { SimClientSession } from '../helpers/sim/sim-application.js'
import { Corrupt, Delay, DropIf, Duplicate, Loss, Reorder } from '../helpers/sim/network.js'
import { connectPair, makePair, runExchanges, scenario } from '../helpers/sim/scenario.js'

const small = { up: 300, down: 3_000, seed: 1 }

/** A path that carries nothing while `dark.on`. */
function darkPath(dark: { on: boolean }): [Delay, DropIf] {
  return [new Delay(20), new DropIf(() => dark.on)]
}

for (const version of supportedVersions) {
  const { label } = version
  const versions = [version]

  describe('mechanism: idle timeout', () => {
    scenario(`${label}: the shorter of both wishes ends both sides without a packet, the client first`, 1, (seed) => {
      for (const [own, its] of [
        [30, 600],
        [600, 30]
      ]) {
        const transport = { idleTimeoutSeconds: own }
        const serverTransport = { idleTimeoutSeconds: its }
        const { world, client } = runExchanges({ seed, versions, transport, serverTransport }, [small])
        world.advance(1_000)
        const sent = client.datagramsSent
        const received = client.datagramsReceived
        const server = client.serverSide(world)!
        world.run(() => !client.connection.connected, 60_000)
        expect(client.connection.closeError!.code).toBe('QUIC_NETWORK_IDLE_TIMEOUT')
        expect(world.elapsedMs).toBeGreaterThan(29_000)
        expect(world.elapsedMs).toBeLessThan(29_500)
        expect(server.connected).toBe(true)
        world.run(() => !server.connected, 60_000)
        expect(world.elapsedMs).toBeGreaterThan(33_000)
        expect(world.elapsedMs).toBeLessThan(33_500)
        expect([client.datagramsSent, client.datagramsReceived]).toEqual([sent, received])
        expect(world.dispatcher.connectionCount).toBe(0)
      }
    })

    scenario(`${label}: ends both sides where packets are lost, doubled and late as well`, 2, (seed) => {
      const [transport, serverTransport] = [{ idleTimeoutSeconds: 600 }, { idleTimeoutSeconds: 30 }]
      const { world, client } = runExchanges({ seed, versions, transport, serverTransport, ...badPath() }, [small])
      const quietFrom = world.elapsedMs
      const server = client.serverSide(world)!
      world.run(() => !client.connection.connected && !server.connected, 120_000)
      expect(client.connection.closeError!.code).toBe('QUIC_NETWORK_IDLE_TIMEOUT')
      expect(client.connection.connected).toBe(false)
      expect(server.connected).toBe(false)
      expect(world.elapsedMs).toBeGreaterThan(29_000)
      // What was lost at the end is sent again for a while.
      expect(world.elapsedMs - quietFrom).toBeLessThan(40_000)
    })

    scenario(`${label}: is kept away by the client while a stream is open`, 1, (seed) => {
      // A window that the answer does not fit into: the stream stays open while nobody reads.
      const transport = { idleTimeoutSeconds: 20, streamWindow: 16_384 }
      const { world, client } = connectPair({ seed, versions, transport })
      client.session.start({ up: 1_000, down: 200_000, seed })
      const [stream] = client.session.streams
      stream!.paused = true
      world.advance(120_000)
      expect(client.connection.connected).toBe(true)
      stream!.resume()
      world.run(() => client.session.done)
    })
  })

  describe('mechanism: silent close', () => {
    scenario(`${label}: a side that does not want it is told of the end`, 1, (seed) => {
      const transport = { idleTimeoutSeconds: 30, silentClose: false }
      const { world, client } = runExchanges({ seed, versions, transport }, [small])
      world.advance(1_000)
      const sent = client.datagramsSent
      const server = client.serverSide(world)!
      world.run(() => !client.connection.connected, 60_000)
      world.run(() => !server.connected, 1_000)
      expect(server.closeError).toMatchObject({ code: 'QUIC_NETWORK_IDLE_TIMEOUT' })
      expect(client.datagramsSent).toBe(sent + 1)
    })
  })

  describe('mechanism: CONNECTION_CLOSE', () => {
    scenario(`${label}: by the client reaches the server, and the other way round`, 1, (seed) => {
      for (const side of ['client', 'server'] as const) {
        const { world, client } = runExchanges({ seed, versions }, [small])
        world.advance(100)
        const server = client.serverSide(world)!
        const [closer, other] = side === 'client' ? [client.connection, server] : [server, client.connection]
        closer.close(QuicErrorCode.PEER_GOING_AWAY, 'enough')
        expect(closer.connected).toBe(false)
        world.run(() => !other.connected, 1_000)
        expect(other.closeError).toMatchObject({ code: 'QUIC_PEER_GOING_AWAY', details: 'enough' })
        world.advance(1_000)
        expect(world.dispatcher.connectionCount).toBe(0)
      }
    })

    scenario(`${label}: while data flows ends every stream on both sides, once`, 2, (seed) => {
      // Only the way down loses packets: a CONNECTION_CLOSE is sent once.
      const { world, client, serverSession } = connectPair({ seed, versions, down: [new Delay(20), new Loss(0.05)] })
      for (let i = 0; i < 20; i++) client.session.start({ up: 100_000, down: 100_000, seed: seed + i })
      world.advance(150)
      const server = serverSession()
      expect(server.streams.length).toBeGreaterThan(10)
      client.connection.close(QuicErrorCode.PEER_GOING_AWAY, 'enough')
      world.advance(5_000)
      for (const stream of [...client.session.streams, ...server.streams]) expect(stream.closeSeen).toBe(true)
      expect(client.session.applicationError).toBeUndefined()
      expect(server.applicationError).toBeUndefined()
    })
  })

  describe('mechanism: time-wait list', () => {
    scenario(`${label}: a server repeats its last packet for a client that missed it, ever more seldom`, 1, (seed) => {
      const lost = { on: false }
      const { world, client } = connectPair({ seed, versions, down: darkPath(lost) })
      // Whoever seals the others: what is repeated was sealed when it was kept.
      world.sealing = new DeferredSealing()
      client.session.start(small)
      world.run(() => client.session.done)
      world.advance(100)
      lost.on = true
      client.serverSide(world)!.close(QuicErrorCode.PEER_GOING_AWAY, 'enough')
      world.advance(100)
      expect(client.connection.connected).toBe(true)
      // The first packets are answered into the dark; of those that follow, only the 4th, 8th, …
      const before = client.datagramsSent
      client.session.start({ ...small, seed: 2 })
      world.run(() => client.datagramsSent >= before + 3, 60_000)
      world.advance(30)
      lost.on = false
      const last = client.datagramsSent
      world.run(() => !client.connection.connected, 60_000)
      expect(client.connection.closeError!.details).toBe('enough')
      expect(client.datagramsSent).toBeGreaterThan(last)
    })
  })

  describe('mechanism: retransmission timeouts', () => {
    scenario(`${label}: survive a blackout of three seconds, with ever fewer packets`, 1, (seed) => {
      const dark = { on: false }
      const { world, client } = connectPair({ seed, versions, up: darkPath(dark), down: darkPath(dark) })
      client.session.start({ up: 2_000_000, down: 2_000_000, seed })
      world.advance(200)
      dark.on = true
      world.advance(3_000)
      // Backed off: a handful of packets, not a stream of them.
      const during = client.datagramsSent
      world.advance(3_000)
      expect(client.datagramsSent - during).toBeLessThan(12)
      dark.on = false
      world.run(() => client.session.done, 60_000)
    })

    scenario(`${label}: do not keep a connection alive whose path is dead`, 1, (seed) => {
      const dark = { on: false }
      const transport = { idleTimeoutSeconds: 10 }
      const { world, client } = connectPair({ seed, versions, transport, up: darkPath(dark), down: darkPath(dark) })
      client.session.start({ up: 2_000_000, down: 2_000_000, seed })
      world.advance(500)
      dark.on = true
      world.run(() => !client.connection.connected, 60_000)
      expect(client.connection.closeError!.code).toBe('QUIC_NETWORK_IDLE_TIMEOUT')
      world.run(() => world.dispatcher.connectionCount === 0, 60_000)
      expect(world.elapsedMs).toBeLessThan(16_000)
      for (const stream of client.session.streams) expect(stream.closeSeen).toBe(true)
    })
  })

  describe('mechanism: GOAWAY and drain', () => {
    scenario(`${label}: what has begun ends well over a bad path, nothing else begins`, 2, (seed) => {
      const bad = (): [Delay, Loss, Reorder, Duplicate] => [
        new Delay(20),
        new Loss(0.05),
        new Reorder(0.2, 30),
        new Duplicate(0.1)
      ]
      const { world, client, serverSession } = connectPair({ seed, versions, up: bad(), down: bad() })
      for (let i = 0; i < 5; i++) client.session.start({ up: 20_000, down: 60_000, seed: seed + i })
      const server = serverSession()
      world.run(() => server.streams.length === 5)
      server.sendGoAway(QuicErrorCode.PEER_GOING_AWAY, 'shutting down')
      world.run(() => client.session.goAwayReceived, 10_000)
      client.session.start({ ...small, seed: 99 })
      world.run(() => server.openStreamCount === 0, 60_000)
      expect(client.session.streams).toHaveLength(5)
      for (const stream of client.session.streams) expect(stream.complete).toBe(true)
      server.connection.close(QuicErrorCode.PEER_GOING_AWAY, 'the server is shutting down')
      world.run(() => !client.connection.connected, 10_000)
      expect(client.connection.closeError!.code).toBe('QUIC_PEER_GOING_AWAY')
    })
  })

  describe(version.traits.longHeaders ? 'mechanism: stateless reset' : 'mechanism: public reset', () => {
    const resets = !version.traits.longHeaders || version.traits.statelessReset

    if (resets) {
      scenario(`${label}: tells a client that its server has forgotten the connection`, 1, (seed) => {
        const { world, client } = runExchanges({ seed, versions }, [small])
        world.advance(100)
        world.restartServer('kept')
        client.session.start({ ...small, seed: 2 })
        world.run(() => !client.connection.connected, 5_000)
        expect(client.connection.closeError!.code).toBe('QUIC_PUBLIC_RESET')
        expect(world.dispatcher.stats.publicResetsSent).toBe(1)
      })
    }

    scenario(`${label}: by somebody who does not know enough moves nobody`, 1, (seed) => {
      const { world, client } = connectPair({ seed, versions })
      client.session.start({ up: 100_000, down: 100_000, seed })
      world.run(() => client.connection.handshakeConfirmed)
      const { connectionId } = client.connection
      const stranger = ConnectionId.read(world.random.bytes(8))
      const forged = [
        // Another connection's, one cut short, one without its nonce, and resets by those who do not have the token.
        buildPublicReset(stranger.bytes, { rejectedPacketNumber: 1 }),
        buildPublicReset(connectionId.bytes, { rejectedPacketNumber: 1 }).subarray(0, 20),
        buildPublicReset(connectionId.bytes, { rejectedPacketNumber: 1, nonceProof: new Uint8Array(7) }),
        buildStatelessReset(world.random.bytes(16), world.random.bytes(24))
      ]
      if (version.traits.longHeaders) forged.push(buildPublicReset(connectionId.bytes, { rejectedPacketNumber: 1 }))
      for (const bytes of forged) {
        world.injectTo(client, bytes)
        world.inject(client.address, bytes)
        world.advance(10)
      }
      world.run(() => client.session.done)
      expect(client.serverSide(world)!.connected).toBe(true)
    })

    if (!version.traits.longHeaders) {
      scenario(`${label}: tells a server that its client has forgotten the connection`, 1, (seed) => {
        const { world, client } = runExchanges({ seed, versions }, [small])
        const server = client.serverSide(world)!
        world.inject(client.address, buildPublicReset(server.connectionId.bytes, { rejectedPacketNumber: 1 }))
        world.advance(1)
        expect(server.closeError!.code).toBe('QUIC_PUBLIC_RESET')
      })
    }
  })
}

describe('a reader that stalls', () => {
  scenario('holds no more than its window, and holds nobody else up', 2, (seed) => {
    const streamWindow = 64 * 1024
    const transport = { streamWindow, connectionWindow: 1024 * 1024 }
    const { world, client, serverSession } = connectPair({ seed, transport, down: [new Delay(20), new Loss(0.02)] })
    client.session.start({ up: 0, down: 50_000_000, seed })
    const stalled = client.session.streams[0]!
    stalled.paused = true
    world.advance(30_000)
    expect(stalled.readableBytes).toBe(streamWindow)
    // What the server holds for it is what the writer was allowed to buffer, one piece over the mark at most.
    expect(serverSession().streams[0]!.bufferedBytes).toBeLessThanOrEqual(64 * 1024 + 4096)

    for (let i = 1; i <= 5; i++) client.session.start({ up: 50_000, down: 300_000, seed: seed + i })
    const others = (): SimClientStream[] => client.session.streams.slice(1)
    world.run(() => !client.session.done && others().every((stream) => stream.complete), 60_000)
    expect(stalled.readableBytes).toBe(streamWindow)
    expect(stalled.received).toBe(0)
  })

  scenario('on the server side holds an upload to its window', 2, (seed) => {
    const serverTransport = { streamWindow: 32 * 1024, connectionWindow: 256 * 1024 }
    const { world, client, serverSession } = connectPair({ seed, serverTransport, up: [new Delay(20), new Loss(0.02)] })
    client.session.start(small)
    world.run(() => client.session.done)
    serverSession().pauseNewStreams = true
    client.session.start({ up: 5_000_000, down: 10, seed })
    world.advance(20_000)
    const stalled = serverSession().streams[1]!
    expect(stalled.readableBytes).toBe(32 * 1024)
    expect(client.session.streams[1]!.bufferedBytes).toBeLessThanOrEqual(64 * 1024 + 4096)
    // Once it reads again, everything arrives.
    stalled.resume()
    world.run(() => client.session.done, 120_000)
  })
})

describe('many clients', () => {
  scenario('do not disturb each other, nor do garbage and damaged packets', 2, (seed) => {
    const { world, client, serverSession } = makePair({ seed })
    const clients = [client]
    for (let i = 1; i < 20; i++) {
      clients.push(
        world.addClient({
          up: [new Delay(10 + i), new Loss(0.02 * (i % 4)), new Corrupt(0.05)],
          down: [new Delay(10 + i), new Loss(0.02 * (i % 4)), new Corrupt(0.05)],
          createSession: (connection) => new SimClientSession(connection)
        })
      )
    }
    world.run(() => clients.every((c) => c.connection.encryptionEstablished), 30_000)
    const attacker = { family: 4 as const, address: '192.0.2.66', port: 6_666 }
    for (let i = 0; i < 200; i++) {
      // Half of them name a living connection.
      const bytes = world.random.bytes(1 + world.random.below(1_400))
      if (i % 2 === 0 && bytes.length > 9) bytes.set([0x0c, ...client.connection.connectionId.bytes])
      world.inject(attacker, bytes)
    }
    for (const [i, c] of clients.entries()) c.session.start({ up: 20_000, down: 30_000, seed: i })
    world.run(() => clients.every((c) => c.session.done), 60_000)
    expect(world.dispatcher.connectionCount).toBe(20)
    expect(serverSession().streams).toHaveLength(1)
    client.connection.close(QuicErrorCode.PEER_GOING_AWAY, 'enough')
    world.advance(500)
    expect(world.dispatcher.connectionCount).toBe(19)
    for (const [i, c] of clients.entries()) expect(c.connection.connected).toBe(i !== 0)
  })
})
