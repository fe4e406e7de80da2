import { afterEach, describe, expect, it, vi } from 'vitest'
import { LoggerAccessLog } from '../../../src/gateway/access-log.js'
import type { AccessRecord } from '../../../src/gateway/access-log.js'
import { logTime } from '../../../src/observe/log-time.js'
import { createLogger } from '../../../src/observe/logger.js'
import type { LoggerOptions } from '../../../src/observe/logger.js'
import { TurnDestination } from '../../../src/observe/turn-destination.js'

function lines(options: LoggerOptions, use: (logger: ReturnType<typeof createLogger>) => void): string[] {
  const out: string[] = []
  use(createLogger({ destination: { write: (text) => void out.push(text) }, ...options }))
  return out
}

const record: AccessRecord = {
  client: '127.0.0.1:1', forwardedFor: undefined, method: 'GET', host: 'h', path: '/', route: 'r', upstream: 'u:1', status: 200, pushed: undefined, outcome: 'ok',
  reason: undefined, ms: {
    queue: 0,
    connect: undefined,
    firstByte: 1,
    clientStall: undefined,
    total: 2
  }, bytesIn: 0, bytesOut: 3, attempts: 1,
  informational: undefined, droppedTrailers: undefined, quic: 'Q036', connection: 'c', channelId: undefined, stream: 5, rtt: 1
}

describe('the logger', () => {
  it('writes one JSON line each, with the time as text', () => {
    const [line] = lines({}, (logger) => logger.info({ a: 1 }, 'hello'))
    expect(line.endsWith('\n')).toBe(true)
    expect(JSON.parse(line)).toEqual({
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      a: 1,
      msg: 'hello'
    })
  })

  it('logs errors without their stack, unless asked to debug', () => {
    const error = Object.assign(new Error('no'), { code: 'E_NO' })
    const [plain] = lines({}, (logger) => logger.error({ err: error }))
    expect((JSON.parse(plain) as { err: object }).err).toEqual({ name: 'Error', code: 'E_NO', message: 'no' })
    const [verbose] = lines({ level: 'debug' }, (logger) => logger.error({ err: error }))
    expect(verbose).toContain('logger.test.ts')
  })

  it('keeps quiet below its level', () => {
    expect(lines({ level: 'warn' }, (logger) => logger.info('x'))).toEqual([])
    expect(lines({ level: 'silent' }, (logger) => logger.fatal('x'))).toEqual([])
  })

  it('writes for people when told to', () => {
    const out = lines({ pretty: true }, (logger) => logger.warn('careful')).join('')
    expect(out).toMatch(/WARN.*careful/)
    expect(out).not.toContain('{')
  })
})

describe('the time in a line', () => {
  afterEach(() => void vi.useRealTimers())

  it.each([
    '2026-01-31T23:59:59.007Z', '2026-01-31T23:59:59.007Z', '2026-01-31T23:59:59.999Z', '2026-02-01T00:00:00.000Z',
    '2026-01-31T23:59:59.080Z', '1970-01-01T00:00:00.001Z'
  ])('is %s when it is', (time) => {
    vi.useFakeTimers({ now: Date.parse(time), toFake: ['Date'] })
    expect(logTime()).toBe(`,"time":"${time}"`)
  })
})

describe('the lines of one turn', () => {
  function collecting(): { destination: TurnDestination; writes: string[] } {
    const writes: string[] = []
    const destination = new TurnDestination({ write: (text) => void writes.push(text) })
    return { destination, writes }
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  it('leave together and in order at its end, and leave once', async () => {
    const { destination, writes } = collecting()
    destination.write('a\n')
    destination.write('b\n')
    expect(writes).toEqual([])
    await turn()
    expect(writes).toEqual(['a\nb\n'])
    destination.write('c\n')
    await turn()
    await turn()
    expect(writes).toEqual(['a\nb\n', 'c\n'])
  })

  it('do not wait when they are many', () => {
    const { destination, writes } = collecting()
    const line = `${'x'.repeat(1023)}\n`
    for (let i = 0; i < 100; i++) destination.write(line)
    expect(writes.join('').length).toBeGreaterThanOrEqual(64 * 1024)
  })

  it('are written when the process exits', () => {
    const { destination, writes } = collecting()
    destination.write('last words\n')
    const listeners = process.listeners('exit')
    listeners.at(-1)!(0)
    expect(writes).toEqual(['last words\n'])
  })
})

describe('the access log', () => {
  it('has one line a request, louder when an upstream failed', () => {
    const out = lines({}, (logger) => {
      const log = new LoggerAccessLog(logger)
      log.write(record)
      log.write({ ...record, outcome: 'upstream_refused', reason: 'no' })
    }).map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(out.map((line) => [line['level'], line['log'], line['msg'], line['outcome']])).toEqual([
      [30, 'access', 'request', 'ok'], [40, 'access', 'request', 'upstream_refused']
    ])
    expect(out[0]).not.toHaveProperty('reason')
    expect(out[0]['ms']).toEqual({ queue: 0, firstByte: 1, total: 2 })
  })

  it('has every member of a record, in order, as the logger would write it', () => {
    const whole: AccessRecord = {
      ...record, forwardedFor: '192.0.2.1', pushed: true, outcome: 'upstream_reset', reason: 'it said "no"\n',
      path: '/caf\u00e9\\ \u2028\ud800', informational: 2, droppedTrailers: 1,
      ms: { queue: 0.5, connect: 1.25, firstByte: 3, clientStall: 4, total: 1e21 }
    }
    for (const each of [record, whole, { ...record, method: undefined, host: undefined, path: undefined, status: undefined }]) {
      const [ours, pinos] = lines({}, (logger) => {
        const parent = logger.child({ worker: 1 })
        new LoggerAccessLog(parent).write(each)
        const level = each.outcome === 'ok' ? 'info' : 'warn'
        parent.child({ log: 'access' })[level](each, 'request')
      }).map((line) => line.replace(/,"time":"[^"]*"/, ''))
      expect(JSON.parse(ours)).toEqual(JSON.parse(pinos))
      expect(Object.keys(JSON.parse(ours) as object)).toEqual(Object.keys(JSON.parse(pinos) as object))
    }
  })

  it('keeps to the level, and is readable when the log is', () => {
    expect(lines({ level: 'warn' }, (logger) => new LoggerAccessLog(logger).write(record))).toEqual([])
    const [pretty] = lines({ pretty: true }, (logger) => new LoggerAccessLog(logger).write(record))
    expect(pretty).toMatch(/INFO.*request/)
    expect(pretty).toContain('outcome: "ok"')
  })
})
