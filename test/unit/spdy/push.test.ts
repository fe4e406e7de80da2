import { describe, expect, it } from 'vitest'
import { QuicRstStreamErrorCode as Rst } from '../../../src/quic/errors.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { Http2Setting, writeSettings } from '../../../src/quic/spdy/http2-frames.js'
import { PROMISE_LIFETIME } from '../../../src/quic/spdy/push/promise-index.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { bytes, codeOf } from '../../helpers/session-fixture.js'
import { drain, give, rstFrame, streamFrame } from '../../helpers/session-pipe.js'
import type {
  Message} from '../../helpers/spdy-fixture.js';
import {
  openMessage,
  Peer,
  resets,
  RESPONSE,
  spdyClient,
  spdyPair,
  spdyServer,
  type PairOptions
} from '../../helpers/spdy-fixture.js'

const get = (path: string, extra: HeaderList = []): HeaderList => [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'a.example'],
  [':path', path],
  ...extra
]
const resource = (path: string) => ({ scheme: 'https', authority: 'a.example', path })

/** A pair whose server answers every path, and promises `paths` with the first request. */
function pushingPair(paths: string[], path = {}, o: PairOptions = {}) {
  const pair = spdyPair(path, { ...o, client: { push: 'accept', ...o.client } })
  const ids: (number | undefined)[] = []
  pair.b.session.prepare = (stream) => {
    stream.answer = (s) => {
      const { session } = pair.b
      if (!session.isPushed(s)) {
        for (const p of paths) ids.push(session.pushResource(s, s.headers!, resource(p)))
      }
      s.writeHeaders([...RESPONSE, ['x-path', s.headers!.find(([name]) => name === ':path')![1]]], false)
      s.write(bytes(session.isPushed(s) ? 30_000 : 500, s.id), true)
    }
  }
  const first = openMessage(pair.a.session)
  first.writeHeaders(get('/page', [['accept', 'text/html']]), true)
  return { ...pair, first, ids }
}

/** Claims a path and remembers what came of it. */
function claim(session: ReturnType<typeof spdyClient>['session'], request: HeaderList) {
  const result: { claimed: boolean; stream?: Message; told: number } = { claimed: false, told: 0 }
  const handle = session.claimPush<Message>(request, (stream) => {
    result.told++
    result.stream = stream
  })
  result.claimed = handle !== undefined
  return { ...{ handle }, result }
}

describe('mechanism: server push', () => {
  for (const version of supportedVersions) {
    const hello = version.traits.pushByDefault ? {} : { connectionOptions: ['SPSH'] }

    it(`${version.label}: a promise comes before the response, and a request claims what is pushed`, () => {
      const { a, b, pipe, first, ids } = pushingPair(['/a.css', '/b.js?x=1'], {}, { label: version.label, hello })
      pipe.run(() => first.closed)
      pipe.settle()
      const { firstServerStreamId } = version.traits
      expect(ids).toEqual([firstServerStreamId, firstServerStreamId + 2])
      expect(a.session.promised.map(({ url }) => url)).toEqual(['https://a.example/a.css', 'https://a.example/b.js?x=1'])
      expect(a.session.promised[0]!.headers).toEqual([
        ...get('/a.css'),
        ['accept', 'text/html'],
        ['referer', 'a.example/page'],
        ['content-length', '0']
      ])
      const pushed = a.session.pushed.get(ids[0]!)!
      expect([pushed.log, a.session.promiseCount]).toEqual([[], 2])
      const { result } = claim(a.session, get('/a.css', [['accept', 'text/css']]))
      pipe.settle()
      expect([result.claimed, result.told, result.stream]).toEqual([true, 1, pushed])
      expect(pushed.headers).toEqual([...RESPONSE, ['x-path', '/a.css']])
      expect(pushed.body.equals(bytes(30_000, pushed.id))).toBe(true)
      expect(pushed.log.at(-1)).toBe('close')
      expect([a.session.promiseCount, b.session.openStreamCount]).toEqual([1, 0])
      expect([codeOf(a.connection), codeOf(b.connection)]).toEqual([undefined, undefined])
    })

    it(`${version.label}: is off where the version and the client do not ask for it`, () => {
      const { first, pipe, ids, a } = pushingPair(['/a.css'], {}, { label: version.label })
      pipe.run(() => first.closed)
      expect(ids[0] !== undefined).toBe(version.traits.pushByDefault)
      expect(a.session.promised.length).toBe(version.traits.pushByDefault ? 1 : 0)
    })

    it(`${version.label}: survives loss, reordering and duplication`, () => {
      for (let seed = 1; seed <= 6; seed++) {
        const path = { seed, loss: 0.1, reorder: 6, duplicate: 0.1, spuriousLoss: 0.05 }
        const paths = ['/1', '/2', '/3', '/4']
        const { a, b, pipe, first } = pushingPair(paths, path, { label: version.label, hello })
        // Claimed as soon as the promise is there, whatever of the response has come.
        const claims = new Map<string, ReturnType<typeof claim>>()
        pipe.run(() => {
          for (const p of paths) {
            if (claims.get(p)?.result.claimed !== true) claims.set(p, claim(a.session, get(p)))
          }
          return first.closed && [...claims.values()].every(({ result }) => result.stream?.closed === true)
        })
        for (const { result } of claims.values()) {
          expect(result.stream!.body.equals(bytes(30_000, result.stream!.id))).toBe(true)
        }
        pipe.settle()
        expect(b.session.openStreamCount).toBe(0)
        expect(b.session.flowController.bytesSent).toBe(a.session.flowController.consumed)
      }
    })
  }
})

describe('mechanism: server push', () => {
  it('respects SETTINGS ENABLE_PUSH 0, which a client that disables push sends first', () => {
    const { first, pipe, ids, a } = pushingPair(['/a.css'], {}, { client: { push: 'disable' } })
    pipe.run(() => first.closed)
    expect([ids, a.session.promised]).toEqual([[undefined], []])
  })

  it('takes ENABLE_PUSH 1 as leave to push again', () => {
    const { connection, session } = spdyServer()
    const peer = new Peer(connection, true)
    peer.raw(writeSettings([[Http2Setting.ENABLE_PUSH, 0]]))
    expect(session.pushEnabled).toBe(false)
    peer.raw(writeSettings([[Http2Setting.ENABLE_PUSH, 1]]))
    expect(session.pushEnabled).toBe(true)
    session.onGoAwayFrame(16, 0, '')
    expect(session.pushEnabled).toBe(false)
  })

  it("opens no more streams than the client's limit, and the rest as those end", () => {
    const paths = Array.from({ length: 7 }, (_, i) => `/${i}`)
    const { a, b, pipe, first } = pushingPair(paths, {}, { hello: { peerMaxIncomingStreams: 2 } })
    pipe.run(() => first.closed)
    // pushResource stops promising when as many wait as may be open.
    expect(a.session.promised.length).toBe(4)
    expect([...b.session.made.keys()].filter((id) => id % 2 === 0).length).toBeLessThanOrEqual(4)
    for (const p of paths) claim(a.session, get(p))
    pipe.settle()
    const pushed = [...a.session.pushed.values()]
    expect(pushed.map(({ body }) => body.length)).toEqual([30_000, 30_000, 30_000, 30_000])
    expect(b.session.openStreamCount).toBe(0)
  })

  it('promises nothing for pushed requests', () => {
    const { pipe, first, b, a } = pushingPair(['/a.css'])
    pipe.run(() => first.closed)
    const pushed = b.session.made.get(2)!
    expect(b.session.pushResource(pushed, pushed.headers!, resource('/b'))).toBe(undefined)
    expect(a.session.promised.length).toBe(1)
  })

  it('cancels a promise that the client resets before its stream is open', () => {
    const { connection, session } = spdyServer({}, { peerMaxIncomingStreams: 1 })
    session.prepare = (stream) => {
      stream.answer = (s) => {
        if (!session.isPushed(s)) return
        s.writeHeaders(RESPONSE, true)
      }
    }
    const peer = new Peer(connection, true)
    peer.headers(5, get('/page'), true)
    session.deliverEvents(0)
    const request = session.made.get(5)!
    session.prepare = () => {}
    expect(session.pushResource(request, get('/page'), resource('/1'))).toBe(2)
    expect(session.pushResource(request, get('/page'), resource('/2'))).toBe(4)
    drain(session)
    give(connection, rstFrame(4, Rst.STREAM_CANCELLED, 0))
    expect(resets(drain(session))).toEqual([[4, Rst.RST_ACKNOWLEDGEMENT, 0]])
    give(connection, rstFrame(4, Rst.STREAM_CANCELLED, 0))
    expect(resets(drain(session))).toEqual([])
    session.made.get(2)!.reset(Rst.STREAM_CANCELLED)
    session.deliverEvents(0)
    expect([...session.made.keys()]).toEqual([5, 2])
    expect(session.pushResource(request, get('/page'), resource('/3'))).toBe(6)
    expect(session.made.has(6)).toBe(true)
    expect(codeOf(connection)).toBe(undefined)
  })

  it('lets the client name a promised stream, and no other of its own', () => {
    const { connection, session } = spdyServer({}, { peerMaxIncomingStreams: 0 })
    new Peer(connection, true).headers(5, get('/page'), false)
    session.deliverEvents(0)
    session.pushResource(session.made.get(5)!, get('/page'), resource('/1'))
    expect(session.pushEnabled).toBe(false)
    const other = spdyServer()
    give(other.connection, rstFrame(2, 6, 0))
    expect(codeOf(other.connection)).toBe(17)
  })

  it('closes the connection over data on a pushed stream', () => {
    const { b, first, pipe } = pushingPair(['/a.css'])
    pipe.run(() => first.closed)
    give(b.connection, streamFrame(2, 0, 'x'))
    expect(codeOf(b.connection)).toBe(17)
  })

  it('writes pushed responses after others', () => {
    const { b, first, pipe } = pushingPair(['/a.css'])
    pipe.run(() => first.closed)
    expect([b.session.made.get(2)!.priority, b.session.made.get(5)!.priority]).toEqual([7, 3])
  })
})

/** A client that has opened stream 5, and the sending end of its server's headers stream. */
function promised(options = {}) {
  const { connection, session } = spdyClient({ push: 'accept', ...options })
  const request = openMessage(session)
  request.writeHeaders(get('/page'), true)
  drain(session)
  return { connection, session, request, peer: new Peer(connection, false) }
}

describe('mechanism: server push', () => {
  const refusals: [string, HeaderList, number][] = [
    ['another method', [[':method', 'POST'], ...get('/x').slice(1)], Rst.INVALID_PROMISE_METHOD],
    ['no path', get('/x').slice(0, 3), Rst.INVALID_PROMISE_URL],
    ['no valid URL', [[':method', 'GET'], [':scheme', 'https'], [':authority', 'a b'], [':path', '/']], Rst.INVALID_PROMISE_URL],
    [
      'a host that the server may not speak for',
      [[':method', 'GET'], [':scheme', 'https'], [':authority', 'other.example'], [':path', '/']],
      Rst.UNAUTHORIZED_PROMISE_URL
    ]
  ]
  for (const [what, headers, code] of refusals) {
    it(`resets a promise with ${what}`, () => {
      const { connection, session, peer } = promised()
      peer.promise(5, 2, headers)
      expect(resets(drain(session))).toEqual([[2, code, 0]])
      expect([session.promiseCount, codeOf(connection)]).toEqual([0, undefined])
    })
  }

  it('resets a second promise of one URL', () => {
    const { session, peer } = promised()
    peer.promise(5, 2, get('/x'))
    peer.promise(5, 4, get('/x'))
    expect(resets(drain(session))).toEqual([[4, Rst.DUPLICATE_PROMISE_URL, 0]])
  })

  it('resets promises above nine times its limit of streams', () => {
    const { session, peer } = promised({ maxIncomingStreams: 10 })
    const limit = session.maxPromises
    expect(limit).toBe(180)
    for (let i = 0; i <= limit; i++) peer.promise(5, 2 + 2 * i, get(`/${i}`))
    expect(session.promiseCount).toBe(limit)
    expect(resets(drain(session))).toEqual([[2 + 2 * limit, Rst.REFUSED_STREAM, 0]])
  })

  it('resets what is promised for a request that is over', () => {
    const { session, request, peer } = promised()
    request.reset(6)
    drain(session)
    peer.promise(5, 2, get('/x'))
    expect(resets(drain(session))).toEqual([[2, Rst.STREAM_CANCELLED, 0]])
  })

  it('refuses every push unless told to accept', () => {
    const { session, peer } = promised({ push: 'refuse' })
    peer.promise(5, 2, get('/x'))
    expect(resets(drain(session))).toEqual([[2, Rst.REFUSED_STREAM, 0]])
  })

  for (const [what, ids] of [['falls', [4, 2]], ['stays', [2, 2]], ['is one of its own', [7]]] as const) {
    it(`closes the connection when a promised id ${what}`, () => {
      const { connection, peer } = promised()
      for (const id of ids) peer.promise(5, id, get(`/${Math.random()}`))
      expect(codeOf(connection)).toBe(17)
    })
  }

  it('resets the request over a malformed promise, as the reference does', () => {
    const { session, peer } = promised()
    peer.promise(5, 2, [...get('/x'), ['Upper', '1']])
    expect(resets(drain(session)).map(([id, code]) => [id, code]).sort()).toEqual([
      [2, Rst.BAD_APPLICATION_PAYLOAD],
      [5, Rst.BAD_APPLICATION_PAYLOAD]
    ])
  })

  it('gives an unclaimed promise up after a minute, with what was pushed', () => {
    const { connection, session, peer } = promised()
    peer.promise(5, 2, get('/x'))
    peer.headers(2, RESPONSE, false)
    give(connection, streamFrame(2, 0, bytes(1000)))
    expect(session.nextTimeout()).toBe(connection.now + PROMISE_LIFETIME)
    connection.now += PROMISE_LIFETIME - 1
    session.handleTimeout(connection.now)
    expect(session.promiseCount).toBe(1)
    connection.now += 1
    session.handleTimeout(connection.now)
    session.deliverEvents(connection.now)
    expect(resets(drain(session))).toEqual([[2, Rst.PUSH_STREAM_TIMED_OUT, 0]])
    expect([session.promiseCount, session.nextTimeout(), session.pushed.get(2)!.log]).toEqual([0, Infinity, []])
    expect(session.flowController.consumed).toBe(1000)
    expect(claim(session, get('/x')).result.claimed).toBe(false)
  })

  it('decides a claim when the headers come, by the fields that vary names', () => {
    const vary: HeaderList = [...RESPONSE, ['vary', 'Accept-Language, X-Other']]
    for (const [language, matches] of [['de', true], ['en', false]] as const) {
      const { session, peer } = promised()
      peer.promise(5, 2, get('/x', [['accept-language', 'de']]))
      const { result } = claim(session, get('/x', [['accept-language', language]]))
      session.deliverEvents(0)
      expect(result.told).toBe(0)
      peer.headers(2, vary, true)
      session.deliverEvents(0)
      expect([result.told, result.stream?.id]).toEqual([1, matches ? 2 : undefined])
      expect(resets(drain(session)).filter(([, code]) => code === Rst.PROMISE_VARY_MISMATCH).length).toBe(matches ? 0 : 1)
    }
  })

  it('tells a claim nothing came of it when the server takes the promise back', () => {
    const { connection, session, peer } = promised()
    peer.promise(5, 2, get('/x'))
    const { result } = claim(session, get('/x'))
    give(connection, rstFrame(2, 6, 0))
    session.deliverEvents(0)
    expect([result.told, result.stream, session.promiseCount]).toEqual([1, undefined, 0])
  })

  it('tells every claim when the connection ends', () => {
    const { connection, session, peer } = promised()
    peer.promise(5, 2, get('/x'))
    const { result } = claim(session, get('/x'))
    connection.close(16, '')
    session.deliverEvents(0)
    expect([result.told, result.stream]).toEqual([1, undefined])
  })

  it('lets a promise be claimed once, and by the same method', () => {
    const { session, peer } = promised()
    peer.promise(5, 2, get('/x'))
    expect(claim(session, [[':method', 'HEAD'], ...get('/x').slice(1)]).result.claimed).toBe(false)
    expect(claim(session, get('/x')).result.claimed).toBe(true)
    expect(claim(session, get('/x')).result.claimed).toBe(false)
  })

  it('resets the pushed stream of a claim that is cancelled, whether decided or not', () => {
    for (const decided of [false, true]) {
      const { session, peer } = promised()
      peer.promise(5, 2, get('/x'))
      const { handle, result } = claim(session, get('/x'))
      if (decided) peer.headers(2, RESPONSE, false)
      handle!.cancel()
      session.deliverEvents(0)
      expect([result.told, session.promiseCount]).toEqual([0, 0])
      expect(resets(drain(session))).toEqual([[2, Rst.STREAM_CANCELLED, 0]])
    }
  })

  it('resets a claimed stream whose taker fails', () => {
    const { session, peer } = promised()
    peer.promise(5, 2, get('/x'))
    session.claimPush(get('/x'), () => {
      throw new Error('no')
    })
    peer.headers(2, RESPONSE, false)
    session.deliverEvents(0)
    expect(resets(drain(session))).toEqual([[2, Rst.ERROR_PROCESSING_STREAM, 0]])
  })

  it('takes a push whose data overtook its promise', () => {
    const { connection, session, peer } = promised()
    give(connection, streamFrame(2, 0, 'pushed', true))
    session.deliverEvents(0)
    peer.promise(5, 2, get('/x'))
    peer.headers(2, RESPONSE, false)
    const { result } = claim(session, get('/x'))
    session.deliverEvents(0)
    expect(result.stream!.body.toString()).toBe('pushed')
    expect(result.stream!.log).toEqual(['headers', 'end', 'close'])
  })

  it('resets a pushed response that was never promised', () => {
    const { session, peer } = promised()
    peer.headers(2, RESPONSE, false)
    expect(resets(drain(session))).toEqual([[2, Rst.STREAM_CANCELLED, 0]])
  })

  it('drops the oldest unclaimed push when those take more than half of its window', () => {
    const { connection, session, peer } = promised({ streamWindow: 40_000, connectionWindow: 100_000 })
    for (const id of [2, 4]) {
      peer.promise(5, id, get(`/${id}`))
      peer.headers(id, RESPONSE, false)
      give(connection, streamFrame(id, 0, bytes(30_000)))
    }
    expect(resets(drain(session))).toEqual([[2, Rst.STREAM_CANCELLED, 0]])
    expect([session.promiseCount, session.flowController.consumed]).toEqual([1, 30_000])
  })
})
