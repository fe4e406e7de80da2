/**
 * In which order routes are tried, and which of them can never be reached.
 *
 * The more specific route comes first, compared by host, then path, then whether methods are named, then the number of
 * header conditions; equals keep the order in which they are written, files by name. The first one that fits is taken.
 */
import type { HeaderCondition } from './patterns/header-condition.js'
import type { HostPattern } from './patterns/host-pattern.js'
import type { PathPattern } from './patterns/path-pattern.js'
import type { RouteMatchRule } from './route-schema.js'

/** One combination of a route's hosts and paths: what is sorted, matched and explained. */
export interface RouteEntry<R> {
  readonly route: R
  readonly host: HostPattern
  readonly path: PathPattern
  /** Undefined for any method. */
  readonly methods: readonly string[] | undefined
  readonly headers: readonly HeaderCondition[]
}

/** All entries of `routes`, the one to be tried first in front. */
export function orderRoutes<R extends { readonly match: RouteMatchRule }>(routes: readonly R[]): RouteEntry<R>[] {
  const entries: RouteEntry<R>[] = []
  for (const route of routes) {
    const { hosts, paths, methods, headers } = route.match
    for (const host of hosts) for (const path of paths) entries.push({ route, host, path, methods, headers })
  }
  return entries.sort(compareEntries)
}

/** Negative if `a` is to be tried before `b`; 0 leaves them in the order of the files. */
export function compareEntries(a: RouteEntry<unknown>, b: RouteEntry<unknown>): number {
  return (
    a.host.compare(b.host) ||
    a.path.compare(b.path) ||
    Number(a.methods === undefined) - Number(b.methods === undefined) ||
    b.headers.length - a.headers.length
  )
}

/** A route that no request can reach, and the routes that take everything it would match. */
export interface ShadowedRoute<R> {
  readonly route: R
  readonly by: readonly R[]
}

/**
 * Finds routes that no request can reach, because those before them take everything that they would match.
 * @param entries in the order of {@link orderRoutes}
 */
export function findShadowedRoutes<R>(entries: readonly RouteEntry<R>[]): ShadowedRoute<R>[] {
  const covering = new Map<R, Set<R>>()
  const reachable = new Set<R>()
  entries.forEach((entry, index) => {
    const others = coveringRoutes(entry, entries.slice(0, index))
    if (others === undefined) {
      reachable.add(entry.route)
      return
    }
    const known = covering.get(entry.route) ?? new Set()
    for (const other of others) known.add(other)
    covering.set(entry.route, known)
  })
  const shadowed: ShadowedRoute<R>[] = []
  for (const [route, by] of covering) if (!reachable.has(route)) shadowed.push({ route, by: [...by] })
  return shadowed
}

/** The other routes that take all requests of `entry`, method by method; undefined if some remain. */
function coveringRoutes<R>(entry: RouteEntry<R>, earlier: readonly RouteEntry<R>[]): Set<R> | undefined {
  const routes = new Set<R>()
  for (const method of entry.methods ?? [undefined]) {
    const cover = earlier.find((other) => other.route !== entry.route && coversEntry(other, entry, method))
    if (cover === undefined) return undefined
    routes.add(cover.route)
  }
  return routes
}

function coversEntry(a: RouteEntry<unknown>, b: RouteEntry<unknown>, method: string | undefined): boolean {
  if (a.methods !== undefined && (method === undefined || !a.methods.includes(method))) return false
  if (!a.host.covers(b.host) || !a.path.covers(b.path)) return false
  return a.headers.every((condition) => b.headers.some((other) => condition.covers(other)))
}
