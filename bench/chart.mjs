/**
 * node bench/chart.mjs REPORT.json OUT.svg
 *
 * Draws what the benchmark `network` found, from a report that --json wrote: four panels, a line for each protocol.
 */
import { writeFileSync } from 'node:fs'
import { readReport } from './options.mjs'

const PANEL = { width: 330, height: 220, left: 58, top: 40, right: 16, bottom: 42 }
const LEGEND_HEIGHT = 56
// Colours that differ for colour-blind eyes too (Okabe and Ito), and a mark for each.
const STYLES = [
  { colour: '#0072b2', mark: 'circle' },
  { colour: '#56b4e9', mark: 'diamond' },
  { colour: '#d55e00', mark: 'square' },
  { colour: '#999999', mark: 'triangle' }
]
const kinds = {
  page: { metric: 'page s', title: 'Page', unit: 'seconds, less is better' },
  download: { metric: 'Mbit/s', title: 'Download', unit: 'Mbit/s, more is better' }
}

/** The panels of a report: by kind and round-trip time, with a series of points (loss, value) for each side. */
export function panelsOf(report) {
  const cases = report.cases.filter(({ scenario, facts }) => scenario === 'network' && facts !== undefined)
  const panels = new Map()
  for (const { facts, sides } of cases) {
    const id = `${facts.kind} ${facts.rttMs}`
    const panel = panels.get(id) ?? { kind: facts.kind, rttMs: facts.rttMs, series: new Map() }
    panels.set(id, panel)
    for (const { name, metrics } of sides) {
      const { median, min, max } = metrics[kinds[facts.kind].metric]
      const points = panel.series.get(name) ?? []
      points.push({ loss: facts.loss * 100, value: median, min, max })
      panel.series.set(name, points.sort((a, b) => a.loss - b.loss))
    }
  }
  return [...panels.values()].sort((a, b) => b.kind.localeCompare(a.kind) || a.rttMs - b.rttMs)
}

/** The chart as SVG. Names of `report` that are not in it are an error of the caller: there must be a panel. */
export function drawChart(report) {
  const panels = panelsOf(report)
  const names = [...new Set(panels.flatMap(({ series }) => [...series.keys()]))]
  const styleOf = (name) => STYLES[names.indexOf(name) % STYLES.length]
  const columns = Math.min(2, panels.length)
  const rows = Math.ceil(panels.length / columns)
  const size = { width: columns * PANEL.width, height: rows * PANEL.height + LEGEND_HEIGHT }
  const drawn = panels.map((panel, i) => {
    const at = `translate(${(i % columns) * PANEL.width} ${Math.floor(i / columns) * PANEL.height})`
    return `<g transform="${at}">${drawPanel(panel, styleOf)}</g>`
  })
  const legend = names.map((name, i) => {
    const [x, y] = [20 + (i % 2) * PANEL.width, rows * PANEL.height + 18 + Math.floor(i / 2) * 20]
    return `${drawMark(styleOf(name), x, y - 4)}${text(x + 14, y, name)}`
  })
  const style = 'text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}.axis{stroke:#333}.grid{stroke:#ddd}'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${label(panels)}">
<style>${style}</style>
<rect width="100%" height="100%" fill="#fff"/>
${[...drawn, ...legend].join('\n')}
</svg>
`
}

function label(panels) {
  return `Time of a page and speed of a download by packet loss, ${panels.map(({ rttMs }) => rttMs).join(', ')} ms`
}

function drawPanel({ kind, rttMs, series }, styleOf) {
  const { title, unit } = kinds[kind]
  const points = [...series.values()].flat()
  const scaleX = scale(Math.max(1, ...points.map(({ loss }) => loss)), PANEL.left, PANEL.width - PANEL.right)
  const top = roundUp(Math.max(...points.map(({ max }) => max)))
  const scaleY = scale(top, PANEL.height - PANEL.bottom, PANEL.top)
  const parts = [text(PANEL.left, 18, `${title}, round trip ${rttMs} ms`, 'class="title"')]
  parts.push(text(PANEL.left, 32, unit))
  for (let i = 0; i <= 4; i++) {
    const [value, y] = [(top / 4) * i, scaleY((top / 4) * i)]
    parts.push(line(PANEL.left, y, PANEL.width - PANEL.right, y, i === 0 ? 'axis' : 'grid'))
    parts.push(text(PANEL.left - 6, y + 4, tick(value), 'text-anchor="end"'))
  }
  for (const loss of new Set(points.map((point) => point.loss))) {
    parts.push(text(scaleX(loss), PANEL.height - PANEL.bottom + 16, `${loss} %`, 'text-anchor="middle"'))
  }
  parts.push(text((PANEL.left + PANEL.width - PANEL.right) / 2, PANEL.height - 10, 'packets lost', 'text-anchor="middle"'))
  for (const [name, ofName] of series) {
    const style = styleOf(name)
    const at = ofName.map(({ loss, value }) => `${coordinate(scaleX(loss))},${coordinate(scaleY(value))}`)
    parts.push(`<polyline points="${at.join(' ')}" fill="none" stroke="${style.colour}" stroke-width="2"/>`)
    for (const { loss, value, min, max } of ofName) {
      parts.push(`<g stroke="${style.colour}">${line(scaleX(loss), scaleY(min), scaleX(loss), scaleY(max))}</g>`)
      parts.push(drawMark(style, scaleX(loss), scaleY(value)))
    }
  }
  return parts.join('\n')
}

function scale(largest, from, to) {
  return (value) => from + (value / largest) * (to - from)
}

/** The next number above that four equal steps lead to in round numbers. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].find((factor) => factor * power >= value) * power
}

function tick(value) {
  return String(Number(value.toPrecision(3)))
}

function drawMark({ colour, mark }, x, y) {
  const [cx, cy] = [coordinate(x), coordinate(y)]
  if (mark === 'circle') return `<circle cx="${cx}" cy="${cy}" r="4" fill="${colour}"/>`
  const corners = {
    square: [[-4, -4], [4, -4], [4, 4], [-4, 4]],
    diamond: [[0, -5], [5, 0], [0, 5], [-5, 0]],
    triangle: [[0, -5], [5, 4], [-5, 4]]
  }[mark]
  const points = corners.map(([dx, dy]) => `${coordinate(x + dx)},${coordinate(y + dy)}`).join(' ')
  return `<polygon points="${points}" fill="${colour}"/>`
}

function line(x1, y1, x2, y2, kind) {
  const ends = [x1, y1, x2, y2].map(coordinate)
  return `<line x1="${ends[0]}" y1="${ends[1]}" x2="${ends[2]}" y2="${ends[3]}"${kind === undefined ? '' : ` class="${kind}"`}/>`
}

function text(x, y, words, more = '') {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${coordinate(x)}" y="${coordinate(y)}" ${more}>${escaped}</text>`
}

function coordinate(value) {
  return Math.round(value * 10) / 10
}

if (process.argv[1] === import.meta.filename) {
  const [from, to] = process.argv.slice(2)
  if (to === undefined) {
    console.error('usage: node bench/chart.mjs REPORT.json OUT.svg')
    process.exit(2)
  }
  writeFileSync(to, drawChart(readReport(from)))
}
