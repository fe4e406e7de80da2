/**
 * node bench/ratios.mjs REPORT.json                          prints what was reached
 * node bench/ratios.mjs REPORT.json --write docs/performance.md   puts it there, between its two marks
 *
 * Each row is a ratio of one run, or a number that stands for itself, with the goal that it has for each engine.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { readReport } from './options.mjs'
import { format, ratioOf } from './report.mjs'

const BEGIN = '<!-- made by bench/ratios.mjs -->'
const END = '<!-- end of what bench/ratios.mjs made -->'

/** Goals: `most` or `least` by engine. `value` finds the number in a report, undefined if it was not measured. */
const rows = [
  {
    what: 'bulk GET, server CPU per MB ÷ quic-go’s',
    most: { native: 0.3, node: 1 },
    value: ratio('bulk-get', (engine) => `serve → fetch (${engine})`, 'quic-go, both ends', 'server CPU µs/MB')
  },
  {
    what: 'bulk GET, MB/s ÷ quic-go’s, both ends ours',
    least: { native: 2.5, node: 0.8 },
    value: ratio('bulk-get', (engine) => `serve → fetch (${engine})`, 'quic-go, both ends', 'MB/s')
  },
  {
    what: 'proxied 1 KB request, gateway CPU ÷ quic-go’s reverse proxy',
    most: { native: 0.5, node: 0.7 },
    value: ratio('proxy-1x50', (engine) => `gateway (${engine})`, 'quic-go ReverseProxy', 'proxy CPU µs/request')
  },
  {
    what: 'proxied requests/s, one gateway process ÷ quic-go’s reverse proxy',
    least: { native: 1.8, node: 1.3 },
    value: ratio('proxy-1x50', (engine) => `gateway (${engine})`, 'quic-go ReverseProxy', 'requests/s')
  },
  {
    what: 'full ECDSA handshake, server CPU ÷ quic-go’s',
    most: { native: 0.8, node: 1 },
    value: ratio('handshakes-ecdsa', (engine) => `serve (${engine})`, 'quic-go', 'server CPU µs/handshake')
  },
  {
    what: 'memory of an idle connection, heap and external, KB',
    most: { native: 16, node: 16 },
    value: idle('heap+external KB/connection')
  },
  {
    what: 'memory of an idle connection, resident, KB',
    most: { native: 16, node: 16 },
    value: idle('RSS KB/connection')
  },
  {
    what: 'bulk GET, MB/s',
    least: { native: 200 },
    value: absolute('bulk-get', (engine) => `serve → fetch (${engine})`, ({ metrics }) => metrics['MB/s'].median)
  },
  {
    what: 'proxied requests/s that one core carries (1,000,000 ÷ CPU µs of a request)',
    least: { native: 10_000 },
    value: absolute('proxy-1x50', (engine) => `gateway (${engine})`, ({ metrics }) => {
      return 1e6 / metrics['proxy CPU µs/request'].median
    })
  },
  {
    what: 'requests/s that the processes carry with a core each (by the CPU time of the busiest), 2 workers ÷ 1',
    least: { native: 1.6 },
    value: workers('requests/s with a core each')
  },
  {
    what: 'how evenly 2 workers share the CPU time, 1 ÷ the busiest one’s share',
    least: { native: 1.6 },
    value: absolute('workers', (engine) => `2 workers (${engine})`, ({ metrics }) => 100 / metrics['busiest process, % of it'].median)
  },
  {
    what: 'requests/s on this machine, which the load and the upstream share, 2 workers ÷ 1',
    value: workers('requests/s')
  }
]

const engines = ['native', 'node']

function ratio(caseName, ours, theirs, metric) {
  return (report, engine) => {
    const one = report.cases.find(({ name }) => name === caseName)
    const side = (name) => one?.sides.find((candidate) => candidate.name === name)
    return ratioOf(side(ours(engine)), side(theirs), metric)
  }
}

function absolute(caseName, ours, read) {
  return (report, engine) => {
    const one = report.cases.find(({ name }) => name === caseName)
    const side = one?.sides.find(({ name }) => name === ours(engine))
    return side === undefined ? undefined : read(side)
  }
}

function workers(metric) {
  return (report, engine) => {
    const one = report.cases.find(({ name }) => name === 'workers')
    const side = (count) => one?.sides.find(({ name }) => name === `${count} (${engine})`)
    return ratioOf(side('2 workers'), side('1 worker'), metric)
  }
}

/** Of the case with most connections. */
function idle(metric) {
  return (report, engine) => {
    const cases = report.cases.filter(({ scenario }) => scenario === 'idle')
    const most = cases.sort((a, b) => b.facts.connections - a.facts.connections)[0]
    return most?.sides.find(({ name }) => name === `gateway (${engine})`)?.metrics[metric]?.median
  }
}

/**
 * What a report says about each goal.
 * @returns {{ what: string, cells: { goal?: string, value?: number, reached?: boolean }[] }[]} cells by engine
 */
export function judge(report) {
  return rows.map(({ what, most, least, value }) => ({
    what,
    cells: engines.map((engine) => {
      const [atMost, atLeast] = [most?.[engine], least?.[engine]]
      const found = value(report, engine)
      const limit = atMost ?? atLeast
      if (limit === undefined) return { value: found }
      const goal = `${atMost === undefined ? '≥' : '≤'} ${limit.toLocaleString('en-US')}`
      if (found === undefined) return { goal }
      return { goal, value: found, reached: atMost === undefined ? found >= limit : found <= limit }
    })
  }))
}

/** The table in Markdown. */
export function ratioTable(report) {
  const cell = ({ goal, value, reached }) => {
    if (value === undefined) return goal === undefined ? '–' : `${goal}: not measured`
    if (goal === undefined) return format(value)
    return `${goal}: **${format(value)}** ${reached ? 'reached' : 'missed'}`
  }
  const lines = judge(report).map(({ what, cells }) => `| ${what} | ${cells.map(cell).join(' | ')} |`)
  const { node, cores, cpu, load, commit, options } = report
  const run = `Measured on ${cores} × ${cpu}, Node ${node}, commit ${commit ?? 'unknown'}, ${options.rounds} rounds; load ${format(load)} at the start.`
  return `| | ${engines.map((engine) => `${engine} engine`).join(' | ')} |\n|---|---|---|\n${lines.join('\n')}\n\n${run}`
}

/** `text` with the table between its two marks. Throws if they are not there. */
export function fillIn(text, table) {
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`expected the lines "${BEGIN}" and "${END}"`)
  return `${text.slice(0, from + BEGIN.length)}\n\n${table}\n\n${text.slice(to)}`
}

if (process.argv[1] === import.meta.filename) {
  const [from, flag, target] = process.argv.slice(2)
  if (from === undefined || (flag !== undefined && (flag !== '--write' || target === undefined))) {
    console.error('usage: node bench/ratios.mjs REPORT.json [--write FILE]')
    process.exit(2)
  }
  const table = ratioTable(readReport(from))
  if (target === undefined) console.log(table)
  else writeFileSync(target, fillIn(readFileSync(target, 'utf8'), table))
}
