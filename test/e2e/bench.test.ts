import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
// @ts-expect-error a script without types
import { registry } from '../../bench/registry.mjs'
import { ensureBuilt, projectRoot } from '../helpers/build.js'
import { run } from '../helpers/programs.js'

const script = join(projectRoot, 'bench/run.mjs')
const names = (registry as { name: string }[]).map(({ name }) => name)

interface Side {
  readonly name: string
  readonly metrics: Record<string, { median: number }>
}
interface Case {
  readonly name: string
  readonly scenario: string
  readonly sides: Side[]
  readonly notes: string[]
}

const directory = mkdtempSync(join(tmpdir(), 'quicgate-bench-test-'))
beforeAll(() => ensureBuilt(), 120_000)
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Runs benchmarks with tiny sizes; their cases. */
async function quick(name: string): Promise<{ cases: Case[]; printed: string }> {
  const file = join(directory, `${name}.json`)
  const finished = await run(process.execPath, [script, '--quick', '--only', name, '--json', file])
  expect(finished, finished.stderr).toMatchObject({ code: 0 })
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: Case[] }
  return { cases, printed: finished.stdout.toString() }
}

/** What benchmarks have to measure of quicgate itself, whatever else is installed here. */
const ours: Record<string, { sides: RegExp; metrics: string[] }> = {
  bulk: { sides: /^(serve → fetch|fetch → serve|AESG|CC20) \(node\)/, metrics: ['MB/s', 'server CPU µs/MB'] },
  core: { sides: /^Q0(50|46|36)$/, metrics: ['sender CPU µs/packet', 'receiver CPU µs/packet', 'bytes allocated/packet'] },
  proxy: { sides: /^gateway \(node\)/, metrics: ['requests/s', 'p99.9 ms', 'proxy CPU µs/request'] },
  workers: { sides: /^1 worker \(node\)/, metrics: ['requests/s', 'all gateway CPU µs/request'] },
  chain: { sides: /^forwarder → gateway \(node\)/, metrics: ['requests/s', 'forwarder CPU µs/request', 'gateway CPU µs/request'] },
  handshakes: { sides: /^serve \(node\)/, metrics: ['handshakes/s', 'server CPU µs/handshake'] },
  idle: { sides: /^gateway \(node\)/, metrics: ['heap+external KB/connection', 'alive'] },
  network: { sides: /^QUIC/, metrics: [] },
  hpack: { sides: /^quicgate/, metrics: ['CPU µs/block'] },
  messages: { sides: /request|response|line/, metrics: ['CPU µs/message'] }
}

describe('the benchmarks', () => {
  it.each(names)('%s runs, and measures quicgate', { timeout: 180_000 }, async (name) => {
    const { cases, printed } = await quick(name)
    const { sides: wanted, metrics } = ours[name] ?? { sides: /./, metrics: [] }
    expect(cases.length).toBeGreaterThan(0)
    for (const { name: one, scenario, sides, notes } of cases) {
      expect(scenario).toBe(name)
      const mine = sides.filter((side) => wanted.test(side.name))
      // Only what the machine does not allow may be missing, and then somebody is told.
      if (name === 'network' && mine.length === 0) expect(notes.join()).toMatch(/left out: needs/)
      else expect(mine.length, `sides of ${one}`).toBeGreaterThan(0)
      for (const side of mine) {
        expect(Object.keys(side.metrics), `${one}: ${side.name}`).toEqual(expect.arrayContaining(metrics))
        for (const metric of metrics) expect(side.metrics[metric]!.median, `${one}: ${metric}`).toBeGreaterThan(0)
        expect(Object.keys(side.metrics).length, `${one}: ${side.name}`).toBeGreaterThan(0)
      }
    }
    expect(printed).toContain('median')
  })

  it('names what it expected when an option is wrong', { timeout: 60_000 }, async () => {
    const wrong: [string[], RegExp][] = [
      [['--only', 'bulky'], /--only bulky: expected some of bulk, core, proxy/],
      [['--rounds', '0'], /--rounds 0: expected a whole number above 0/],
      [['--size', 'megabyte=3', '--only', 'bulk'], /--size megabyte: expected one of aeadMegabytes, megabytes/],
      [['--baseline', '/nowhere.json'], /\/nowhere\.json cannot be read \(ENOENT\)/]
    ]
    for (const [flags, message] of wrong) {
      const { code, stderr } = await run(process.execPath, [script, ...flags])
      expect(stderr).toMatch(message)
      expect(code).toBe(2)
      expect(stderr).not.toContain('    at ')
    }
  })
})
