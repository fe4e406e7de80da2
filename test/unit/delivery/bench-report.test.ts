import { describe, expect, it } from 'vitest'
// @ts-expect-error a script without types
import { measure } from '../../../bench/measure.mjs'
// @ts-expect-error a script without types
import { caseTable, comparisonTable, format, summarize, summarizeSide } from '../../../bench/report.mjs'

const rounds = (speed: number[], cost: number[]): Record<string, number | undefined>[] =>
  speed.map((value, i) => ({ 'MB/s': value, 'CPU µs/packet': cost[i], packets: undefined }))

function report(speed: number[], cost: number[]): { cases: { title: string }[] } {
  const sides = [summarizeSide('quic', rounds(speed, cost)), summarizeSide('http', rounds([200, 200, 200], cost))]
  const one = { name: 'bulk', title: 'a file', sides, compare: [['quic', 'http'], ['quic', 'gone']], notes: ['no gone'] }
  return { at: '2026-01-01', commit: 'abc', cases: [one] } as never
}

const rowOf = (table: unknown, name: string): string => (table as string).split('\n').find((line) => line.includes(name))!

describe('the benchmark report', () => {
  it('takes the middle of the rounds and shows their spread', () => {
    expect(summarize([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, rounds: [3, 1, 2] })
    expect(summarize([4, 1, 2, 3]).median).toBe(2.5)
    expect(summarizeSide('quic', rounds([1, 2, 3], [9, 9, 9])).metrics).not.toHaveProperty('packets')
  })

  it('shows each side, the ratio of the medians, and what was left out', () => {
    const table = caseTable(report([40, 50, 60], [8, 9, 10]).cases[0])
    expect(rowOf(table, ' quic ')).toMatch(/50\.0 ±20%.*9\.00 ±11%/)
    expect(rowOf(table, ' http ')).toMatch(/200 ±0%/)
    expect(rowOf(table, 'quic ÷ http')).toMatch(/0\.25.*1\.00/)
    expect(table).not.toContain('÷ gone')
    expect(table).toMatch(/^ {2}no gone$/m)
  })

  it('calls a change better or worse only where no round overlaps', () => {
    const before = report([40, 50, 60], [8, 9, 10])
    const verdict = (now: object, metric: string): string => rowOf(comparisonTable(before, now), `quic: ${metric}`)
    const faster = report([70, 80, 90], [5, 6, 7])
    expect(verdict(faster, 'MB/s')).toMatch(/\+60\.0 %.*better/)
    expect(verdict(faster, 'CPU µs/packet')).toMatch(/−33\.3 %.*better/)
    const slower = report([20, 30, 35], [11, 12, 13])
    expect(verdict(slower, 'MB/s')).toMatch(/−40\.0 %.*worse/)
    expect(verdict(slower, 'CPU µs/packet')).toMatch(/\+33\.3 %.*worse/)
    expect(verdict(report([50, 55, 65], [8, 9, 10]), 'MB/s')).toMatch(/within the spread/)
    expect(rowOf(comparisonTable(before, faster), 'http: MB/s')).toMatch(/within the spread/)
  })

  it('does not compare runs of different sizes', () => {
    const before = report([40], [8])
    before.cases[0]!.title = 'another file'
    expect(comparisonTable(before, report([70], [5]))).not.toContain('bulk')
  })

  it('keeps three digits that mean something', () => {
    expect([0.1234, 3.14159, 31.4159, 314.159, 31415.9].map(format)).toEqual(['0.12', '3.14', '31.4', '314', '31,416'])
  })
})

describe('the rounds of a benchmark', () => {
  const log: string[] = []
  const side = (name: string): object => ({
    name,
    measure: ({ warmUp, round }: { warmUp: boolean; round: number }) => {
      log.push(`${name}${round}${warmUp ? ' warm' : ''}`)
      return Promise.resolve({ 'MB/s': round })
    }
  })
  const run = async (one: object, options: object): Promise<{ sides: { metrics: object }[]; notes: string[]; compare: string[][] }> => {
    log.length = 0
    return (await measure({ name: 'x', title: 'x', ...one }, options, () => {})) as never
  }

  it('take turns in changing order, and the first is thrown away', async () => {
    const { sides, compare } = await run({ sides: [side('a'), side('b')] }, { rounds: 2 })
    expect(log).toEqual(['a0 warm', 'b0 warm', 'b1', 'a1', 'a2', 'b2'])
    expect(sides[0]!.metrics).toEqual({ 'MB/s': { median: 1.5, min: 1, max: 2, rounds: [1, 2] } })
    expect(compare).toEqual([['a', 'b']])
  })

  it('leave out what is missing and say why', async () => {
    const { sides, notes } = await run({ sides: [side('a'), { name: 'c', missing: 'no compiler' }], notes: ['so'] }, { rounds: 1 })
    expect(sides).toHaveLength(1)
    expect(notes).toEqual(['so', 'c: left out, no compiler'])
  })

  it('are as few as the case wants, and without warming up where it wants none', async () => {
    await run({ sides: [side('a')], warmUp: false, rounds: 1 }, { rounds: 5 })
    expect(log).toEqual(['a1'])
    await run({ sides: [side('a')] }, { rounds: 1, quick: true })
    expect(log).toEqual(['a1'])
    await run({ sides: [side('a'), side('b')], together: true }, { rounds: 1 })
    expect(log).toEqual(['a0 warm', 'b0 warm', 'a1', 'b1'])
  })
})
