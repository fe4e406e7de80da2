/** The packet engines that the built program can run on. */
import { execFileSync } from 'node:child_process'
import { cli } from './processes.mjs'

const names = ['node', 'native']

/**
 * All engines. One that cannot be loaded here has `missing`, the reason; the others `env`, which selects them.
 * @returns {{ name: string, env: Record<string, string>, missing?: string }[]}
 */
export function findEngines() {
  return names.map((name) => {
    const env = { QUICGATE_ENGINE: name }
    const missing = name === 'node' ? undefined : whyMissing(name, env)
    return missing === undefined ? { name, env } : { name, env, missing }
  })
}

/** A program that is told to use an engine refuses to start without it, and says which it uses. */
function whyMissing(name, env) {
  try {
    const options = { env: { ...process.env, ...env }, encoding: 'utf8', stdio: 'pipe' }
    const said = execFileSync(process.execPath, [cli, '--version', '--verbose'], options)
    const told = said.split('\n').some((line) => /\bengine\b/i.test(line) && line.includes(name))
    return told ? undefined : `this build has no ${name} engine`
  } catch (error) {
    const reason = `${error.stderr}`.split('\n').find((line) => /\bengine\b/i.test(line))
    return reason?.trim() ?? `this build has no ${name} engine`
  }
}

/** One side for each engine: `make` is called for those that can be loaded, the others say what is missing. */
export function byEngine(engines, nameOf, make) {
  return engines.map((engine) => {
    const name = nameOf(engine.name)
    return engine.missing === undefined ? { name, ...make(engine) } : { name, missing: engine.missing }
  })
}

/** The ratios worth showing: each engine's side against each yardstick, and the engines against one another. */
export function compareEngines(engines, nameOf, yardsticks) {
  const ours = engines.map(({ name }) => nameOf(name))
  return [...ours.flatMap((side) => yardsticks.map((yardstick) => [side, yardstick])), ours.toReversed()]
}
