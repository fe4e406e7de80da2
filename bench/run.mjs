/**
 * npm run bench [-- --rounds N] [--json FILE] [--baseline FILE] [--only bulk|proxy] [--megabytes N] [--requests N]
 *               [--in-flight N] [--pin CPUS]
 *
 * README.md beside this file says how to read what it prints.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bulk } from './bulk.mjs'
import { cli, stopAll } from './processes.mjs'
import { proxy } from './proxy.mjs'
import { comparisonTable, scenarioTable, summarizeSide } from './report.mjs'

const scenarios = { bulk, proxy }

/** The command line's values; wrong ones end the program with exit code 2. */
function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        'rounds': { type: 'string', default: '5' },
        'json': { type: 'string' },
        'baseline': { type: 'string' },
        'only': { type: 'string' },
        'megabytes': { type: 'string', default: '200' },
        'requests': { type: 'string', default: '20000' },
        'in-flight': { type: 'string', default: '50' },
        'pin': { type: 'string' },
        'help': { type: 'boolean' }
      }
    })
    if (values.only !== undefined && !Object.hasOwn(scenarios, values.only)) {
      throw new Error(`--only takes ${Object.keys(scenarios).join(' or ')}, not ${values.only}`)
    }
    const count = (name) => {
      const value = Number(values[name])
      if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number above 0`)
      return value
    }
    return {
      ...values,
      rounds: count('rounds'),
      megabytes: count('megabytes'),
      requests: count('requests'),
      inFlight: count('in-flight'),
      before: values.baseline === undefined ? undefined : JSON.parse(readFileSync(values.baseline, 'utf8'))
    }
  } catch (error) {
    console.error(`${error.message}\nUsage: npm run bench -- [--rounds N] [--json FILE] [--baseline FILE]`)
    process.exit(2)
  }
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch {
    return undefined
  }
}

/** All rounds of one scenario. The sides take turns, the order changing, so that what drifts hits both. */
async function measure(scenario, rounds) {
  const collected = scenario.sides.map(() => [])
  for (let round = 0; round <= rounds; round++) {
    const order = scenario.sides.map((_side, i) => i)
    if (round % 2 === 1) order.reverse()
    for (const i of order) {
      const result = await scenario.sides[i].measure()
      // The first round warms caches and compilers up.
      if (round > 0) collected[i].push(result)
    }
    process.stderr.write(`${scenario.name}: round ${round} of ${rounds}\n`)
  }
  return scenario.sides.map(({ name }, i) => summarizeSide(name, collected[i]))
}

async function main() {
  const options = readOptions()
  if (options.help) {
    console.log(readFileSync(new URL('README.md', import.meta.url), 'utf8'))
    return
  }
  if (!existsSync(cli)) {
    console.error(`${cli} does not exist: run npm run build first`)
    process.exit(2)
  }
  const directory = mkdtempSync(join(tmpdir(), 'quicgate-bench-'))
  const report = {
    at: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    options: { rounds: options.rounds, pin: options.pin },
    scenarios: []
  }
  try {
    const made = execFileSync(process.execPath, [cli, 'cert', '--dir', join(directory, 'certs'), '--json'])
    const { caPath: ca, certPath: cert, keyPath: key } = JSON.parse(made)
    for (const [name, create] of Object.entries(scenarios)) {
      if (options.only !== undefined && options.only !== name) continue
      const scenario = await create({ ...options, directory, certificates: { ca, cert, key } })
      try {
        const sides = await measure(scenario, options.rounds)
        report.scenarios.push({ name, title: scenario.title, sides })
      } finally {
        await scenario.close()
      }
    }
  } finally {
    stopAll()
    rmSync(directory, { recursive: true, force: true })
  }
  for (const scenario of report.scenarios) console.log(`\n${scenarioTable(scenario)}`)
  if (options.before !== undefined) console.log(`\n${comparisonTable(options.before, report)}`)
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`)
}

await main()
