import { describe, expect } from 'vitest'
import type { TransportOptions } from '../../src/endpoint/transport-options.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { fieldsOf, logFlights, reachIn, type FlightLog, type FlightLogs } from '../helpers/sim/flight-log.js'
import { Delay, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, runExchanges, scenario, type ConnectedPair } from '../helpers/sim/scenario.js'

function bad(): NetworkNode[] {
  return [new Delay(20, 3), new Loss(0.03), new Reorder(0.1, 20), new Duplicate(0.1)]
}

/** Bytes that a sender may send, of one stream and of all together. */
interface Windows {
  readonly stream: number
  readonly connection: number
}

/**
 * Holds every packet that one end sent against the limits that had reached it by then.
 * @returns how close it came to them: the least that was left of each
 */
function leastLeft(log: FlightLog, streams: readonly number[], first: Windows): Windows {
  const limits = new Map(streams.map((id) => [id, first.stream]))
  const sent = new Map(streams.map((id) => [id, 0]))
  let connection = first.connection
  const least = { ...first }
  for (const packet of log.packets) {
    if (!packet.sent) {
      connection = Math.max(connection, ...fieldsOf(packet, 'max_data', 'maximum'))
      for (const frame of packet.frames.filter(({ frame_type }) => frame_type === 'max_stream_data')) {
        const id = frame['stream_id'] as number
        limits.set(id, Math.max(limits.get(id) ?? 0, frame['maximum'] as number))
      }
      continue
    }
    for (const id of streams) {
      sent.set(id, Math.max(sent.get(id)!, reachIn(packet, id)))
      least.stream = Math.min(least.stream, limits.get(id)! - sent.get(id)!)
    }
    const total = [...sent.values()].reduce((sum, bytes) => sum + bytes, 0)
    least.connection = Math.min(least.connection, connection - total)
  }
  return least
}

/** How many BLOCKED frames one end has sent for a stream, or for the connection (0). */
function blockedFrames(log: FlightLog, streamId: number): number {
  return log.sent().flatMap((packet) => fieldsOf(packet, 'blocked', 'stream_id')).filter((id) => id === streamId).length
}

/** A connection on a bad path to a server of these windows, which does not read new streams until told to. */
function unread(seed: number, version: QuicVersion, serverTransport: TransportOptions): { pair: ConnectedPair; logs: FlightLogs } {
  const logs = logFlights()
  const pair = connectPair({ seed, versions: [version], serverTransport, observe: logs.observe, up: bad(), down: bad() })
  pair.serverSession().pauseNewStreams = true
  return { pair, logs }
}

/** The ids of the client's streams so far. */
function streamIds({ client }: ConnectedPair): number[] {
  return client.session.streams.map(({ id }) => id)
}

describe('mechanism: flow control', () => {
  for (const version of supportedVersions) {
    scenario(`a stream that nobody reads gets its window and not a byte more: ${version.label}`, 1, (seed) => {
      const { pair, logs } = unread(seed, version, { streamWindow: 32_000, connectionWindow: 200_000 })
      const { client, world } = pair
      client.session.start({ up: 100_000, down: 10_000, seed })
      world.advance(3_000)
      const [stream] = pair.serverSession().streams
      const [id] = streamIds(pair)
      expect(stream!.flowController.highestReceived).toBe(32_000)
      expect(blockedFrames(logs.client, id!)).toBeGreaterThan(0)
      expect(blockedFrames(logs.client, 0)).toBe(0)
      const quiet = logs.client.packets.filter(({ sent }) => sent).length
      world.advance(5_000)
      // It says so once, and waits.
      expect(logs.client.packets.filter(({ sent }) => sent).length).toBeLessThan(quiet + 3)
      // A stream that is read has all the room that it needs beside it.
      pair.serverSession().pauseNewStreams = false
      client.session.start({ up: 60_000, down: 0, seed: seed + 1 })
      world.run(() => client.session.streams[1]!.complete)
      expect(stream!.flowController.highestReceived).toBe(32_000)
      stream!.resume()
      world.run(() => client.session.done)
      const left = leastLeft(logs.client, streamIds(pair), { stream: 32_000, connection: 200_000 })
      expect(left.stream).toBe(0)
      expect(left.connection).toBeGreaterThan(0)
    })

    scenario(`streams together get the connection's window, and what is read of one goes to all: ${version.label}`, 1, (seed) => {
      const { pair, logs } = unread(seed, version, { streamWindow: 30_000, connectionWindow: 40_000 })
      const { client, world } = pair
      for (let i = 0; i < 3; i++) client.session.start({ up: 35_000, down: 0, seed: seed + i })
      world.advance(3_000)
      const session = pair.serverSession()
      expect(session.flowController.highestReceived).toBe(40_000)
      expect(blockedFrames(logs.client, 0)).toBeGreaterThan(0)
      for (const stream of session.streams) stream.resume()
      session.pauseNewStreams = false
      world.run(() => client.session.done)
      expect(session.flowController.consumed).toBe(3 * 35_000)
      const left = leastLeft(logs.client, streamIds(pair), { stream: 30_000, connection: 40_000 })
      expect(left.connection).toBe(0)
      expect(left.stream).toBeGreaterThanOrEqual(0)
    })

    scenario(`windows grow where they are what holds the peer up, and only there: ${version.label}`, 1, (seed) => {
      const windows = (readEveryMs: number, up: NetworkNode[], down: NetworkNode[]): number[] => {
        const serverTransport = { streamWindow: 16_384, connectionWindow: 24_576 }
        const pair = connectPair({ seed, versions: [version], serverTransport, up, down })
        const { client, world } = pair
        pair.serverSession().pauseNewStreams = readEveryMs > 0
        client.session.start({ up: 120_000, down: 0, seed })
        world.run(() => pair.serverSession().streams.length > 0)
        const [stream] = pair.serverSession().streams
        for (let i = 0; !client.session.done && i < 1_000; i++) {
          world.advance(readEveryMs || 20)
          stream!.onDataAvailable()
          if (readEveryMs > 0) stream!.resume()
          stream!.paused = readEveryMs > 0
        }
        expect(client.session.done).toBe(true)
        return [stream!.flowController.receiveWindow, pair.serverSession().flowController.receiveWindow]
      }
      const fast = windows(0, bad(), bad())
      expect(fast[0]).toBeGreaterThanOrEqual(2 * 16_384)
      expect(fast[1]).toBeGreaterThanOrEqual(2 * 24_576)
      // Whoever reads once in many round trips gets what he asked for.
      expect(windows(400, [new Delay(20)], [new Delay(20)])).toEqual([16_384, 24_576])
    })

    scenario(`a client's windows are large and stay what they are: ${version.label}`, 1, (seed) => {
      const logs = logFlights()
      const transport = { streamWindow: 20_000, connectionWindow: 30_000 }
      const pair = runExchanges({ seed, versions: [version], transport, observe: logs.observe, up: bad(), down: bad() }, [
        { up: 0, down: 80_000, seed },
        { up: 0, down: 60_000, seed: seed + 1 }
      ])
      const { session } = pair.client
      expect(session.flowController.receiveWindow).toBe(30_000)
      for (const { flowController } of session.streams) expect(flowController.receiveWindow).toBe(20_000)
      const left = leastLeft(logs.server, streamIds(pair), { stream: 20_000, connection: 30_000 })
      expect(Math.min(left.stream, left.connection)).toBe(0)
    })
  }
})

describe('mechanism: stream limits', () => {
  for (const version of supportedVersions) {
    const rule = version.traits.maxIncomingStreamsTag ? 'what the server says (MIDS)' : 'the smaller of both (MSPC)'
    scenario(`a client has as many streams open as ${rule}, and opens more as they end: ${version.label}`, 1, (seed) => {
      for (const [own, its] of [[100, 3], [2, 5]] as const) {
        const limit = version.traits.maxIncomingStreamsTag ? its : Math.min(own, its)
        const o = { seed, versions: [version], transport: { maxStreams: own }, serverTransport: { maxStreams: its } }
        const { client, world, serverSession } = connectPair({ ...o, up: bad(), down: bad() })
        world.run(() => client.connection.handshakeConfirmed)
        for (let i = 0; i < 9; i++) client.session.start({ up: 2_000, down: 4_000, seed: seed + i })
        let most = 0
        world.run(() => {
          // An answer that has come whole makes room, before the application has read it.
          most = Math.max(most, client.session.streams.filter(({ complete, countsAsOpen }) => countsAsOpen && !complete).length)
          return client.session.done
        })
        expect(most).toBe(limit)
        expect(serverSession().streams).toHaveLength(9)
      }
    })

    scenario(`a server refuses what is ten above its limit, and goes on with the others: ${version.label}`, 1, (seed) => {
      const o = { seed, versions: [version], serverTransport: { maxStreams: 2 } }
      const { client, world, serverSession } = connectPair({ ...o, up: bad(), down: bad() })
      world.run(() => client.connection.handshakeConfirmed)
      // A client that does not keep to what it was told.
      const { ids } = client.session as unknown as { ids: { maxOutgoing: number } }
      ids.maxOutgoing = 100
      for (let i = 0; i < 15; i++) client.session.start({ up: 3_000, down: 1_000, seed: seed + i })
      const { streams } = client.session
      world.run(() => streams.every(({ complete, resetSeen }) => complete || resetSeen !== undefined))
      const refused = streams.filter(({ resetSeen }) => resetSeen !== undefined)
      expect(refused.map(({ resetSeen }) => resetSeen)).toEqual(Array<string>(3).fill('QUIC_REFUSED_STREAM'))
      expect(serverSession().streams).toHaveLength(12)
      expect(client.connection.connected).toBe(true)
      client.session.start({ up: 3_000, down: 1_000, seed })
      world.run(() => streams.at(-1)!.complete)
    })
  }
})
