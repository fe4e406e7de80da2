/** Numbers of many rounds made readable: medians with their spread, as a table, as JSON, and against an earlier run. */
import Table from 'cli-table3'

/** Metrics of which more is better; of all others less is. */
const moreIsBetter = new Set(['MB/s', 'Mbit/s', 'requests/s', 'handshakes/s', 'operations/s', 'alive'])

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
  for (const [key, value] of Object.entries(rounds[0] ?? {})) {
    if (value !== undefined && !Number.isNaN(value)) metrics[key] = summarize(rounds.map((round) => round[key]))
  }
  return { name, metrics }
}

/** `1,234` or `12.3` or `0.123`: three digits that mean something. */
export function format(value) {
  if (value === undefined) return ''
  if (value >= 1000) return Math.round(value).toLocaleString('en-US')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** The median and how far the rounds are apart: half the way from the lowest to the highest, in percent. */
function cell(summary) {
  if (summary === undefined) return '–'
  const { median, min, max, rounds } = summary
  if (rounds.length < 2 || median === 0) return format(median)
  return `${format(median)} ±${(((max - min) / 2 / median) * 100).toFixed(0)}%`
}

/** The ratio of two sides' medians. */
export function ratioOf(first, second, metric) {
  const [a, b] = [first?.metrics[metric], second?.metrics[metric]]
  return a === undefined || b === undefined || b.median === 0 ? undefined : a.median / b.median
}

/** A table of one case: a row a side, a column a metric, and below them one side's share of another. */
export function caseTable({ title, sides, compare, notes }) {
  const metrics = [...new Set(sides.flatMap((side) => Object.keys(side.metrics)))]
  const table = plainTable(['', ...metrics])
  for (const side of sides) table.push([side.name, ...metrics.map((metric) => cell(side.metrics[metric]))])
  for (const [a, b] of compare) {
    const [first, second] = [a, b].map((name) => sides.find((side) => side.name === name))
    if (first === undefined || second === undefined) continue
    table.push([`${a} ÷ ${b}`, ...metrics.map((metric) => format(ratioOf(first, second, metric)))])
  }
  const remarks = (notes ?? []).map((note) => `\n  ${note}`).join('')
  return `${title}: median ± spread\n${table.toString()}${remarks}`
}

/** What changed since an earlier report, in all sides that both have. */
export function comparisonTable(before, now) {
  const table = plainTable(['', 'before', 'now', 'change', ''])
  for (const one of now.cases) {
    const old = before.cases.find(({ name }) => name === one.name)
    // Other sizes make other numbers.
    if (old === undefined || old.title !== one.title) continue
    for (const { name, metrics } of one.sides) {
      const was = old.sides.find((side) => side.name === name)?.metrics ?? {}
      for (const [metric, summary] of Object.entries(metrics)) {
        if (was[metric] !== undefined) table.push([`${one.name}, ${name}: ${metric}`, ...change(metric, was[metric], summary)])
      }
    }
  }
  return `against the run of ${before.at} (${before.commit ?? 'unknown commit'})\n${table.toString()}`
}

function change(metric, was, { median, min, max }) {
  // Rounds that overlap say nothing: then the difference is called noise.
  const apart = min > was.max || max < was.min
  const better = median > was.median === moreIsBetter.has(metric)
  const verdict = !apart ? 'within the spread' : better ? 'better' : 'worse'
  const percent = `${median >= was.median ? '+' : '−'}${Math.abs((median / was.median - 1) * 100).toFixed(1)} %`
  return [format(was.median), format(median), percent, verdict]
}

function plainTable(head) {
  // No line between rows: a case has many of them.
  const chars = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' }
  return new Table({ head, chars, style: { head: [], border: [] }, colAligns: ['left', ...head.slice(1).map(() => 'right')] })
}
