/**
 * Server push and forced head-of-line blocking as real processes show them.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { Chain, makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { freeUdpPort, Program, quicgate, stopAll } from '../helpers/programs.js'

let dir: string
let port: number
let server: Program

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'localhost', 'www.example.com')
  const site = join(dir, 'recorded/www.example.com')
  mkdirSync(site, { recursive: true })
  const pushes = 'X-Push-URL: https://www.example.com/p1.css\r\nX-Push-URL: https://www.example.com/p2.js'
  writeFileSync(join(site, 'push.html'), `HTTP/1.1 200 OK\r\n${pushes}\r\n\r\n<page>`)
  writeFileSync(join(site, 'p1.css'), 'HTTP/1.1 200 OK\r\n\r\n' + 'c'.repeat(200_000))
  writeFileSync(join(site, 'p2.js'), 'HTTP/1.1 200 OK\r\nVary: X-Kind\r\n\r\njs')
  port = await freeUdpPort()
  const tls = ['--cert', join(dir, 'certs/cert.pem'), '--key', join(dir, 'certs/key.pem')]
  const root = ['--root', join(dir, 'recorded'), '--recorded']
  server = await Program.start(['serve', '--listen', `127.0.0.1:${port}`, ...tls, ...root], /^serving /m)
}, 120_000)

afterAll(async () => {
  await server?.stop()
  await stopAll()
  removeScratch(dir)
})

interface Line {
  url: string
  status: number
  bodyLength: number
  pushed?: true
}

async function fetchLines(paths: string[], ...flags: string[]): Promise<Line[]> {
  const urls = paths.map((path) => `https://www.example.com${path}`)
  const trust = ['--ca', join(dir, 'certs/ca.pem'), '--connect', `127.0.0.1:${port}`]
  const { stdout, stderr } = await quicgate(['fetch', ...urls, ...trust, '--json', ...flags])
  if (stdout.length === 0) throw new Error(stderr)
  return stdout.toString().trim().split('\n').map((line) => JSON.parse(line) as Line)
}

describe('mechanism: server push between processes', () => {
  it.each(supportedVersions.map(({ label }) => label))('%s: fetch takes what serve pushed', async (version) => {
    const lines = await fetchLines(['/push.html', '/p1.css', '/p2.js', '/p2.js'], '--quic-version', version)
    expect(lines.map(({ status, bodyLength, pushed }) => [status, bodyLength, pushed])).toEqual([
      [200, 6, undefined],
      [200, 200_000, true],
      [200, 2, true],
      [200, 2, undefined]
    ])
  })

  it('--no-push has the server push nothing', async () => {
    const lines = await fetchLines(['/push.html', '/p1.css'], '--no-push')
    expect(lines.map(({ status, pushed }) => [status, pushed])).toEqual([
      [200, undefined],
      [200, undefined]
    ])
  })
})

describe('mechanism: forced head-of-line blocking between processes', () => {
  it('Q036: --force-hol gets the same bodies, pushed ones as well', async () => {
    const paths = ['/push.html', '/p1.css', '/p2.js', '/p1.css']
    const lines = await fetchLines(paths, '--force-hol', '--quic-version', 'Q036')
    expect(lines.map(({ status, bodyLength }) => [status, bodyLength])).toEqual([
      [200, 6],
      [200, 200_000],
      [200, 2],
      [200, 200_000]
    ])
    expect(lines[1]!.pushed).toBe(true)
  })
})

describe('mechanism: server push from gateway to forwarder', () => {
  it('answers an ordinary HTTP client from what the gateway pushed', async () => {
    const asked: string[] = []
    const upstream = createServer((request, response) => {
      asked.push(request.url!)
      if (request.url === '/page') response.setHeader('link', '</style.css>; rel=preload; as=style')
      response.end(`body of ${request.url}`)
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const chain = await Chain.start({
      upstream: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
      forwardFlags: ['--authority', 'shop.example']
    })
    try {
      for (const path of ['/page', '/style.css', '/style.css']) {
        const response = await fetch(chain.url + path)
        expect([response.status, await response.text()]).toEqual([200, `body of ${path}`])
      }
      await chain.forwarder.waitFor(/(?:"msg":"request"[^]*){3}/)
      expect(asked).toEqual(['/page', '/style.css', '/style.css'])
      const requests = chain.forwarder.log.filter((line) => line['msg'] === 'request')
      expect(requests.map(({ path, pushed }) => [path, pushed])).toEqual([
        ['/page', undefined],
        ['/style.css', true],
        ['/style.css', undefined]
      ])
    } finally {
      await chain.stop()
      upstream.closeAllConnections()
      upstream.close()
    }
  })
})
