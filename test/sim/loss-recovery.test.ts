import { describe, expect } from 'vitest'
import type { TransportOptions } from '../../src/endpoint/transport-options.js'
import type { QuicConnection } from '../../src/quic/transport/connection.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { largestAckedBy, logFlights, reachIn, type Burst, type FlightLog, type LoggedPacket } from '../helpers/sim/flight-log.js'
import { Bottleneck, Delay, DropIf, Duplicate, HoldBack, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, scenario, type ConnectedPair } from '../helpers/sim/scenario.js'

/** A link that puts 2.7 ms between full packets, with room for all of them. */
const RATE = 500_000
const SPACING = (1350 / RATE) * 1000

interface Flight extends ConnectedPair {
  readonly log: FlightLog
  readonly clientLog: FlightLog
  readonly server: QuicConnection
}

/** A connection that has measured its path, with what its server does on record. */
function warm(seed: number, version: QuicVersion, transport: TransportOptions, down: NetworkNode[], up?: NetworkNode[]): Flight {
  const logs = logFlights()
  const pair = connectPair({ seed, versions: [version], transport, observe: logs.observe, up, down })
  pair.client.session.start({ up: 0, down: 20_000, seed })
  pair.world.run(() => pair.client.session.done)
  pair.world.advance(1_000)
  return { ...pair, log: logs.server, clientLog: logs.client, server: pair.client.serverSide(pair.world)! }
}

/** Times between bursts, µs. */
function gaps(bursts: Burst[]): number[] {
  return bursts.slice(1).map((burst, i) => burst[0].at - bursts[i]![0].at)
}

/** Stream data in packets, by packet: where each ends. */
function reaches(packets: LoggedPacket[], streamId: number): number[] {
  return packets.map((packet) => reachIn(packet, streamId))
}

/** What was sent and neither acknowledged nor found lost, the oldest first. */
function unanswered(log: FlightLog): LoggedPacket[] {
  const ack = log.received().findLast((packet) => largestAckedBy(packet) > 0)!
  const ranges = ack.frames.find(({ frame_type }) => frame_type === 'ack')!['acked_ranges'] as [number, number][]
  const answered = (n: number): boolean => n < ranges[0]![0] || ranges.some(([from, to]) => from <= n && n <= to)
  const lost = new Set(log.lost.map(({ packetNumber }) => packetNumber))
  return log.asking().filter(({ packetNumber }) => !answered(packetNumber) && !lost.has(packetNumber))
}

describe('mechanism: tail loss probes and retransmission timeouts', () => {
  for (const version of supportedVersions) {
    for (const [option, probes] of [[undefined, 2], ['NTLP', 0]] as const) {
      const name = option === undefined ? 'two probes two round trips apart, then' : 'no probe (NTLP), only'
      scenario(`${name} pairs of packets after twice the time: ${version.label}`, 1, (seed) => {
        const dark = { on: false }
        const transport = option === undefined ? {} : { connectionOptions: [option] }
        const { client, world, server, log } = warm(seed, version, transport, [new DropIf(() => dark.on), new Delay(20)])
        dark.on = true
        const begin = world.now
        client.session.start({ up: 0, down: 9_000, seed })
        world.advance(2_500)
        const { smoothedRtt, rttDeviation } = log.metricsAt(begin)
        const timeout = Math.max(smoothedRtt + 4 * rttDeviation, 200_000)
        expect(smoothedRtt).toBeGreaterThanOrEqual(40_000)
        const bursts = log.bursts(begin)
        expect(gaps(bursts)).toEqual([...Array<number>(probes).fill(2 * smoothedRtt), timeout, 2 * timeout, 4 * timeout])
        expect(bursts.slice(1).map(({ length }) => length)).toEqual([...Array<number>(probes).fill(1), 2, 2, 2])
        expect(server.stats).toMatchObject({ tailLossProbes: probes, retransmissionTimeouts: 3, packetsLost: 0 })
        // Nothing has been said of the path: the window stands until an answer proves that the timeouts were real.
        expect(server.congestionWindow).toBe(log.metricsAt(begin).window)
        dark.on = false
        const end = world.now
        world.run(() => client.session.done)
        world.advance(100)
        const windows = log.metrics.filter(({ at }) => at > end).map(({ window }) => window)
        expect(Math.min(...windows)).toBe(2 * 1460)
        expect(server.congestionControl.slowStartThreshold).toBe(Math.floor(log.metricsAt(begin).window / 2))
      })
    }

    scenario(`a probe carries new data while there is any, a timeout the oldest: ${version.label}`, 1, (seed) => {
      const dark = { on: false }
      const rough = (): NetworkNode[] => [new Loss(0.02), new Duplicate(0.1), new Reorder(0.05, 5), new Delay(20)]
      const down = [new DropIf(() => dark.on), ...rough()]
      const { client, world, server, log } = warm(seed, version, {}, down, rough())
      client.session.start({ up: 0, down: 400_000, seed })
      const stream = client.session.streams.at(-1)!
      world.run(() => stream.received > 60_000)
      dark.on = true
      const begin = world.now
      world.run(() => server.stats.retransmissionTimeouts === 1)
      const [last, first, second, again] = log.bursts(begin).slice(-4) as [Burst, Burst, Burst, Burst]
      const { smoothedRtt } = log.metricsAt(world.now - 1)
      expect(gaps([last, first, second])).toEqual([2 * smoothedRtt, 2 * smoothedRtt])
      const before = Math.max(...reaches(log.asking().filter(({ at }) => at <= last[0].at), stream.id))
      expect([first.length, second.length]).toEqual([1, 1])
      expect(reachIn(first[0], stream.id)).toBeGreaterThan(before)
      expect(reachIn(second[0], stream.id)).toBeGreaterThan(reachIn(first[0], stream.id))
      const oldest = reaches(unanswered(log).slice(0, 2), stream.id)
      expect(reaches(again, stream.id)).toEqual(oldest)
      expect(Math.max(...oldest)).toBeLessThan(before)
      dark.on = false
      world.run(() => client.session.done)
    })

    scenario(`an answer that is only late is no reason for a smaller window: ${version.label}`, 1, (seed) => {
      const late = { on: false }
      const { client, world, server, log } = warm(seed, version, {}, [new HoldBack(() => late.on, 1_000), new Delay(20)])
      late.on = true
      const begin = world.now
      client.session.start({ up: 0, down: 9_000, seed })
      world.advance(900)
      expect(server.stats.retransmissionTimeouts).toBeGreaterThan(0)
      late.on = false
      world.run(() => client.session.done)
      world.advance(2_000)
      expect(server.stats.packetsRetransmittedSpuriously).toBeGreaterThan(0)
      expect(Math.min(...log.metrics.map(({ window }) => window))).toBe(log.metrics[0]!.window)
      // It has learned how slow the path is.
      expect(Math.max(...log.metrics.filter(({ at }) => at > begin).map(({ smoothedRtt }) => smoothedRtt))).toBeGreaterThan(900_000)
    })
  }
})

describe('mechanism: loss detection by number, by time and at the end of a burst', () => {
  for (const version of supportedVersions) {
    scenario(`one packet lost, and one three later acknowledged: ${version.label}`, 1, (seed) => {
      const { at, packet, server, log } = loseOne(seed, version, [], 100_000, (index) => index === 20)
      const number = packet.packetNumber
      const acks = log.received(packet.at).filter((ack) => largestAckedBy(ack) > number)
      expect(largestAckedBy(acks[0]!)).toBeLessThan(number + 3)
      expect(at).toBe(acks.find((ack) => largestAckedBy(ack) >= number + 3)!.at)
      expect(server.stats).toMatchObject({ packetsLost: 1, packetsRetransmitted: 1, packetsRetransmittedSpuriously: 0, tailLossProbes: 0 })
    })

    scenario(`early retransmit, with one packet after the lost one: ${version.label}`, 1, (seed) => {
      const { at, packet, log, server } = loseOne(seed, version, [], 6_000, (_index, left) => left === 1)
      expect(at).toBe(packet.at + patience(log, at))
      expect(server.stats).toMatchObject({ packetsLost: 1, tailLossProbes: 0 })
    })

    scenario(`by time alone, where the client asks for that (TIME): ${version.label}`, 1, (seed) => {
      const { at, packet, log, server } = loseOne(seed, version, ['TIME'], 100_000, (index) => index === 20)
      const number = packet.packetNumber
      const third = log.received(packet.at).find((ack) => largestAckedBy(ack) >= number + 3)!
      expect(at).toBeGreaterThan(third.at)
      expect(at).toBeGreaterThanOrEqual(packet.at + patience(log, packet.at))
      expect(server.stats).toMatchObject({ packetsLost: 1, packetsRetransmittedSpuriously: 0 })
    })

    scenario(`two packets may overtake one, six may not: ${version.label}`, 1, (seed) => {
      for (const overtaking of [2, 6]) {
        const on = { now: false }
        const hold = new HoldBack((index) => on.now && index % 9 === 0, (overtaking + 0.3) * SPACING)
        const down = [new Bottleneck(RATE, 1e6), new Delay(20), hold, new Duplicate(0.1)]
        const { client, world, server } = warm(seed, version, {}, down)
        on.now = true
        client.session.start({ up: 0, down: 100_000, seed })
        world.run(() => client.session.streams.at(-1)!.received > 90_000)
        on.now = false
        world.run(() => client.session.done)
        world.advance(500)
        const { packetsLost, packetsRetransmitted, packetsRetransmittedSpuriously } = server.stats
        const seen = [packetsLost, packetsRetransmitted, packetsRetransmittedSpuriously]
        if (overtaking === 2) expect(seen).toEqual([0, 0, 0])
        else expect(Math.min(...seen)).toBeGreaterThan(4)
        // Whatever was called lost came: it was sent again in vain.
        expect(packetsRetransmittedSpuriously).toBe(packetsRetransmitted)
      }
    })

    scenario(`under loss and duplication nothing is called lost that arrived: ${version.label}`, 1, (seed) => {
      const rough = (): NetworkNode[] => [new Loss(0.08), new Bottleneck(RATE, 1e6), new Delay(20, 3), new Duplicate(0.1)]
      const { client, world, log, clientLog } = warm(seed, version, {}, rough(), rough())
      const begin = world.now
      client.session.start({ up: 30_000, down: 150_000, seed })
      world.run(() => client.session.done)
      const arrived = new Set(clientLog.received().map(({ packetNumber }) => packetNumber))
      const lost = log.lost.filter(({ at }) => at > begin)
      expect(lost.length).toBeGreaterThan(2)
      expect(lost.filter(({ packetNumber }) => arrived.has(packetNumber))).toEqual([])
    })
  }
})

/** From when on a packet counts as late, by number or as the last of a burst, µs after it was sent. */
function patience(log: FlightLog, time: number): number {
  // What was known before the acknowledgement that set the timer, and with it.
  const { latestRtt } = log.metricsAt(time)
  const smoothed = log.metrics.filter(({ at }) => at < time).map(({ smoothedRtt }) => smoothedRtt)
  const longest = Math.max(latestRtt, smoothed.at(-2)!)
  return longest + (longest >> 2)
}

/**
 * An exchange of which one packet of the answer is lost.
 * @param which gets the packet's index in the answer, and how many follow it
 */
function loseOne(
  seed: number,
  version: QuicVersion,
  connectionOptions: string[],
  down: number,
  which: (index: number, left: number) => boolean
): { at: number; packet: LoggedPacket } & Flight {
  const state = { on: false, index: 0 }
  const packets = Math.ceil(down / 1300)
  const drop = new DropIf(() => state.on && which(state.index++, packets - state.index))
  const flight = warm(seed, version, { connectionOptions }, [drop, new Bottleneck(RATE, 1e6), new Delay(20)])
  const { client, world, log } = flight
  state.on = true
  client.session.start({ up: 0, down, seed })
  world.run(() => client.session.done)
  world.advance(500)
  expect(log.lost).toHaveLength(1)
  const [{ at, packetNumber }] = log.lost as [{ at: number; packetNumber: number }]
  return { ...flight, at, packet: log.sent().find((packet) => packet.packetNumber === packetNumber)! }
}
