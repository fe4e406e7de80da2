/**
 * The metrics of all workers as one. What was counted by workers that are gone stays counted, and what was told once is
 * never taken back: to Prometheus a counter that falls is a restart.
 */
import { mergeMetrics, type MetricSnapshot } from '../../observe/metrics/metric-set.js'

/** One a program. */
export class WorkerMetrics {
  /** What each worker said last, while it runs. */
  private readonly latest = new Map<number, readonly MetricSnapshot[]>()
  /** What workers that are gone have counted. */
  private past: readonly MetricSnapshot[] = []

  /** A worker told its metrics. */
  onMetrics(index: number, metrics: readonly MetricSnapshot[]): void {
    this.latest.set(index, metrics)
  }

  /** A worker is gone. */
  onDeath(index: number): void {
    const last = this.latest.get(index)
    if (last === undefined) return
    this.latest.delete(index)
    this.past = mergeMetrics([this.past, last.map(whatLasts).filter(({ values }) => values.length > 0)])
  }

  /** All of them with the primary's own. */
  merged(own: readonly MetricSnapshot[]): MetricSnapshot[] {
    return mergeMetrics([...this.latest.values(), this.past, own])
  }
}

/** What a process has counted stays true when it is gone; how it is, and what is told of it by name, does not. */
function whatLasts(metric: MetricSnapshot): MetricSnapshot {
  const values = metric.type === 'gauge' ? [] : metric.values.filter(({ labels }) => !('worker' in labels))
  return { ...metric, values }
}
