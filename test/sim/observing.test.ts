import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectCapture } from '../../src/inspect/inspect-capture.js'
import { KeyLog } from '../../src/observe/key-log.js'
import type { QlogEvent } from '../../src/observe/qlog/qlog-events.js'
import { qlogFrames } from '../../src/observe/qlog/qlog-frames.js'
import { QlogObserver } from '../../src/observe/qlog/qlog-observer.js'
import { ClientSessionCache } from '../../src/quic/handshake/client/session-cache.js'
import { QuicErrorCode } from '../../src/quic/errors.js'
import type { LevelKeys } from '../../src/quic/handshake/level-keys.js'
import { combineObservers } from '../../src/quic/transport/observer.js'
import type { ConnectionObserver, ObservedConnection, ObservedPacket, ObserveConnection } from '../../src/quic/transport/observer.js'
import { Perspective, type PeerAddress } from '../../src/quic/types.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { toPcap, type CapturedDatagram } from '../helpers/pcap.js'
import { checkEvent } from '../helpers/qlog-schema.js'
import { Delay, Duplicate, Loss, Reorder, type InTransit, type NetworkNode } from '../helpers/sim/network.js'
import { connectPair, runExchanges, scenario } from '../helpers/sim/scenario.js'
import { SimClientSession, SimServerSession } from '../helpers/sim/sim-application.js'
import { SimWorld } from '../helpers/sim/sim-world.js'

let dir: string

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'quicgate-observe-'))
})

afterAll(() => rmSync(dir, { recursive: true }))

interface SeenPacket {
  readonly level: number
  readonly length: number
  readonly frames: readonly object[]
}

/** Everything that one end tells. */
class Witness implements ConnectionObserver {
  readonly sent = new Map<number, SeenPacket>()
  readonly received = new Map<number, SeenPacket>()
  readonly lost: number[] = []
  readonly keys = new Map<number, LevelKeys>()
  readonly said: string[] = []
  readonly states: string[] = []
  readonly events: QlogEvent[] = []
  dropped = 0
  inFlight = 0
  closed = 0
  readonly qlog: QlogObserver

  constructor(
    readonly facts: ObservedConnection,
    localAddress: () => PeerAddress | undefined
  ) {
    const sink = { add: (event: QlogEvent) => this.events.push(event), end: () => {} }
    this.qlog = new QlogObserver(facts, localAddress, sink)
  }

  onPacketSent = (_now: number, packet: ObservedPacket): void => this.keep(this.sent, packet)
  onPacketReceived = (_now: number, packet: ObservedPacket): void => this.keep(this.received, packet)
  onPacketDropped = (): number => this.dropped++
  onPacketLost = (_now: number, packetNumber: number): number => this.lost.push(packetNumber)
  onMetricsUpdated = (_now: number, { bytesInFlight }: { bytesInFlight: number }): number => (this.inFlight = bytesInFlight)
  onKeys = (_now: number, keys: LevelKeys): unknown => this.keys.set(keys.level, keys)
  onHandshakeMessage = (_now: number, sent: boolean, message: Uint8Array): number =>
    this.said.push(`${sent ? '>' : '<'} ${Buffer.from(message).toString('latin1', 0, 4).replace('\0', '')}`)

  onStateChanged = (_now: number, state: string): number => this.states.push(state)
  onClosed = (): number => this.closed++

  private keep(where: Map<number, SeenPacket>, packet: ObservedPacket): void {
    expect(where.has(packet.packetNumber)).toBe(false)
    where.set(packet.packetNumber, { level: packet.level, length: packet.length, frames: qlogFrames(packet) })
  }
}

/** Keeps what is sent, before anything happens to it. */
class Tap implements NetworkNode {
  constructor(private readonly keep: (us: number, bytes: Uint8Array) => void) {}

  pass(packet: InTransit, _random: unknown, emit: (packet: InTransit) => void): void {
    this.keep(packet.at, packet.bytes.slice())
    emit(packet)
  }
}

const bad = (): NetworkNode[] => [new Loss(0.05), new Duplicate(0.05), new Delay(20, 2), new Reorder(0.05, 30)]

/** Two exchanges on a bad path, with both ends observed, and the connection closed at the end. */
function observed(seed: number, label: string, more?: ObserveConnection) {
  const versions = supportedVersions.filter((version) => version.label === label)
  const witnesses: Witness[] = []
  const datagrams: CapturedDatagram[] = []
  const tap = (fromPort: number, toPort: number): Tap =>
    new Tap((us, bytes) => datagrams.push({ us, fromPort, toPort, bytes }))
  const observe: ObserveConnection = (facts, localAddress) => {
    const witness = new Witness(facts, localAddress)
    witnesses.push(witness)
    const others = more?.(facts, localAddress)
    return combineObservers([witness, witness.qlog, ...(others === undefined ? [] : [others])])
  }
  const exchanges = [
    { up: 40_000, down: 60_000, seed },
    { up: 0, down: 30_000, seed: seed + 1 }
  ]
  const pair = runExchanges(
    { seed, versions, serverVersions: versions, up: [tap(40_000, 443), ...bad()], down: [tap(443, 40_000), ...bad()], observe },
    exchanges
  )
  const serverSide = pair.client.serverSide(pair.world)!
  pair.client.connection.close(0, 'done')
  // That word may be lost.
  pair.world.advance(1000)
  serverSide.close(0, 'done')
  const [client, server] = witnesses as [Witness, Witness]
  expect(witnesses).toHaveLength(2)
  expect([client, server].map(({ facts }) => facts.perspective)).toEqual([Perspective.Client, Perspective.Server])
  return { ...pair, serverSide, clientSees: client, serverSees: server, datagrams }
}

describe('mechanism: observing', () => {
  for (const { label } of supportedVersions) {
    scenario(`${label}: both ends tell of the same packets, keys and hellos, under loss, reordering and duplication`, 2, (seed) => {
      const { client, serverSide, clientSees, serverSees } = observed(seed, label)
      for (const [end, sees] of [[client.connection, clientSees], [serverSide, serverSees]] as const) {
        const sum = (packets: Map<number, SeenPacket>): number => [...packets.values()].reduce((s, p) => s + p.length, 0)
        const { packetsSent, bytesSent, packetsReceived, bytesReceived, packetsLost } = end.stats
        expect([sees.sent.size, sum(sees.sent)]).toEqual([packetsSent, bytesSent])
        expect([sees.received.size, sum(sees.received)]).toEqual([packetsReceived, bytesReceived])
        expect(sees.lost).toHaveLength(packetsLost)
        for (const packetNumber of sees.lost) expect(sees.sent.has(packetNumber)).toBe(true)
        expect(sees.inFlight).toBe(end.bytesInFlight)
        expect(sees.states).toEqual(['encrypted', 'confirmed'])
        expect(sees.closed).toBe(1)
      }
      expect(clientSees.lost.length + serverSees.lost.length).toBeGreaterThan(0)
      expect(clientSees.dropped + serverSees.dropped).toBeGreaterThan(0)
      for (const [from, to] of [[clientSees, serverSees], [serverSees, clientSees]] as const) {
        for (const [packetNumber, packet] of to.received) expect(packet).toEqual(from.sent.get(packetNumber))
        const heard = to.said.filter((line) => line.startsWith('<')).map((line) => line.replace('<', '>'))
        expect(from.said.filter((line) => line.startsWith('>'))).toEqual(heard)
      }
      expect([...clientSees.keys.keys()]).toEqual([1, 2])
      for (const [level, keys] of clientSees.keys) expect(keys).toEqual(serverSees.keys.get(level))
    })

    it(`${label}: traces of both ends keep to the schema of qlog`, () => {
      const { clientSees, serverSees } = observed(7, label)
      for (const { events, sent, received, lost } of [clientSees, serverSees]) {
        const checked = events.map((event) => checkEvent(JSON.parse(JSON.stringify(event))))
        const count = (name: string): number => checked.filter((event) => event.name === name).length
        expect(count('transport:packet_sent')).toBe(sent.size)
        expect(count('transport:packet_received')).toBe(received.size)
        expect(count('recovery:packet_lost')).toBe(lost.length)
        expect(checked.map(({ time }) => time)).toEqual(checked.map(({ time }) => time).sort((a, b) => a - b))
        const states = checked.filter(({ name }) => name === 'connectivity:connection_state_updated')
        expect(states.map(({ data }) => data['new']).at(-1)).toBe('closed')
        expect(states.map(({ data }) => data['new'])).toContain('handshake_confirmed')
      }
    })

    it.each([Perspective.Client, Perspective.Server])(`${label}: the key log of side %i opens every packet`, async (side) => {
      const path = join(dir, `${label}-${side}.keys`)
      const log = new KeyLog(path, (problem) => expect.unreachable(problem))
      const { datagrams, client } = observed(3, label, (facts) => (facts.perspective === side ? log.observer(facts) : undefined))
      log.close()
      expect(statSync(path).mode & 0o777).toBe(0o600)
      expect(readFileSync(path, 'utf8')).toContain(`"version":"${label}"`)
      const capture = join(dir, `${label}.pcap`)
      writeFileSync(capture, toPcap(datagrams))
      const { report, problems } = await inspectCapture(capture, { keys: [path] })
      expect(problems).toEqual([])
      expect(report).toMatchObject({ datagrams: datagrams.length, undecryptable: 0 })
      expect(report.connections).toHaveLength(1)
      const [connection] = report.connections
      expect(connection).toMatchObject({ connectionId: client.connection.connectionId.toString(), version: label })
      expect(connection!.requests.map(({ bodyLength }) => bodyLength)).toEqual([40_000, 0])
      expect(connection!.responses.map(({ bodyLength }) => bodyLength)).toEqual([60_000, 30_000])
    })

    it(`${label}: keys are logged under the id that a stateless reject gave`, async () => {
      const versions = supportedVersions.filter((version) => version.label === label)
      const path = join(dir, `${label}-anew.keys`)
      const log = new KeyLog(path, (problem) => expect.unreachable(problem))
      const ids: string[] = []
      const datagrams: CapturedDatagram[] = []
      const tap = (fromPort: number, toPort: number): Tap =>
        new Tap((us, bytes) => datagrams.push({ us, fromPort, toPort, bytes }))
      const events: QlogEvent[] = []
      const observe: ObserveConnection = (facts, localAddress) => {
        if (facts.perspective === Perspective.Server) return undefined
        const sink = { add: (event: QlogEvent) => events.push(event), end: () => {} }
        const watch: ConnectionObserver = { onConnectionIdChanged: (_now, id) => ids.push(id.toString()) }
        return combineObservers([log.observer(facts), watch, new QlogObserver(facts, localAddress, sink)])
      }
      const transport = { connectionOptions: ['SREJ'] }
      const up = [tap(40_000, 443), new Delay(20)]
      const down = [tap(443, 40_000), new Delay(20)]
      const world = new SimWorld({ seed: 5, versions, createSession: (connection) => new SimServerSession(connection) })
      const client = world.addClient({
        versions,
        transport,
        up,
        down,
        observe,
        sessionCache: new ClientSessionCache(),
        createSession: (connection) => new SimClientSession(connection, transport)
      })
      world.run(() => client.connection.encryptionEstablished)
      client.session.start({ up: 5000, down: 5000, seed: 5 })
      world.run(() => client.session.done)
      log.close()
      expect(ids).toEqual([client.connection.connectionId.toString()])
      writeFileSync(join(dir, 'anew.pcap'), toPcap(datagrams))
      const { report } = await inspectCapture(join(dir, 'anew.pcap'), { keys: [path] })
      expect(report.undecryptable).toBe(0)
      expect(report.connections).toHaveLength(2)
      expect(report.connections[1]).toMatchObject({ connectionId: ids[0], responses: [{ bodyLength: 5000 }] })
      const changes = events.map((event) => checkEvent(JSON.parse(JSON.stringify(event))))
      expect(changes.filter(({ name }) => name === 'connectivity:connection_id_updated')).toMatchObject([
        { data: { old: report.connections[0]!.connectionId, new: ids[0] } }
      ])
    })
  }

  scenario('nothing is told of a connection after its end, not even what the last packet acknowledged', 5, (seed) => {
    const afterEnd: string[] = []
    let ended = 0
    const observe: ObserveConnection = () => {
      let over = false
      return {
        onMetricsUpdated: () => {
          if (over) afterEnd.push('metrics')
        },
        onPacketReceived: () => {
          if (over) afterEnd.push('packet')
        },
        onClosed: () => {
          over = true
          ended++
        }
      }
    }
    const { world, client } = connectPair({ seed, observe, down: [new Delay(10)] })
    client.session.start({ up: 20_000, down: 20_000, seed })
    world.advance(35 + (seed % 20))
    client.connection.close(QuicErrorCode.PEER_GOING_AWAY, 'enough')
    world.advance(2_000)
    expect(ended).toBe(2)
    expect(afterEnd).toEqual([])
  })

  scenario('a client that moves is told of', 2, (seed) => {
    const moves: string[] = []
    const observe: ObserveConnection = () => ({
      onPeerAddressChanged: (_now, from, to) => moves.push(`${from.address}:${from.port} ${to.address}:${to.port}`)
    })
    const { client, world } = connectPair({ seed, observe })
    client.session.start({ up: 200_000, down: 200_000, seed })
    world.advance(100)
    const { address, port } = client.address
    client.move({ family: 4, address: '192.0.2.77', port: 50_001 })
    world.run(() => client.session.done)
    expect(moves).toEqual([`${address}:${port} 192.0.2.77:50001`])
  })
})
