/** One line for each request: what was asked, where it went, how long each part took, and who failed if it failed. */
import { LineWriter, numberMember, textMember } from '../observe/line-writer.js'
import type { Logger } from '../observe/logger.js'

/** Who ended an exchange, in one word. docs/access-log.md says what each means. */
export type Outcome =
  | 'ok'
  | 'bad_request'
  | 'no_route'
  | 'client_reset'
  | 'client_gone'
  | 'client_timeout'
  | 'upstream_refused'
  | 'upstream_unresolved'
  | 'upstream_unreachable'
  | 'upstream_timeout'
  | 'upstream_reset'
  | 'upstream_tls'
  | 'upstream_protocol'
  | 'upstream_busy'
  | 'push_dropped'
  | 'gateway_stopping'
  | 'gateway_error'

/** One line. Times in milliseconds; undefined fields do not appear. */
export interface AccessRecord {
  /** Address and port of the QUIC peer. */
  client: string
  /** The client behind trusted proxies, when they name one. */
  forwardedFor: string | undefined
  method: string | undefined
  host: string | undefined
  /** Without the query, which often holds what should not be logged. */
  path: string | undefined
  route: string | undefined
  upstream: string | undefined
  status: number | undefined
  /** The response was pushed: the client had not asked for it. */
  pushed: true | undefined
  outcome: Outcome
  /** Why, when the outcome is not `ok`. */
  reason: string | undefined
  ms: {
    /** Waiting for a place among the connections to the upstream. */
    queue: number | undefined
    /** Opening a connection; only if a new one was needed. */
    connect: number | undefined
    /** From the request being sent to the head of the response. */
    firstByte: number | undefined
    /** Of the response, how long the client was too slow to take more. */
    clientStall: number | undefined
    /** From the request's header block to the end of the stream. */
    total: number
  }
  /** Content received from the client, and sent to it. */
  bytesIn: number
  bytesOut: number
  /** Upstreams tried. */
  attempts: number
  /** 1xx responses of the upstream, which Google QUIC cannot carry. */
  informational: number | undefined
  /** Trailer fields of the request, which could not be passed on. */
  droppedTrailers: number | undefined
  quic: string
  connection: string
  /** The name of the client's Channel ID, if it was asked for one and has one. */
  channelId: string | undefined
  stream: number
  /** Smoothed round-trip time to the client. */
  rtt: number
}

/** Takes finished records. */
export interface AccessLog {
  write(record: AccessRecord): void
}

/** Writes records as lines with `log: "access"`, at level info, or warn when the gateway or an upstream failed. */
export class LoggerAccessLog implements AccessLog {
  private readonly lines: LineWriter

  constructor(logger: Logger) {
    this.lines = new LineWriter(logger.child({ log: 'access' }))
  }

  write(record: AccessRecord): void {
    const failed = record.outcome.startsWith('upstream_') || record.outcome === 'gateway_error'
    const level = failed ? 'warn' : 'info'
    if (this.lines.enabled(level)) this.lines.write(level, members(record), 'request')
  }
}

/** A record as JSON, in the order of {@link AccessRecord}, each member with a comma before it. */
function members(record: AccessRecord): string {
  const { ms } = record
  return (
    textMember('client', record.client) + textMember('forwardedFor', record.forwardedFor) +
    textMember('method', record.method) + textMember('host', record.host) + textMember('path', record.path) +
    textMember('route', record.route) + textMember('upstream', record.upstream) +
    numberMember('status', record.status) + (record.pushed === true ? ',"pushed":true' : '') +
    textMember('outcome', record.outcome) + textMember('reason', record.reason) +
    `,"ms":{${phases(ms)}"total":${ms.total}},"bytesIn":${record.bytesIn},"bytesOut":${record.bytesOut},` +
    `"attempts":${record.attempts}` + numberMember('informational', record.informational) +
    numberMember('droppedTrailers', record.droppedTrailers) + textMember('quic', record.quic) +
    textMember('connection', record.connection) + textMember('channelId', record.channelId) +
    `,"stream":${record.stream},"rtt":${record.rtt}`
  )
}

function phases({ queue, connect, firstByte, clientStall }: AccessRecord['ms']): string {
  return phase('queue', queue) + phase('connect', connect) + phase('firstByte', firstByte) + phase('clientStall', clientStall)
}

function phase(name: string, milliseconds: number | undefined): string {
  return milliseconds === undefined ? '' : `"${name}":${milliseconds},`
}

/** Rounds to a microsecond's worth of digits: enough to tell phases apart, short enough to read. */
export function roundMs(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000
}
