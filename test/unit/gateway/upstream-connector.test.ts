/** Connections to upstreams: what they receive reaches undici whole and in order, however it comes in pieces. */
import { createHash, randomBytes } from 'node:crypto'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { Client, type Dispatcher } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { UpstreamTarget } from '../../../src/config/upstream-schema.js'
import { upstreamConnector } from '../../../src/gateway/upstream-connector.js'
import { makeCertificate } from '../../helpers/certificates.js'

const dates = { from: '2020-01-01', to: '2100-01-01' }

/** Collects one response, at the pace that a test sets. */
class Collector implements Dispatcher.DispatchHandler {
  status = 0
  readonly fields: string[] = []
  readonly pieces: Buffer[] = []
  error: (Error & { code?: string }) | undefined
  resume: () => void = () => {}
  readonly done: Promise<void>
  private finish: () => void = () => {}

  /** @param paused whether each piece of the content is to wait for {@link resume} */
  constructor(private readonly paused = false) {
    this.done = new Promise((resolve) => {
      this.finish = resolve
    })
  }

  onConnect(): void {}

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    this.status = status
    this.resume = resume
    for (const part of raw) this.fields.push(part.toString('latin1'))
    return true
  }

  onData(piece: Buffer): boolean {
    // Where the length is unknown, undici hands on an empty piece each time that it resumes.
    if (piece.length > 0) this.pieces.push(piece)
    return !this.paused || piece.length === 0
  }

  onComplete(): void {
    this.finish()
  }

  onError(error: Error): void {
    this.error = error
    this.finish()
  }

  get content(): Buffer {
    return Buffer.concat(this.pieces)
  }
}

const text = (content: string): string => `HTTP/1.1 200 OK\r\nx-of: ${content}\r\ncontent-length: ${content.length}\r\n\r\n${content}`
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let server: Server
let sockets: Socket[]
let clients: Client[]
/** What the upstream does with a request, the how-manieth of its connection from 1 on. */
let answer: (socket: Socket, nth: number) => void

beforeEach(async () => {
  sockets = []
  clients = []
  server = createServer((socket) => {
    let requests = 0
    sockets.push(socket)
    socket.setNoDelay(true)
    socket.on('data', () => answer(socket, ++requests))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

afterEach(async () => {
  await Promise.all(clients.map((client) => client.destroy()))
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

function newClient(target?: UpstreamTarget): Client {
  const { url, tls } = target ?? { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, tls: undefined }
  const client = new Client(url, { connect: upstreamConnector({ url, tls }, undefined, 5000), pipelining: 1 })
  clients.push(client)
  return client
}

function get(client: Client, paused = false): Collector {
  const collector = new Collector(paused)
  client.dispatch({ method: 'GET', path: '/' }, collector)
  return collector
}

/** Lets a response that pauses at each piece go on until it is over. */
async function resumeToEnd(response: Collector): Promise<void> {
  let over = false
  void response.done.then(() => (over = true))
  while (!over) {
    response.resume()
    await new Promise(setImmediate)
  }
}

describe('a connection to an upstream', () => {
  it('takes a response that comes octet by octet', async () => {
    answer = (socket) => {
      void (async () => {
        for (const octet of text('little by little')) {
          socket.write(octet)
          await sleep(1)
        }
      })()
    }
    const response = get(newClient())
    await response.done
    expect(response.status).toBe(200)
    expect(response.fields).toEqual(['x-of', 'little by little', 'content-length', '16'])
    expect(response.content.toString()).toBe('little by little')
  })

  it('does not mix up what two connections receive in turn, whatever they read into', async () => {
    const turn = new Map<Socket, string>()
    answer = (socket) => {
      turn.set(socket, text(turn.size === 0 ? 'a'.repeat(3000) : 'b'.repeat(3000)))
      if (turn.size < 2) return
      void (async () => {
        for (let at = 0; at < 6100; at += 50) {
          for (const [each, response] of turn) each.write(response.slice(at, at + 50))
          await sleep(1)
        }
      })()
    }
    const responses = [get(newClient()), get(newClient())]
    await Promise.all(responses.map(({ done }) => done))
    const contents = responses.map(({ content }) => content.toString())
    expect(contents.sort()).toEqual(['a'.repeat(3000), 'b'.repeat(3000)])
    for (const { fields, content } of responses) expect(fields[1]).toBe(content.toString())
  })

  it('keeps what was received while the response is held up, and takes no more from the upstream meanwhile', async () => {
    const content = randomBytes(20_000_000)
    answer = (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${content.length}\r\n\r\n`)
      socket.write(content)
    }
    const response = get(newClient(), true)
    while (response.pieces.length === 0) await sleep(5)
    await sleep(100)
    expect(response.pieces.length).toBe(1)
    // What the kernel's buffers do not take stays with the upstream.
    expect(sockets[0]!.writableLength).toBeGreaterThan(0)
    await resumeToEnd(response)
    expect(response.error).toBe(undefined)
    expect(sha256(response.content)).toBe(sha256(content))
  })

  it('takes a response whose end is that of the connection', async () => {
    answer = (socket) => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end')
    const response = get(newClient())
    await response.done
    expect(response.content.toString()).toBe('until the end')
  })

  it('takes the end of a connection after content that was held up', async () => {
    answer = (socket) => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nheld up')
    const response = get(newClient(), true)
    while (response.pieces.length === 0) await sleep(5)
    await sleep(50)
    await resumeToEnd(response)
    expect(response.error).toBe(undefined)
    expect(response.content.toString()).toBe('held up')
  })

  it('tells of a connection that ends before its response', async () => {
    answer = (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort')
    const response = get(newClient())
    await response.done
    expect(response.error?.code).toMatch(/^UND_ERR_(?:SOCKET|RES_CONTENT_LENGTH_MISMATCH)$/)
    expect(response.content.toString()).toBe('short')
  })

  it('does not take a reset for the end of a response', async () => {
    // Closing while there is something to read is what resets a connection, without ending it first.
    const deaf = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {})
      setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsome of it'), 50)
      setTimeout(() => socket.destroy(), 100)
    })
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve))
    const response = get(newClient({ url: `http://127.0.0.1:${(deaf.address() as AddressInfo).port}`, tls: undefined }))
    await response.done
    deaf.close()
    expect(response.content.toString()).toBe('some of it')
    expect(response.error?.code).toBe('ECONNRESET')
  })

  it('tells of a connection that is reset', async () => {
    answer = (socket) => socket.resetAndDestroy()
    const response = get(newClient())
    await response.done
    expect(response.error?.code).toBe('ECONNRESET')
  })

  it('takes that end from a connection with TLS, too', async () => {
    const { pem, keyPem } = await makeCertificate({ name: 'localhost', hosts: ['localhost'], ...dates })
    const content = randomBytes(3_000_000)
    const secure = createTlsServer({ cert: pem, key: keyPem }, (socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n')
        socket.end(content)
      })
    })
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
    const url = `https://127.0.0.1:${(secure.address() as AddressInfo).port}`
    const tls = { ca: undefined, serverName: undefined, insecure: true }
    const response = get(newClient({ url, tls }), true)
    while (response.pieces.length === 0) await sleep(5)
    await resumeToEnd(response)
    secure.close()
    expect(response.error).toBe(undefined)
    expect(sha256(response.content)).toBe(sha256(content))
  })

  it('survives a connection that is reset under a request while the response is held up', async () => {
    answer = (socket, nth) => {
      if (nth === 1) socket.write('HTTP/1.1 413 Too Large\r\nconnection: close\r\n\r\nno more of this')
    }
    const response = new Collector(true)
    const body = new PassThrough()
    newClient().dispatch({ method: 'POST', path: '/', body }, response)
    body.write('begun')
    while (response.pieces.length === 0) await sleep(5)
    sockets[0]!.resetAndDestroy()
    while (response.error === undefined) {
      await sleep(5)
      body.write('more')
    }
    expect(response.status).toBe(413)
    expect(response.error.code).toMatch(/^(?:EPIPE|ECONNRESET)$/)
  })

  it('serves one request after another, and gives up a connection on which something came unasked', async () => {
    answer = (socket, nth) => socket.write(text(`connection ${sockets.length}, request ${nth}`))
    const client = newClient()
    const contents: string[] = []
    for (let i = 0; i < 4; i++) {
      if (i === 2) {
        sockets[0]!.write(text('nobody asked'))
        await sleep(50)
      }
      const response = get(client)
      await response.done
      contents.push(response.content.toString())
    }
    expect(contents).toEqual(
      ['connection 1, request 1', 'connection 1, request 2', 'connection 2, request 1', 'connection 2, request 2']
    )
  })
})
