/**
 * The forwarder's exchanges between a real local socket and a server's session on a pipe, without QUIC's packets.
 */
import { request as httpRequest } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { getDefaultHighWaterMark } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HookedClientSession } from '../../../src/client/hooked-client-session.js'
import { Exchange } from '../../../src/forwarder/exchange.js'
import type { ExchangeRecord } from '../../../src/forwarder/exchange.js'
import { GatewayConnection } from '../../../src/forwarder/gateway-connection.js'
import { LocalServer } from '../../../src/forwarder/local-server.js'
import { translateRequest } from '../../../src/forwarder/translate.js'
import { QuicError, QuicErrorCode, QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import type { QuicSpdyClientSession } from '../../../src/quic/spdy/spdy-client-session.js'
import { connect, Perspective, SessionPipe } from '../../helpers/session-pipe.js'
import type { FakeConnection } from '../../helpers/session-pipe.js'
import { spdyServer } from '../../helpers/spdy-fixture.js'
import type { Message } from '../../helpers/spdy-fixture.js'

const NAME = 'fwd'

/** One connection to a pretended gateway. */
interface Link {
  readonly client: FakeConnection
  readonly session: QuicSpdyClientSession
  readonly server: ReturnType<typeof spdyServer>['session']
  readonly pipe: SessionPipe
}

/** What a local client got. */
interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly trailers: IncomingMessage['trailers']
  readonly body: string
}

class Rig {
  readonly links: Link[] = []
  readonly records: ExchangeRecord[] = []
  /** Called with each request's stream once its headers are there. */
  answer: (stream: Message, link: number) => void = () => {}
  private readonly pool: GatewayConnection<QuicSpdyClientSession>
  private local!: LocalServer
  private running = true

  private constructor() {
    this.pool = new GatewayConnection<QuicSpdyClientSession>({
      dial: async () => this.dial(),
      context: { target: 'gateway:443', serverName: 'gateway', timeoutMs: 1000 },
      waitMs: 2000,
      maxWaiting: 100,
      backoffMs: [1, 10]
    })
  }

  static async start(): Promise<Rig> {
    const rig = new Rig()
    const context = {
      pool: rig.pool,
      name: NAME,
      failureContext: { target: 'gateway:443', serverName: 'gateway', timeoutMs: 1000 },
      onDone: (record: ExchangeRecord) => rig.records.push(record)
    }
    rig.local = await LocalServer.listen({
      listen: { host: '127.0.0.1', port: 0 },
      name: NAME,
      onRequest: (request, response, url) => {
        const options = { authority: undefined, fallbackAuthority: 'gateway', name: NAME }
        const translated = translateRequest(request, url, options)
        if (typeof translated === 'string') throw new Error(translated)
        new Exchange(request, response, translated, context).start()
      }
    })
    const turn = (): void => {
      for (const { pipe } of rig.links) pipe.step()
      if (rig.running) setImmediate(turn)
    }
    turn()
    return rig
  }

  private dial() {
    const index = this.links.length
    const hooks = {
      onCanOpenStream: (session: QuicSpdyClientSession) => this.pool.release(session),
      onGoAway: (session: QuicSpdyClientSession) => this.pool.goAway(session)
    }
    const options = { streamWindow: 65_536, connectionWindow: 1_048_576 }
    const a = connect(Perspective.Client, (c) => new HookedClientSession(c, hooks, options))
    const b = spdyServer()
    b.session.prepare = (stream) => (stream.answer = (answered) => this.answer(answered, index))
    this.links.push({
      client: a.connection,
      session: a.session,
      server: b.session,
      pipe: new SessionPipe(a.connection, b.connection)
    })
    return { session: a.session, closed: new Promise<never>(() => {}), close: async () => {} }
  }

  /** Sends a request; `body` is written and ended unless told otherwise. */
  send(path: string, o: RequestOptions & { body?: string; keepOpen?: boolean } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { host, port } = this.local.address
      const request = httpRequest({ host, port, path, ...o }, (response) => {
        let body = ''
        response.on('data', (piece: Buffer) => (body += piece.toString()))
        response.on('error', reject)
        response.on('end', () => {
          resolve({ status: response.statusCode!, headers: response.headers, trailers: response.trailers, body })
        })
      })
      request.on('error', reject)
      if (o.body !== undefined) request.write(o.body)
      if (o.keepOpen !== true) request.end()
    })
  }

  async close(): Promise<void> {
    this.running = false
    await this.pool.close()
    await this.local.close(0)
  }
}

function ok(stream: Message, body: string, ...headers: HeaderList): void {
  stream.writeHeaders([[':status', '200'], ...headers], false)
  stream.write(Buffer.from(body), true)
}

let rig: Rig

beforeEach(async () => {
  rig = await Rig.start()
})

afterEach(() => rig.close())

describe('an exchange', () => {
  it('carries request and response', async () => {
    let seen: HeaderList = []
    rig.answer = (stream) => {
      seen = stream.headers!
      ok(stream, 'hello', ['x-from', 'server'])
    }
    const answer = await rig.send('/a?b', { headers: { 'x-own': '1' } })
    expect(answer).toMatchObject({ status: 200, body: 'hello' })
    expect(answer.headers).toMatchObject({ 'x-from': 'server', via: 'QUIC/Q036 fwd' })
    expect(seen).toEqual(expect.arrayContaining([[':path', '/a?b'], ['x-own', '1'], ['via', '1.1 fwd']]))
    expect(rig.records).toMatchObject([{ outcome: 'ok', status: 200, bytesOut: 5, path: '/a?b', version: 'Q036' }])
  })

  it('carries bodies and trailers both ways', async () => {
    rig.answer = (stream) => {
      stream.onTrailers = (trailers) => {
        stream.trailers = trailers
        stream.writeHeaders([[':status', '200']], false)
        stream.write(stream.body)
        stream.writeTrailers([['x-echoed', trailers[0]![1]]])
      }
    }
    const { host, port } = rig['local'].address
    const answer = await new Promise<Answer>((resolve, reject) => {
      const request = httpRequest({ host, port, method: 'POST', headers: { trailer: 'x-sum' } }, (response) => {
        let body = ''
        response.on('data', (piece: Buffer) => (body += piece.toString()))
        response.on('end', () => resolve({ status: 200, headers: {}, trailers: response.trailers, body }))
      })
      request.on('error', reject)
      request.write('x'.repeat(300_000))
      request.addTrailers({ 'x-sum': '42' })
      request.end()
    })
    expect(answer.body).toHaveLength(300_000)
    expect(answer.trailers).toEqual({ 'x-echoed': '42' })
  })

  it('answers early while the upload goes on', async () => {
    rig.answer = (stream) => {
      stream.stopReading()
      ok(stream, 'enough')
    }
    const headers = { 'content-length': 1_000_000 }
    const answer = await rig.send('/', { method: 'POST', headers, body: 'x', keepOpen: true })
    expect(answer).toMatchObject({ status: 200, body: 'enough' })
  })

  it('waits for a free stream beyond the limit', async () => {
    const held: Message[] = []
    rig.answer = (stream) => held.push(stream)
    const all = Array.from({ length: 120 }, (_unused, i) => rig.send(`/${i}`))
    await expect.poll(() => held.length).toBe(100)
    for (const stream of held.splice(0)) ok(stream, 'x')
    await expect.poll(() => held.length).toBe(20)
    for (const stream of held) ok(stream, 'x')
    expect((await Promise.all(all)).every(({ status }) => status === 200)).toBe(true)
    expect(rig.links).toHaveLength(1)
  })

  it('holds the stream up while the local client does not read', async () => {
    const total = 40_000_000
    let written = 0
    let stream: Message | undefined
    const pump = (): void => {
      for (let more = true; more && written < total; written += 100_000) more = stream!.write(Buffer.alloc(100_000))
    }
    rig.answer = (answered) => {
      stream = answered
      stream.onWritable = pump
      stream.writeHeaders([[':status', '200']], false)
      pump()
    }
    const { host, port } = rig['local'].address
    const response = await new Promise<IncomingMessage>((resolve) => httpRequest({ host, port }, resolve).end())
    let before = -1
    // Until nothing moves any more.
    await expect.poll(() => [before === written, (before = written)][0], { interval: 300, timeout: 15_000 }).toBe(true)
    expect(written).toBeGreaterThan(100_000)
    expect(written).toBeLessThan(16_000_000)
    response.destroy()
    await expect.poll(() => rig.records.map(({ outcome }) => outcome)).toEqual(['client_gone'])
    await expect.poll(() => stream!.log).toContain(`reset ${QuicRstStreamErrorCode.STREAM_CANCELLED}`)
  })
})

describe('a local client', () => {
  it('is read no faster than the gateway takes its upload', async () => {
    let stream: Message | undefined
    rig.answer = (answered) => {
      stream = answered
      stream.reading = false
    }
    const { host, port } = rig['local'].address
    const size = 40_000_000
    const upload = httpRequest({ host, port, method: 'POST' })
    const answered = new Promise<number>((resolve) => upload.on('response', ({ statusCode }) => resolve(statusCode!)))
    upload.end(Buffer.alloc(size))
    await expect.poll(() => stream?.log.includes('data')).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 300))
    // The kernel's buffers of both sockets hold some of it, and nobody else does.
    expect(upload.socket!.writableLength).toBeGreaterThan(size / 2)
    stream!.stopReading()
    ok(stream!, 'enough')
    expect(await answered).toBe(200)
    await expect.poll(() => rig.records.map(({ outcome }) => outcome)).toEqual(['ok'])
    // A window of the gateway's, what a stream buffers, and a piece or two of the socket's.
    expect(rig.records[0]!.bytesIn).toBeGreaterThan(64 * 1024)
    expect(rig.records[0]!.bytesIn).toBeLessThan(512 * 1024)
    upload.destroy()
  })

  it('that leaves while it waits for a stream takes none', async () => {
    const held: Message[] = []
    rig.answer = (stream) => held.push(stream)
    const all = Array.from({ length: 100 }, (_unused, i) => rig.send(`/${i}`))
    await expect.poll(() => held.length).toBe(100)
    const { host, port } = rig['local'].address
    const late = httpRequest({ host, port, path: '/late' }).on('error', () => {})
    late.end()
    await expect.poll(() => rig['pool'].waitingCount).toBe(1)
    late.destroy()
    await expect.poll(() => rig.records.map(({ outcome, path }) => `${outcome} ${path}`)).toEqual(['client_gone /late'])
    expect(rig['pool'].waitingCount).toBe(0)
    for (const stream of held.splice(0)) ok(stream, 'x')
    await Promise.all(all)
    expect(held).toEqual([])
  })
})

describe('a local client that is slow at the end', () => {
  it.each(['the stream', 'the connection'])('gets the whole response although %s is closed by then', async (what) => {
    // The last piece of the body is the one that fills the local socket's buffer.
    const size = getDefaultHighWaterMark(false)
    rig.answer = (stream) => ok(stream, 'x'.repeat(size))
    const { host, port } = rig['local'].address
    // A response queued behind another one on its connection is not taken until that one is done.
    let first: Message | undefined
    const socket = connectTcp(port, host)
    let text = ''
    socket.on('data', (piece) => (text += piece.toString('latin1')))
    const answer = rig.answer
    rig.answer = (stream, link) => {
      if (stream.headers!.some(([, value]) => value === '/first')) first = stream
      else answer(stream, link)
    }
    socket.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n')
    await expect.poll(() => first).toBeDefined()
    await expect.poll(() => rig.links[0]!.server.made.size).toBe(2)
    await expect.poll(() => [...rig.links[0]!.server.made.values()][1]!.log).toContain('close')
    ok(first!, 'first')
    await expect.poll(() => text).toContain('first')
    if (what === 'the connection') rig.links[0]!.client.fail(new QuicError(QuicErrorCode.PUBLIC_RESET, 'gone'))
    await expect.poll(() => text.split('x').length - 1).toBeGreaterThanOrEqual(size)
    expect(rig.records.map(({ outcome }) => outcome)).toEqual(['ok', 'ok'])
    socket.destroy()
  })
})

describe('responses that break the rules', () => {
  it.each<[string, HeaderList, string, boolean]>([
    ['no status', [['x', 'y']], 'body', false],
    ['a status that is none', [[':status', 'abc']], 'body', false],
    ['a status that is not final', [[':status', '103']], 'body', false],
    ['a status out of range', [[':status', '600']], 'body', false],
    ['two lengths', [[':status', '200'], ['content-length', '4'], ['content-length', '5']], 'body', false],
    ['no body where one is announced', [[':status', '200'], ['content-length', '4']], '', true]
  ])('%s: 502', async (_name, headers, body, fin) => {
    rig.answer = (stream) => {
      stream.writeHeaders(headers, fin)
      if (!fin) stream.write(Buffer.from(body), true)
    }
    const answer = await rig.send('/')
    expect(answer.status).toBe(502)
    expect(answer.headers['proxy-status']).toMatch(/^fwd;error=http_protocol_error/)
    expect(rig.records).toMatchObject([{ outcome: 'bad_response' }])
  })

  it.each([
    ['shorter', 'bod'],
    ['longer', 'body and more']
  ])('a body %s than its length breaks the connection', async (_name, body) => {
    rig.answer = (stream) => ok(stream, body, ['content-length', '4'])
    await expect(rig.send('/')).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  it('keeps the length of what HEAD does not bring', async () => {
    rig.answer = (stream) => stream.writeHeaders([[':status', '200'], ['content-length', '4']], true)
    const answer = await rig.send('/', { method: 'HEAD' })
    expect(answer).toMatchObject({ status: 200, body: '' })
    expect(answer.headers['content-length']).toBe('4')
  })
})

describe('failures', () => {
  it('sends a refused request again, once', async () => {
    let asked = 0
    rig.answer = (stream) => {
      if (++asked === 1) stream.reset(QuicRstStreamErrorCode.REFUSED_STREAM)
      else ok(stream, 'second')
    }
    expect(await rig.send('/', { method: 'DELETE' })).toMatchObject({ status: 200, body: 'second' })
    rig.answer = (stream) => stream.reset(QuicRstStreamErrorCode.REFUSED_STREAM)
    expect(await rig.send('/')).toMatchObject({ status: 502 })
  })

  it('answers 502 for a reset before the response, and breaks off after it began', async () => {
    rig.answer = (stream) => stream.reset(QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM)
    const answer = await rig.send('/')
    expect(answer.status).toBe(502)
    expect(answer.body).toContain('QUIC_ERROR_PROCESSING_STREAM')
    rig.answer = (stream) => {
      stream.writeHeaders([[':status', '200']], false)
      stream.write(Buffer.from('part'))
      setTimeout(() => stream.reset(QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM), 50)
    }
    await expect(rig.send('/')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(rig.records.map(({ outcome }) => outcome)).toEqual(['gateway_reset', 'gateway_reset'])
  })

  it('sends safe requests again when the connection dies, and no others', async () => {
    const die = (_stream: Message, link: number): void => {
      setImmediate(() => rig.links[link]!.client.fail(new QuicError(QuicErrorCode.PUBLIC_RESET, 'gone')))
    }
    rig.answer = (stream, link) => (link === 0 ? die(stream, link) : ok(stream, 'again'))
    expect(await rig.send('/')).toMatchObject({ status: 200, body: 'again' })
    rig.answer = die
    const lost = await rig.send('/', { method: 'POST', body: 'x' })
    expect(lost.status).toBe(502)
    expect(lost.body).toContain('does not know the connection any more')
    expect(rig.records.map(({ outcome }) => outcome)).toEqual(['ok', 'gateway_lost'])
  })

  it.each(['POST', 'DELETE', 'PATCH'])('%s without content is not sent again: the gateway may have carried it out', async (method) => {
    let asked = 0
    rig.answer = (_stream, link) => {
      asked++
      setImmediate(() => rig.links[link]!.client.fail(new QuicError(QuicErrorCode.PUBLIC_RESET, 'gone')))
    }
    expect((await rig.send('/', { method })).status).toBe(502)
    expect([asked, rig.records[0]!.outcome]).toEqual([1, 'gateway_lost'])
  })

  it('a response that has begun is not asked for again', async () => {
    let asked = 0
    rig.answer = (stream, link) => {
      asked++
      stream.writeHeaders([[':status', '200']], false)
      stream.write(Buffer.from('part'))
      setTimeout(() => rig.links[link]!.client.fail(new QuicError(QuicErrorCode.PUBLIC_RESET, 'gone')), 50)
    }
    await expect(rig.send('/')).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect([asked, rig.records[0]!.outcome]).toEqual([1, 'gateway_lost'])
  })

  it('takes a new connection after GOAWAY, and lets the old one finish', async () => {
    let first: Message | undefined
    rig.answer = (stream) => (first = stream)
    const slow = rig.send('/slow')
    await expect.poll(() => first).toBeDefined()
    rig.links[0]!.server.sendGoAway(QuicErrorCode.PEER_GOING_AWAY, 'restart')
    await expect.poll(() => rig.links[0]!.session.goAwayReceived).toBe(true)
    rig.answer = (stream, link) => ok(stream, `link ${link}`)
    expect(await rig.send('/new')).toMatchObject({ body: 'link 1' })
    ok(first!, 'late')
    expect(await slow).toMatchObject({ status: 200, body: 'late' })
  })
})
