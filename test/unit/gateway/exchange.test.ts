import { createServer as createTcpServer } from 'node:net'
import type { Socket } from 'node:net'
import ipaddr from 'ipaddr.js'
import { afterEach, describe, expect, it } from 'vitest'
import { QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import {
  deadAddress,
  listen,
  Signal,
  startUpstream,
  stopUpstreams,
  TestGateway
} from '../../helpers/gateway-fixture.js'
import type { Handler, StubStream } from '../../helpers/gateway-fixture.js'

const gateways: TestGateway[] = []

afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.upstreams.destroy()))
  await stopUpstreams()
})

function gatewayTo(
  upstreams: string[],
  route: object = {},
  limits?: ConstructorParameters<typeof TestGateway>[1]
): TestGateway {
  const gateway = new TestGateway([{ name: 'all', upstreams, ...route }], limits)
  gateways.push(gateway)
  return gateway
}

async function serving(
  handler: Handler,
  route: object = {},
  limits?: ConstructorParameters<typeof TestGateway>[1]
): Promise<TestGateway> {
  return gatewayTo([await startUpstream(handler)], route, limits)
}

/** An upstream that says exactly these bytes to each request, whatever it is. */
async function saying(text: string, after?: (socket: Socket) => void): Promise<string> {
  return listen(
    createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => {
        socket.write(text)
        after?.(socket)
      })
    })
  )
}

/** One request, and then the turn of the event loop in which its connection becomes free for the next. */
async function idle(gateway: TestGateway, method = 'GET', path = '/'): Promise<StubStream> {
  const stream = await gateway.get(path, [], method)
  await new Promise((resolve) => setTimeout(resolve, 20))
  return stream
}

describe('a request and its response', () => {
  it('tell upstreams the Channel ID, in a header that no client can fill', async () => {
    const seen: (string | undefined)[] = []
    const upstream = await startUpstream((request, response) => {
      seen.push(request.headers['x-channel-id'] as string | undefined)
      response.end()
    })
    const gateway = new TestGateway([{ name: 'all', upstreams: [upstream] }], undefined, { channelId: 'x-channel-id' })
    const made: HeaderList = [['x-channel-id', 'somebody else']]
    await gateway.get('/', made)
    gateway.channelId = 'abc'
    await gateway.get('/', made)
    const plain = new TestGateway([{ name: 'all', upstreams: [upstream] }])
    plain.channelId = 'abc'
    await plain.get('/')
    expect(seen).toEqual([undefined, 'abc', undefined])
    expect(gateway.log.map(({ channelId }) => channelId)).toEqual([undefined, 'abc'])
  })

  it('pass with what belongs to them, and nothing else', async () => {
    const gateway = await serving((request, response) => {
      response.setHeader('X-Mixed', 'Case')
      response.setHeader('alt-svc', 'h3=":443"')
      response.setHeader('set-cookie', ['a=1', 'b=2'])
      response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers }))
    })
    const stream = await gateway.get(
      '/x?y=1',
      [
        ['accept', 'application/json'],
        ['cookie', 'a=1'],
        ['cookie', 'b=2'],
        ['te', 'trailers'],
        ['x-forwarded-for', '6.6.6.6']
      ]
    )
    const seen = JSON.parse(stream.body) as { method: string; url: string; headers: Record<string, string> }
    expect(seen.url).toBe('/x?y=1')
    expect(seen.headers).toEqual({
      host: 'a.example', accept: 'application/json', cookie: 'a=1; b=2', te: 'trailers', connection: 'keep-alive',
      'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'a.example',
      forwarded: 'for=127.0.0.1;host=a.example;proto=https', via: 'QUIC/Q036 quicgate'
    })
    expect(stream.headers![0]).toEqual([':status', '200'])
    expect(stream.header('x-mixed')).toBe('Case')
    expect(stream.header('via')).toBe('1.1 quicgate')
    expect(stream.headers!.filter(([name]) => name === 'set-cookie')).toHaveLength(2)
    for (const name of [
      'alt-svc',
      'connection',
      'keep-alive',
      'transfer-encoding'
    ]) expect(stream.header(name)).toBeUndefined()
    expect(gateway.log[0]).toMatchObject({
      outcome: 'ok', status: 200, route: 'all', method: 'GET', host: 'a.example', path: '/x', client: '127.0.0.1:50000', attempts: 1,
      bytesOut: stream.received, quic: 'Q036', connection: '0123456789abcdef', stream: 5, rtt: 12.5
    })
    expect(gateway.log[0].ms.connect).toBeGreaterThan(0)
    expect(gateway.log[0].ms.firstByte).toBeGreaterThan(0)
  })

  it('are logged with the client that a trusted proxy names, and with none that a stranger names', async () => {
    const upstream = await startUpstream((_, response) => response.end())
    for (const [network, forwardedFor] of [['127.0.0.0/8', '203.0.113.9'], ['192.0.2.0/24', undefined]] as const) {
      const trustedProxies = [ipaddr.parseCIDR(network)]
      const gateway = new TestGateway([{ name: 'all', upstreams: [upstream] }], undefined, { trustedProxies })
      gateways.push(gateway)
      await gateway.get('/', [['x-forwarded-for', '198.51.100.1, 203.0.113.9']])
      expect(gateway.log[0]).toMatchObject({ client: '127.0.0.1:50000', forwardedFor })
    }
  })

  it('are changed as the route says', async () => {
    const gateway = await serving(
      (request, response) => {
        response.setHeader('x-gone', '1')
        response.end(
          JSON.stringify([request.url, request.headers['host'], request.headers['x-add'], request.headers['x-old']])
        )
      },
      {
        match: { pathPrefix: '/api' },
        rewrite: { stripPrefix: '/api', replace: { pattern: 'v(\\d)', with: 'version-$1' }, addPrefix: '/base' },
        hostHeader: 'upstream',
        requestHeaders: { set: { 'X-Add': 'yes' }, remove: 'x-old' },
        responseHeaders: { set: { 'x-new': '2' }, remove: ['x-gone'] }
      }
    )
    const stream = await gateway.get('/%61pi/v1/a%2Fb?q=/api', [['x-old', '1']])
    const [url, host, added, old] = JSON.parse(stream.body) as string[]
    expect(url).toBe('/base/version-1/a%2Fb?q=/api')
    expect(host).toMatch(/^127\.0\.0\.1:\d+$/)
    expect([added, old ?? undefined]).toEqual(['yes', undefined])
    expect([stream.header('x-new'), stream.header('x-gone')]).toEqual(['2', undefined])
  })

  it('can fill a path from the pattern', async () => {
    const gateway = await serving((request, response) => response.end(request.url), {
      match: { pathPattern: '/u/:id/*' }, rewrite: { to: '/users/{id}/files/{*}' }
    })
    expect((await gateway.get('/u/7/a%20b/c?d')).body).toBe('/users/7/files/a%20b/c?d')
  })

  it.each([
    ['HEAD', 200, { 'content-length': '12' }, '12'],
    ['GET', 204, {}, undefined],
    ['GET', 304, { 'content-length': '12' }, '12']
  ])('%s answered with %i ends with its header block', async (method, status, fields, length) => {
    const gateway = await serving((_, response) => {
      response.writeHead(status, fields as Record<string, string>)
      response.end()
    })
    const stream = await gateway.get('/', [], method)
    expect([stream.status, stream.received, stream.header('content-length')]).toEqual([String(status), 0, length])
    expect(gateway.log[0].outcome).toBe('ok')
  })

  it('stream: what the upstream flushes is there before it ends', async () => {
    const go = new Signal()
    const gateway = await serving((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      void go.promise.then(() => response.end('data: 2\n\n'))
    })
    const stream = gateway.open('GET', '/')
    await stream.when(() => stream.body === 'data: 1\n\n')
    expect(stream.ended).toBe(false)
    go.done()
    await stream.closedSignal.promise
    expect(stream.body).toBe('data: 1\n\ndata: 2\n\n')
  })

  it('swallow 1xx, and pass trailers on', async () => {
    const gateway = await serving((_, response) => {
      response.writeProcessing()
      response.writeEarlyHints({ link: '</a>; rel=preload' })
      response.writeHead(200, { trailer: 'x-sum' })
      response.write('body')
      response.addTrailers({ 'X-Sum': '42', Age: '1' })
      response.end()
    })
    const stream = await gateway.get('/')
    expect(stream.body).toBe('body')
    expect(stream.trailers).toEqual([['x-sum', '42']])
    expect(gateway.log[0]).toMatchObject({ informational: 2, outcome: 'ok' })
  })

  it('keep one connection for many', async () => {
    const gateway = await serving((_, response) => response.end('x'))
    for (let i = 0; i < 3; i++) await idle(gateway)
    expect(gateway.log.map((record) => record.ms.connect !== undefined)).toEqual([true, false, false])
  })
})

describe('an upload', () => {
  const echo: Handler = (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () =>
      response.end(
        JSON.stringify({
          body: Buffer.concat(chunks).toString(),
          length: request.headers['content-length'],
          encoding: request.headers['transfer-encoding']
        })
      )
    )
  }

  it('of known length keeps its length, of unknown length is chunked', async () => {
    const gateway = await serving(echo)
    const known = gateway.open('POST', '/', [['content-length', '6'], ['expect', '100-continue']], false)
    known.send('abc')
    known.send('def', true)
    await known.closedSignal.promise
    expect(JSON.parse(known.body)).toEqual({ body: 'abcdef', length: '6' })
    const unknown = gateway.open('POST', '/', [], false)
    await new Promise((resolve) => setImmediate(resolve))
    unknown.send('abc')
    await unknown.when(() => unknown.taken === 3)
    unknown.send('def')
    unknown.finish()
    await unknown.closedSignal.promise
    expect(JSON.parse(unknown.body)).toEqual({ body: 'abcdef', encoding: 'chunked' })
    expect(gateway.log.map((record) => record.bytesIn)).toEqual([6, 6])
  })

  it('without content says so', async () => {
    const gateway = await serving(echo)
    const stream = await gateway.get('/', [], 'POST')
    expect(JSON.parse(stream.body)).toEqual({ body: '', length: '0' })
  })

  it('is read no faster than the upstream takes it', async () => {
    const go = new Signal()
    const gateway = await serving((request, response) => {
      void go.promise.then(() => {
        let length = 0
        request.on('data', (chunk: Buffer) => (length += chunk.length)).on('end', () => response.end(String(length)))
      })
    })
    const stream = gateway.open('POST', '/', [], false)
    const total = 64 * 1024 * 1024
    // What a client could have outstanding is bounded by its window; here all of it waits at the door.
    for (let sent = 0; sent < total; sent += 65_536) stream.send(Buffer.alloc(65_536))
    stream.finish()
    await stream.when(() => stream.taken > 0)
    let before = -1
    while (before !== stream.taken) {
      before = stream.taken
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    // The kernel's socket buffers took some; the rest was never read.
    expect(stream.taken).toBeLessThan(total / 2)
    go.done()
    await stream.closedSignal.promise
    expect(stream.body).toBe(String(total))
  })

  it('may be answered before it ends', async () => {
    const gateway = await serving((_, response) => {
      response.writeHead(413)
      response.end('too large')
    })
    const stream = gateway.open('POST', '/', [], false)
    stream.send('first')
    await stream.closedSignal.promise
    expect([stream.status, stream.body, stream.stopped]).toEqual(['413', 'too large', true])
    expect(gateway.log[0].outcome).toBe('ok')
    // The connection was in the middle of a request: the next one must not be sent on it.
    expect((await gateway.get('/')).status).toBe('413')
  })

  it.each([['longer', '3'], ['shorter', '9']])('%s than announced is refused', async (_, length) => {
    const gateway = await serving(echo)
    const stream = gateway.open('POST', '/', [['content-length', length]], false)
    stream.send('abcdef', true)
    await stream.closedSignal.promise
    expect(stream.status).toBe('400')
    expect(gateway.log[0]).toMatchObject({ outcome: 'bad_request', status: 400 })
  })

  it('that stops coming is ended', async () => {
    const gateway = await serving(echo, { timeouts: { idle: '100ms' } })
    const stream = gateway.open('POST', '/', [], false)
    stream.send('abc')
    await stream.closedSignal.promise
    expect(stream.status).toBe('408')
    expect(gateway.log[0].outcome).toBe('client_timeout')
  })

  it('loses its trailers, and the log says so', async () => {
    const gateway = await serving(echo)
    const stream = gateway.open('POST', '/', [], false)
    stream.send('abc')
    stream.exchange.onTrailers([['x-sum', '1']])
    stream.finish()
    await stream.closedSignal.promise
    expect(gateway.log[0]).toMatchObject({ outcome: 'ok', droppedTrailers: 1 })
  })
})

describe('a slow client', () => {
  it('holds the upstream up, and memory stays where it is', async () => {
    const total = 64 * 1024 * 1024
    let written = 0
    const gateway = await serving((_, response) => {
      const chunk = Buffer.alloc(65_536)
      const pump = (): void => {
        while (written < total) {
          written += chunk.length
          if (!response.write(chunk)) return void response.once('drain', pump)
        }
        response.end()
      }
      pump()
    })
    const stream = gateway.stream()
    stream.stalled = true
    stream.request([[':method', 'GET'], [':authority', 'a'], [':scheme', 'https'], [':path', '/']], true)
    await stream.when(() => stream.buffered > 64 * 1024)
    const received = stream.received
    let before = -1
    while (before !== written) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(stream.received).toBe(received)
    expect(stream.received).toBeLessThan(256 * 1024)
    expect(written).toBeLessThan(total / 2)
    stream.drain()
    await stream.closedSignal.promise
    expect(stream.received).toBe(total)
    expect(gateway.log[0].ms.clientStall).toBeGreaterThan(50)
  })
})

describe('a client that goes away', () => {
  async function hanging(): Promise<{ gateway: TestGateway; arrived: Signal; gone: Signal }> {
    const [arrived, gone] = [new Signal(), new Signal()]
    const gateway = await serving((request, response) => {
      response.writeHead(200)
      response.write('x')
      request.socket.once('close', () => gone.done())
      arrived.done()
    })
    return { gateway, arrived, gone }
  }

  it('by reset ends the exchange with the upstream', async () => {
    const { gateway, gone } = await hanging()
    const stream = gateway.open('GET', '/')
    await stream.when(() => stream.body === 'x')
    stream.clientReset(QuicRstStreamErrorCode.STREAM_CANCELLED)
    await gone.promise
    expect(gateway.log).toMatchObject(
      [{ outcome: 'client_reset', reason: 'the client reset the stream: QUIC_STREAM_CANCELLED', status: 200 }]
    )
  })

  it('by wanting no more ends it as well', async () => {
    const { gateway, gone } = await hanging()
    const stream = gateway.open('GET', '/')
    await stream.when(() => stream.body === 'x')
    stream.exchange.onStopSending()
    await gone.promise
    expect(gateway.log).toMatchObject([{ outcome: 'client_reset' }])
  })

  it('with its connection ends it too', async () => {
    const { gateway, gone } = await hanging()
    const stream = gateway.open('GET', '/')
    await stream.when(() => stream.body === 'x')
    stream.connectionLost()
    await gone.promise
    expect(gateway.log).toMatchObject([{ outcome: 'client_gone' }])
  })

  it('is told apart from a gateway that stops', async () => {
    const { gateway, gone } = await hanging()
    const stream = gateway.open('GET', '/')
    await stream.when(() => stream.body === 'x')
    gateway.stopping = true
    stream.connectionLost()
    await gone.promise
    expect(gateway.log).toMatchObject([{ outcome: 'gateway_stopping' }])
  })

  it('while waiting for a connection leaves its place to others', async () => {
    const held: (() => void)[] = []
    const gateway = await serving(
      (_, response) => held.push(() => response.end('done')),
      {},
      { maxConnections: 1, maxWaiting: 1 }
    )
    const first = gateway.open('GET', '/1')
    const second = gateway.open('GET', '/2')
    second.clientReset(QuicRstStreamErrorCode.STREAM_CANCELLED)
    const third = gateway.open('GET', '/3')
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve))
    held[0]()
    await first.closedSignal.promise
    while (held.length === 1) await new Promise((resolve) => setImmediate(resolve))
    held[1]()
    await third.closedSignal.promise
    expect(gateway.log.map((record) => [record.path, record.outcome])).toEqual([
      ['/2', 'client_reset'],
      ['/1', 'ok'],
      ['/3', 'ok']
    ])
  })
})

describe('an upstream that fails', () => {
  it.each<[string, () => Promise<string>, object, string, string, string]>([
    ['refuses', deadAddress, {}, '502', 'upstream_refused', 'connection_refused'],
    [
      'does not resolve',
      () => Promise.resolve('http://no-such-host.invalid'),
      {},
      '50[24]',
      'upstream_unresolved',
      'dns_(error|timeout)'
    ],
    ['hangs up', () => saying('', (socket) => socket.destroy()), {}, '502', 'upstream_reset', 'connection_terminated'],
    ['talks nonsense', () => saying('SSH-2.0-OpenSSH_9.9\r\n'), {}, '502', 'upstream_protocol', 'http_protocol_error'],
    [
      'says nothing',
      () => saying(''),
      { timeouts: { firstByte: '150ms' } },
      '504',
      'upstream_timeout',
      'http_response_timeout'
    ],
    [
      'does not finish connecting',
      async () => (await saying('')).replace('http', 'https'),
      { timeouts: { connect: '150ms' } },
      '504',
      'upstream_timeout',
      'connection_timeout'
    ],
    [
      'has a header without end',
      () => saying(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}`),
      {},
      '502',
      'upstream_protocol',
      'http_response_header_section_size'
    ],
    [
      'speaks no TLS',
      async () => (await saying('HTTP/1.1 400 Bad Request\r\n\r\n')).replace('http', 'https'),
      {},
      '502',
      'upstream_tls',
      'tls_protocol_error'
    ]
  ])('because it %s is told of', async (_, upstream, route, status, outcome, error) => {
    const url = await upstream()
    const gateway = gatewayTo([url], route)
    const stream = await gateway.get('/', [['accept', 'application/json']])
    expect(stream.status).toMatch(new RegExp(`^${status}$`))
    expect(stream.header('proxy-status')).toMatch(
      new RegExp(`^quicgate;error=${error};next-hop="${new URL(url).hostname}:\\d+";details="`)
    )
    expect(JSON.parse(stream.body)).toMatchObject({
      status: Number(stream.status),
      detail: expect.stringMatching(/^quicgate: the upstream/) as string
    })
    expect(stream.body).not.toMatch(/node:|\.js|at /)
    expect(gateway.log[0]!.ms.total).toBeLessThan(8_000)
    expect(gateway.log[0]).toMatchObject({ outcome, upstream: `${new URL(url).hostname}:${new URL(url).port || 80}` })
    expect(gateway.internalErrors).toEqual([])
  })

  it('in the middle of its answer resets the stream', async () => {
    const url = await saying(
      'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc',
      (socket) => setTimeout(() => socket.destroy(), 50)
    )
    const gateway = gatewayTo([url])
    const stream = await gateway.get('/')
    expect([stream.status, stream.body, stream.ended, stream.resetCode]).toEqual([
      '200',
      'abc',
      false,
      QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM
    ])
    expect(gateway.log[0]).toMatchObject({ outcome: 'upstream_reset', status: 200 })
  })

  it('stops in the middle of its answer for too long', async () => {
    const gateway = gatewayTo(
      [await saying('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc')],
      { timeouts: { idle: '150ms' } }
    )
    const stream = await gateway.get('/')
    expect([stream.body, stream.resetCode]).toEqual(['abc', QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM])
    expect(gateway.log[0].outcome).toBe('upstream_timeout')
  })

  it('is passed over when another one can be had, content and all', async () => {
    const good = await startUpstream((request, response) => void request.pipe(response))
    const gateway = gatewayTo([await deadAddress(), good])
    const stream = gateway.open('POST', '/', [], false)
    stream.send('kept', true)
    await stream.closedSignal.promise
    expect(stream.body).toBe('kept')
    expect(gateway.log[0]).toMatchObject({ attempts: 2, outcome: 'ok', upstream: new URL(good).host })
  })

  it('is the answer when all are down, after each was tried once', async () => {
    const gateway = gatewayTo([await deadAddress(), await deadAddress()])
    expect((await gateway.get('/')).status).toBe('502')
    expect(gateway.log[0].attempts).toBe(2)
  })

  it('is the answer to those who wait for a connection, too, and to those who are sent to the same one again', async () => {
    const dead = await deadAddress()
    const gateway = new TestGateway([{ name: 'dead', upstreams: [dead, dead] }], { maxConnections: 2, maxWaiting: 100 })
    const streams = await Promise.all(Array.from({ length: 20 }, () => gateway.get('/')))
    expect(streams.map(({ status }) => status)).toEqual(streams.map(() => '502'))
    expect(new Set(gateway.log.map(({ outcome, attempts }) => `${outcome} ${attempts}`))).toEqual(new Set(['upstream_refused 2']))
    for (const pool of gateway.upstreams.all()) expect([pool.busyCount, pool.waitingCount]).toEqual([0, 0])
  })

  it('that ends its connection behind a response that was held up gets the next request on another one', async () => {
    const url = await listen(
      createTcpServer((socket) => {
        socket.on('error', () => undefined)
        socket.once('data', () => {
          socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 200000\r\nconnection: keep-alive\r\n\r\n${'x'.repeat(200_000)}`)
          setTimeout(() => socket.end(), 20)
        })
      })
    )
    const gateway = new TestGateway([{ name: 'one', upstreams: [url] }], { maxConnections: 1, maxWaiting: 10 })
    const slow = gateway.stream()
    slow.stalled = true
    slow.request([[':method', 'GET'], [':authority', 'a'], [':scheme', 'https'], [':path', '/']], true)
    const next = gateway.open('POST', '/', [], false)
    next.send('content', true)
    await new Promise((resolve) => setTimeout(resolve, 150))
    while (!slow.closed) {
      slow.drain()
      await new Promise(setImmediate)
    }
    await next.closedSignal.promise
    expect([slow.status, slow.received, next.status, next.received]).toEqual(['200', 200_000, '200', 200_000])
    await gateway.upstreams.destroy()
  })

  it('is tried again when only an old connection had gone', async () => {
    let connections = 0
    const url = await listen(
      createTcpServer((socket) => {
        const nth = ++connections
        let requests = 0
        socket.on('error', () => undefined)
        socket.on('data', () => {
          if (nth === 1 && ++requests === 2) socket.destroy()
          else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx')
        })
      })
    )
    const gateway = gatewayTo([url])
    expect((await idle(gateway)).body).toBe('x')
    expect((await idle(gateway)).body).toBe('x')
    expect(gateway.log.map((record) => record.attempts)).toEqual([1, 2])
    const post = gatewayTo([url])
    connections = 0
    expect((await idle(post, 'POST')).body).toBe('x')
    expect((await post.get('/', [], 'POST')).status).toBe('502')
  })

  it('takes turns with the others', async () => {
    const names = await Promise.all(['a', 'b', 'c'].map((name) => startUpstream((_, response) => response.end(name))))
    const gateway = gatewayTo(names)
    const bodies: string[] = []
    for (let i = 0; i < 6; i++) bodies.push((await gateway.get('/')).body)
    expect(bodies.join('')).toBe('abcabc')
  })

  it('that is busy serves those who wait in the order in which they came, each once', async () => {
    const order: (string | undefined)[] = []
    const gateway = await serving(
      (request, response) => {
        order.push(request.url)
        response.end()
      },
      {},
      { maxConnections: 1, maxWaiting: 3 }
    )
    const streams = ['/1', '/2', '/3', '/4'].map((path) => gateway.open('GET', path))
    for (const stream of streams) await stream.closedSignal.promise
    expect(order).toEqual(['/1', '/2', '/3', '/4'])
    expect(streams.map(({ status }) => status)).toEqual(['200', '200', '200', '200'])
    expect(gateway.log[3]!.ms.queue).toBeGreaterThan(0)
    const [pool] = gateway.upstreams.all()
    expect([pool!.busyCount, pool!.waitingCount]).toEqual([0, 0])
  })

  it('that is busy lets as many wait as it may, and answers 503 to the rest', async () => {
    const arrived = new Signal<() => void>()
    const gateway = await serving(
      (_, response) => arrived.done(() => response.end('ok')),
      { timeouts: { queue: '100ms' } },
      { maxConnections: 1, maxWaiting: 1 }
    )
    const running = gateway.open('GET', '/1')
    const waiting = gateway.open('GET', '/2')
    const refused = await gateway.get('/3')
    expect(refused.status).toBe('503')
    expect(refused.header('proxy-status')).toContain('error=connection_limit_reached')
    await waiting.closedSignal.promise
    expect(waiting.status).toBe('503')
    ;(await arrived.promise)()
    await running.closedSignal.promise
    expect(gateway.log.map((record) => [record.path, record.outcome])).toEqual([
      ['/3', 'upstream_busy'],
      ['/2', 'upstream_busy'],
      ['/1', 'ok']
    ])
  })
})

describe('a request that goes nowhere', () => {
  it('has no route', async () => {
    const gateway = gatewayTo(['http://127.0.0.1:1'], { match: { path: '/only' } })
    const stream = await gateway.get('/other', [['accept', 'text/plain']])
    expect(stream.status).toBe('404')
    expect(stream.body).toBe('404 Not Found\nquicgate: no route takes GET a.example/other\n')
    expect(gateway.log[0]).toMatchObject({ outcome: 'no_route', route: undefined, upstream: undefined })
  })

  it('has a path that is too long to be repeated whole', async () => {
    const gateway = gatewayTo(['http://127.0.0.1:1'], { match: { path: '/only' } })
    const stream = await gateway.get(`/${'x'.repeat(5_000)}`)
    expect(stream.body).toMatch(/^404 Not Found\nquicgate: no route takes GET a\.example\/x{186}…\n$/)
  })

  it('has a header block that is none', async () => {
    const gateway = gatewayTo(['http://127.0.0.1:1'])
    const stream = gateway.stream()
    stream.exchange.onMalformedHeaders('the header block is cut off')
    stream.finish()
    await stream.closedSignal.promise
    expect(stream.status).toBe('400')
    expect(stream.body).toContain('the header block is cut off')
    expect(gateway.log[0]).toMatchObject({ outcome: 'bad_request', reason: 'the header block is cut off', attempts: 0 })
  })

  it('ends in trailers that are none, before the answer', async () => {
    const [arrived, left] = [new Signal(), new Signal()]
    const gateway = await serving((_, response) => {
      arrived.done()
      response.once('close', () => left.done())
    })
    const stream = gateway.open('POST', '/', [], false)
    stream.send('abc')
    await arrived.promise
    stream.exchange.onMalformedHeaders('the trailers are cut off')
    await left.promise
    stream.finish()
    await stream.closedSignal.promise
    expect(stream.status).toBe('400')
    expect(gateway.log[0]).toMatchObject({ outcome: 'bad_request', status: 400 })
  })

  it('ends in trailers that are none, after the answer has begun', async () => {
    const gateway = await serving((_, response) => response.write('begun'))
    const stream = gateway.open('POST', '/', [], false)
    stream.send('abc')
    await stream.when(() => stream.body === 'begun')
    stream.exchange.onMalformedHeaders('the trailers are cut off')
    await stream.closedSignal.promise
    expect(stream.resetCode).toBe(QuicRstStreamErrorCode.BAD_APPLICATION_PAYLOAD)
    expect(gateway.log[0]).toMatchObject({ outcome: 'bad_request', status: 200, reason: 'the trailers are cut off' })
  })

  it('breaks the rules', async () => {
    const gateway = gatewayTo(['http://127.0.0.1:1'])
    const stream = gateway.open('POST', '/', [['transfer-encoding', 'chunked'], ['accept', 'text/html']], false)
    await stream.closedSignal.promise
    expect([stream.status, stream.stopped]).toEqual(['400', true])
    expect(stream.body).toContain('<h1>400 Bad Request</h1>')
    expect(gateway.log[0]).toMatchObject({
      outcome: 'bad_request',
      reason: 'transfer-encoding is specific to a connection and not allowed here'
    })
  })

  it('has no body in the answer to HEAD', async () => {
    const gateway = gatewayTo([await deadAddress()])
    const stream = await gateway.get('/', [], 'HEAD')
    expect([stream.status, stream.received]).toEqual(['502', 0])
    expect(Number(stream.header('content-length'))).toBeGreaterThan(0)
  })

  it('never began', () => {
    const gateway = gatewayTo(['http://127.0.0.1:1'])
    gateway.stream().connectionLost()
    expect(gateway.log).toMatchObject([{ outcome: 'bad_request', method: undefined }])
  })
})

it('pools are shared by routes that name the same upstream', async () => {
  const url = await startUpstream((_, response) => response.end('x'))
  const gateway = new TestGateway([
    { name: 'a', match: { path: '/a' }, upstreams: [url] },
    { name: 'b', upstreams: [url] }
  ])
  gateways.push(gateway)
  await idle(gateway, 'GET', '/a')
  await idle(gateway, 'GET', '/b')
  expect(gateway.log[1].ms.connect).toBeUndefined()
})
