/** Finds the route of a request, and explains how it was found. */
import { normalizeHost } from '../config/patterns/host-pattern.js'
import { pathSegments } from '../config/patterns/path-pattern.js'
import type { PathParams } from '../config/patterns/path-pattern.js'
import { routePlace } from '../config/route-files.js'
import type { Route } from '../config/route-files.js'
import type { RouteEntry } from '../config/route-order.js'
import type { HeaderField } from '../quic/spdy/header-list.js'

/** What routes look at. */
export interface RoutableRequest {
  readonly method: string
  /** Without port. */
  readonly host: string
  /** Without query. */
  readonly path: string
  /** Regular fields, names in lower case. */
  readonly fields: readonly HeaderField[]
}

/** The route taken, and what its path pattern's parameters are. */
export interface RouteMatch {
  readonly route: Route
  readonly params: PathParams
}

/** One line of an explanation: an entry that was looked at, and why it did not fit; undefined for the one that did. */
export interface RouteVerdict {
  readonly route: string
  /** `file:line`. */
  readonly place: string
  /** The host and path condition that was compared. */
  readonly condition: string
  readonly mismatch: string | undefined
}

type Entry = RouteEntry<Route>

/** An immutable table. A new configuration makes a new one; exchanges keep the one they began with. */
export class RouteTable {
  /** Entries that can fit an exact host named by some route, in order. */
  private readonly byHost = new Map<string, readonly Entry[]>()
  /** Entries that can fit any other host. */
  private readonly others: readonly Entry[]

  /** @param entries in the order in which they are to be tried */
  constructor(readonly entries: readonly Entry[]) {
    this.others = entries.filter((entry) => entry.host.exact === undefined)
    for (const { host } of entries) {
      const name = host.exact
      if (name === undefined || this.byHost.has(name)) continue
      this.byHost.set(name, entries.filter((entry) => entry.host.match(name)))
    }
  }

  /** The first entry in order that fits, undefined if none does. */
  match(request: RoutableRequest): RouteMatch | undefined {
    const host = normalizeHost(request.host)
    const segments = pathSegments(request.path)
    for (const entry of this.byHost.get(host) ?? this.others) {
      if (entry.methods?.includes(request.method) === false || !entry.host.match(host)) continue
      const params = entry.path.match(segments)
      if (params === undefined || !entry.headers.every((condition) => condition.match(request.fields))) continue
      return { route: entry.route, params }
    }
    return undefined
  }

  /** Every entry up to the one taken, in order, with the first condition that did not hold. */
  explain(request: RoutableRequest): RouteVerdict[] {
    const verdicts: RouteVerdict[] = []
    for (const entry of this.entries) {
      const mismatch = mismatchOf(entry, request)
      const condition = `${entry.host.description}, ${entry.path.description}`
      verdicts.push({ route: entry.route.name, place: routePlace(entry.route), condition, mismatch })
      if (mismatch === undefined) break
    }
    return verdicts
  }
}

function mismatchOf(entry: Entry, request: RoutableRequest): string | undefined {
  if (!entry.host.match(normalizeHost(request.host))) return `host ${request.host} is not ${entry.host.description}`
  if (entry.path.match(pathSegments(request.path)) === undefined) {
    return `path ${request.path} does not fit ${entry.path.description}`
  }
  if (entry.methods?.includes(request.method) === false) {
    return `method ${request.method} is not ${entry.methods.join(' or ')}`
  }
  const failed = entry.headers.find((condition) => !condition.match(request.fields))
  return failed === undefined ? undefined : `no ${failed.description}`
}
