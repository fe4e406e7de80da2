import { afterEach, describe, expect, it } from 'vitest'
import { GatewaySession } from '../../../src/gateway/gateway-session.js'
import { PushHistory } from '../../../src/gateway/push.js'
import { QuicRstStreamErrorCode as Rst } from '../../../src/quic/errors.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { serverSessionDefaults } from '../../../src/quic/transport/session-options.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { startUpstream, stopUpstreams, TestGateway, type Handler } from '../../helpers/gateway-fixture.js'
import { connect, Perspective, SessionPipe } from '../../helpers/session-pipe.js'
import { openMessage, spdyClient, type Message } from '../../helpers/spdy-fixture.js'

const gateways: TestGateway[] = []

afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.upstreams.destroy()))
  await stopUpstreams()
})

interface Seen {
  readonly url: string
  readonly headers: Record<string, unknown>
}

/** A page with these Link fields, and whatever else is asked for; everything that reached the upstream is kept. */
function site(links: string[], seen: Seen[], statuses: Record<string, number> = {}): Handler {
  return (request, response) => {
    seen.push({ url: request.url!, headers: request.headers })
    response.statusCode = statuses[request.url!] ?? 200
    if (request.url!.startsWith('/page')) response.setHeader('link', links)
    response.end(`body of ${request.url!}`)
  }
}

async function connected(handler: Handler, route: object = {}, o: { label?: string; push?: string } = {}) {
  const gateway = new TestGateway([{ name: 'all', upstreams: [await startUpstream(handler)], ...route }])
  gateways.push(gateway)
  const client = spdyClient({ push: o.push ?? 'accept' }, {}, o.label)
  const make = (c: ConstructorParameters<typeof GatewaySession>[0]): GatewaySession =>
    new GatewaySession(c, serverSessionDefaults, gateway.context, () => false)
  const server = connect(Perspective.Server, make, { connectionOptions: ['SPSH'] }, o.label)
  const pipe = new SessionPipe(client.connection, server.connection)
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) {
      pipe.step()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const get = async (path: string, extra: HeaderList = [], method = 'GET'): Promise<Message> => {
    const stream = openMessage(client.session)
    stream.writeHeaders(request(path, extra, method), true)
    await until(() => stream.closed)
    return stream
  }
  const claim = async (path: string): Promise<Message | undefined> => {
    let told = false
    let result: Message | undefined
    const claimed = client.session.claimPush<Message>(request(path), (stream) => {
      told = true
      result = stream
    })
    if (claimed === undefined) return undefined
    await until(() => told && result?.closed !== false)
    return result
  }
  return { gateway, client: client.session, get, claim, until }
}

const request = (path: string, extra: HeaderList = [], method = 'GET'): HeaderList => [
  [':method', method],
  [':authority', 'a.example'],
  [':scheme', 'https'],
  [':path', path],
  ...extra
]

const paths = (promised: readonly { url: string }[]): string[] =>
  promised.map(({ url }) => url.replace('https://a.example', ''))

describe('mechanism: server push by a gateway', () => {
  for (const version of supportedVersions) {
    it(`${version.label}: pushes what Link fields and the route name`, async () => {
      const seen: Seen[] = []
      const links = ['</a.css>; rel=preload', '</no.css>; rel=preload; nopush, <img/b.png?v=2>; rel="preload"; as=image']
      const route = { push: { resources: ['/app.js', '/a.css'] } }
      const { client, get, claim, gateway } = await connected(site(links, seen), route, { label: version.label })
      const page = await get('/page/', [['cookie', 'a=1'], ['if-none-match', '"x"'], ['range', 'bytes=0-1']])
      expect(page.body.toString()).toBe('body of /page/')
      expect(paths(client.promised)).toEqual(['/app.js', '/a.css', '/page/img/b.png?v=2'])
      for (const path of ['/app.js', '/a.css', '/page/img/b.png?v=2']) {
        const pushed = await claim(path)
        expect([pushed!.headers![0]![1], pushed!.body.toString()]).toEqual(['200', `body of ${path}`])
      }
      const upstream = seen.filter(({ url }) => url !== '/page/')
      expect(upstream.map(({ url }) => url).sort()).toEqual(['/a.css', '/app.js', '/page/img/b.png?v=2'])
      for (const { headers } of upstream) {
        expect(headers).toMatchObject({ host: 'a.example', cookie: 'a=1', referer: 'a.example/page/' })
        for (const name of ['content-length', 'if-none-match', 'range']) expect(headers).not.toHaveProperty(name)
      }
      expect(gateway.log.map(({ path, pushed, outcome }) => [path, pushed, outcome]).sort()).toEqual([
        ['/a.css', true, 'ok'],
        ['/app.js', true, 'ok'],
        ['/page/', undefined, 'ok'],
        ['/page/img/b.png', true, 'ok']
      ])
    })
  }
})

describe('what is not pushed', () => {
  const links = ['</a.css>; rel=preload']

  it('anything, to clients that disable it', async () => {
    const seen: Seen[] = []
    const { get } = await connected(site(links, seen), {}, { push: 'disable' })
    await get('/page')
    expect(seen.map(({ url }) => url)).toEqual(['/page'])
  })

  it('links, where the route says so', async () => {
    const { client, get } = await connected(site(links, []), { push: { preload: false } })
    await get('/page')
    expect(client.promised).toEqual([])
  })

  it('other origins, the page itself, what is no URL, and anything twice', async () => {
    const odd = ['<https://b.example/x>, <http://a.example/x>, <https://a.example:99/x>, </page>, <//>, <http://[>, </a#1>, </a#2>']
      .map((text) => text.replaceAll('>', '>; rel=preload'))
    const { client, get } = await connected(site(odd, []))
    await get('/page')
    await get('/page?again')
    expect(paths(client.promised)).toEqual(['/a', '/page'])
  })

  it('with answers other than 200, or to other methods', async () => {
    const { client, get } = await connected(site(links, [], { '/page1': 404 }))
    await get('/page1')
    await get('/page2', [], 'HEAD')
    await get('/page3', [], 'POST')
    expect(client.promised).toEqual([])
  })

  it('answers other than 200 and 3xx: they are reset, and the log says why', async () => {
    const many = ['</gone>; rel=preload, </moved>; rel=preload, </dead>; rel=preload']
    const { client, get, claim, gateway, until } = await connected(site(many, [], { '/gone': 410, '/moved': 302 }))
    await get('/page')
    expect((await claim('/moved'))!.headers![0]![1]).toBe('302')
    expect((await claim('/dead'))!.body.toString()).toBe('body of /dead')
    await until(() => gateway.log.length === 4 && client.promiseCount === 0)
    const gone = gateway.log.find(({ path }) => path === '/gone')!
    expect([gone.outcome, gone.status, gone.pushed]).toEqual(['push_dropped', undefined, true])
    const again = await get('/gone')
    expect(again.headers![0]![1]).toBe('410')
  })

  it('answers of the gateway itself', async () => {
    const { client, get, gateway, until } = await connected(site(['</other>; rel=preload'], []), { match: { pathPrefix: '/page' } })
    await get('/page')
    await until(() => gateway.log.length === 2 && client.promiseCount === 0)
    expect(gateway.log.find(({ path }) => path === '/other')).toMatchObject({ outcome: 'no_route', pushed: true })
  })

  it('what a client resets: the upstream is left in peace', async () => {
    const seen: Seen[] = []
    const hold: Handler = (incoming, response) => {
      if (incoming.url === '/slow') seen.push({ url: '/slow', headers: {} })
      else site(['</slow>; rel=preload'], seen)(incoming, response)
    }
    const { client, get, gateway, until } = await connected(hold)
    await get('/page')
    client.resetPromised(client.promised[0]!.streamId, Rst.STREAM_CANCELLED)
    await until(() => gateway.log.length === 2)
    expect(gateway.log[1]).toMatchObject({ path: '/slow', outcome: 'client_reset', pushed: true })
  })
})

describe('PushHistory', () => {
  it('has an end', () => {
    const history = new PushHistory(2)
    const add = (path: string): boolean => history.add({ scheme: 'https', authority: 'a', path })
    expect([add('/1'), add('/1'), add('/2'), add('/3')]).toEqual([true, false, true, false])
  })
})
