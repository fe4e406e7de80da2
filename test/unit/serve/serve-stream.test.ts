import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { QuicSpdyServerSession } from '../../../src/quic/spdy/spdy-server-session.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { serverSessionDefaults } from '../../../src/quic/transport/session-options.js'
import { RecordedResponses } from '../../../src/serve/recorded-responses.js'
import { ServeStream } from '../../../src/serve/serve-stream.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { connect, Perspective, SessionPipe } from '../../helpers/session-pipe.js'
import { openMessage, spdyClient, type Message } from '../../helpers/spdy-fixture.js'

let root: string
let responses: RecordedResponses

function record(path: string, head: string, body: string): void {
  const file = join(root, 'a.example', path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, `${head.replaceAll('\n', '\r\n')}\r\n\r\n${body}`)
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'quicgate-serve-'))
  const pushes = ['/p1.css', '/p2.js', '/moved', '/gone'].map((path) => `X-Push-URL: https://a.example${path}`)
  record('push.html', `HTTP/1.1 200 OK\nContent-Type: text/html\n${pushes.join('\n')}`, '<page>')
  record('p1.css', 'HTTP/1.1 200 OK\nContent-Type: text/css\nX-Push-URL: https://a.example/p2.js', 'css')
  record('p2.js', 'HTTP/1.1 200 OK', '')
  record('moved', 'HTTP/1.1 301 Moved\nLocation: /p2.js', 'x')
  record('gone', 'HTTP/1.1 410 Gone', 'gone')
  responses = await RecordedResponses.load(root)
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

class Session extends QuicSpdyServerSession {
  protected override createIncomingDynamicStream(id: number): ServeStream {
    const stream = new ServeStream(id, this)
    stream.context = { content: { kind: 'recorded', responses } }
    return stream
  }
}

const request = (path: string, extra: HeaderList = [], method = 'GET'): HeaderList => [
  [':method', method],
  [':scheme', 'https'],
  [':authority', 'a.example'],
  [':path', path],
  ...extra
]

function serve(label = 'Q036') {
  const hello = { connectionOptions: ['SPSH'] }
  const client = spdyClient({ push: 'accept' }, {}, label)
  const server = connect(Perspective.Server, (c) => new Session(c, serverSessionDefaults), hello, label)
  const pipe = new SessionPipe(client.connection, server.connection)
  /** Steps until the files are read. */
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) {
      pipe.step()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { client: client.session, pipe, until }
}

async function answerTo(send: (stream: Message) => void): Promise<Message> {
  const { client, until } = serve()
  const stream = openMessage(client)
  send(stream)
  await until(() => stream.closed)
  return stream
}

describe('mechanism: server push of recorded responses', () => {
  for (const version of supportedVersions) {
    it(`${version.label}: promises what X-Push-URL names before the response, and pushes 200 and 3xx only`, async () => {
      const { client, until } = serve(version.label)
      const page = openMessage(client)
      page.writeHeaders(request('/push.html', [['accept', '*/*']]), true)
      await until(() => page.closed)
      expect(page.body.toString()).toBe('<page>')
      // The reset of what may not be pushed can come before its promise, which is then ignored.
      expect(client.promised.slice(0, 3).map(({ headers }) => headers)).toEqual(
        ['/p1.css', '/p2.js', '/moved'].map((path) => [
          ...request(path),
          ['accept', '*/*'],
          ['referer', 'a.example/push.html'],
          ['content-length', '0']
        ])
      )
      const results = new Map<string, Message | undefined>()
      for (const path of ['/p1.css', '/p2.js', '/moved']) {
        client.claimPush<Message>(request(path), (stream) => results.set(path, stream))
      }
      await until(() => results.size === 3 && [...results.values()].every((stream) => stream?.closed === true))
      expect([...results.values()].map((stream) => [stream!.headers![0]![1], stream!.body.toString()])).toEqual([
        ['200', 'css'],
        ['200', ''],
        ['301', 'x']
      ])
      await until(() => client.promiseCount === 0)
      expect(client.claimPush(request('/gone'), () => {})).toBe(undefined)
    })
  }
})

describe("the reference server's error responses", () => {
  const bad: [string, (stream: Message) => void][] = [
    ['a body longer than announced', (s) => post(s, '2', 'body')],
    ['a body shorter than announced', (s) => post(s, '9', 'body')],
    ['a content-length that is no number', (s) => post(s, 'x', 'body')],
    ['a negative content-length', (s) => post(s, '-1', 'body')],
    [
      'two lengths that differ',
      (s) => {
        s.writeHeaders(request('/p1.css', [['content-length', '4'], ['content-length', '5']], 'POST'), false)
        s.write(Buffer.from('body'), true)
      }
    ],
    ['no :path', (s) => s.writeHeaders(request('/').slice(0, 3), true)],
    ['no :authority', (s) => s.writeHeaders(request('/').filter(([name]) => name !== ':authority'), true)],
    ['an upper-case name', (s) => s.writeHeaders(request('/p1.css', [['Upper', '1']]), true)],
    [
      'trailers',
      (s) => {
        s.writeHeaders(request('/p1.css', [], 'POST'), false)
        s.write(Buffer.from('body'))
        s.writeTrailers([['x', '1']])
      }
    ]
  ]
  const post = (stream: Message, length: string, body: string): void => {
    stream.writeHeaders(request('/p1.css', [['content-length', length]], 'POST'), false)
    stream.write(Buffer.from(body), true)
  }
  for (const [what, send] of bad) {
    it(`500 "bad" for ${what}`, async () => {
      const { headers, body } = await answerTo(send)
      expect([headers, body.toString()]).toEqual([[[':status', '500'], ['content-length', '3']], 'bad'])
    })
  }

  it('404 "file not found" for what is not recorded', async () => {
    const { headers, body } = await answerTo((s) => s.writeHeaders(request('/nothing'), true))
    expect([headers, body.toString()]).toEqual([[[':status', '404'], ['content-length', '14']], 'file not found'])
  })

  it('none for a body as announced, or for two equal lengths', async () => {
    for (const lengths of [['4'], ['4', '4']]) {
      const { headers, body } = await answerTo((s) => {
        const fields = lengths.map((length): [string, string] => ['content-length', length])
        s.writeHeaders(request('/p1.css', fields, 'POST'), false)
        s.write(Buffer.from('body'), true)
      })
      expect([headers![0], body.toString()]).toEqual([[':status', '200'], 'css'])
    }
  })
})

describe('X-Push-URL', () => {
  it('has to be an absolute URL that is recorded', async () => {
    for (const url of ['/p1.css', 'https://a.example/nowhere', 'https://a.example']) {
      const other = mkdtempSync(join(tmpdir(), 'quicgate-serve-'))
      mkdirSync(join(other, 'a.example'))
      writeFileSync(join(other, 'a.example/x'), `HTTP/1.1 200 OK\r\nX-Push-URL: ${url}\r\n\r\n`)
      await expect(RecordedResponses.load(other)).rejects.toThrow(/X-Push-URL.*(absolute|not recorded)/)
      rmSync(other, { recursive: true })
    }
  })
})
