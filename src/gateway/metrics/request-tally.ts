/**
 * Counts requests by what they were and how they ended. The labels of metrics come from short lists and from the
 * configuration, never from what clients send: whoever invents methods must not make the gateway grow.
 */
import type { AccessLog, AccessRecord, Outcome } from '../access-log.js'

/** Methods that are counted each by themselves; all others are `other`. */
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'other'] as const
/** Classes of status codes; `none` for requests that got no response. */
const statuses = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const
/** The route of requests that none took. */
const NO_ROUTE = 'none'

const methodIndex = new Map<string, number>(methods.map((method, i) => [method, i]))
const OTHER_METHOD = methods.length - 1

/** Upper bounds of the buckets of durations, seconds. */
export const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const durationBoundsMs = durationBounds.map((seconds) => seconds * 1000)

/** What is counted of one route. */
class RouteTally {
  /** Requests by outcome, then by method and status class. */
  readonly counts = new Map<Outcome, Float64Array>()
  /** Requests by duration, not cumulated. */
  readonly durations = new Float64Array(durationBounds.length + 1)
  durationSumMs = 0
  bytesIn = 0
  bytesOut = 0
}

/** One combination of labels, and how many requests had it. */
export interface RequestCount {
  readonly route: string
  readonly method: string
  readonly status: string
  readonly outcome: Outcome
  readonly count: number
}

/** An access log that counts what goes through to the next one. */
export class RequestTally implements AccessLog {
  private readonly routes = new Map<string, RouteTally>()

  constructor(private readonly next: AccessLog) {}

  write(record: AccessRecord): void {
    this.count(record)
    this.next.write(record)
  }

  /** Every combination that occurred. */
  *counts(): IterableIterator<RequestCount> {
    for (const [route, tally] of this.routes) {
      for (const [outcome, cells] of tally.counts) {
        for (let i = 0; i < cells.length; i++) {
          const count = cells[i]!
          if (count === 0) continue
          yield { route, method: methods[Math.floor(i / statuses.length)]!, status: statuses[i % statuses.length]!, outcome, count }
        }
      }
    }
  }

  /** By route: how many took how long (see {@link durationBounds}), and the content that was carried, bytes. */
  byRoute(): Iterable<[route: string, tally: Readonly<RouteTally>]> {
    return this.routes
  }

  private count({ route = NO_ROUTE, method = '', status = 0, outcome, ms, bytesIn, bytesOut }: AccessRecord): void {
    let tally = this.routes.get(route)
    if (tally === undefined) this.routes.set(route, (tally = new RouteTally()))
    let cells = tally.counts.get(outcome)
    if (cells === undefined) tally.counts.set(outcome, (cells = new Float64Array(methods.length * statuses.length)))
    const statusClass = status >= 100 && status < 600 ? Math.floor(status / 100) : 0
    cells[(methodIndex.get(method) ?? OTHER_METHOD) * statuses.length + statusClass]!++
    let bucket = 0
    while (bucket < durationBoundsMs.length && ms.total > durationBoundsMs[bucket]!) bucket++
    tally.durations[bucket]!++
    tally.durationSumMs += ms.total
    tally.bytesIn += bytesIn
    tally.bytesOut += bytesOut
  }
}
