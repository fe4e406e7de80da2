/** The forwarder's lines about requests. */
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { RequestLog } from '../../../src/forwarder/request-log.js'
import type { ExchangeRecord } from '../../../src/forwarder/exchange.js'

const anyTime: unknown = expect.stringMatching(/^\d{4}-.*Z$/)

const carried: ExchangeRecord = {
  method: 'GET',
  authority: 'example.com:8080',
  path: '/a?b="c"',
  status: 200,
  bytesIn: 0,
  bytesOut: 1024,
  totalMs: 12.3456,
  queueMs: 0.04,
  version: 'Q050',
  connectionId: '0123456789abcdef',
  streamId: 5,
  pushed: true,
  outcome: 'ok',
  failure: undefined
}

function linesOf(record: ExchangeRecord, level = 'info'): unknown[] {
  const lines: unknown[] = []
  const logger = pino({ level, base: null }, { write: (line) => void lines.push(JSON.parse(line)) })
  new RequestLog(logger).write(record)
  return lines
}

it('a request that was carried is told with everything that is known of it', () => {
  const { failure, ...members } = carried
  expect(failure).toBe(undefined)
  expect(linesOf(carried)).toEqual([{ level: 30, time: anyTime, ...members, totalMs: 12.3, queueMs: 0, msg: 'request' }])
  expect(linesOf(carried, 'warn')).toEqual([])
})

it('one that was not is a warning, says why, and has no members for what it never had', () => {
  const never = { status: 504, version: undefined, connectionId: undefined, streamId: undefined, queueMs: undefined, pushed: undefined }
  const failure = { code: 'CONNECT_TIMEOUT', cause: 'no answer from 192.0.2.1:443' } as ExchangeRecord['failure']
  const record: ExchangeRecord = { ...carried, ...never, outcome: 'gateway_unreachable', failure }
  expect(linesOf(record, 'warn')).toEqual([{
    level: 40, time: anyTime, method: 'GET', authority: 'example.com:8080', path: '/a?b="c"', status: 504, bytesIn: 0, bytesOut: 1024,
    outcome: 'gateway_unreachable', totalMs: 12.3, code: 'CONNECT_TIMEOUT', why: 'no answer from 192.0.2.1:443', msg: 'request'
  }])
})
