import { chmodSync, mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { qlogSchema, resolveObserved } from '../../../src/config/observe-schema.js'
import { ConnectionRecorder } from '../../../src/observe/connection-recorder.js'
import { EventRing } from '../../../src/observe/qlog/event-ring.js'
import { QlogDirectory, type QlogFile } from '../../../src/observe/qlog/qlog-directory.js'
import { metricsUpdated, type QlogEvent, type ToldMetrics } from '../../../src/observe/qlog/qlog-events.js'
import { QlogObserver } from '../../../src/observe/qlog/qlog-observer.js'
import { qlogFrames } from '../../../src/observe/qlog/qlog-frames.js'
import { TroubleSink } from '../../../src/observe/qlog/qlog-sinks.js'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { QuicError, QuicErrorCode } from '../../../src/quic/errors.js'
import { combineObservers, ObservedPacket } from '../../../src/quic/transport/observer.js'
import type { ConnectionObserver, ObservedConnection } from '../../../src/quic/transport/observer.js'
import { EncryptionLevel, Perspective } from '../../../src/quic/types.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { checkQlogFile } from '../../helpers/qlog-schema.js'

let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quicgate-recording-'))
})

afterEach(() => rmSync(dir, { recursive: true, force: true }))

const version = supportedVersions[0]!

function facts(id = '0102030405060708', perspective: Perspective = Perspective.Server): ObservedConnection {
  return {
    perspective,
    connectionId: ConnectionId.fromHex(id),
    version,
    supportedVersions,
    peerAddress: { family: 4, address: '192.0.2.1', port: 4000 },
    now: 1_000_000
  }
}

const event = (time: number, name = 'transport:packet_dropped'): QlogEvent => ({
  time,
  name,
  data: { raw: { length: time }, trigger: 'duplicate' }
})
const lostPacket = (time: number): QlogEvent => ({ ...event(time, 'recovery:packet_lost'), data: {} })
const sentPacket = (time: number): QlogEvent => ({ ...event(time, 'transport:packet_sent'), data: {} })
const state = (time: number, now: string): QlogEvent => ({
  time,
  name: 'connectivity:connection_state_updated',
  data: { new: now }
})
const unexpected = (problem: string): never => expect.unreachable(problem)

describe('EventRing', () => {
  it('keeps the last events and says how many it forgot', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 60 }), (capacity, count) => {
        const ring = new EventRing(capacity)
        for (let i = 0; i < count; i++) ring.add(event(i), false)
        const kept = ring.take()
        const forgotten = Math.max(0, count - capacity)
        const marker = forgotten > 0 ? kept.shift() : undefined
        if (forgotten > 0) expect(marker).toMatchObject({ name: 'gquic:events_dropped', data: { count: forgotten } })
        expect(kept.map(({ time }) => time)).toEqual(Array.from({ length: count - forgotten }, (_, i) => forgotten + i))
        expect(ring.take()).toEqual([])
      })
    )
  })

  it('keeps milestones whatever happens between them, in order, and not without end', () => {
    const ring = new EventRing(10)
    ring.add(event(0, 'first'), true)
    for (let i = 1; i < 100; i++) ring.add(event(i), false)
    ring.add(event(100, 'last'), true)
    const kept = ring.take()
    expect(kept.map(({ name }) => name)).toEqual(['first', 'gquic:events_dropped', ...Array<string>(10).fill(event(0).name), 'last'])
    for (let i = 0; i < 1000; i++) ring.add(event(i), true)
    expect(ring.take().length).toBeLessThan(100)
  })
})

describe('mechanism: traces of trouble alone', () => {
  const slow = { handshake: 1000, rtt: 500, loss: 10 }
  const good = new QuicError(QuicErrorCode.PEER_GOING_AWAY, 'bye')
  const idle = new QuicError(QuicErrorCode.NETWORK_IDLE_TIMEOUT, 'silence')

  function sink(): { sink: TroubleSink; written: QlogEvent[]; files: () => number } {
    const written: QlogEvent[] = []
    let files = 0
    const file = { write: (one: QlogEvent) => written.push(one), flush: () => {} } as unknown as QlogFile
    return { sink: new TroubleSink(20, slow, () => (files++, file)), written, files: () => files }
  }

  it('leaves nothing of a good connection', () => {
    for (const [error, openStreams] of [[good, true], [new QuicError(0, ''), false], [idle, false]] as const) {
      const { sink: trouble, files } = sink()
      trouble.add(state(900, 'handshake_confirmed'), true)
      for (let i = 0; i < 100; i++) trouble.add(sentPacket(1000 + i), false)
      for (let i = 0; i < 10; i++) trouble.add(lostPacket(1100 + i), false)
      trouble.add({ time: 1200, name: 'recovery:metrics_updated', data: { smoothed_rtt: 500 } }, false)
      trouble.end(error, openStreams)
      expect(files()).toBe(0)
    }
  })

  it.each([
    ['an error', new QuicError(QuicErrorCode.INVALID_FRAME_DATA, 'x'), false, 'QUIC_INVALID_FRAME_DATA'],
    ['silence with streams open', idle, true, 'QUIC_NETWORK_IDLE_TIMEOUT']
  ])('writes the last events of a connection that ends by %s', (_what, error, openStreams, message) => {
    const { sink: trouble, written } = sink()
    trouble.add(state(10, 'handshake_confirmed'), true)
    for (let i = 11; i < 100; i++) trouble.add(event(i), false)
    trouble.end(error, openStreams)
    expect(written[0]).toMatchObject({ time: 10 })
    expect(written.at(-1)).toMatchObject({ name: 'gquic:trouble', data: { message } })
    expect(written).toHaveLength(1 + 1 + 20 + 1)
  })

  it('writes what never got through its handshake, whoever ended it', () => {
    const { sink: trouble, written } = sink()
    trouble.add(event(5), false)
    trouble.end(good, false)
    expect(written.map(({ name }) => name)).toEqual(['transport:packet_dropped', 'gquic:trouble'])
  })

  it.each([
    ['a slow handshake', [state(1001, 'handshake_confirmed')]],
    ['a long round trip', [{ time: 5, name: 'recovery:metrics_updated', data: { smoothed_rtt: 501 } }]],
    ['losses', [...Array.from({ length: 50 }, (_, i) => sentPacket(i)), ...Array.from({ length: 6 }, (_, i) => lostPacket(60 + i))]]
  ])('writes at once, once, and again at the end with %s', (_what, events: QlogEvent[]) => {
    const { sink: trouble, written, files } = sink()
    trouble.add(state(0, 'handshake_confirmed'), true)
    for (const one of events) trouble.add(one, false)
    expect(written.at(-1)!.name).toBe('gquic:trouble')
    const before = written.length
    for (const one of events) trouble.add({ ...one, time: 2000 }, false)
    expect(written).toHaveLength(before)
    trouble.end(good, false)
    expect(written.length).toBeGreaterThan(before)
    expect(files()).toBe(1)
  })
})

describe('QlogDirectory', () => {
  const limits = { maxFileSize: 100_000, maxFiles: 3 }

  it('makes a file for each connection that only its owner can read, and counts namesakes', () => {
    const directory = new QlogDirectory(join(dir, 'a/b'), limits, unexpected)
    const file = directory.create(facts(), 1_700_000_000_000)
    directory.create(facts(), 1).write(event(1))
    directory.create(facts(undefined, Perspective.Client), 1)
    file.write(event(2))
    file.write(event(3))
    directory.flush()
    const names = ['0102030405060708_client.sqlog', '0102030405060708_server-2.sqlog', '0102030405060708_server.sqlog']
    expect(readdirSync(join(dir, 'a/b')).sort()).toEqual(names)
    expect(statSync(file.path!).mode & 0o777).toBe(0o600)
    const { header, events } = checkQlogFile(readFileSync(file.path!, 'utf8'))
    expect(header.trace.vantage_point.type).toBe('server')
    expect(header.trace.common_fields).toMatchObject({ ODCID: '0102030405060708', reference_time: 1_700_000_000_000 })
    expect(events.map(({ time }) => time)).toEqual([2, 3])
  })

  it('bounds a file, and says in it that there was more', () => {
    const directory = new QlogDirectory(dir, { maxFileSize: 4096, maxFiles: 3 }, unexpected)
    const file = directory.create(facts(), 1)
    for (let i = 0; i < 1000; i++) file.write(event(i))
    directory.flush()
    expect(statSync(file.path!).size).toBeLessThan(4096 + 200)
    const { events } = checkQlogFile(readFileSync(file.path!, 'utf8'))
    expect(events.at(-1)).toMatchObject({ name: 'gquic:trace_truncated' })
  })

  it('bounds the number of files: the oldest goes, and does not come back', () => {
    const directory = new QlogDirectory(dir, limits, unexpected)
    const all = Array.from({ length: 5 }, (_, i) => directory.create(facts(`000000000000000${i}`), 1))
    writeFileSync(join(dir, 'somebody-elses'), '')
    for (const file of all) file.write(event(1))
    directory.flush()
    expect(readdirSync(dir).sort()).toEqual([
      '0000000000000002_server.sqlog', '0000000000000003_server.sqlog', '0000000000000004_server.sqlog', 'somebody-elses'
    ])
  })

  it('tells once that it cannot write, and disturbs nobody', () => {
    const problems: string[] = []
    const directory = new QlogDirectory(join(dir, 'gone'), limits, (problem) => problems.push(problem))
    const open = directory.create(facts(), 1)
    rmSync(join(dir, 'gone'), { recursive: true })
    open.write(event(1))
    directory.flush()
    directory.create(facts('0a0a0a0a0a0a0a0a'), 1).write(event(1))
    directory.flush()
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain('ENOENT')
  })

  it('cannot be made where a file is', () => {
    writeFileSync(join(dir, 'file'), '')
    expect(() => new QlogDirectory(join(dir, 'file'), limits, unexpected)).toThrow(/EEXIST|no directory/)
  })
})

describe('ConnectionRecorder', () => {
  const keys = {
    level: EncryptionLevel.Initial,
    aead: 'AESG' as const,
    clientKey: new Uint8Array([1, 2]),
    clientIv: new Uint8Array([3]),
    serverKey: undefined,
    serverIv: undefined
  }

  it('observes nothing if nothing is to be recorded', () => {
    const recorder = new ConnectionRecorder({}, unexpected)
    expect(recorder.observe(facts(), () => undefined)).toBeUndefined()
    recorder.close()
  })

  it('keeps the key log to its owner, and adds to what is there', () => {
    const keylog = join(dir, 'keys')
    writeFileSync(keylog, 'before\n')
    chmodSync(keylog, 0o644)
    const recorder = new ConnectionRecorder({ keylog }, unexpected)
    expect(statSync(keylog).mode & 0o777).toBe(0o600)
    const observer = recorder.observe(facts(), () => undefined)!
    observer.onKeys!(0, keys)
    observer.onVersionChanged!(0, supportedVersions.at(-1)!)
    observer.onConnectionIdChanged!(0, ConnectionId.fromHex('ffffffffffffffff'))
    observer.onKeys!(0, { ...keys, serverKey: new Uint8Array([9]), serverIv: new Uint8Array([8]) })
    recorder.close()
    // A connection that outlives the recorder has nowhere to write, and does no harm.
    observer.onKeys!(0, keys)
    const [before, ...lines] = readFileSync(keylog, 'utf8').trimEnd().split('\n')
    expect(before).toBe('before')
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
      {
        connectionId: '0102030405060708',
        version: version.label,
        perspective: 'server',
        aead: 'AESG',
        level: 'initial',
        clientKey: '0102',
        clientIv: '03'
      },
      {
        connectionId: 'ffffffffffffffff',
        version: supportedVersions.at(-1)!.label,
        perspective: 'server',
        aead: 'AESG',
        level: 'initial',
        clientKey: '0102',
        clientIv: '03',
        serverKey: '09',
        serverIv: '08'
      }
    ])
  })

  it('names the file that cannot be opened', () => {
    mkdirSync(join(dir, 'keys'))
    expect(() => new ConnectionRecorder({ keylog: join(dir, 'keys') }, unexpected)).toThrow(
      expect.objectContaining({ code: 'EISDIR', path: join(dir, 'keys') }) as Error
    )
  })

  it('writes no more traces of trouble in a minute than a disk can bear', () => {
    const problems: string[] = []
    const qlog = qlogSchema.parse({ dir, when: 'trouble' })
    const recorder = new ConnectionRecorder({ qlog }, (problem) => problems.push(problem))
    for (let i = 0; i < 100; i++) {
      const observer = recorder.observe(facts(i.toString(16).padStart(16, '0')), () => undefined)!
      observer.onClosed!(2_000_000, new QuicError(QuicErrorCode.HANDSHAKE_TIMEOUT, 'silence'), false, false)
    }
    recorder.close()
    expect(readdirSync(dir)).toHaveLength(60)
    expect(problems).toHaveLength(1)
    for (const name of readdirSync(dir)) checkQlogFile(readFileSync(join(dir, name), 'utf8'))
  })
})

describe('what is told', () => {
  it('of metrics is what changed', () => {
    const told: ToldMetrics = {}
    const rtt = { latest: 0, smoothed: 0, min: 0, meanDeviation: 0 }
    const metrics = { rtt, congestionWindow: 1000, bytesInFlight: 0, controller: { slowStartThreshold: Infinity } }
    expect(metricsUpdated(metrics, told)![1]).toEqual({ congestion_window: 1000, bytes_in_flight: 0 })
    expect(metricsUpdated(metrics, told)).toBeUndefined()
    const later = { ...metrics, rtt: { latest: 1500, smoothed: 1500, min: 1500, meanDeviation: 750 } }
    expect(metricsUpdated(later, told)![1]).toEqual({
      min_rtt: 1.5,
      smoothed_rtt: 1.5,
      latest_rtt: 1.5,
      rtt_variance: 0.75
    })
  })

  it.each(supportedVersions.map((one) => [one.label, one] as const))('of a packet never throws: %s', (_label, one) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const packet = new ObservedPacket(one)
        packet.packetNumber = 77
        packet.packetNumberLength = 2
        packet.buffer = bytes
        packet.payloadEnd = bytes.length
        expect(JSON.stringify(qlogFrames(packet))).toContain('[')
      })
    )
  })

  it('reaches every observer that wants to hear it', () => {
    const heard: string[] = []
    const one: ConnectionObserver = { onPacketLost: (now, packetNumber) => heard.push(`one ${now} ${packetNumber}`) }
    const two: ConnectionObserver = { ...one, onStateChanged: (_now, is) => heard.push(`two ${is}`) }
    expect(combineObservers([])).toBeUndefined()
    expect(combineObservers([one])).toBe(one)
    const both = combineObservers([one, two])!
    both.onPacketLost!(1, 2)
    both.onStateChanged!(1, 'confirmed')
    expect(heard).toEqual(['one 1 2', 'one 1 2', 'two confirmed'])
    // Nobody wants these, so a connection need not make them.
    expect([both.onPacketSent, both.onMetricsUpdated]).toEqual([undefined, undefined])
  })
})

describe('a trace', () => {
  it('tells of datagrams that were dropped and of a peer that moved', () => {
    const added: [QlogEvent, boolean][] = []
    const sink = { add: (one: QlogEvent, milestone: boolean) => added.push([one, milestone]), end: () => {} }
    const observer = new QlogObserver(facts(), () => undefined, sink)
    observer.onPacketDropped(1_002_500, 'payload_decrypt_error', 60)
    const moved = { family: 6 as const, address: '2001:db8::1', port: 4001 }
    observer.onPeerAddressChanged(1_003_000, facts().peerAddress, moved)
    expect(added).toEqual([
      [{ time: 2.5, name: 'transport:packet_dropped', data: { raw: { length: 60 }, trigger: 'payload_decrypt_error' } }, false],
      [{ time: 3, name: 'gquic:peer_address_changed', data: { old: '192.0.2.1:4000', new: '[2001:db8::1]:4001' } }, true]
    ])
  })
})

describe('the configuration', () => {
  it('has paths relative to its file', () => {
    const qlog = qlogSchema.parse({ dir: 'traces' })
    expect(resolveObserved({ keylog: '../keys', qlog }, '/etc/quicgate')).toMatchObject({
      keylog: '/etc/keys',
      qlog: { dir: '/etc/quicgate/traces', when: 'always', maxFileSize: 16 * 1024 * 1024 }
    })
    expect(resolveObserved({}, '/etc')).toEqual({ keylog: undefined, qlog: undefined })
  })
})
