/** What only the primary process of a gateway can tell Prometheus. */
import { MetricSet } from '../../observe/metrics/metric-set.js'
import type { Supervisor } from './supervisor.js'

/** How the workers are. */
export function primaryMetrics(supervisor: Supervisor): MetricSet {
  const set = new MetricSet()
  set.gauge('quicgate_worker_up', 'Whether a worker takes requests', ['worker'], (add) =>
    supervisor.workers().forEach(({ state }, index) => add(state === 'running' ? 1 : 0, String(index)))
  )
  set.counter('quicgate_worker_restarts_total', 'How often a worker had to be started again', ['worker'], (add) =>
    supervisor.workers().forEach(({ restarts }, index) => add(restarts, String(index)))
  )
  return set
}
