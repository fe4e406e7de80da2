/**
 * Metrics whose values are read where they are counted anyway, when somebody asks for them: a program pays for them in
 * the moment of the question only.
 */
import { AggregatorRegistry, collectDefaultMetrics, Registry } from 'prom-client'
import type { Metric } from 'prom-client'

/** How a metric is to be read. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

/** What a metric is, apart from its values. */
export interface MetricDefinition {
  readonly name: string
  /** For a person, one sentence without a full stop. */
  readonly help: string
  readonly type: MetricType
  readonly labels: readonly string[]
}

/** One value, in the form in which processes hand metrics to each other. */
export interface MetricValue {
  value: number
  labels: Record<string, string | number>
  /** `…_bucket`, `…_sum` or `…_count` of a histogram. */
  metricName?: string
}

/** One metric with its values. Survives JSON. */
export interface MetricSnapshot {
  name: string
  help: string
  type: string
  /** How values with the same labels become one; see prom-client. */
  aggregator: string
  values: MetricValue[]
}

/** Takes a value; label values in the order of the definition. */
export type AddValue = (value: number, ...labels: string[]) => void

/**
 * Takes a histogram: how many observations fell into each bucket (not cumulated; one more than there are bounds), and the
 * sum of all.
 */
export type AddHistogram = (counts: ArrayLike<number>, sum: number, ...labels: string[]) => void

/** Metrics of one program. */
export class MetricSet {
  readonly definitions: MetricDefinition[] = []
  private readonly registry = new Registry()

  /** A number that only grows. `collect` is called for each reading. */
  counter(name: string, help: string, labels: readonly string[], collect: (add: AddValue) => void): void {
    this.register({ name, help, type: 'counter', labels }, (values) => collect(adder(values, labels)))
  }

  /** A number that goes up and down. `collect` is called for each reading. */
  gauge(name: string, help: string, labels: readonly string[], collect: (add: AddValue) => void): void {
    this.register({ name, help, type: 'gauge', labels }, (values) => collect(adder(values, labels)))
  }

  /** A fact about the program, in labels; the value is 1 however many processes tell it. */
  info(name: string, help: string, labels: Readonly<Record<string, string>>): void {
    const definition = { name, help, type: 'gauge', labels: Object.keys(labels) } as const
    this.register(definition, (values) => values.push({ value: 1, labels: { ...labels } }), 'first')
  }

  /** @param bounds upper bounds of the buckets, ascending, without the infinite one */
  histogram(
    name: string,
    help: string,
    labels: readonly string[],
    bounds: readonly number[],
    collect: (add: AddHistogram) => void
  ): void {
    const definition = { name, help, type: 'histogram', labels } as const
    this.register(definition, (values) =>
      collect((counts, sum, ...labelValues) => {
        const own = labelled(labels, labelValues)
        let total = 0
        for (let i = 0; i <= bounds.length; i++) {
          total += counts[i]!
          values.push({ metricName: `${name}_bucket`, labels: { ...own, le: bounds[i] ?? '+Inf' }, value: total })
        }
        values.push({ metricName: `${name}_sum`, labels: own, value: sum })
        values.push({ metricName: `${name}_count`, labels: own, value: total })
      })
    )
  }

  /** All metrics with their values of now. */
  async read(): Promise<MetricSnapshot[]> {
    return (await this.registry.getMetricsAsJSON()) as unknown as MetricSnapshot[]
  }

  private register(definition: MetricDefinition, collect: (values: MetricValue[]) => void, aggregator = 'sum'): void {
    const { name, help, type } = definition
    const metric = {
      ...definition,
      get: (): MetricSnapshot => {
        const values: MetricValue[] = []
        collect(values)
        return { name, help, type, aggregator, values }
      }
    }
    this.registry.registerMetric(metric as unknown as Metric)
    this.definitions.push(definition)
  }
}

function adder(values: MetricValue[], labels: readonly string[]): AddValue {
  return (value, ...labelValues) => values.push({ value, labels: labelled(labels, labelValues) })
}

function labelled(names: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, i) => [name, values[i]!]))
}

/** What Node.js and the system tell of this process: CPU, memory, garbage collection, event-loop delay. */
export class ProcessMetrics {
  private readonly registry = new Registry()

  /** @param worker what tells its values from those of other processes of the program, if there are any */
  constructor(private readonly worker?: string) {
    collectDefaultMetrics({ register: this.registry })
  }

  /** All of them with their values of now. */
  async read(): Promise<MetricSnapshot[]> {
    const metrics = (await this.registry.getMetricsAsJSON()) as unknown as MetricSnapshot[]
    const { worker } = this
    return metrics.map(({ name, help, type, values }) => ({
      name,
      help,
      type,
      aggregator: 'sum',
      values: worker === undefined ? values : values.map((value) => ({ ...value, labels: { ...value.labels, worker } }))
    }))
  }
}

/** The metrics of all processes of a program as one: values with the same name and labels are added up. */
export function mergeMetrics(processes: readonly (readonly MetricSnapshot[])[]): MetricSnapshot[] {
  const merged = AggregatorRegistry.aggregate(processes as never) as unknown as { getMetricsAsArray(): MetricSnapshot[] }
  return merged.getMetricsAsArray().map(({ name, help, type, aggregator, values }) => ({ name, help, type, aggregator, values }))
}

/** Content type of {@link metricsText}. */
export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE

/** Metrics as Prometheus reads them. */
export function metricsText(metrics: readonly MetricSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate([metrics] as never).metrics()
}
