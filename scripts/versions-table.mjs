// Makes docs/versions.md: which mechanism is shown to work in which version, by which tests. It reads a report of
// vitest (`npm test -- --reporter=json --outputFile=report.json`), so a cell is there because a test has passed.
//
//   node scripts/versions-table.mjs report.json            writes docs/versions.md
//   node scripts/versions-table.mjs report.json --check    fails if it would differ
import { readFileSync, writeFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const target = resolve(root, 'docs/versions.md')
const [reportFile, mode] = process.argv.slice(2)
if (reportFile === undefined) {
  console.error('usage: node scripts/versions-table.mjs REPORT.json [--check]')
  process.exit(2)
}

/** Folders whose tests show behaviour, not only bytes; elsewhere a suite says so by its name. */
const showing = /^test\/(sim|interop|vectors)\//
const labels = /\bQ0\d\d\b/g

/** mechanism → version → files */
const rows = new Map()
const versions = new Set()

for (const suite of JSON.parse(readFileSync(reportFile, 'utf8')).testResults) {
  const file = relative(root, suite.name).replace(/^(?:\.\.\/)+.*?(?=test\/)/, '')
  for (const { status, ancestorTitles, title } of suite.assertionResults) {
    const named = ancestorTitles.find((name) => name.startsWith('mechanism: '))
    if (status !== 'passed' || (named === undefined && !showing.test(file))) continue
    const mechanism = (named ?? ancestorTitles[0] ?? file).replace('mechanism: ', '').replace(labels, '').trim()
    // The most precise place that names versions; a title with several shows all of them.
    const place = [title, ...ancestorTitles.toReversed()].find((text) => text.match(labels) !== null)
    for (const label of place?.match(labels) ?? []) {
      versions.add(label)
      const row = rows.get(mechanism) ?? new Map()
      rows.set(mechanism, row)
      row.set(label, (row.get(label) ?? new Set()).add(file))
    }
  }
}

const columns = [...versions].sort()
const cell = (files) => {
  const sorted = [...(files ?? [])].sort()
  return sorted.map((file, i) => `[${sorted.length === 1 ? '✓' : `✓${i + 1}`}](../${file})`).join(' ')
}
const lines = [...rows]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([mechanism, row]) => `| ${mechanism} | ${columns.map((label) => cell(row.get(label))).join(' | ')} |`)

const text = `# What is shown to work in which version

Made by \`scripts/versions-table.mjs\` from a report of the tests: a mark stands where a test that names the version has
passed, and leads to it. No mark means that no test names that version, which for a mechanism that all versions
share does not mean that it is missing. Tests against a live peer need Go.

| mechanism | ${columns.join(' | ')} |
|---|${columns.map(() => '---').join('|')}|
${lines.join('\n')}
`

if (mode !== '--check') {
  writeFileSync(target, text)
  console.log(`docs/versions.md: ${rows.size} mechanisms, ${columns.length} versions`)
} else if (readFileSync(target, 'utf8') !== text) {
  console.error('docs/versions.md is not what the tests show: run scripts/versions-table.mjs with this report')
  process.exit(1)
}
