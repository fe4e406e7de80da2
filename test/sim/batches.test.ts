/**
 * Datagrams that are handed over in batches, their packets opened several with one call, come to exactly the same as one
 * by one: every event, every counter, and the time and size of every datagram sent in answer.
 */
import { createHash } from 'node:crypto'
import { describe, expect } from 'vitest'
import { NativeAeadProvider } from '../../src/endpoint/engines/native-aead.js'
import { NodeAeadProvider } from '../../src/quic/crypto/node-aead.js'
import { ConnectionId } from '../../src/quic/connection-id.js'
import { SentPacketManager } from '../../src/quic/recovery/sent-packet-manager.js'
import { DatagramBatch, MAX_DATAGRAMS } from '../../src/quic/transport/datagram-batch.js'
import { observerMethods, ObservedPacket, type ConnectionObserver } from '../../src/quic/transport/observer.js'
import { EncryptionLevel } from '../../src/quic/types.js'
import { versionByLabel } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { BatchAeadProvider } from '../helpers/batch-aead.js'
import { addon } from '../helpers/engines.js'
import { Corrupt, Delay, Duplicate, Loss, Reorder, Together, type NetworkNode } from '../helpers/sim/network.js'
import { scenario } from '../helpers/sim/scenario.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'
import { SimClientSession, SimServerSession } from '../helpers/sim/sim-application.js'
import { SimWorld, type Arrived } from '../helpers/sim/sim-world.js'

type HandOver = SimWorld['handOver']

const BODY = 300_000

function path(): NetworkNode[] {
  return [new Delay(10, 6), new Loss(0.02), new Reorder(0.1, 30), new Duplicate(0.05), new Corrupt(0.05), new Together(8)]
}

/** Puts some of what arrived into another order. */
function shuffled(random: SeededRandom, arrived: readonly Arrived[]): Arrived[] {
  const list = [...arrived]
  for (let i = 0; i < list.length; i++) {
    if (!random.chance(0.1)) continue
    const [one] = list.splice(i, 1)
    list.splice(random.below(list.length + 1), 0, one!)
  }
  return list
}

function oneByOne(order: SeededRandom): HandOver {
  return (endpoint, now, arrived) => {
    for (const { from, bytes } of shuffled(order, arrived)) endpoint.handleDatagram(now, from, bytes)
  }
}

/**
 * Batches of random sizes, whose bytes stand anywhere in a memory that is used again for the next one.
 * @param told how often the batch says that they do
 */
function inBatches(order: SeededRandom, sizes: SeededRandom, told: number): HandOver {
  const slot = 1600
  const memory = new Uint8Array(100 + MAX_DATAGRAMS * slot).subarray(100)
  const batch = new DatagramBatch()
  return (endpoint, now, arrived) => {
    const list = shuffled(order, arrived)
    while (list.length > 0) {
      memory.fill(0xee)
      const places = Array.from({ length: MAX_DATAGRAMS }, (_, i) => i)
      for (const { from, bytes } of list.splice(0, 1 + sizes.below(MAX_DATAGRAMS))) {
        const at = places.splice(sizes.below(places.length), 1)[0]! * slot
        memory.set(bytes, at)
        batch.add(from, memory.subarray(at, at + bytes.length), now)
      }
      if (sizes.chance(told)) batch.memory = memory
      endpoint.handleDatagrams(batch)
      batch.clear()
    }
  }
}

/** Writes down all that an observer is told. */
function logTo(log: string[]): ConnectionObserver {
  const fact = (value: unknown): string => {
    if (value instanceof SentPacketManager) {
      const { rtt, congestionWindow, bytesInFlight } = value
      return [rtt.latest, rtt.smoothed, rtt.min, congestionWindow, bytesInFlight].join(' ')
    }
    if (value instanceof ConnectionId) return value.toString()
    // Proofs are signed with a salt that comes from no seed.
    if (value instanceof Uint8Array) return `${value.length} bytes`
    if (!(value instanceof ObservedPacket)) return JSON.stringify(value)
    const { packetNumber, packetNumberLength, level, length, buffer, payloadStart, payloadEnd } = value
    const payload = createHash('sha256').update(buffer.subarray(payloadStart, payloadEnd)).digest('hex')
    return [packetNumber, packetNumberLength, level, length, level === EncryptionLevel.None ? '' : payload].join(' ')
  }
  const write = (name: string) => (...facts: unknown[]) => void log.push(`${name} ${facts.map(fact).join(' ')}`)
  return Object.fromEntries(observerMethods.map((name) => [name, write(name)])) as ConnectionObserver
}

interface Played {
  readonly log: readonly string[]
  readonly summary: unknown
}

/** Two clients at work at once, one of which moves to another address; at last one end of each goes away. */
function play(seed: number, version: QuicVersion, aeadProvider: BatchAeadProvider, handOver: HandOver): Played {
  const log: string[] = []
  const observe = (): ConnectionObserver => logTo(log)
  const world = new SimWorld({
    seed,
    versions: [version],
    aeadProvider,
    observe,
    createSession: (connection) => new SimServerSession(connection)
  })
  world.handOver = handOver
  const clients = [0, 1].map(() =>
    world.addClient({
      versions: [version],
      up: path(),
      down: path(),
      observe,
      createSession: (connection) => new SimClientSession(connection)
    })
  )
  world.run(() => clients.every(({ connection }) => connection.encryptionEstablished || !connection.connected))
  clients.forEach(({ session }, i) => session.start({ up: BODY, down: BODY, seed: seed + i }))
  world.advance(300)
  const moved = clients[0]!.address.address
  world.rewriteSource = (from) => (from.address === moved ? { ...from, address: '192.0.2.77' } : from)
  world.run(() => clients.every(({ session, connection }) => session.done || !connection.connected), 600_000)
  const connections = [...clients.map(({ connection }) => connection), ...world.dispatcher.connections()]
  clients.forEach(({ session }, i) => session.start({ up: BODY, down: BODY, seed: seed + 9 + i }))
  world.advance(200)
  clients[1]!.connection.close(16, 'enough')
  world.advance(1 + (seed % 50))
  const serverStats = { ...world.dispatcher.stats }
  world.restartServer('kept')
  world.advance(1000)
  return {
    log,
    summary: {
      trace: world.trace,
      stats: connections.map((connection) => ({ ...connection.stats, error: connection.closeError?.code })),
      server: serverStats
    }
  }
}

const providers = { 'node:crypto': () => new NodeAeadProvider(), ...(addon && { native: () => new NativeAeadProvider(addon!, ['AESG']) }) }

/** Hands the same datagrams over one by one and in batches. */
function compare(seed: number, label: string, single: BatchAeadProvider, batched: BatchAeadProvider, told: number): void {
  const version = versionByLabel(label)!
  const expected = play(seed, version, single, oneByOne(new SeededRandom(seed)))
  expect(single.opened.calls + single.masked.calls).toBe(0)
  const got = play(seed, version, batched, inBatches(new SeededRandom(seed), new SeededRandom(seed + 1), told))
  const different = expected.log.findIndex((line, i) => line !== got.log[i])
  expect(got.log.slice(different - 3, different + 1)).toEqual(expected.log.slice(different - 3, different + 1))
  expect(got.log.length).toBe(expected.log.length)
  expect(got.summary).toEqual(expected.summary)
}

describe.each(Object.entries(providers))('batches of datagrams, with %s', (_name, makeProvider) => {
  for (const label of ['Q033', 'Q035', 'Q039', 'Q043', 'Q044', 'Q046', 'Q050']) {
    scenario(`come to the same as one datagram after the other: ${label}`, 3, (seed) => {
      const batched = new BatchAeadProvider(makeProvider())
      compare(seed, label, new BatchAeadProvider(makeProvider()), batched, 0.95)
      const { calls, packets, refused } = batched.opened
      expect(packets).toBeGreaterThan(2 * calls)
      expect(packets).toBeGreaterThan(300)
      expect(refused).toBeGreaterThan(5)
    })
  }
})

describe('batches of datagrams that share no memory', () => {
  scenario('have their headers uncovered with one call, and come to the same: Q050', 3, (seed) => {
    const batched = new BatchAeadProvider(new NodeAeadProvider(), false)
    compare(seed, 'Q050', new BatchAeadProvider(new NodeAeadProvider(), false), batched, 0)
    const { calls, masks } = batched.masked
    expect(masks).toBeGreaterThan(2 * calls)
    expect(masks).toBeGreaterThan(300)
  })
})
