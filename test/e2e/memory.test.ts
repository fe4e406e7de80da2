/**
 * A reader that stalls holds up the sender, and nobody in between keeps what does not fit. QUICGATE_FULL=1 moves 1 GB.
 */
import { request } from 'node:http'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Chain } from '../helpers/chain.js'
import { stopAll } from '../helpers/programs.js'

const TOTAL = process.env['QUICGATE_FULL'] === '1' ? 1_000_000_000 : 256_000_000
/** What one process may grow by: windows, socket buffers, garbage not yet collected; far from {@link TOTAL}. */
const ALLOWED_GROWTH = 120_000_000
/** Bytes that may be under way while nobody reads: windows of all hops and socket buffers. */
const ALLOWED_BUFFERED = 64_000_000
const STALL_MS = 2_000

let server: Server
let handle: (request: IncomingMessage, response: ServerResponse) => void
let chain: Chain

beforeAll(async () => {
  server = createServer((incoming, response) => handle(incoming, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  chain = await Chain.start({ upstream: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}, 120_000)

afterAll(async () => {
  await chain?.stop()
  server?.closeAllConnections()
  server?.close()
  await stopAll()
})

afterEach(({ task }) => {
  if (task.result?.state === 'fail') console.error(`${chain.gateway.summary}\n${chain.forwarder.summary}`)
})

/** Samples both processes; gives the growth of the one that grew most, in bytes. */
function watchMemory(): { stop(): number } {
  const parts = [chain.gateway, chain.forwarder]
  const before = parts.map((part) => part.residentBytes)
  let most = 0
  const sample = (): void => parts.forEach((part, i) => (most = Math.max(most, part.residentBytes - before[i]!)))
  const timer = setInterval(sample, 50)
  return {
    stop() {
      clearInterval(timer)
      sample()
      return most
    }
  }
}

/** `total` bytes that count how many were taken. */
function source(total: number): { stream: Readable; taken(): number } {
  const piece = Buffer.alloc(65_536, 'x')
  let taken = 0
  const stream = new Readable({
    read() {
      const size = Math.min(piece.length, total - taken)
      taken += size
      this.push(size === 0 ? null : piece.subarray(0, size))
    }
  })
  return { stream, taken: () => taken }
}

/** Reads nothing for a while, then everything; gives the length. `stalled` is called at the end of the pause. */
async function readLate(stream: Readable, stalled: () => void): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, STALL_MS))
  stalled()
  let length = 0
  for await (const piece of stream) length += (piece as Buffer).length
  return length
}

describe(`${TOTAL / 1e6} MB past a stalled reader`, () => {
  it('the client stalls: the upstream is held up', async () => {
    const body = source(TOTAL)
    handle = (_incoming, response) => body.stream.pipe(response)
    const memory = watchMemory()
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${chain.url}/down`, resolve).on('error', reject).end()
    })
    let sentWhileStalled = 0
    const length = await readLate(response, () => (sentWhileStalled = body.taken()))
    expect(length).toBe(TOTAL)
    expect(sentWhileStalled).toBeLessThan(ALLOWED_BUFFERED)
    expect(memory.stop()).toBeLessThan(ALLOWED_GROWTH)
  }, 300_000)

  it('the upstream stalls: the client is held up', async () => {
    const body = source(TOTAL)
    let sentWhileStalled = 0
    handle = (incoming, response) => {
      readLate(incoming, () => (sentWhileStalled = body.taken())).then(
        (length) => response.end(String(length)),
        () => response.destroy()
      )
    }
    const memory = watchMemory()
    const answer = await new Promise<string>((resolve, reject) => {
      const outgoing = request(`${chain.url}/up`, { method: 'POST' }, (response) => {
        let text = ''
        response.on('data', (piece: Buffer) => (text += piece.toString()))
        response.on('end', () => resolve(text))
      })
      outgoing.on('error', reject)
      body.stream.pipe(outgoing)
    })
    expect(answer).toBe(String(TOTAL))
    expect(sentWhileStalled).toBeLessThan(ALLOWED_BUFFERED)
    expect(memory.stop()).toBeLessThan(ALLOWED_GROWTH)
  }, 300_000)
})
