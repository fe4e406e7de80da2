/** The lines of the access log: all that a record says, and no member that it does not have. */
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { LoggerAccessLog } from '../../../src/gateway/access-log.js'
import type { AccessRecord } from '../../../src/gateway/access-log.js'

const anyTime: unknown = expect.stringMatching(/^\d{4}-.*Z$/)

const full: AccessRecord = {
  client: '[2001:db8::1]:4711',
  forwardedFor: '192.0.2.1',
  method: 'PUT',
  host: 'example.com',
  path: '/a"b\\\u00e9',
  route: 'all',
  upstream: '127.0.0.1:3000',
  status: 502,
  pushed: true,
  outcome: 'upstream_reset',
  reason: 'the upstream closed the connection',
  ms: { queue: 0.5, connect: 1.25, firstByte: 3, clientStall: 7.001, total: 12.345 },
  bytesIn: 10,
  bytesOut: 20,
  attempts: 2,
  informational: 1,
  droppedTrailers: 3,
  quic: 'Q050',
  connection: '0123456789abcdef',
  channelId: 'aGVsbG8=',
  stream: 5,
  rtt: 0.75
}

/** The line that a record becomes, taken apart; undefined if there is none. */
function lineOf(record: AccessRecord, level = 'info'): unknown {
  const lines: string[] = []
  const logger = pino({ level, base: null }, { write: (line) => void lines.push(line) })
  new LoggerAccessLog(logger).write(record)
  expect(lines.length).toBeLessThan(2)
  return lines[0] === undefined ? undefined : JSON.parse(lines[0])
}

describe('the access log', () => {
  it('has a member for everything in a record', () => {
    expect(lineOf(full)).toEqual({ level: 40, time: anyTime, log: 'access', ...full, msg: 'request' })
  })

  it('leaves out what a record does not have', () => {
    const undefinedIn = ['forwardedFor', 'reason', 'pushed', 'informational', 'droppedTrailers', 'channelId', 'upstream', 'status']
    const record = { ...full, outcome: 'ok', ms: { total: 1 } } as AccessRecord
    for (const name of undefinedIn) Object.assign(record, { [name]: undefined })
    const present = Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
    expect(lineOf(record)).toEqual({ level: 30, time: anyTime, log: 'access', ...present, msg: 'request' })
  })

  it('writes failures where requests that went well are not wanted', () => {
    expect(lineOf(full, 'warn')).toMatchObject({ level: 40 })
    expect(lineOf({ ...full, outcome: 'ok' }, 'warn')).toBe(undefined)
    expect(lineOf({ ...full, outcome: 'gateway_error' }, 'warn')).toMatchObject({ level: 40 })
  })
})
