import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
// @ts-expect-error a script without types
import { drawChart, panelsOf } from '../../../bench/chart.mjs'
// @ts-expect-error a script without types
import { fillIn, judge, ratioTable } from '../../../bench/ratios.mjs'

const side = (name: string, metrics: Record<string, number>): object => ({
  name,
  metrics: Object.fromEntries(Object.entries(metrics).map(([key, median]) => [key, { median, min: median, max: median }]))
})

function report(cases: object[]): object {
  return { at: '2026-01-01', commit: 'abc', node: 'v20', cpu: 'some CPU', cores: 2, load: 0.1, options: { rounds: 3 }, cases }
}

interface Row {
  what: string
  cells: { goal?: string; value?: number; reached?: boolean }[]
}

describe('what was reached', () => {
  const bulk = {
    name: 'bulk-get',
    scenario: 'bulk',
    sides: [
      side('serve → fetch (node)', { 'MB/s': 40, 'server CPU µs/MB': 20_000 }),
      side('serve → fetch (native)', { 'MB/s': 200, 'server CPU µs/MB': 3_000 }),
      side('quic-go, both ends', { 'MB/s': 80, 'server CPU µs/MB': 10_000 })
    ]
  }

  it('holds each ratio against the goal of its engine, whichever way is better', () => {
    const rows = judge(report([bulk])) as Row[]
    const row = (what: string): Row => rows.find((one) => one.what.startsWith(what))!
    expect(row('bulk GET, server CPU').cells).toEqual([
      { goal: '≤ 0.3', value: 0.3, reached: true },
      { goal: '≤ 1', value: 2, reached: false }
    ])
    expect(row('bulk GET, MB/s ÷').cells).toEqual([
      { goal: '≥ 2.5', value: 2.5, reached: true },
      { goal: '≥ 0.8', value: 0.5, reached: false }
    ])
    expect(row('full ECDSA').cells).toEqual([{ goal: '≤ 0.8' }, { goal: '≤ 1' }])
  })

  it('takes the memory of the largest number of connections', () => {
    const idle = (connections: number, kilobytes: number): object => ({
      name: `idle-${connections}`,
      scenario: 'idle',
      facts: { connections },
      sides: [side('gateway (node)', { 'heap+external KB/connection': kilobytes })]
    })
    const rows = judge(report([idle(1000, 70), idle(10_000, 15)])) as Row[]
    expect(rows.find(({ what }) => what.includes('heap and external'))!.cells[1]).toMatchObject({ value: 15, reached: true })
  })

  it('is put between the marks of the document, and nothing else is touched', () => {
    const before = readFileSync('docs/performance.md', 'utf8')
    const after = fillIn(before, ratioTable(report([bulk]))) as string
    expect(after).toContain('≤ 0.3: **0.30** reached | ≤ 1: **2.00** missed')
    const outside = (text: string): string => text.replace(/<!-- made by bench[^]*<!-- end/, '')
    expect(outside(after)).toBe(outside(before))
    expect(() => fillIn('no marks', '')).toThrow(/expected the lines/)
  })
})

describe('the chart of bad networks', () => {
  const at = (kind: string, rttMs: number, loss: number, values: Record<string, number>): object => ({
    name: `network-${kind}-${rttMs}-${loss}`,
    scenario: 'network',
    facts: { kind, rttMs, loss, mbit: 20 },
    sides: Object.entries(values).map(([name, value]) => side(name, { [kind === 'page' ? 'page s' : 'Mbit/s']: value }))
  })
  const cases = [at('page', 50, 0.03, { QUIC: 2, TCP: 4 }), at('page', 50, 0, { QUIC: 1, TCP: 1 }), at('download', 50, 0, { QUIC: 9, TCP: 8 })]

  it('has a panel for each kind and round trip, pages first, with points by loss', () => {
    const panels = panelsOf(report(cases)) as { kind: string; series: Map<string, { loss: number; value: number }[]> }[]
    expect(panels.map(({ kind }) => kind)).toEqual(['page', 'download'])
    const [page] = panels
    expect(page!.series.get('TCP')!.map(({ loss, value }) => [loss, value])).toEqual([[0, 1], [3, 4]])
  })

  it('draws more loss further right and more time further up', () => {
    const svg = drawChart(report(cases)) as string
    const [, points] = /<polyline points="([^"]+)"/.exec(svg)!
    const [first, second] = points!.split(' ').map((pair) => pair.split(',').map(Number))
    expect(second![0]).toBeGreaterThan(first![0]!)
    expect(second![1]).toBeLessThan(first![1]!)
    expect(svg.match(/<polyline/g)).toHaveLength(4)
    expect(svg).toContain('>TCP</text>')
  })
})
