// Makes docs/versions.md: which mechanism is shown to work in which version, by which tests. It reads reports of
// vitest (`npm test -- --reporter=json --outputFile=report.json`), so a cell is there because a test has passed. Reports
// of parts of the tests, or of several machines, may be given together.
//
//   node scripts/versions-table.mjs report.json…            writes docs/versions.md
//   node scripts/versions-table.mjs report.json… --check    fails if it would differ
import { readFileSync, writeFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const target = resolve(root, 'docs/versions.md')
const reportFiles = process.argv.slice(2).filter((argument) => argument !== '--check')
const check = process.argv.includes('--check')
if (reportFiles.length === 0) {
  console.error('usage: node scripts/versions-table.mjs REPORT.json… [--check]')
  process.exit(2)
}

/** What the name of a suite begins with that shows a mechanism. It may go on with ": " and what varies. */
const mark = 'mechanism: '
const labels = /\bQ0\d\d\b/g
/** The column of tests that name no version. */
const ANY = ''

/** mechanism → version → files */
const rows = new Map()
const versions = new Set()

for (const suite of reportFiles.flatMap((name) => JSON.parse(readFileSync(name, 'utf8')).testResults)) {
  const file = relative(root, suite.name).replace(/^(?:\.\.\/)+.*?(?=test\/)/, '')
  for (const { status, ancestorTitles, title } of suite.assertionResults) {
    const named = ancestorTitles.find((name) => name.startsWith(mark))
    if (status !== 'passed' || named === undefined) continue
    const [mechanism] = named.slice(mark.length).split(': ')
    // What the suite is for comes before what one of its tests also speaks of.
    const place = [named, title, ...ancestorTitles.toReversed()].find((text) => text.match(labels) !== null)
    const row = rows.get(mechanism) ?? new Map()
    rows.set(mechanism, row)
    for (const label of place?.match(labels) ?? [ANY]) {
      if (label !== ANY) versions.add(label)
      row.set(label, (row.get(label) ?? new Set()).add(file))
    }
  }
}

const columns = [...[...versions].sort(), ANY]
const cell = (files) => {
  const sorted = [...(files ?? [])].sort()
  return sorted.map((file, i) => `[${sorted.length === 1 ? '✓' : `✓${i + 1}`}](../${file})`).join(' ')
}
const lines = [...rows]
  .sort(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
  .map(([mechanism, row]) => `| ${mechanism} | ${columns.map((label) => cell(row.get(label))).join(' | ')} |`)

const text = `# What is shown to work in which version

Made by \`scripts/versions-table.mjs\` from a report of the tests: a mark stands where a test that names the version has
passed, and leads to it. The last column has tests of what is the same code in all versions; they take one of them or none.
Where a version has no mark the mechanism is none of its own (public resets end with Q043, stateless ones are sent from Q046 on, Q044 ignores both;
NSTP, entropy and forced head-of-line blocking are of some versions only), or there is no recording or live peer of it.

| mechanism | ${columns.map((label) => (label === ANY ? 'all alike' : label)).join(' | ')} |
|---|${columns.map(() => '---').join('|')}|
${lines.join('\n')}
`

if (!check) {
  writeFileSync(target, text)
  console.log(`docs/versions.md: ${rows.size} mechanisms, ${versions.size} versions`)
} else if (readFileSync(target, 'utf8') !== text) {
  console.error('docs/versions.md is not what the tests show: run scripts/versions-table.mjs with this report')
  process.exit(1)
}
