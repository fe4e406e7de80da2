import { describe, expect } from 'vitest'
import type { TransportOptions } from '../../src/endpoint/transport-options.js'
import { BbrMode, type BbrSender } from '../../src/quic/recovery/bbr-sender.js'
import type { QuicConnection } from '../../src/quic/transport/connection.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { logFlights, type Burst, type FlightLog, type LoggedMetrics } from '../helpers/sim/flight-log.js'
import { Bottleneck, Delay, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, scenario, type ConnectedPair } from '../helpers/sim/scenario.js'

const MSS = 1460
const MAX_WINDOW = 2000 * MSS

interface Flight extends ConnectedPair {
  readonly log: FlightLog
  readonly server: QuicConnection
}

/** A connection whose server sends `down` bytes, with what the server does on record. */
function download(seed: number, version: QuicVersion, options: string[], down: number, path: NetworkNode[], back?: NetworkNode[]): Flight {
  const logs = logFlights()
  const windows: TransportOptions = { streamWindow: 4_000_000, connectionWindow: 6_000_000 }
  const transport = { ...windows, connectionOptions: options }
  const pair = connectPair({ seed, versions: [version], transport, observe: logs.observe, up: back ?? path, down: path })
  pair.client.session.start({ up: 0, down, seed })
  return { ...pair, log: logs.server, server: pair.client.serverSide(pair.world)! }
}

/** Drops one full packet when told to. */
class DropOne implements NetworkNode {
  armed = false

  pass(...[packet, _random, emit]: Parameters<NetworkNode['pass']>): void {
    if (this.armed && packet.bytes.length > 1200) this.armed = false
    else emit(packet)
  }
}

/** What was known just before the first loss, and just after it. */
function aroundLoss({ log }: Flight): [before: LoggedMetrics, after: LoggedMetrics] {
  const { at } = log.lost[0]!
  return [log.metrics.findLast((metrics) => metrics.at < at)!, log.metrics.find((metrics) => metrics.at >= at)!]
}

/** Sees an exchange through whose answer loses one packet once the window is this large. @returns from its loss on */
function loseOneAt(window: number, flight: Flight, drop: DropOne, limitMs = 60_000): [before: LoggedMetrics, after: LoggedMetrics] {
  const { client, world, server, log } = flight
  world.run(() => server.congestionWindow >= window, limitMs)
  drop.armed = true
  world.run(() => client.session.done, limitMs)
  expect(log.lost).toHaveLength(1)
  return aroundLoss(flight)
}

describe('mechanism: hybrid slow start', () => {
  for (const version of supportedVersions) {
    scenario(`slow start ends when the round trip grows, before anything is lost: ${version.label}`, 1, (seed) => {
      const rate = 1_000_000
      const delay = 40
      const product = (rate * 2 * delay) / 1000
      // Room for five round trips: only the delay can tell.
      const bottleneck = new Bottleneck(rate, 5 * product)
      const { client, world, server, log } = download(seed, version, ['IW10'], 350_000, [bottleneck, new Delay(delay, 1)], [new Delay(delay)])
      world.run(() => client.session.done)
      const exit = log.metrics.find(({ threshold }) => threshold < MAX_WINDOW)!
      expect(exit.threshold).toBeGreaterThan(0.5 * product)
      expect(exit.threshold).toBeLessThan(3.5 * product)
      expect(exit.smoothedRtt).toBeLessThan(3 * 2 * delay * 1000)
      expect([server.stats.packetsLost, bottleneck.dropped]).toEqual([0, 0])
      // It goes on from there with the slower growth: slow start would have doubled it.
      expect(server.congestionWindow).toBeLessThan(1.3 * exit.threshold)
    })

    scenario(`it goes on while the round trip is what it was, whatever is duplicated: ${version.label}`, 1, (seed) => {
      const path = (): NetworkNode[] => [new Delay(40, 2), new Duplicate(0.1)]
      const { client, world, log } = download(seed, version, ['IW10'], 250_000, path(), path())
      world.run(() => client.session.done)
      const { window, threshold } = log.metrics.at(-1)!
      expect(threshold).toBe(MAX_WINDOW)
      // One segment for each packet that is acknowledged.
      expect(window).toBeGreaterThan(8 * 10 * MSS)
    })
  }
})

describe('mechanism: proportional rate reduction', () => {
  for (const version of supportedVersions) {
    scenario(`in recovery packets go in proportion to what arrives, without it (NPRR) after a pause: ${version.label}`, 1, (seed) => {
      for (const options of [[], ['NPRR']]) {
        const drop = new DropOne()
        const flight = download(seed, version, options, 420_000, [drop, new Bottleneck(1_500_000, 1e6), new Delay(50)], [new Delay(50)])
        const [before, after] = loseOneAt(50 * MSS, flight, drop)
        const share = after.threshold / before.inFlight
        expect(share).toBeGreaterThan(0.6)
        const { sent, due } = sentInRecovery(flight, after, share)
        expect(due.at(-1)! / 1350).toBeGreaterThan(30)
        const shortfalls = due.map((bytes, i) => (bytes - sent[i]!) / 1350)
        if (options.length === 0) {
          expect(Math.max(...shortfalls)).toBeLessThan(4)
          expect(Math.min(...shortfalls)).toBeGreaterThan(-4)
        } else {
          expect(Math.max(...shortfalls)).toBeGreaterThan(8)
        }
      }
    })
  }
})

/** Bytes sent from a loss on, and the share of those delivered by then, for each event of the round trip after it. */
function sentInRecovery({ log }: Flight, after: LoggedMetrics, share: number): { sent: number[]; due: number[] } {
  const end = after.at + 0.9 * after.smoothedRtt
  const sent: number[] = []
  const due: number[] = []
  for (const { at, inFlight } of log.metrics) {
    if (at <= after.at || at > end) continue
    const bytes = log.asking().filter((packet) => packet.at >= after.at && packet.at <= at).reduce((sum, { length }) => sum + length, 0)
    sent.push(bytes)
    due.push(share * (after.inFlight + bytes - inFlight))
  }
  return { sent, due }
}

describe('mechanism: CUBIC and Reno', () => {
  for (const version of supportedVersions) {
    scenario(`CUBIC comes back fast to near where it was, and slowly beyond, whatever the round trip: ${version.label}`, 1, (seed) => {
      const drop = new DropOne()
      const flight = download(seed, version, [], 700_000, [drop, new Delay(150)], [new Delay(150)])
      const [before, after] = loseOneAt(34 * MSS, flight, drop)
      expect(after.window).toBe(Math.floor(0.85 * before.window))
      const { log } = flight
      const begin = log.metrics.find(({ at, window }) => at > after.at && window > after.window)!.at
      expect(log.asking().at(-1)!.at - begin).toBeGreaterThan(900_000)
      const gap = before.window - after.window
      const gained = (ms: number): number => (log.metricsAt(begin + ms * 1000).window - after.window) / gap
      // With 70 segments the curve takes 3 s, most of it for the last tenth. Reno would take 5 round trips, of 300 ms each.
      expect(gained(400)).toBeGreaterThan(0.6)
      expect(gained(900)).toBeLessThan(1.1)
      expect(gained(900) - gained(400)).toBeLessThan(0.4)
    })

    for (const [name, options, whole] of [['bytes', ['RENO', 'BYTE'], false], ['packets', ['RENO'], true]] as const) {
      scenario(`Reno in ${name} grows by two segments a round trip: ${version.label}`, 1, (seed) => {
        const drop = new DropOne()
        const flight = download(seed, version, [...options], 500_000, [drop, new Delay(60), new Duplicate(0.05)], [new Delay(60)])
        const [before, after] = loseOneAt(34 * MSS, flight, drop)
        const { log } = flight
        const cut = 0.85 * (before.window / MSS)
        expect(after.window).toBe(whole ? Math.floor(cut) * MSS : Math.floor(0.85 * before.window))
        const steps = log.metrics.filter(({ at, window }, i) => at > after.at && window > log.metrics[i - 1]!.window)
        expect(steps.length).toBeGreaterThan(4)
        steps.forEach(({ window }, i) => expect(window).toBe(after.window + (i + 1) * MSS))
        // Two emulated connections: each half of a window acknowledged makes it a segment larger.
        for (let i = 2; i < steps.length; i++) expect(steps[i]!.at - steps[i - 2]!.at).toBeGreaterThan(0.65 * after.smoothedRtt)
        for (let i = 2; i < steps.length; i++) expect(steps[i]!.at - steps[i - 2]!.at).toBeLessThan(1.5 * after.smoothedRtt)
      })
    }
  }
})

describe('mechanism: N-connection emulation', () => {
  for (const version of supportedVersions) {
    scenario(`a loss costs what it costs one of that many connections: ${version.label}`, 1, (seed) => {
      for (const [option, streams, connections] of [['1CON', 3, 1], [undefined, 3, 2], ['NCON', 1, 1], ['NCON', 3, 3], ['NCON', 8, 5]] as const) {
        const drop = new DropOne()
        const path = [drop, new Delay(30), new Duplicate(0.05)]
        const flight = download(seed, version, option === undefined ? [] : [option], 120_000 / streams, path, [new Delay(30)])
        for (let i = 1; i < streams; i++) flight.client.session.start({ up: 0, down: 120_000 / streams, seed: seed + i })
        const [before, after] = loseOneAt(40 * MSS, flight, drop)
        expect(after.window / before.window).toBeCloseTo((connections - 0.3) / connections, 2)
      }
    })
  }
})

describe('mechanism: pacing', () => {
  for (const version of supportedVersions) {
    scenario(`ten packets at once after a pause, the others spread over the round trip, losses or not: ${version.label}`, 1, (seed) => {
      const drop = new DropOne()
      const path = [drop, new Delay(40, 1), new Duplicate(0.1)]
      const { client, world, log } = download(seed, version, [], 20_000, path, [new Delay(40, 1)])
      world.run(() => client.session.done)
      world.advance(1_000)
      const begin = world.now
      client.session.start({ up: 0, down: 250_000, seed })
      world.advance(150)
      drop.armed = true
      world.run(() => client.session.done)
      expect(log.lost).toHaveLength(1)
      const { smoothedRtt, window } = log.metricsAt(begin)
      const [first, ...others] = log.bursts(begin) as [Burst, ...Burst[]]
      expect(first.length).toBeGreaterThanOrEqual(10)
      expect(first.length).toBeLessThanOrEqual(12)
      // What is due within a millisecond may go now, at two windows a round trip.
      const largest = Math.max(...log.metrics.map((metrics) => metrics.window))
      const due = (2 * largest * 1_000) / (smoothedRtt * 1350)
      expect(Math.max(...others.map(({ length }) => length))).toBeLessThanOrEqual(Math.ceil(due) + 1)
      const start = first[0].at
      const beforeAnswer = log.asking(begin).filter(({ at }) => at < start + smoothedRtt * 0.95)
      expect(beforeAnswer.length * 1350).toBeGreaterThan(0.9 * window)
      const took = beforeAnswer.at(-1)!.at - start
      expect(took).toBeGreaterThan(0.3 * smoothedRtt)
      expect(took).toBeLessThan(0.6 * smoothedRtt)
    })
  }
})

describe('departures', () => {
  for (const version of supportedVersions) {
    scenario(`are told of packets that go up to a millisecond early, and of nothing else: ${version.label}`, 1, (seed) => {
      const path = [new Delay(10)]
      const { client, world } = download(seed, version, [], 100_000, path, path)
      const turns = new Map<number, { delay: number; length: number }[]>()
      world.onTransmit = (byServer, { delay = 0, length, segmentSize }) => {
        expect(delay).toBeGreaterThanOrEqual(0)
        expect(delay).toBeLessThanOrEqual(1_000)
        expect(Number.isInteger(delay)).toBe(true)
        // The client has only requests and acks to send.
        if (!byServer) expect(delay).toBe(0)
        else if (segmentSize > 1_000) turns.set(world.now, [...(turns.get(world.now) ?? []), { delay, length }])
      }
      world.run(() => client.session.done)
      client.session.start({ up: 0, down: 3_000_000, seed })
      world.run(() => client.session.done)
      // Of those that leave in one turn, each is due when what is before it has had its time.
      const trains = [...turns.values()].map((train) => train.filter(({ delay }) => delay > 0)).filter(({ length }) => length > 1)
      expect(trains.length).toBeGreaterThan(10)
      for (const train of trains) {
        const rates = train.slice(1).map(({ delay }, i) => train[i]!.length / (delay - train[i]!.delay))
        for (const rate of rates) expect(rate / rates[0]!).toBeCloseTo(1, 1)
      }
    })
  }
})

describe('mechanism: BBR', () => {
  for (const version of supportedVersions) {
    scenario(`finds the rate of a bad link and keeps its queue short (TBBR): ${version.label}`, 1, (seed) => {
      const rate = 500_000
      const link = [new Loss(0.01), new Bottleneck(rate, 200_000), new Delay(32), new Duplicate(0.05), new Reorder(0.01, 3)]
      const { client, world, server, log } = download(seed, version, ['TBBR'], 900_000, link, [new Delay(32)])
      const bbr = (): BbrSender => server.congestionControl as BbrSender
      const modes = new Set<BbrMode>()
      world.run(() => modes.add(bbr().mode) && client.session.done)
      expect([...modes].slice(1)).toEqual([BbrMode.Startup, BbrMode.Drain, BbrMode.ProbeBandwidth])
      expect(bbr().bandwidthEstimate * 1e6).toBeGreaterThan(0.93 * rate)
      expect(bbr().bandwidthEstimate * 1e6).toBeLessThan(1.07 * rate)
      expect(server.stats.packetsLost).toBeGreaterThan(0)
      // A quarter of a round trip may wait while it probes; losses at random do not make it slower.
      const late = log.metrics.filter(({ at }) => at > world.now - 500_000)
      expect(Math.max(...late.map(({ smoothedRtt }) => smoothedRtt))).toBeLessThan(1.5 * 64_000)
      expect(Math.min(...late.map(({ window }) => window))).toBeGreaterThan(1.5 * rate * 0.064)
    })
  }
})
