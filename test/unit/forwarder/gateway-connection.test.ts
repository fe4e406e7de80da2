import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { RequestFailure } from '../../../src/client/failure.js'
import { GatewayConnection } from '../../../src/forwarder/gateway-connection.js'
import type { DialledConnection, StreamRequest } from '../../../src/forwarder/gateway-connection.js'

interface FakeSession {
  connection: { connected: boolean }
  goAwayReceived: boolean
  canOpenStream: boolean
  openStreamCount: number
}

interface FakeConnection extends DialledConnection<FakeSession> {
  die(code: string): Promise<void>
  wasClosed: boolean
}

function fakeConnection(): FakeConnection {
  let resolve!: (closed: { error: { code: string; message: string }; fromPeer: boolean }) => void
  const connection: FakeConnection = {
    session: { connection: { connected: true }, goAwayReceived: false, canOpenStream: true, openStreamCount: 0 },
    closed: new Promise((done) => (resolve = done)),
    wasClosed: false,
    async close() {
      connection.wasClosed = true
      connection.session.connection.connected = false
    },
    async die(code) {
      connection.session.connection.connected = false
      resolve({ error: { code, message: code }, fromPeer: false })
      await vi.advanceTimersByTimeAsync(0)
    }
  }
  return connection
}

class Waiter implements StreamRequest<FakeSession> {
  session: FakeSession | undefined
  failure: RequestFailure | undefined

  onSession(session: FakeSession): void {
    expect(this.session ?? this.failure).toBeUndefined()
    this.session = session
  }

  onUnavailable(failure: RequestFailure): void {
    expect(this.session ?? this.failure).toBeUndefined()
    this.failure = failure
  }
}

type Answer = FakeConnection | Error | 'never'

class Bench {
  readonly dials: number[] = []
  readonly events: string[] = []
  answers: Answer[] = []
  readonly pool = new GatewayConnection<FakeSession>({
    dial: async (signal) => {
      this.dials.push(Date.now())
      const answer = this.answers.length > 1 ? this.answers.shift()! : this.answers[0]!
      if (answer === 'never') return new Promise((_resolve, reject) => signal.addEventListener('abort', reject))
      if (answer instanceof Error) throw answer
      return answer
    },
    context: { target: 'gateway:443', serverName: 'gateway', timeoutMs: 10_000 },
    waitMs: 5_000,
    maxWaiting: 3,
    backoffMs: [200, 30_000],
    onEvent: (event) => this.events.push(event.type)
  })

  ask(): Waiter {
    const waiter = new Waiter()
    this.pool.request(waiter)
    return waiter
  }

  async connect(): Promise<FakeConnection> {
    const connection = fakeConnection()
    this.answers = [connection]
    this.pool.start()
    await vi.advanceTimersByTimeAsync(0)
    return connection
  }
}

const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
const badCertificate = Object.assign(new Error('expired'), { code: 'QUIC_PROOF_INVALID', details: 'expired' })

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

describe('GatewayConnection', () => {
  it('gives a stream at once when connected, and dials once for many requests', async () => {
    const bench = new Bench()
    const connection = fakeConnection()
    bench.answers = [connection]
    const early = [bench.ask(), bench.ask()]
    expect(early[0]!.session).toBeUndefined()
    await vi.advanceTimersByTimeAsync(0)
    expect(early.map((waiter) => waiter.session)).toEqual([connection.session, connection.session])
    expect(bench.ask().session).toBe(connection.session)
    expect(bench.dials).toHaveLength(1)
    expect(bench.events).toEqual(['connected'])
  })

  it('lets a request wait through refusals until the gateway is back', async () => {
    const bench = new Bench()
    const connection = fakeConnection()
    bench.answers = [refused, refused, refused, connection]
    const waiter = bench.ask()
    await vi.advanceTimersByTimeAsync(4_000)
    expect(waiter.session).toBe(connection.session)
    // Told once, however often it was tried.
    expect(bench.events).toEqual(['unreachable', 'connected'])
  })

  it('gives up after the waiting time with the reason of the last attempt', async () => {
    const bench = new Bench()
    bench.answers = [refused]
    const waiter = bench.ask()
    await vi.advanceTimersByTimeAsync(4_990)
    expect(waiter.failure).toBeUndefined()
    await vi.advanceTimersByTimeAsync(20)
    expect(waiter.failure).toMatchObject({ status: 502, type: 'connection_refused', nextHop: 'gateway:443' })
    expect(waiter.failure!.message).toContain('nothing listens on UDP gateway:443')
    expect(bench.pool.waitingCount).toBe(0)
  })

  it('answers 504 while an attempt is still without an answer', async () => {
    const bench = new Bench()
    bench.answers = ['never']
    const waiter = bench.ask()
    await vi.advanceTimersByTimeAsync(5_010)
    expect(waiter.failure).toMatchObject({ status: 504, type: 'connection_timeout' })
    expect(waiter.failure!.message).toContain('within 5 s')
  })

  it('does not let anybody wait when waiting cannot help', async () => {
    const bench = new Bench()
    bench.answers = [badCertificate]
    const waiter = bench.ask()
    await vi.advanceTimersByTimeAsync(0)
    expect(waiter.failure).toMatchObject({ status: 502, type: 'tls_certificate_error', code: 'QUIC_PROOF_INVALID' })
  })

  it('backs off up to the longest pause while nobody asks, and hurries when somebody does', async () => {
    const bench = new Bench()
    bench.answers = [refused]
    bench.pool.start()
    await vi.advanceTimersByTimeAsync(10 * 60_000)
    const pauses = bench.dials.map((at, i) => at - (bench.dials[i - 1] ?? at)).slice(1)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30_001)
    expect(pauses.slice(-3).every((pause) => pause >= 15_000)).toBe(true)
    expect(pauses[0]).toBeLessThanOrEqual(201)
    const before = bench.dials.length
    bench.ask()
    await vi.advanceTimersByTimeAsync(4_500)
    expect(bench.dials.length - before).toBeGreaterThanOrEqual(4)
  })

  it('bounds how many wait', async () => {
    const bench = new Bench()
    bench.answers = ['never']
    const waiting = [bench.ask(), bench.ask(), bench.ask()]
    const refusedOne = bench.ask()
    expect(refusedOne.failure).toMatchObject({ status: 503, type: 'connection_limit_reached' })
    expect(waiting.every((waiter) => waiter.failure === undefined)).toBe(true)
    bench.pool.cancel(waiting[0]!)
    expect(bench.ask().failure).toBeUndefined()
  })

  it('queues beyond the stream limit in order, and answers 503 when no stream gets free', async () => {
    const bench = new Bench()
    const { session } = await bench.connect()
    session.canOpenStream = false
    const [first, second] = [bench.ask(), bench.ask()]
    session.canOpenStream = true
    const { onSession } = first
    first.onSession = (given) => {
      onSession.call(first, given)
      session.canOpenStream = false
    }
    bench.pool.release(session)
    expect([first.session, second.session]).toEqual([session, undefined])
    await vi.advanceTimersByTimeAsync(5_010)
    expect(second.failure).toMatchObject({ status: 503, type: 'connection_limit_reached' })
  })

  it('reconnects when the connection dies, but leaves an unused gateway in peace', async () => {
    const bench = new Bench()
    const first = await bench.connect()
    const second = fakeConnection()
    bench.answers = [second]
    await first.die('QUIC_TOO_MANY_RTOS')
    expect(bench.pool.connected).toBe(false)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(bench.pool.connected).toBe(true)
    await second.die('QUIC_NETWORK_IDLE_TIMEOUT')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(bench.dials).toHaveLength(2)
    bench.answers = [fakeConnection()]
    const waiter = bench.ask()
    await vi.advanceTimersByTimeAsync(0)
    expect(waiter.session).toBeDefined()
    expect(bench.events).toEqual(['connected', 'lost', 'connected', 'lost', 'connected'])
  })

  it('does not hand out a dead session whose end was not told yet', async () => {
    const bench = new Bench()
    const dead = await bench.connect()
    dead.session.connection.connected = false
    const next = fakeConnection()
    bench.answers = [next]
    const waiter = bench.ask()
    await vi.advanceTimersByTimeAsync(0)
    expect(waiter.session).toBe(next.session)
    await dead.die('QUIC_PUBLIC_RESET')
    expect(bench.pool.connected).toBe(true)
    expect(bench.dials).toHaveLength(2)
  })

  it('drains a connection after GOAWAY and closes it with its last stream', async () => {
    const bench = new Bench()
    const old = await bench.connect()
    old.session.openStreamCount = 1
    old.session.goAwayReceived = true
    bench.pool.goAway(old.session)
    const next = fakeConnection()
    bench.answers = [next]
    const waiter = bench.ask()
    await vi.advanceTimersByTimeAsync(0)
    expect(waiter.session).toBe(next.session)
    expect(old.wasClosed).toBe(false)
    old.session.openStreamCount = 0
    bench.pool.release(old.session)
    expect(old.wasClosed).toBe(true)
    expect(next.wasClosed).toBe(false)
  })

  it('fails whoever waits when it is closed, and closes connections', async () => {
    const bench = new Bench()
    const connection = await bench.connect()
    connection.session.canOpenStream = false
    const waiter = bench.ask()
    await bench.pool.close()
    expect(waiter.failure).toMatchObject({ status: 503 })
    expect(connection.wasClosed).toBe(true)
    expect(bench.ask().failure).toMatchObject({ status: 503 })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('closes a connection that arrives after the end', async () => {
    const bench = new Bench()
    let arrive!: (connection: FakeConnection) => void
    const late = fakeConnection()
    const pool = new GatewayConnection<FakeSession>({
      dial: () => new Promise((resolve) => (arrive = resolve)),
      context: { target: 'g', serverName: 'g', timeoutMs: 1 },
      waitMs: 1,
      maxWaiting: 1,
      backoffMs: [1, 1]
    })
    pool.start()
    await pool.close()
    arrive(late)
    await vi.advanceTimersByTimeAsync(0)
    expect(late.wasClosed).toBe(true)
    expect(bench.dials).toHaveLength(0)
  })
})
