import { describe, expect } from 'vitest'
import { SentFrameKind } from '../../src/quic/recovery/sent-frame.js'
import type { SentPacketManager } from '../../src/quic/recovery/sent-packet-manager.js'
import type { QuicConnection } from '../../src/quic/transport/connection.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { Bottleneck, Delay, DropIf, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, runExchanges, scenario } from '../helpers/sim/scenario.js'

function bad(): NetworkNode[] {
  return [new Delay(20, 5), new Loss(0.05), new Reorder(0.1, 30), new Duplicate(0.1)]
}

/** A link slow enough for the acknowledgements to have a rhythm of their own. */
function slow(): NetworkNode[] {
  return [new Bottleneck(500_000, 300_000), new Delay(60)]
}

const decimation = ['ACKD', 'AKD2', 'AKD3', 'AKD4']

describe('mechanism: ack decimation', () => {
  for (const version of supportedVersions) {
    scenario(`all four kinds over a bad path: ${version.label}`, 1, (seed) => {
      for (const option of decimation) {
        const o = { seed, versions: [version], transport: { connectionOptions: [option] }, up: bad(), down: bad() }
        runExchanges(o, [{ up: 150_000, down: 150_000, seed }])
      }
    })

    scenario(`fewer acknowledgements on a good one: ${version.label}`, 1, (seed) => {
      const acks = (connectionOptions: string[]): number => {
        const o = { seed, versions: [version], transport: { connectionOptions }, up: slow(), down: slow() }
        const { client } = runExchanges(o, [{ up: 0, down: 1_000_000, seed }])
        return client.datagramsSent
      }
      const usual = acks([])
      for (const option of decimation) expect(acks([option])).toBeLessThan(0.6 * usual)
    })
  }

  scenario("the server's acknowledgements become fewer as well", 1, (seed) => {
    const acks = (connectionOptions: string[]): number => {
      const o = { seed, transport: { connectionOptions }, up: slow(), down: slow() }
      return runExchanges(o, [{ up: 400_000, down: 0, seed }]).client.datagramsReceived
    }
    expect(acks(['ACKD'])).toBeLessThan(0.7 * acks([]))
  })
})

describe('mechanism: NSTP', () => {
  for (const version of supportedVersions.filter(({ traits }) => traits.stopWaitingOptional)) {
    scenario(`transfers without STOP_WAITING, both ways: ${version.label}`, 2, (seed) => {
      const o = { seed, versions: [version], transport: { connectionOptions: ['NSTP'] }, up: bad(), down: bad() }
      runExchanges(o, [{ up: 400_000, down: 400_000, seed }])
    })

    scenario(`is the only one that takes STOP_WAITING out: ${version.label}`, 1, (seed) => {
      const bytes = (connectionOptions: string[]): number => {
        const o = { seed, versions: [version], transport: { connectionOptions }, up: slow(), down: slow() }
        const { client } = runExchanges(o, [{ up: 0, down: 500_000, seed }])
        return client.connection.stats.bytesSent / client.connection.stats.packetsSent
      }
      // Each acknowledgement is two bytes shorter, or more: type and least unacked.
      expect(bytes([]) - bytes(['NSTP'])).toBeGreaterThan(1.8)
    })
  }
})

describe('mechanism: acks of acks', () => {
  for (const version of supportedVersions) {
    const asks = !version.traits.acksAckOnlyPackets
    const what = asks ? 'every twentieth asks for one itself' : 'every twentieth packet is acknowledged'
    scenario(`a receiver's packets hold acks only, ${what}: ${version.label}`, 1, (seed) => {
      const { client, world } = connectPair({ seed, versions: [version], down: slow() })
      client.session.start({ up: 0, down: 1_500_000, seed })
      world.run(() => client.session.done)
      world.advance(1_000)
      // Whichever way, neither side remembers a packet of a transfer that is over for long.
      const { sentPackets, received } = partsOf(client.connection) as {
        sentPackets: { largestSent: number; leastUnacked: number }
        received: { received: { size: number } }
      }
      expect(sentPackets.largestSent).toBeGreaterThan(400)
      expect(sentPackets.largestSent - sentPackets.leastUnacked).toBeLessThan(45)
      expect(received.received.size).toBe(1)
    })
  }
})

/** What each packet that a connection sends holds: the kinds of its frames that want to be acknowledged. */
function framesSentBy(connection: QuicConnection): SentFrameKind[][] {
  const packets: SentFrameKind[][] = []
  const { sentPackets } = partsOf(connection) as { sentPackets: SentPacketManager }
  const original = sentPackets.onPacketSent.bind(sentPackets)
  sentPackets.onPacketSent = (...args) => {
    const kinds: SentFrameKind[] = []
    for (let frame = args[4]; frame !== null; frame = frame.next) kinds.push(frame.kind)
    packets.push(kinds)
    original(...args)
  }
  return packets
}

describe('mechanism: WINDOW_UPDATE after 19 packets', () => {
  for (const version of supportedVersions) {
    const rule = version.traits.acksAckOnlyPackets ? 'has no such rule' : 'sends one with the twentieth'
    scenario(`a receiver whose packets hold acks only ${rule}: ${version.label}`, 1, (seed) => {
      const { client, world } = connectPair({ seed, versions: [version], down: slow() })
      client.session.start({ up: 0, down: 600_000, seed })
      world.advance(400)
      const packets = framesSentBy(client.connection)
      // Windows of megabytes: no other update is due.
      world.run(() => client.session.streams[0]!.received > 500_000)
      const asking = packets.flatMap((kinds, index) => (kinds.length > 0 ? [index] : []))
      if (version.traits.acksAckOnlyPackets) {
        expect(asking).toEqual([])
        return
      }
      expect(asking.length).toBeGreaterThan(3)
      for (const index of asking) expect(packets[index]).toEqual([SentFrameKind.WindowUpdate])
      const gaps = asking.slice(1).map((index, i) => index - asking[i]!)
      expect(new Set(gaps)).toEqual(new Set([20]))
    })
  }
})

describe('mechanism: PING', () => {
  for (const version of supportedVersions) {
    scenario(`goes out after 15 silent seconds with a stream open, and none without: ${version.label}`, 1, (seed) => {
      const transport = { streamWindow: 16_384, idleTimeoutSeconds: 100 }
      const { client, world } = connectPair({ seed, versions: [version], transport })
      client.session.start({ up: 0, down: 100_000, seed })
      client.session.streams[0]!.paused = true
      world.advance(10_000)
      const quiet = client.datagramsSent
      world.advance(4_000)
      expect(client.datagramsSent).toBe(quiet)
      world.advance(3_000)
      expect(client.datagramsSent).toBe(quiet + 1)
      world.advance(30_000)
      expect(client.datagramsSent).toBe(quiet + 3)
      client.session.streams[0]!.resume()
      world.run(() => client.session.done)
      world.advance(1_000)
      const done = client.datagramsSent
      world.advance(60_000)
      expect(client.datagramsSent).toBe(done)
    })
  }
})

describe('mechanism: 5RTO', () => {
  for (const version of supportedVersions) {
    scenario(`the client gives up after its fifth timeout, the server does not: ${version.label}`, 1, (seed) => {
      for (const [options, code] of [
        [['5RTO'], 'QUIC_TOO_MANY_RTOS'],
        [[], 'QUIC_NETWORK_IDLE_TIMEOUT']
      ] as const) {
        const dark = { on: false }
        const up = [new Delay(20), new DropIf(() => dark.on)]
        const down = [new Delay(20), new DropIf(() => dark.on)]
        const transport = { connectionOptions: options, idleTimeoutSeconds: 60 }
        const { client, world } = connectPair({ seed, versions: [version], transport, up, down })
        client.session.start({ up: 2_000_000, down: 2_000_000, seed })
        world.advance(300)
        const server = client.serverSide(world)!
        dark.on = true
        world.run(() => !client.connection.connected, 120_000)
        expect(client.connection.closeError!.code).toBe(code)
        if (options.length > 0) {
          expect(world.elapsedMs).toBeLessThan(20_000)
          expect(client.connection.closeError!.details).toBe('5 consecutive retransmission timeouts')
          expect(client.connection.stats.retransmissionTimeouts).toBe(4)
        }
        world.run(() => !server.connected, 120_000)
        expect(server.closeError!.code).toBe('QUIC_NETWORK_IDLE_TIMEOUT')
      }
    })
  }
})

describe('mechanism: loss detection and timers by COPT', () => {
  const options = 'TIME ATIM LFAK NTLP TLPR NRTO UNDO CONH 1CON NCON MIN1 MIN4 SSLR NPRR RATE IW03 IW50'.split(' ')
  for (const version of supportedVersions) {
    scenario(`all of them over a bad path: ${version.label}`, 1, (seed) => {
      for (const option of options) {
        const o = { seed, versions: [version], transport: { connectionOptions: [option] }, up: bad(), down: bad() }
        runExchanges(o, [{ up: 60_000, down: 60_000, seed }])
      }
    })
  }
})

/** What the connection is made of at present. */
function partsOf(connection: QuicConnection): unknown {
  return (connection as unknown as { parts: unknown }).parts
}
