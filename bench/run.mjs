/**
 * npm run bench [-- --only NAME,…] [--rounds N] [--quick] [--size NAME=N] [--json FILE] [--baseline FILE] [--pin CPUS]
 *               [--list] [--help]
 *
 * README.md beside this file says how to read what it prints.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { findEngines } from './engines.mjs'
import { measure } from './measure.mjs'
import { chooseSizes, readOptions, UsageError } from './options.mjs'
import { cleanUp, cli, onCleanUp } from './processes.mjs'
import { registry } from './registry.mjs'
import { caseTable, comparisonTable } from './report.mjs'

/** What the certificates are for. quic-go's client names no host without a dot in its hello. */
const HOSTS = ['bench.example', 'localhost', '127.0.0.1']

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch {
    return undefined
  }
}

/** An authority with two server certificates, one by the kind of key. */
function makeCertificates(directory) {
  const make = (kind) => {
    const args = ['cert', '--dir', join(directory, kind), `--${kind}`, '--json', '--host', ...HOSTS]
    const made = execFileSync(process.execPath, [cli, ...args])
    const { caPath: ca, certPath: cert, keyPath: key } = JSON.parse(made)
    return { ca, cert, key }
  }
  return { ecdsa: make('ecdsa'), rsa: make('rsa') }
}

function say(text) {
  process.stderr.write(`${text}\n`)
}

/** Measures the cases of one benchmark and adds them to the report. */
async function runCases(name, cases, options, report) {
  for await (const one of cases) {
    const result = { ...(await measure(one, options, say)), scenario: name }
    report.cases.push(result)
    console.log(`\n${caseTable(result)}`)
  }
}

/** Runs all that was asked for; the report. */
async function run(options, modules) {
  const sizes = chooseSizes(modules, options)
  const directory = mkdtempSync(join(tmpdir(), 'quicgate-bench-'))
  onCleanUp(() => rmSync(directory, { recursive: true, force: true }))
  const engines = findEngines()
  const report = {
    at: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    load: loadavg()[0],
    engines,
    options: { rounds: options.rounds, pin: options.pin, quick: options.quick },
    cases: [],
    failed: []
  }
  const certificates = makeCertificates(directory)
  for (const [name, module] of modules) {
    const context = { directory, certificates, engines, size: sizes.get(name), pin: options.pin, quick: options.quick }
    try {
      await runCases(name, module.cases(context), options, report)
    } catch (error) {
      // What the others have measured, or will, is not to be lost.
      console.error(error)
      report.failed.push({ scenario: name, message: error.message })
    }
  }
  return report
}

async function main() {
  const options = readOptions(process.argv.slice(2))
  if (options.help) {
    console.log(readFileSync(new URL('README.md', import.meta.url), 'utf8'))
    return
  }
  if (options.list) {
    for (const { name, about } of registry) console.log(`${name.padEnd(12)}${about}`)
    return
  }
  if (!existsSync(cli)) throw new UsageError(`${cli} does not exist: run npm run build first`)
  const modules = new Map()
  for (const { name, module } of options.scenarios) modules.set(name, await import(module))
  const report = await run(options, modules)
  if (options.before !== undefined) console.log(`\n${comparisonTable(options.before, report)}`)
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`)
  if (report.failed.length > 0) process.exitCode = 1
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    cleanUp()
    process.exit(130)
  })
}
try {
  await main()
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\nnpm run bench -- --help explains the options`)
  else console.error(error)
  process.exitCode = error instanceof UsageError ? 2 : 1
} finally {
  cleanUp()
}
