/**
 * curl → forwarder → gateway → upstream, as real processes.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Chain } from '../helpers/chain.js'
import { curl, newestVersion, stopAll } from '../helpers/programs.js'

let chain: Chain

beforeAll(async () => {
  chain = await Chain.start()
}, 120_000)

afterAll(async () => {
  await chain?.stop()
  await stopAll()
})

/** The bytes of the sample upstream's /bytes/N. */
function* pattern(length: number): Generator<Buffer> {
  const chunk = Buffer.alloc(65_536)
  for (let i = 0; i < chunk.length; i++) chunk[i] = (i * 31 + (i >> 8)) & 0xff
  for (let left = length; left > 0; left -= chunk.length) yield left >= chunk.length ? chunk : chunk.subarray(0, left)
}

function patternHash(length: number): string {
  const hash = createHash('sha256')
  for (const piece of pattern(length)) hash.update(piece)
  return hash.digest('hex')
}

async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return hash.digest('hex')
}

/** Sends bytes on one TCP connection to the forwarder, and gives what came back until `until` matched. */
function rawExchange(bytes: string, until: RegExp): Promise<string> {
  const { hostname, port } = new URL(chain.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    let text = ''
    socket.on('data', (piece) => {
      text += piece.toString('latin1')
      if (until.test(text)) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(text))
  })
}

/** What /headers of the sample upstream tells. */
async function json(...args: string[]): Promise<{ headers: Record<string, string>; url: string }> {
  const { stdout, stderr } = await curl(...args)
  expect(stderr).toBe('')
  return JSON.parse(stdout.toString()) as never
}

describe('plain requests', () => {
  it('GET tells who carried it', async () => {
    const { stdout } = await curl('-i', `${chain.url}/`)
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(stdout.toString()).toContain(`via: 1.1 quicgate, QUIC/${newestVersion} quicgate-forward\r\n`)
    expect(stdout.toString()).toContain('quicgate sample upstream')
  })

  it('passes path, query, Host and own headers, and nothing that belongs to the connection', async () => {
    const own = ['Host: www.example', 'X-Own: yes', 'Connection: X-Drop', 'X-Drop: 1'].flatMap((field) => ['-H', field])
    const { headers, url } = await json(...own, `${chain.url}/headers?a=%20b`)
    expect(url).toBe('/headers?a=%20b')
    const via = `1.1 quicgate-forward, QUIC/${newestVersion} quicgate`
    expect(headers).toMatchObject({ host: 'www.example', 'x-own': 'yes', via })
    expect(headers).not.toHaveProperty('x-drop')
  })

  it('is a forward proxy for absolute-form requests', async () => {
    const { headers } = await json('-x', chain.url, 'http://any.host.example:81/headers')
    expect(headers).toMatchObject({ host: 'any.host.example:81', 'x-forwarded-proto': 'http' })
  })

  it('answers CONNECT in words', async () => {
    const { code, stderr } = await curl('-x', chain.url, 'https://secure.example/')
    expect(code).toBe(56)
    expect(stderr).toContain('501')
    const text = await rawExchange('CONNECT secure.example:443 HTTP/1.1\r\nHost: secure.example\r\n\r\n', /proxy/i)
    expect(text).toMatch(/^HTTP\/1\.1 501 Not Implemented\r\n/)
    expect(text).toMatch(/proxy-status: quicgate-forward;error=http_request_denied/)
  })

  it('answers what is no HTTP', async () => {
    const text = await rawExchange('\x16\x03\x01\x02\x00\x01\x00\x01\xfc', /no HTTP/)
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
  })

  it.each(['HEAD', 'GET'])('%s with 204 and 304 has no body', async (method) => {
    const flags = method === 'HEAD' ? ['-I'] : ['-i']
    for (const status of [204, 304]) {
      const { stdout, code } = await curl(...flags, `${chain.url}/status/${status}`)
      expect(code).toBe(0)
      expect(stdout.toString()).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(stdout.toString()).toMatch(/\r\n\r\n$/)
      expect(stdout.toString()).not.toMatch(/transfer-encoding/i)
    }
  })

  it('HEAD keeps the length of what GET would bring', async () => {
    const { stdout } = await curl('-I', `${chain.url}/bytes/12345`)
    expect(stdout.toString()).toMatch(/content-length: 12345\r\n/)
  })

  const methods = ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'REPORT', 'M-SEARCH']

  it.each(methods)('%s goes through', async (method) => {
    const { stdout } = await curl('-X', method, `${chain.url}/headers`)
    expect(JSON.parse(stdout.toString())).toMatchObject({ method })
  })

  it('does not mind an odd content type', async () => {
    const { stdout } = await curl('-H', 'Content-Type: ;;;', '--data', 'x=1', `${chain.url}/echo`)
    expect(stdout.toString()).toBe('x=1')
  })

  it('passes on error answers of the upstream as they are', async () => {
    const { stdout } = await curl('-i', `${chain.url}/status/503`)
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 503 /)
    expect(stdout.toString()).not.toMatch(/proxy-status/i)
    expect(stdout.toString()).toContain('status 503')
  })
})

describe('bodies', () => {
  it('100 MB down', async () => {
    const file = join(chain.directory, 'down.bin')
    const { code, stderr } = await curl('-o', file, `${chain.url}/bytes/100000000`)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(await fileHash(file)).toBe(patternHash(100_000_000))
  }, 180_000)

  it('100 MB up, and down again', async () => {
    const up = join(chain.directory, 'up.bin')
    const back = join(chain.directory, 'back.bin')
    await pipeline(Readable.from(pattern(100_000_000)), createWriteStream(up))
    const { code, stderr } = await curl('-T', up, '-o', back, `${chain.url}/echo`)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(await fileHash(back)).toBe(patternHash(100_000_000))
  }, 180_000)

  it('of unknown length, both ways', async () => {
    const chunked = ['-H', 'Transfer-Encoding: chunked', '--data-binary']
    const { stdout } = await curl(...chunked, '@-', `${chain.url}/count`)
    expect(JSON.parse(stdout.toString())).toEqual({ length: 0, trailers: {} })
    const file = join(chain.directory, 'chunked.bin')
    const sent = await curl(...chunked, `@${join(chain.directory, 'up.bin')}`, `${chain.url}/count`)
    expect(JSON.parse(sent.stdout.toString())).toMatchObject({ length: 100_000_000 })
    await curl('-o', file, `${chain.url}/bytes/3000000?chunked=1`)
    expect(await fileHash(file)).toBe(patternHash(3_000_000))
  }, 120_000)

  it('Expect: 100-continue is answered here', async () => {
    const { stdout, code } = await curl('-i', '-H', 'Expect: 100-continue', '--data', 'hello', `${chain.url}/echo`)
    expect(code).toBe(0)
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/)
    expect(stdout.toString()).toMatch(/hello$/)
  })

  it('trailers come back', async () => {
    const get = 'GET /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n'
    const text = await rawExchange(get, /x-request-trailers: .*\r\n\r\n$/)
    expect(text).toMatch(/0\r\nx-checksum: abc123\r\nx-request-trailers: \{\}\r\n\r\n$/)
  })

  it('request trailers do not disturb', async () => {
    const head = 'POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    const text = await rawExchange(`${head}5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n`, /\}$/)
    expect(text).toContain('{"length":5')
  })

  it('HTTP/1.0 clients get a body without chunks', async () => {
    const text = await rawExchange('GET /trailers HTTP/1.0\r\n\r\n', /after\n$/)
    expect(text).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(text).not.toMatch(/chunked/i)
    expect(text).toMatch(/body first\ntrailers after\n$/)
  })

  it('events arrive one by one', async () => {
    const arrivals: string[] = []
    let sawPartial = false
    await new Promise<void>((resolve, reject) => {
      httpRequest(`${chain.url}/sse?count=5&ms=150`, (response) => {
        response.on('data', (piece: Buffer) => {
          arrivals.push(piece.toString())
          if (!response.complete && arrivals.length < 5) sawPartial = true
        })
        response.on('end', resolve)
      })
        .on('error', reject)
        .end()
    })
    expect(arrivals).toEqual([1, 2, 3, 4, 5].map((i) => `id: ${i}\ndata: event ${i} of 5\n\n`))
    expect(sawPartial).toBe(true)
  })
})

describe('many requests', () => {
  it('200 in parallel share one QUIC connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 200 })
    const one = (i: number): Promise<number> =>
      new Promise((resolve, reject) => {
        httpRequest(`${chain.url}/bytes/${1000 + i}`, { agent }, (response: IncomingMessage) => {
          let length = 0
          response.on('data', (piece: Buffer) => (length += piece.length))
          response.on('end', () => resolve(length))
        })
          .on('error', reject)
          .end()
      })
    const lengths = await Promise.all(Array.from({ length: 200 }, (_unused, i) => one(i)))
    agent.destroy()
    expect(lengths).toEqual(Array.from({ length: 200 }, (_unused, i) => 1000 + i))
    const good = chain.forwarder.log.filter((line) => line['outcome'] === 'ok')
    const connections = new Set(good.map((line) => line['connectionId']))
    expect(connections.size).toBe(1)
  }, 60_000)

  it('keep-alive: three requests, one TCP connection', async () => {
    const urls = [1, 2, 3].flatMap((i) => ['-o', '/dev/null', `${chain.url}/bytes/${i}`])
    const { stdout } = await curl('-w', '%{num_connects} ', ...urls)
    expect(stdout.toString()).toBe('1 0 0 ')
  })

  it('pipelined requests are answered in order', async () => {
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    const text = await rawExchange(get('/slow?ms=300') + get('/status/404') + get('/status/200'), /status 200\n$/)
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1])).toEqual(['200', '404', '200'])
    expect(text.indexOf('slow but sure')).toBeLessThan(text.indexOf('status 404'))
  })
})
