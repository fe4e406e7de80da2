import { describe, expect, it } from 'vitest'
// @ts-expect-error a script without types
import { comparisonTable, format, scenarioTable, summarize, summarizeSide } from '../../../bench/report.mjs'

const rounds = (speed: number[], cost: number[]): Record<string, number | undefined>[] =>
  speed.map((value, i) => ({ 'MB/s': value, 'CPU µs/packet': cost[i], packets: undefined }))

function report(speed: number[], cost: number[]): object {
  const sides = [summarizeSide('quic', rounds(speed, cost)), summarizeSide('http', rounds([200, 200, 200], cost))]
  return { at: '2026-01-01', commit: 'abc', scenarios: [{ name: 'bulk', title: 'a file', sides }] }
}

describe('the benchmark report', () => {
  it('takes the middle of the rounds and shows their spread', () => {
    expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, rounds: [3, 1, 2] })
    expect(summarize([4, 1, 2, 3]).median).toBe(2.5)
    expect(summarizeSide('quic', rounds([1, 2, 3], [9, 9, 9])).metrics).not.toHaveProperty('packets')
  })

  it('shows both sides and the ratio of their medians', () => {
    const { scenarios } = report([40, 50, 60], [8, 9, 10]) as { scenarios: object[] }
    const row = (scenarioTable(scenarios[0]) as string).split('\n').find((line) => line.includes('MB/s'))!
    expect(row).toMatch(/50\.0 {2}\(40\.0–60\.0\).*200 {2}\(200–200\).*0\.25/)
  })

  it('calls a change better or worse only where no round overlaps', () => {
    const before = report([40, 50, 60], [8, 9, 10])
    const verdict = (now: object, metric: string): string =>
      (comparisonTable(before, now) as string).split('\n').find((line) => line.includes(metric))!
    const faster = report([70, 80, 90], [5, 6, 7])
    expect(verdict(faster, 'MB/s')).toMatch(/\+60\.0 %.*better/)
    expect(verdict(faster, 'µs/packet')).toMatch(/−33\.3 %.*better/)
    const slower = report([20, 30, 35], [11, 12, 13])
    expect(verdict(slower, 'MB/s')).toMatch(/−40\.0 %.*worse/)
    expect(verdict(slower, 'µs/packet')).toMatch(/\+33\.3 %.*worse/)
    expect(verdict(report([50, 55, 65], [8, 9, 10]), 'MB/s')).toMatch(/within the spread/)
  })

  it('does not compare runs of different sizes', () => {
    const before = report([40], [8]) as { scenarios: { title: string }[] }
    before.scenarios[0]!.title = 'another file'
    expect(comparisonTable(before, report([70], [5]))).not.toContain('bulk')
  })

  it('keeps three digits that mean something', () => {
    expect([0.1234, 3.14159, 31.4159, 314.159, 31415.9].map(format)).toEqual(['0.12', '3.14', '31.4', '314', '31,416'])
  })
})
