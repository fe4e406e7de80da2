/**
 * What a client is told when a part of the way is missing, and that everything recovers.
 */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { get } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Chain, makeCertificates } from '../helpers/chain.js'
import { curl, freeTcpPort, freeUdpPort, Program, stopAll } from '../helpers/programs.js'

/** Polls until `probe` says yes. */
async function eventually(probe: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000
  while (!(await probe())) {
    if (Date.now() > deadline) throw new Error('it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Starts only a forwarder, and asks it for `/`. */
async function askThrough(flags: string[]): Promise<string> {
  const forwarder = await Program.start(['forward', '--listen', '127.0.0.1:0', ...flags], /listening on http/)
  try {
    const [, url] = /listening on (http:\/\/[\d.]+:\d+)/.exec(forwarder.stdout)!
    return (await curl('-i', '--max-time', '20', `${url}/`)).stdout.toString()
  } finally {
    await forwarder.stop()
  }
}

afterAll(stopAll)

describe('the gateway', () => {
  let chain: Chain

  beforeAll(async () => {
    chain = await Chain.start()
  }, 120_000)

  afterAll(() => chain?.stop())

  it('is killed and started again: the forwarder finds it', async () => {
    expect((await curl(`${chain.url}/status/200`)).stdout.toString()).toBe('status 200\n')
    await chain.gateway.stop('SIGKILL')
    const down = (await curl('-i', '--max-time', '20', `${chain.url}/`)).stdout.toString()
    expect(down).toMatch(/^HTTP\/1\.1 50[24] /)
    expect(down).toMatch(/proxy-status: quicgate-forward;error=connection_/)
    await chain.startGateway()
    // A request made now waits for the new connection.
    expect((await curl('--max-time', '20', `${chain.url}/status/200`)).stdout.toString()).toBe('status 200\n')
  }, 60_000)

  it('is restarted while nobody looks: the next request does not notice', async () => {
    await chain.gateway.stop('SIGKILL')
    await chain.startGateway()
    expect((await curl('--max-time', '20', `${chain.url}/status/200`)).stdout.toString()).toBe('status 200\n')
  }, 60_000)

  it('stops in an orderly way: requests under way end well', async () => {
    const slow = curl(`${chain.url}/slow?ms=600`)
    await eventually(() => chain.gateway.child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(await chain.gateway.stop('SIGTERM')).toBe(0)
    expect((await slow).stdout.toString()).toBe('slow but sure\n')
    await chain.startGateway()
    expect((await curl('--max-time', '20', `${chain.url}/status/200`)).stdout.toString()).toBe('status 200\n')
  }, 60_000)

  it('dies in the middle of a response: the client sees an error, not a short body', async () => {
    const failed = await new Promise<string>((resolve, reject) => {
      get(`${chain.url}/bytes/500000000?chunked=1`, (response) => {
        response.once('data', () => void chain.gateway.stop('SIGKILL'))
        response.resume()
        response.on('end', () => reject(new Error('it looked complete')))
        response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!))
      }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code!))
    })
    expect(failed).toBe('ECONNRESET')
    await chain.startGateway()
  }, 60_000)
})

describe('the upstream', () => {
  let server: Server
  let onConnection: (socket: Socket) => void = () => {}
  let chain: Chain

  beforeAll(async () => {
    server = createServer((socket) => {
      socket.on('error', () => {})
      onConnection(socket)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    chain = await Chain.start({ upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  }, 120_000)

  afterAll(async () => {
    await chain?.stop()
    server?.close()
  })

  afterEach(() => {
    onConnection = () => {}
  })

  it('resets before an answer: 502 names the hop', async () => {
    onConnection = (socket) => socket.once('data', () => socket.resetAndDestroy())
    const text = (await curl('-i', `${chain.url}/`)).stdout.toString()
    expect(text).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/)
    expect(text).toMatch(/proxy-status: quicgate;error=/)
  })

  it('ends a body short of its length: curl sees an error', async () => {
    const short = 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort'
    onConnection = (socket) => socket.once('data', () => socket.end(short))
    expect((await curl(`${chain.url}/`)).code).not.toBe(0)
  })

  it('ends its connection with each response, while clients are slower: nothing is lost, and the gateway lives', async () => {
    const body = randomBytes(8_000_000)
    // With a length, as HTTP/1.0 servers do it, and without.
    const heads = ['HTTP/1.0 200 OK\r\ncontent-length: 8000000\r\n\r\n', 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n']
    for (const head of [...heads, ...heads]) {
      onConnection = (socket) => {
        socket.once('data', () => {
          socket.write(head)
          socket.end(body)
        })
      }
      const { code, stdout } = await curl('--limit-rate', '20M', '--max-time', '20', `${chain.url}/`)
      expect(code).toBe(0)
      expect(stdout.equals(body)).toBe(true)
    }
    expect(chain.gateway.child.exitCode).toBe(null)
  }, 60_000)

  it('breaks off a chunked body: curl sees an error', async () => {
    const begun = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n'
    onConnection = (socket) => {
      socket.once('data', () => socket.write(begun, () => setTimeout(() => socket.resetAndDestroy(), 100)))
    }
    const { code, stdout } = await curl(`${chain.url}/`)
    expect(stdout.toString()).toBe('hello')
    expect(code).not.toBe(0)
  })

  it('learns that the client went away', async () => {
    const closed = new Promise<void>((resolve) => {
      onConnection = (socket) => {
        socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n'))
        socket.on('close', () => resolve())
      }
    })
    await curl('--max-time', '1', `${chain.url}/`)
    await closed
    await eventually(() => chain.forwarder.log.some((line) => line['outcome'] === 'client_gone'))
  })

  it('does not listen: 502 says so, in the form that is asked for', async () => {
    const port = await freeTcpPort()
    const other = await Chain.start({ upstream: `http://127.0.0.1:${port}` })
    try {
      const text = (await curl('-i', `${other.url}/`)).stdout.toString()
      expect(text).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/)
      expect(text).toMatch(/proxy-status: quicgate;error=connection_refused/)
      const problem = await curl('-H', 'accept: application/json', `${other.url}/`)
      expect(JSON.parse(problem.stdout.toString())).toMatchObject({ status: 502 })
      // It comes up later, and nothing else has to be done.
      await other.startUpstream(port)
      expect((await curl(`${other.url}/status/200`)).stdout.toString()).toBe('status 200\n')
    } finally {
      await other.stop()
    }
  }, 60_000)
})

describe('reaching the gateway', () => {
  it('nothing listens there', async () => {
    const text = await askThrough(['--to', 'https://localhost', '--connect', `127.0.0.1:${await freeUdpPort()}`])
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
    expect(text).toContain('nothing listens on UDP 127.0.0.1')
    expect(text).toMatch(/proxy-status: quicgate-forward;error=connection_refused;next-hop="127\.0\.0\.1:\d+"/)
  }, 30_000)

  it('nobody answers', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    const address = `127.0.0.1:${silent.address().port}`
    const text = await askThrough(['--to', 'https://gateway.example', '--connect', address])
    silent.close()
    expect(text).toMatch(/^HTTP\/1\.1 504 Gateway Timeout\r\n/)
    expect(text).toMatch(new RegExp(`no answer from ${address} over UDP within [\\d.]+ s`))
    expect(text).toContain('error=connection_timeout')
  }, 30_000)

  it('the name does not exist', async () => {
    const text = await askThrough(['--to', 'https://no-such-name.invalid'])
    expect(text).toMatch(/^HTTP\/1\.1 50[24] /)
    expect(text).toMatch(/cannot resolve the name|name server does not answer/)
  }, 30_000)

  it('the certificate is refused', async () => {
    const chain = await Chain.start()
    try {
      const connect = ['--connect', `127.0.0.1:${chain.gatewayPort}`]
      const ca = ['--ca', join(chain.certificates, 'ca.pem')]
      const wrongName = await askThrough(['--to', 'https://other.example', ...connect, ...ca])
      expect(wrongName).toMatch(/^HTTP\/1\.1 502 /)
      expect(wrongName).toMatch(/certificate .* was refused for other\.example \(.*localhost/)
      expect(wrongName).toContain('error=tls_certificate_error')
      const other = join(chain.directory, 'other')
      await makeCertificates(other)
      const unknown = await askThrough(['--to', 'https://localhost', ...connect, '--ca', join(other, 'ca.pem')])
      expect(unknown).toContain('--ca FILE')
      expect(await askThrough(['--to', 'https://localhost', ...connect])).toContain('error=tls_certificate_error')
      expect(await askThrough(['--to', 'https://other.example', ...connect, '--insecure'])).toMatch(/^HTTP\/1\.1 200 /)
    } finally {
      await chain.stop()
    }
  }, 60_000)

  it('the flag of the gateway wins over the versions of its configuration', async () => {
    const chain = await Chain.start({ listenerYaml: '    versions: [Q034]\n' })
    try {
      await chain.gateway.stop()
      await chain.forwarder.stop()
      const flags = ['--config', join(chain.directory, 'gateway.yaml'), '--quic-version', '43,Q035']
      chain.gateway = await Program.start(['gateway', ...flags], /listening for QUIC/)
      for (const [offered, used] of [['Q034,Q035', 'Q035'], ['Q050,Q043', 'Q043']]) {
        await chain.startForwarder(['--quic-version', offered!])
        expect((await curl('-i', `${chain.url}/`)).stdout.toString()).toContain(`via: 1.1 quicgate, QUIC/${used}`)
        await chain.forwarder.stop()
      }
    } finally {
      await chain.stop()
    }
  }, 60_000)

  it('the versions do not meet, or only after negotiation', async () => {
    const forwardFlags = ['--quic-version', 'Q036,Q034']
    const chain = await Chain.start({ listenerYaml: '    versions: [Q034]\n', forwardFlags })
    try {
      expect((await curl('-i', `${chain.url}/`)).stdout.toString()).toMatch(/via: 1\.1 quicgate, QUIC\/Q034/)
      await chain.forwarder.stop()
      await chain.startForwarder(['--quic-version', 'Q036'])
      const text = (await curl('-i', `${chain.url}/`)).stdout.toString()
      expect(text).toMatch(/^HTTP\/1\.1 502 /)
      expect(text).toContain('error=tls_protocol_error')
      expect(text).toContain('speaks none of the QUIC versions offered')
    } finally {
      await chain.stop()
    }
  }, 60_000)
})
