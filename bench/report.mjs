/** Numbers of many rounds made readable: medians with their spread, as a table, as JSON, and against an earlier run. */
import Table from 'cli-table3'

/** Metrics of which more is better; of all others less is. */
const moreIsBetter = new Set(['MB/s', 'requests/s'])

/**
 * One metric over all rounds.
 * @param {number[]} values
 */
export function summarize(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median, min: sorted[0], max: sorted.at(-1), rounds: values }
}

/** The rounds of one side, metric by metric; metrics that a side does not have are left out. */
export function summarizeSide(name, rounds) {
  const metrics = {}
  for (const key of Object.keys(rounds[0])) {
    if (rounds[0][key] !== undefined) metrics[key] = summarize(rounds.map((round) => round[key]))
  }
  return { name, metrics }
}

/** `1,234` or `12.3` or `0.123`: three digits that mean something. */
export function format(value) {
  if (value === undefined) return ''
  if (value >= 1000) return Math.round(value).toLocaleString('en-US')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** A table of one scenario: a row a metric, a column a side, and the first side's share of the second. */
export function scenarioTable({ title, sides }) {
  const table = plainTable(['', ...sides.map(({ name }) => name), 'ratio'])
  const [first, second] = sides
  const metrics = [...new Set(sides.flatMap((side) => Object.keys(side.metrics)))]
  for (const metric of metrics) {
    const cells = sides.map((side) => {
      const found = side.metrics[metric]
      if (found === undefined) return '–'
      return `${format(found.median)}  (${format(found.min)}–${format(found.max)})`
    })
    const both = first.metrics[metric] !== undefined && second.metrics[metric] !== undefined
    const ratio = both ? format(first.metrics[metric].median / second.metrics[metric].median) : ''
    table.push([metric, ...cells, ratio])
  }
  return `${title}: median (lowest–highest)\n${table.toString()}`
}

/** What changed since an earlier report, in the first sides' metrics. */
export function comparisonTable(before, now) {
  const table = plainTable(['', 'before', 'now', 'change', ''])
  for (const scenario of now.scenarios) {
    const old = before.scenarios.find(({ name }) => name === scenario.name)
    // Other sizes make other numbers.
    if (old === undefined || old.title !== scenario.title) continue
    const [side] = scenario.sides
    for (const [metric, { median, min, max }] of Object.entries(side.metrics)) {
      const was = old.sides[0].metrics[metric]
      if (was === undefined) continue
      // Rounds that overlap say nothing: then the difference is called noise.
      const apart = min > was.max || max < was.min
      const better = median > was.median === moreIsBetter.has(metric)
      const verdict = !apart ? 'within the spread' : better ? 'better' : 'worse'
      const change = `${median >= was.median ? '+' : '−'}${Math.abs((median / was.median - 1) * 100).toFixed(1)} %`
      table.push([`${scenario.name}: ${metric}`, format(was.median), format(median), change, verdict])
    }
  }
  return `against the run of ${before.at} (${before.commit ?? 'unknown commit'})\n${table.toString()}`
}

function plainTable(head) {
  return new Table({ head, style: { head: [], border: [] }, colAligns: ['left', ...head.slice(1).map(() => 'right')] })
}
