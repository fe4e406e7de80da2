/**
 * What the hellos negotiate beside keys, and what it does to the connection (quic_config.cc): each value is seen by what
 * it changes on the wire or for the application.
 */
import { describe, expect } from 'vitest'
import type { NegotiatedConfig } from '../../src/quic/handshake/negotiated-config.js'
import type { ConnectionObserver } from '../../src/quic/transport/observer.js'
import type { QuicConnection } from '../../src/quic/transport/connection.js'
import type { RttStats } from '../../src/quic/recovery/rtt-stats.js'
import { Perspective } from '../../src/quic/types.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { EarlyWorld, rough } from '../helpers/sim/early-world.js'
import { Bottleneck, Delay, DropIf, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, makePair, runExchanges, scenario, type ConnectedPair } from '../helpers/sim/scenario.js'

/** A node that drops nothing and keeps a copy of everything. */
function tap(into: Uint8Array[]): NetworkNode {
  return new DropIf((bytes) => {
    into.push(bytes.slice())
    return false
  })
}

/** What recovery assumes, or has chosen, at this end. */
function recoveryOf(connection: QuicConnection): { rtt: RttStats; controller: { name: string } } {
  return (connection as unknown as { parts: { sentPackets: ReturnType<typeof recoveryOf> } }).parts.sentPackets
}

describe('mechanism: connection id omission (TCID)', () => {
  for (const version of supportedVersions) {
    const { label } = version
    const longHeaders = version.number >= 44

    /** Whether a packet has the connection id where some version has it. */
    const idIn = (packet: Uint8Array, id: Uint8Array): boolean =>
      [1, 6, 7].some((at) => id.every((byte, i) => packet[at + i] === byte))

    const rule = longHeaders ? 'changes nothing: the server never names it later' : 'is obeyed once it is read'
    scenario(`${label}: ${rule}, the client always names it`, 1, (seed) => {
      for (const omitConnectionId of [true, false]) {
        const up: Uint8Array[] = []
        const down: Uint8Array[] = []
        const { world, client } = runExchanges(
          {
            seed,
            versions: [version],
            transport: { omitConnectionId },
            up: [tap(up), ...rough()],
            down: [tap(down), ...rough()]
          },
          [{ up: 10_000, down: 10_000, seed: 1 }]
        )
        world.run(() => client.connection.handshakeConfirmed, 60_000)
        // A client that nobody answered has begun anew, under another id.
        up.splice(0)
        const handshake = down.splice(0)
        client.session.start({ up: 10_000, down: 30_000, seed: 2 })
        world.run(() => client.session.done, 60_000)
        const id = client.connection.connectionId.bytes
        expect(up.length).toBeGreaterThan(10)
        expect(up.every((packet) => idIn(packet, id))).toBe(true)
        expect(idIn(handshake[0]!, id)).toBe(true)
        expect(down.length).toBeGreaterThan(20)
        // A hello may have to be repeated, under its long header.
        const later = down.filter((packet) => !longHeaders || packet[0]! < 0x80)
        const named = later.filter((packet) => idIn(packet, id)).length
        expect(named).toBe(omitConnectionId || longHeaders ? 0 : down.length)
      }
    })
  }
})

/** What each end took from the other's hello, and the most that the server had in flight, bytes. */
class Watcher {
  readonly configs = new Map<Perspective, NegotiatedConfig>()
  mostInFlight = 0

  readonly observe = ({ perspective }: { perspective: Perspective }): ConnectionObserver => ({
    onConfigNegotiated: (_now, config) => this.configs.set(perspective, config),
    onMetricsUpdated: (_now, { bytesInFlight }) => {
      if (perspective === Perspective.Server) this.mostInFlight = Math.max(this.mostInFlight, bytesInFlight)
    }
  })
}

describe('mechanism: socket receive buffer (SRBF)', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: is told to the peer, which sends no less for it`, 1, (seed) => {
      const watcher = new Watcher()
      const pair = runExchanges(
        {
          seed,
          versions: [version],
          transport: { socketReceiveBuffer: 20_000 },
          serverTransport: { socketReceiveBuffer: 300_000 },
          up: rough(),
          down: [new Delay(60)],
          observe: watcher.observe
        },
        [{ up: 5_000, down: 200_000, seed }]
      )
      expect(pair.client.session.done).toBe(true)
      expect(watcher.configs.get(Perspective.Server)!.peerSocketReceiveBuffer).toBe(20_000)
      expect(watcher.configs.get(Perspective.Client)!.peerSocketReceiveBuffer).toBe(300_000)
      expect(watcher.mostInFlight).toBeGreaterThan(40_000)
    })
  }
})

describe('mechanism: initial round-trip time (IRTT)', () => {
  for (const version of supportedVersions) {
    const { label } = version

    scenario(`${label}: a client repeats its hello by its own`, 1, (seed) => {
      for (const [initialRtt, ms] of [
        [undefined, 150],
        [400_000, 600]
      ] as const) {
        const times: number[] = []
        const up = [new DropIf((_bytes, _index, at) => times.push(at) > 0)]
        const { world } = makePair({ seed, versions: [version], transport: { initialRtt }, up })
        world.advance(1_900)
        expect((times[1]! - times[0]!) / 1000).toBe(ms)
      }
    })

    scenario(`${label}: each side takes the other's before its own`, 1, (seed) => {
      const both = (transport?: number, serverTransport?: number): number[] => {
        const { client, world } = connectPair({
          seed,
          versions: [version],
          transport: { initialRtt: transport },
          serverTransport: { initialRtt: serverTransport },
          up: rough(),
          down: rough()
        })
        world.run(() => client.connection.handshakeConfirmed, 60_000)
        return [client.connection, client.serverSide(world)!].map((side) => recoveryOf(side).rtt.initial / 1000)
      }
      expect(both()).toEqual([100, 100])
      expect(both(70_000)).toEqual([70, 70])
      expect(both(undefined, 50_000)).toEqual([50, 50])
      expect(both(70_000, 50_000)).toEqual([50, 70])
      expect(both(0, 0)).toEqual([100, 100])
    })

    // A server of Q032 has measured the round trip before a hello tells them of it.
    if (version.number < 33) continue
    scenario(`${label}: a server repeats its hello by the client's`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version])
      world.exchange({ up: 0, down: 1_000, seed })
      for (const [initialRtt, ms] of [
        [40_000, 60],
        [300_000, 450]
      ] as const) {
        const times: number[] = []
        const down = [new DropIf((_bytes, _index, at) => times.push(at) <= 2)]
        const client = world.begin({ up: 0, down: 0, seed }, { transport: { initialRtt }, down })
        const start = world.world.now
        world.world.run(() => times.length > 0)
        const first = times[0]!
        expect(first - start).toBe(20_000)
        world.world.run(() => times.some((at) => at > first))
        expect((times.find((at) => at > first)! - first) / 1000).toBe(ms)
        world.finish(client)
      }
    })
  }
})

/** Runs until all is done; the most exchanges that were under way at a time. */
function mostAtOnce({ world, client: { session } }: ConnectedPair): number {
  let most = 0
  world.run(() => {
    most = Math.max(most, session.streams.filter(({ complete }) => !complete).length)
    return session.done
  }, 300_000)
  return most
}

describe('mechanism: stream limits (MSPC, MIDS)', () => {
  for (const version of supportedVersions) {
    const { label } = version
    const byMids = version.number >= 35
    const start = (seed: number, own: number, its: number, path: () => NetworkNode[]): ConnectedPair => {
      const pair = connectPair({
        seed,
        versions: [version],
        transport: { maxStreams: own },
        serverTransport: { maxStreams: its },
        up: path(),
        down: path()
      })
      pair.world.run(() => pair.client.connection.handshakeConfirmed, 60_000)
      for (let i = 0; i < 12; i++) pair.client.session.start({ up: 500, down: 2_000, seed: i })
      return pair
    }
    const clean = (): NetworkNode[] => [new Delay(20)]

    scenario(`${label}: a client opens as many as the server takes, and the others as those end`, 1, (seed) => {
      expect(mostAtOnce(start(seed, 100, 4, clean))).toBe(4)
      // An answer whose end overtakes the rest of it makes room, so that more may wait for bytes.
      expect(mostAtOnce(start(seed, 100, 4, rough))).toBeLessThan(9)
    })

    const rule = byMids ? 'is none for itself' : "is the server's as well"
    scenario(`${label}: the client's own limit ${rule}`, 1, (seed) => {
      expect(mostAtOnce(start(seed, 3, 100, clean))).toBe(byMids ? 12 : 3)
    })
  }
})

describe('mechanism: flow control windows of the hellos (SFCW, CFCW)', () => {
  for (const version of supportedVersions) {
    const { label } = version
    const narrow = { streamWindow: 20_000, connectionWindow: 50_000 }

    scenario(`${label}: are filled to the byte, and not beyond, by what a server sends`, 1, (seed) => {
      const o = { seed, versions: [version], transport: narrow, up: rough(), down: rough() }
      const { world, client } = connectPair(o)
      const { session } = client
      for (const [open, expected] of [
        [2, 40_000],
        [5, 50_000]
      ] as const) {
        while (session.streams.length < open) {
          session.start({ up: 0, down: 60_000, seed: session.streams.length })
          session.streams.at(-1)!.paused = true
        }
        world.advance(10_000)
        expect(session.flowController.highestReceived).toBe(expected)
      }
      for (const stream of session.streams) stream.resume()
      world.run(() => session.done)
    })

    scenario(`${label}: are filled to the byte, and not beyond, by what a client sends`, 1, (seed) => {
      const o = { seed, versions: [version], serverTransport: narrow, up: rough(), down: rough() }
      const { world, client, serverSession } = connectPair(o)
      world.run(() => client.connection.handshakeConfirmed, 60_000)
      const server = serverSession()
      server.pauseNewStreams = true
      for (const [open, expected] of [
        [2, 40_000],
        [5, 50_000]
      ] as const) {
        while (client.session.streams.length < open) client.session.start({ up: 60_000, down: 0, seed: 1 })
        world.advance(10_000)
        expect(server.flowController.highestReceived).toBe(expected)
      }
      // Reading gives a window, by which the next is bounded, and so to the end.
      for (const stream of server.streams) stream.resume()
      world.run(() => client.session.done)
    })
  }
})

describe('mechanism: connection options (COPT)', () => {
  for (const version of supportedVersions) {
    const { label } = version

    scenario(`${label}: those that nobody knows, or that the reference only names, change nothing`, 1, (seed) => {
      const trace = (connectionOptions: string[]): string => {
        const path = (): NetworkNode[] => [new Bottleneck(400_000, 60_000), ...rough()]
        const o = { seed, versions: [version], transport: { connectionOptions }, up: path(), down: path() }
        return runExchanges(o, [{ up: 20_000, down: 80_000, seed }]).world.trace
      }
      const unknown = trace(['WXYZ', 'XXXX', 'YYYY', 'ZZZZ'])
      expect(trace(['QBIC', 'AFCW', 'BWRS', 'SYNC'])).toBe(unknown)
      expect(trace(['IFW5', 'IFW7', 'BWS2', 'ASYN'])).toBe(unknown)
      expect(trace(['XXXX', 'ACKD', 'YYYY', 'IW03'])).not.toBe(unknown)
    })

    scenario(`${label}: a client takes congestion control from the server's, and a server its own from the client's`, 1, (seed) => {
      const names = (transport: string[], serverTransport: string[]): string[] => {
        const { client, world } = runExchanges(
          {
            seed,
            versions: [version],
            transport: { connectionOptions: transport },
            serverTransport: { connectionOptions: serverTransport },
            up: rough(),
            down: rough()
          },
          [{ up: 5_000, down: 5_000, seed }]
        )
        return [client.connection, client.serverSide(world)!].map((side) => recoveryOf(side).controller.name)
      }
      expect(names(['RENO'], ['TBBR'])).toEqual(['bbr', 'reno-packets'])
      expect(names([], ['BYTE'])).toEqual(['cubic-packets', 'cubic'])
    })
  }
})
