/**
 * Exchanges between upstreams and clients that do whatever they like: answers of every framing that come in any pieces, are
 * held up, break off, go wrong or are followed by more; clients that stall, leave, upload slowly or not at all. Nothing may
 * end the process, each exchange ends and is told of once, and nobody gets a wrong answer that looks right.
 */
import { createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { QuicRstStreamErrorCode } from '../../../src/quic/errors.js'
import { listen, stopUpstreams, TestGateway, type StubStream } from '../../helpers/gateway-fixture.js'
import { SeededRandom } from '../../helpers/sim/seeded-random.js'

const AT_A_TIME = 12
const SCENARIOS = 200
/** So few that connections are used again and again, and some requests wait for one. */
const CONNECTIONS = 8
const IDLE = '400ms'

const NOBODY = 'HTTP/1.1 200 OK\r\nx-for: nobody\r\ncontent-length: 6\r\n\r\nnobody'

type Framing = 'length' | 'http/1.0' | 'chunked' | 'close'
type Mishap = 'none' | 'end' | 'reset' | 'garbage' | 'silence'

/** What the upstream is going to do with one request. */
interface Plan {
  readonly framing: Framing
  readonly status: number
  readonly content: Buffer
  readonly mishap: Mishap
  /** Where in the bytes of its answer it happens. */
  readonly mishapAt: number
  readonly informational: boolean
  readonly unasked: boolean
  /** Answers before the request's content is there, and leaves that unread. */
  readonly early: boolean
}

/** One exchange, with everything that is random in it drawn from one seed. */
class Scenario {
  readonly plan: Plan
  readonly method: string
  private readonly upload: Buffer | undefined

  constructor(
    readonly id: number,
    readonly random: SeededRandom
  ) {
    const content = Buffer.alloc(this.size(300_000), `${id} `)
    const framing = this.oneOf<Framing>('length', 'http/1.0', 'chunked', 'close')
    const mishap = this.chance(0.4) ? this.oneOf<Mishap>('end', 'reset', 'garbage', 'silence') : 'none'
    this.plan = {
      framing,
      status: this.oneOf(200, 200, 200, 200, 404, 204, 304),
      content,
      mishap,
      mishapAt: Math.floor(random.unit() * (content.length + 150)),
      informational: this.chance(0.1),
      unasked: this.chance(0.1),
      early: this.chance(0.3)
    }
    this.method = this.oneOf('GET', 'GET', 'POST', 'HEAD')
    if (this.method === 'POST') this.upload = Buffer.alloc(this.size(200_000), 'u')
  }

  private chance(share: number): boolean {
    return this.random.unit() < share
  }

  private oneOf<T>(...choices: T[]): T {
    return choices[Math.floor(this.random.unit() * choices.length)]!
  }

  /** Small ones as often as large ones. */
  private size(most: number): number {
    return this.chance(0.1) ? 0 : Math.floor(Math.exp(this.random.unit() * Math.log(most)))
  }

  private async pause(): Promise<void> {
    const how = this.random.unit()
    if (how < 0.5) await new Promise(setImmediate)
    else if (how < 0.6) await sleep(this.random.unit() * 20)
  }

  private *pieces(bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + 1 + this.size(100_000))
      yield piece
      at += piece.length
    }
  }

  // ---- the upstream's part ----

  /** Whether the response has no content whatever its fields say. */
  get bodiless(): boolean {
    return this.method === 'HEAD' || this.plan.status === 204 || this.plan.status === 304
  }

  private answer(): Buffer {
    const { framing, status, content, informational } = this.plan
    const head = [`HTTP/1.${framing === 'http/1.0' ? 0 : 1} ${status} Whatever`, `x-for: ${this.id}`]
    if (framing === 'chunked') head.push('transfer-encoding: chunked')
    else if (framing === 'close') head.push('connection: close')
    else head.push(`content-length: ${content.length}`)
    const parts: Buffer[] = [Buffer.from(`${informational ? 'HTTP/1.1 103 Early Hints\r\n\r\n' : ''}${head.join('\r\n')}\r\n\r\n`)]
    if (this.bodiless) return parts[0]!
    if (framing !== 'chunked') return Buffer.concat([...parts, content])
    for (const piece of this.pieces(content)) {
      parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
    }
    return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
  }

  private get endsConnection(): boolean {
    return this.plan.framing === 'close' || this.plan.framing === 'http/1.0'
  }

  async respond(socket: Socket): Promise<void> {
    const { mishap, mishapAt, unasked } = this.plan
    const bytes = mishap === 'none' ? this.answer() : this.answer().subarray(0, mishapAt)
    const more = mishap === 'none' && unasked && !this.endsConnection ? NOBODY : ''
    let left = bytes.length
    for (const piece of this.pieces(bytes)) {
      if (socket.destroyed) return
      left -= piece.length
      // What nobody asked for comes with the last of the answer: later it could pass for the answer to the next request.
      if (!socket.write(left === 0 ? Buffer.concat([piece, Buffer.from(more)]) : piece)) {
        await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), sleep(2000)])
      }
      await this.pause()
    }
    if (mishap === 'reset') socket.resetAndDestroy()
    else if (mishap === 'garbage') socket.end('\x00\x01garbage\r\n\r\n')
    else if (mishap === 'end' || (mishap === 'none' && this.endsConnection)) socket.end()
  }

  // ---- the client's part ----

  /** @returns whether the client stayed to the end */
  async ask(gateway: TestGateway): Promise<{ stream: StubStream; stayed: boolean }> {
    const fields: [string, string][] = [['x-id', String(this.id)]]
    if (this.upload !== undefined && this.chance(0.5)) fields.push(['content-length', String(this.upload.length)])
    const stream = gateway.open(this.method, '/', fields, this.upload === undefined)
    const impatient = this.chance(0.2)
    stream.stalled = this.chance(0.5)
    const parts = [this.drainNowAndThen(stream)]
    if (this.upload !== undefined) parts.push(this.uploadTo(stream, this.upload))
    if (impatient) parts.push(this.leave(stream))
    await Promise.all([stream.closedSignal.promise, ...parts])
    return { stream, stayed: !impatient }
  }

  private async drainNowAndThen(stream: StubStream): Promise<void> {
    while (!stream.closed) {
      await sleep(this.random.unit() * 25)
      if (!stream.stalled || stream.closed) continue
      stream.drain()
      stream.stalled = this.chance(0.7)
    }
  }

  private async uploadTo(stream: StubStream, upload: Buffer): Promise<void> {
    const stopsAt = this.chance(0.15) ? this.random.unit() * upload.length : Infinity
    let sent = 0
    for (const piece of this.pieces(upload)) {
      if (stream.closed || sent > stopsAt) return
      stream.send(piece)
      sent += piece.length
      await this.pause()
    }
    if (!stream.closed) stream.finish()
  }

  private async leave(stream: StubStream): Promise<void> {
    await sleep(this.random.unit() * 40)
    if (stream.closed) return
    const how = this.random.unit()
    if (how < 0.4) stream.clientReset(QuicRstStreamErrorCode.STREAM_CANCELLED)
    else if (how < 0.7) stream.connectionLost()
    else stream.exchange.onStopSending()
  }
}

const forced = process.env['QUICGATE_ROUGH_SEEDS']
const seeds = forced === undefined ? [1, 2, 3] : Array.from({ length: Number(forced) }, (_, i) => i + 100)

afterAll(stopUpstreams)

describe('upstreams and clients that do what they like', () => {
  it.each(seeds)('neither stop the gateway nor fool it, seed %d', async (seed) => {
    const scenarios = Array.from({ length: SCENARIOS }, (_, id) => new Scenario(id, new SeededRandom(seed * 1000 + id)))
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket)
      let head = ''
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        head += bytes.toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        const scenario = scenarios[Number(/^x-id: (\d+)/m.exec(head)?.[1])]
        if (scenario === undefined) return
        const complete = scenario.method !== 'POST' || /\r\n0\r\n\r\n$/.test(head) || !/^transfer-encoding/m.test(head)
        const length = Number(/^content-length: (\d+)/m.exec(head)?.[1] ?? 0)
        if (!scenario.plan.early && (!complete || head.length < end + 4 + length)) return
        if (scenario.plan.early) socket.pause()
        head = ''
        void scenario.respond(socket)
      })
    })
    const url = await listen(server)
    const route = { name: 'rough', upstreams: [url], timeouts: { firstByte: IDLE, idle: IDLE } }
    const gateway = new TestGateway([route], { maxConnections: CONNECTIONS, maxWaiting: 1024 })
    let next = 0
    const seen = { ok: 0, broken: 0 }
    const worker = async (): Promise<void> => {
      while (next < scenarios.length) {
        const scenario = scenarios[next++]!
        const { stream, stayed } = await scenario.ask(gateway)
        const records = gateway.log.filter(({ stream: id }) => id === stream.id)
        expect(records.length).toBe(1)
        const { outcome } = records[0]!
        const what = `scenario ${scenario.id}: ${outcome} ${scenario.method} ${JSON.stringify({ ...scenario.plan, content: scenario.plan.content.length })}`
        expect(outcome, what).not.toBe('gateway_error')
        const complete = stream.ended && stream.resetCode === undefined && stream.header('x-for') !== undefined
        if (!complete) {
          // Garbage can make up the rest of a head that has no x-for.
          if (scenario.plan.mishap !== 'garbage') {
            expect(outcome === 'ok' && stayed && stream.resetCode === undefined && stream.ended, what).toBe(false)
          }
          seen.broken++
          continue
        }
        // What looks complete is the answer to this request, and all of it unless only the end of the connection could tell.
        seen.ok++
        expect(stream.header('x-for'), what).toBe(String(scenario.id))
        expect(stream.status, what).toBe(String(scenario.plan.status))
        const expected = scenario.bodiless ? Buffer.alloc(0) : scenario.plan.content
        const body = Buffer.concat(stream.chunks)
        // Where it stands for what is missing, garbage cannot be told from content.
        if (scenario.plan.mishap === 'garbage') continue
        if (scenario.plan.mishap === 'none' || scenario.plan.framing !== 'close') expect(body.equals(expected), what).toBe(true)
        else expect(expected.subarray(0, body.length).equals(body), what).toBe(true)
      }
    }
    await Promise.all(Array.from({ length: AT_A_TIME }, worker))
    expect(gateway.internalErrors).toEqual([])
    expect(seen.ok).toBeGreaterThan(SCENARIOS / 4)
    expect(seen.broken).toBeGreaterThan(SCENARIOS / 10)
    // A connection is given back two turns after a response that was held up.
    await sleep(50)
    for (const pool of gateway.upstreams.all()) expect([pool.busyCount, pool.waitingCount]).toEqual([0, 0])
    await gateway.upstreams.destroy()
    for (const socket of sockets) socket.destroy()
  }, 60_000)
})
