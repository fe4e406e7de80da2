/** The pools of all upstreams, shared by the routes that name the same one, and whose turn it is on each route. */
import type { Route } from '../config/route-files.js'
import { UpstreamPool } from './upstream-pool.js'

/** What holds for every upstream. */
export interface UpstreamLimits {
  readonly maxConnections: number
  readonly maxWaiting: number
}

/** Makes pools when they are first needed. */
export class UpstreamPools {
  private readonly pools = new Map<string, UpstreamPool>()
  private readonly byRoute = new Map<Route, { readonly pools: readonly UpstreamPool[]; turn: number }>()

  constructor(private readonly limits: UpstreamLimits) {}

  /**
   * The upstreams of a route in the order in which this request tries them: round robin decides where it begins.
   * The caller only reads the array.
   */
  inTurn(route: Route): readonly UpstreamPool[] {
    let entry = this.byRoute.get(route)
    if (entry === undefined) {
      entry = { pools: route.upstreams.map((target) => this.poolFor(route, target)), turn: 0 }
      this.byRoute.set(route, entry)
    }
    const { pools, turn } = entry
    if (pools.length === 1) return pools
    entry.turn = (turn + 1) % pools.length
    return [...pools.slice(turn), ...pools.slice(0, turn)]
  }

  /** The upstreams that were needed so far. */
  all(): Iterable<UpstreamPool> {
    return this.pools.values()
  }

  /** Ends every connection. */
  async destroy(): Promise<void> {
    await Promise.all([...this.pools.values()].map((pool) => pool.destroy()))
  }

  private poolFor(route: Route, target: Route['upstreams'][number]): UpstreamPool {
    const key = JSON.stringify([target.url, target.tls, route.timeouts.connect])
    let pool = this.pools.get(key)
    if (pool === undefined) {
      pool = new UpstreamPool(target, { ...this.limits, connectTimeoutMs: route.timeouts.connect })
      this.pools.set(key, pool)
    }
    return pool
  }
}
