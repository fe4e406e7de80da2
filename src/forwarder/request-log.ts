/** One line for each request that the forwarder carried, or could not carry. */
import { LineWriter, numberMember, textMember } from '../observe/line-writer.js'
import type { Logger } from '../observe/logger.js'
import type { ExchangeRecord } from './exchange.js'

/** Writes records as lines with `msg: "request"`, at level info, or warn for a failure. */
export class RequestLog {
  private readonly lines: LineWriter

  constructor(logger: Logger) {
    this.lines = new LineWriter(logger)
  }

  write(record: ExchangeRecord): void {
    const level = record.failure === undefined ? 'info' : 'warn'
    if (this.lines.enabled(level)) this.lines.write(level, members(record), 'request')
  }
}

/** A record as JSON, each member with a comma before it. */
function members(record: ExchangeRecord): string {
  const { queueMs, failure } = record
  return (
    textMember('method', record.method) + textMember('authority', record.authority) + textMember('path', record.path) +
    `,"status":${record.status},"bytesIn":${record.bytesIn},"bytesOut":${record.bytesOut}` +
    textMember('version', record.version) + textMember('connectionId', record.connectionId) +
    numberMember('streamId', record.streamId) + (record.pushed === true ? ',"pushed":true' : '') +
    textMember('outcome', record.outcome) + numberMember('totalMs', tenths(record.totalMs)) +
    numberMember('queueMs', queueMs === undefined ? undefined : tenths(queueMs)) +
    textMember('code', failure?.code) + textMember('why', failure?.cause)
  )
}

function tenths(milliseconds: number): number {
  return Math.round(milliseconds * 10) / 10
}
