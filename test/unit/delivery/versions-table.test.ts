/**
 * docs/versions.md against the sources of the tests. That each mark stands for a test that has passed is checked where all
 * tests run: scripts/versions-table.mjs --check.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'

const MARK = /(['`])mechanism: ([^\n]*?)\1/g

/** The mechanisms that a test file says to show. */
function shownBy(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(MARK)].map(([, , name]) => name!.split(': ')[0]!)
}

describe('docs/versions.md', () => {
  const table = readFileSync('docs/versions.md', 'utf8').split('\n').filter((line) => line.startsWith('| '))
  const [head, ...rows] = table.map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))
  const files = readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.endsWith('versions-table.test.ts'))
    .map((name) => join('test', name))

  it('has a column for each version', () => {
    const labels = supportedVersions.map(({ label }) => label).sort()
    expect(head).toEqual(['mechanism', ...labels, 'all alike'])
  })

  it('has a row for each mechanism that a test says to show, and no other', () => {
    const named = new Set(files.flatMap(shownBy))
    expect(named.size).toBeGreaterThan(50)
    expect(rows.map(([name]) => name).sort()).toEqual([...named].sort())
  })

  it('links tests that say to show the mechanism', () => {
    for (const [name, ...cells] of rows) {
      const links = cells.flatMap((cell) => [...cell.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, file]) => file!))
      expect(links.length, name).toBeGreaterThan(0)
      for (const file of new Set(links)) expect(shownBy(file), file).toContain(name)
    }
  })

  it('is refused where the tests show something else', () => {
    const dir = mkdtempSync(join(tmpdir(), 'quicgate-table-'))
    const report = join(dir, 'report.json')
    const assertionResults = [{ status: 'passed', ancestorTitles: ['mechanism: magic'], title: 'Q050: works' }]
    writeFileSync(report, JSON.stringify({ testResults: [{ name: join(process.cwd(), 'test/sim/x.test.ts'), assertionResults }] }))
    const { status, stderr } = spawnSync(process.execPath, ['scripts/versions-table.mjs', report, '--check'], { encoding: 'utf8' })
    rmSync(dir, { recursive: true })
    expect([status, stderr]).toEqual([1, expect.stringContaining('not what the tests show')])
  })
})
