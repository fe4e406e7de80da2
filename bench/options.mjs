/** The command line of `npm run bench`. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { registry } from './registry.mjs'

/** A mistake in the command line, in words for a person. */
export class UsageError extends Error {}

const flags = {
  rounds: { type: 'string' },
  only: { type: 'string', multiple: true, default: [] },
  size: { type: 'string', multiple: true, default: [] },
  json: { type: 'string' },
  baseline: { type: 'string' },
  pin: { type: 'string' },
  quick: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false }
}

/**
 * What the command line asks for. Throws a UsageError for what it cannot mean.
 * @param {string[]} args
 */
export function readOptions(args) {
  const values = parse(args)
  const names = registry.map(({ name }) => name)
  const only = values.only.flatMap((list) => list.split(','))
  for (const name of only) {
    if (!names.includes(name)) throw new UsageError(`--only ${name}: expected some of ${names.join(', ')}`)
  }
  return {
    ...values,
    rounds: values.rounds === undefined ? (values.quick ? 1 : 3) : count('--rounds', values.rounds),
    scenarios: registry.filter(({ name }) => only.length === 0 || only.includes(name)),
    sizes: Object.fromEntries(values.size.map(readSize)),
    before: values.baseline === undefined ? undefined : readReport(values.baseline)
  }
}

function parse(args) {
  try {
    return parseArgs({ args, options: flags }).values
  } catch (error) {
    throw new UsageError(error.message)
  }
}

function readSize(text) {
  const [, name, value] = /^([a-zA-Z]+)=(.+)$/.exec(text) ?? []
  if (name === undefined) throw new UsageError(`--size ${text}: expected NAME=NUMBER, such as megabytes=50`)
  return [name, count(`--size ${name}`, value)]
}

function count(flag, text) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`${flag} ${text}: expected a whole number above 0`)
  return value
}

/** A report that `--json` wrote. */
export function readReport(file) {
  let report
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`${file} cannot be read (${error.code ?? error.message}): expected a file that --json wrote`)
  }
  if (!Array.isArray(report?.cases)) throw new UsageError(`${file}: expected a file that this version's --json wrote`)
  return report
}

/**
 * The sizes of a benchmark: its own, changed by `--size`. Throws a UsageError for a name that none of them has.
 * @param {Map<string, { sizes: object, quickSizes: object }>} modules by name
 */
export function chooseSizes(modules, { quick, sizes }) {
  const known = new Set()
  const chosen = new Map()
  for (const [name, module] of modules) {
    const own = quick ? { ...module.sizes, ...module.quickSizes } : { ...module.sizes }
    for (const key of Object.keys(own)) {
      known.add(key)
      if (sizes[key] !== undefined) own[key] = sizes[key]
    }
    chosen.set(name, own)
  }
  for (const key of Object.keys(sizes)) {
    if (!known.has(key)) throw new UsageError(`--size ${key}: expected one of ${[...known].sort().join(', ')}`)
  }
  return chosen
}
