/**
 * Rules of HTTP on the headers stream, on whole connections: limits, lengths, trailers, PRIORITY and SETTINGS.
 */
import { describe, expect, it } from 'vitest'
import type { RequestFailure } from '../../src/client/failure.js'
import { exchange, type ResponseSink } from '../../src/client/fetch-exchange.js'
import { acceptingPush } from '../../src/client/hooked-client-session.js'
import { sessionOptions, type TransportOptions } from '../../src/endpoint/transport-options.js'
import { quicErrorName, QuicRstStreamErrorCode } from '../../src/quic/errors.js'
import { FIELD_OVERHEAD, type HeaderList } from '../../src/quic/spdy/header-list.js'
import { Http2Setting, type Http2SettingEntry } from '../../src/quic/spdy/http2-frames.js'
import { QuicSpdyServerSession } from '../../src/quic/spdy/spdy-server-session.js'
import type { QuicSpdySession, SpdySessionOptions } from '../../src/quic/spdy/spdy-session.js'
import type { SessionConnection } from '../../src/quic/transport/session-connection.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { RecordedResponses } from '../../src/serve/recorded-responses.js'
import { ServeStream } from '../../src/serve/serve-stream.js'
import { rough } from '../helpers/sim/early-world.js'
import { Bottleneck, Delay, Duplicate, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { scenario } from '../helpers/sim/scenario.js'
import { SimWorld, type SimClient } from '../helpers/sim/sim-world.js'
import { Client, openMessage, REQUEST, RESPONSE, Server, type Message } from '../helpers/spdy-fixture.js'

const TOO_LARGE = `reset ${QuicRstStreamErrorCode.HEADERS_TOO_LARGE}`

/** How two sessions are to be made that meet. */
interface Meeting {
  client?: Partial<SpdySessionOptions>
  server?: Partial<SpdySessionOptions>
  transport?: TransportOptions
  up?: NetworkNode[]
  down?: NetworkNode[]
  createSession?: (connection: SessionConnection) => QuicSpdyServerSession
}

/** A connected client, over a bad path unless told otherwise, and its server. */
class Met {
  readonly world: SimWorld
  readonly client: SimClient<Client>

  constructor(seed: number, version: QuicVersion, o: Meeting = {}) {
    const make = (connection: SessionConnection): Server =>
      new Server(connection, { ...sessionOptions('server', {}), ...o.server })
    this.world = new SimWorld({ seed, createSession: o.createSession ?? make })
    this.client = this.world.addClient({
      versions: [version],
      transport: o.transport,
      up: o.up ?? rough(),
      down: o.down ?? rough(),
      createSession: (c) => new Client(c, { ...sessionOptions('client', o.transport ?? {}), ...o.client })
    })
    this.world.run(() => this.client.connection.handshakeConfirmed, 60_000)
  }

  get session(): Client {
    return this.client.session
  }

  get server(): Server {
    return this.client.serverSide(this.world)!.session as Server
  }

  /** Sends a request without a body. */
  request(extra: HeaderList = [], priority?: number): Message {
    const stream = openMessage(this.session)
    stream.writeHeaders([...REQUEST, ...extra], true, priority)
    return stream
  }

  /** Until the client's streams are over and the server has heard of it. */
  settle(...streams: Message[]): void {
    this.world.run(() => streams.every(({ closed }) => closed), 60_000)
    this.world.advance(2_000)
    expect([this.session.closeError, this.server.closeError]).toEqual([undefined, undefined])
  }
}

/** What a list takes, bytes as RFC 7540 §6.5.2 counts them. */
function listSize(headers: HeaderList): number {
  return headers.reduce((sum, [name, value]) => sum + name.length + value.length + FIELD_OVERHEAD, 0)
}

/** A field that makes a list of `size` bytes with these. */
function filler(headers: HeaderList, size: number): [string, string] {
  return ['x-filler', 'f'.repeat(size - listSize([...headers, ['x-filler', '']]))]
}

describe('mechanism: header limits', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: a request over the server's limit is reset, and only that one`, 1, (seed) => {
      const met = new Met(seed, version, { server: { maxHeaderListSize: 4_000 } })
      met.server.prepare = (stream) => (stream.answer = (s) => s.writeHeaders([...RESPONSE, ['x-seen', 'yes']], true))
      const streams = [4_000, 4_001, 20_000, 3_000].map((size) => met.request([filler(REQUEST, size)]))
      met.settle(...streams)
      const [fits, over, far, small] = streams.map((stream) => stream.log)
      expect([fits!.at(0), small!.at(0)]).toEqual(['headers fin', 'headers fin'])
      expect([over, far]).toEqual([[TOO_LARGE, 'close'], [TOO_LARGE, 'close']])
      // The server's application never hears of them.
      expect([...met.server.made.values()].filter(({ headers }) => headers !== undefined).length).toBe(2)
    })

    scenario(`${version.label}: a response or trailers over the client's limit are reset, and only those`, 1, (seed) => {
      const met = new Met(seed, version, { client: { maxHeaderListSize: 4_000 } })
      const answers: ((stream: Message) => void)[] = [
        (s) => s.writeHeaders([...RESPONSE, filler(RESPONSE, 4_000)], true),
        (s) => {
          s.writeHeaders([...RESPONSE, filler(RESPONSE, 4_001)], false)
          s.write(Buffer.alloc(500_000))
        },
        (s) => {
          s.writeHeaders(RESPONSE, false)
          s.write(Buffer.from('body'))
          s.writeTrailers([['x-trailer', 'f'.repeat(4_000)]])
        },
        (s) => s.writeHeaders([...RESPONSE, ['x-last', 'yes']], true)
      ]
      met.server.prepare = (stream) => (stream.answer = (s) => answers[Number(s.headers!.at(-1)![1])]!(s))
      const streams = answers.map((_, i) => met.request([['x-case', String(i)]]))
      met.settle(...streams)
      const [fits, over, trailing, last] = streams
      expect(listSize(fits!.headers!)).toBe(4_000)
      expect(over!.log).toEqual(['close'])
      expect([trailing!.log.at(-1), trailing!.trailers]).toEqual(['close', undefined])
      expect(trailing!.log).not.toContain('end')
      expect(last!.headers!.at(-1)).toEqual(['x-last', 'yes'])
      // The server is told of a response that it has not finished.
      const told = [...met.server.made.values()].filter(({ log }) => log.includes(TOO_LARGE))
      expect(told.map(({ id }) => id)).toEqual([over!.id])
    })
  }
})

/** A session's headers stream, as far as it is needed. */
function headersStreamOf(session: QuicSpdySession): {
  writeSettings(entries: readonly Http2SettingEntry[]): void
  sendBuffer: { writtenOffset: number }
} {
  return (session as unknown as { headersStream: ReturnType<typeof headersStreamOf> }).headersStream
}

describe('mechanism: header table size (SETTINGS)', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: either side's bound is kept by the other, whenever it changes`, 1, (seed) => {
      const met = new Met(seed, version)
      const fields: HeaderList = [['x-long', 'l'.repeat(300)], ['x-other', 'o'.repeat(300)]]
      met.server.prepare = (stream) => (stream.answer = (s) => s.writeHeaders([...RESPONSE, ...fields], true))
      /** What two equal messages more cost each side's headers stream, bytes of the second. */
      const costs = (): number[] => {
        const sides = [met.session, met.server].map(headersStreamOf)
        const exchange = (): void => {
          const stream = met.request(fields)
          met.settle(stream)
          expect(stream.headers).toEqual([...RESPONSE, ...fields])
        }
        exchange()
        const before = sides.map(({ sendBuffer }) => sendBuffer.writtenOffset)
        exchange()
        return sides.map(({ sendBuffer }, i) => sendBuffer.writtenOffset - before[i]!)
      }
      const tell = (who: QuicSpdySession, size: number): void => {
        headersStreamOf(who).writeSettings([[Http2Setting.HEADER_TABLE_SIZE, size]])
        met.world.advance(2_000)
      }
      const small = 60
      // Letters of five bits, two fields of 300.
      const none = 370
      const half = none / 2
      const expectCosts = (client: [number, number], server: [number, number]): void => {
        for (const [i, cost] of costs().entries()) {
          const [least, most] = [client, server][i]!
          expect(cost).toBeGreaterThan(least)
          expect(cost).toBeLessThan(most)
        }
      }
      expectCosts([0, small], [0, small])
      tell(met.server, 0)
      expectCosts([none, 2 * none], [0, small])
      tell(met.session, 0)
      expectCosts([none, 2 * none], [none, 2 * none])
      tell(met.server, 4_096)
      expectCosts([0, small], [none, 2 * none])
      // Room for one of the two: it is always the other that is there.
      tell(met.session, 500)
      expectCosts([0, small], [half, 2 * none])
      tell(met.session, 4_096)
      expectCosts([0, small], [0, small])
    })
  }
})

/** A server of recorded responses of which there are none: what is well-formed is not found. */
class RecordedSession extends QuicSpdyServerSession {
  constructor(connection: SessionConnection) {
    super(connection, sessionOptions('server', {}))
  }

  protected override createIncomingDynamicStream(id: number): ServeStream {
    const stream = new ServeStream(id, this)
    stream.context = { content: { kind: 'recorded', responses: new RecordedResponses() } }
    return stream
  }
}

describe('mechanism: content-length mismatch', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: gets the reference's error response, and others theirs`, 1, (seed) => {
      const met = new Met(seed, version, { createSession: (connection) => new RecordedSession(connection) })
      const cases: [lengths: string[], body: number, status: string][] = [
        [['4000'], 4_000, '404'],
        [['4000'], 4_001, '500'],
        [['4000'], 3_999, '500'],
        // More than the window: the answer cuts it short.
        [['4000'], 300_000, '500'],
        [['0'], 1, '500'],
        [['4000', '4000'], 4_000, '404'],
        [['4000', '4001'], 4_000, '500'],
        [['-1'], 4_000, '500'],
        [[], 4_000, '404']
      ]
      const streams = cases.map(([lengths, size]) => {
        const stream = openMessage(met.session)
        const fields = lengths.map((length): [string, string] => ['content-length', length])
        stream.writeHeaders([...REQUEST, ...fields], false)
        stream.write(new Uint8Array(size), true)
        return stream
      })
      met.settle(...streams)
      for (const [i, { headers, body }] of streams.entries()) {
        expect([headers![0], body.toString()]).toEqual([
          [':status', cases[i]![2]],
          cases[i]![2] === '500' ? 'bad' : 'file not found'
        ])
      }
      expect(streams[3]!.log).toContain('stop')
    })

    it(`${version.label}: of a response fails the request, and resets what is longer`, async () => {
      const met = new Met(version.number, version)
      met.server.prepare = (stream) => {
        stream.answer = (s) => {
          const [announced, sent] = s.headers!.at(-1)![1].split(' ')
          s.writeHeaders([...RESPONSE, ['content-length', announced!]], false)
          s.write(new Uint8Array(Number(sent)), true)
        }
      }
      const cases = ['4000 4000', '4000 3999', '4000 4001', '4000 300000', '0 1']
      const taken: number[] = []
      const outcomes = cases.map((what, i) => {
        taken[i] = 0
        const sink: ResponseSink = {
          ready: true,
          onReady: () => {},
          headers: () => {},
          trailers: () => {},
          write: (piece) => (taken[i]! += piece.length)
        }
        const context = { target: 'nowhere', serverName: 'www.example.org', timeoutMs: 0 }
        const connection = { session: met.session, context }
        const request = { headers: [...REQUEST, ['x-case', what]] satisfies HeaderList, body: undefined }
        return exchange(connection, request, sink, { sha256: false }).then(
          ({ bodyLength }) => bodyLength,
          (error: RequestFailure) => error.message
        )
      })
      met.world.run(() => met.server.made.size === cases.length && met.session.openStreamCount === 0, 60_000)
      met.world.advance(2_000)
      const told = await Promise.all(outcomes)
      expect(told[0]).toBe(4_000)
      for (const outcome of told.slice(1)) expect(outcome).toMatch(/content-length is \d+, but \d+ bytes came/)
      for (const [i, most] of [4_000, 3_999, 4_000, 4_000, 0].entries()) expect(taken[i]).toBeLessThanOrEqual(most)
      const reset = [...met.server.made.values()].find(({ headers }) => headers!.at(-1)![1] === '4000 300000')
      expect(reset!.log).toContain(`reset ${QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD}`)
    })
  }
})

describe('mechanism: final offset of trailers', () => {
  for (const version of supportedVersions) {
    /** A response whose body has come, and its two ends. */
    const half = (seed: number, o?: Meeting) => {
      const met = new Met(seed, version, o)
      met.server.prepare = (stream) => {
        stream.answer = (s) => {
          s.writeHeaders(RESPONSE, false)
          s.write(Buffer.alloc(5_000, 'b'))
        }
      }
      const request = met.request()
      met.world.run(() => request.body.length === 5_000, 60_000)
      const response = met.server.made.get(request.id)!
      const trailers = (...list: HeaderList): void => {
        met.server.writeHeaders(request.id, list, true, 0)
        response.session.wake()
      }
      return { met, request, response, trailers }
    }

    scenario(`${version.label}: beyond what has come keeps trailers waiting for the rest`, 1, (seed) => {
      const { met, request, response, trailers } = half(seed)
      trailers([':final-offset', '9000'], ['x-trailer', 'yes'])
      met.world.advance(5_000)
      expect([request.trailers, request.readEnded]).toEqual([undefined, false])
      response.write(Buffer.alloc(4_000, 'c'))
      met.settle(request)
      expect([request.body.length, request.trailers]).toEqual([9_000, [['x-trailer', 'yes']]])
    })

    scenario(`${version.label}: below what has come resets the stream, and no other`, 1, (seed) => {
      const { met, request, response, trailers } = half(seed)
      const other = met.request()
      trailers([':final-offset', '4999'], ['x-trailer', 'yes'])
      met.settle(request)
      expect(request.trailers).toBe(undefined)
      expect(response.log).toContain(`reset ${QuicRstStreamErrorCode.MULTIPLE_TERMINATION_OFFSETS}`)
      met.world.run(() => other.body.length === 5_000)
    })

    scenario(`${version.label}: that is missing ends the connection, at both ends`, 1, (seed) => {
      // Nobody is left who would send the client's last packet again.
      const { met, trailers } = half(seed, { up: [new Delay(20)] })
      const { server, session } = met
      trailers(['x-trailer', 'yes'])
      met.world.run(() => session.closeError !== undefined && server.closeError !== undefined, 60_000)
      for (const { closeError } of [session, server]) {
        expect(quicErrorName(closeError!.wireCode)).toBe('QUIC_INVALID_HEADERS_STREAM_DATA')
      }
    })
  }
})

describe('mechanism: PRIORITY frames', () => {
  for (const version of supportedVersions) {
    const rule = version.number >= 43 ? 'moves a response that is under way' : 'changes nothing: there is no frame for it'
    scenario(`${version.label}: a new priority ${rule}`, 1, (seed) => {
      // Nothing is lost on the way up: a frame that comes too late moves nothing.
      const up = [new Delay(20, 5), new Reorder(0.2, 40), new Duplicate(0.1)]
      const down = [new Bottleneck(200_000, 60_000), new Delay(20)]
      // The window keeps the queue from overflowing: what the server has yet to send is in its hands.
      const met = new Met(seed, version, { up, down, transport: { connectionWindow: 40_000 } })
      met.server.prepare = (stream) => {
        stream.answer = (s) => {
          s.writeHeaders(RESPONSE, false)
          s.write(Buffer.alloc(s.priority === 7 ? 40_000 : 100_000, 'b'), true)
        }
      }
      const streams = [3, 3, 7].map((priority) => met.request([], priority))
      met.world.run(() => streams[0]!.body.length > 10_000, 60_000)
      expect(streams[2]!.body.length).toBe(0)
      streams[2]!.setPriority(0)
      met.world.run(() => streams.some(({ readEnded }) => readEnded), 60_000)
      expect(streams.map(({ readEnded }) => readEnded).indexOf(true) === 2).toBe(version.number >= 43)
      met.settle(...streams)
    })
  }
})

describe('mechanism: server push', () => {
  for (const version of supportedVersions) {
    const { label } = version
    const byDefault = version.number >= 35
    const transport = acceptingPush({}, [version])

    /** Of two promises: how many a server made, how many the client took in, and how many responses came. */
    const promisesTo = (seed: number, o: Meeting): [made: number, taken: number, pushed: number] => {
      const met = new Met(seed, version, o)
      let made = 0
      met.server.prepare = (stream) => {
        stream.answer = (s) => {
          for (const path of met.server.isPushed(s) ? [] : ['/a', '/b']) {
            const resource = { scheme: 'https', authority: 'www.example.org', path }
            if (met.server.pushResource(s, s.headers!, resource) !== undefined) made++
          }
          s.writeHeaders(RESPONSE, false)
          s.write(Buffer.alloc(3_000, 'b'), true)
        }
      }
      met.settle(met.request())
      return [made, met.session.promised.length, met.session.pushed.size]
    }

    scenario(`${label}: is disabled by the client's SETTINGS`, 1, (seed) => {
      expect(promisesTo(seed, { transport, client: { push: 'disable' } })).toEqual([0, 0, 0])
      expect(promisesTo(seed, { transport, client: { push: 'accept' } })).toEqual([2, 2, 2])
    })

    scenario(`${label}: needs ${byDefault ? 'no option' : 'the option SPSH'}`, 1, (seed) => {
      const promises = byDefault ? 2 : 0
      expect(promisesTo(seed, { client: { push: 'accept' } })).toEqual([promises, promises, promises])
    })

    scenario(`${label}: is refused by a client that did not say so before`, 1, (seed) => {
      expect(promisesTo(seed, { transport, client: { push: 'refuse' } })).toEqual([2, 0, 0])
    })
  }
})
