/**
 * Which engine moves the datagrams: what a flag, the environment or a configuration asks for, or the fastest that runs.
 */
import type { DatagramEngine } from '../datagram-engine.js'
import { loadAddon, type NativeAddon } from './native-addon.js'
import { NativeEngine } from './native-engine.js'
import { NodeEngine } from './node-engine.js'

/** What can be asked for. */
export const engineNames = ['auto', 'native', 'node'] as const
/** The names of the engines, and of leaving the choice to the program. */
export type EngineName = (typeof engineNames)[number]

/** The environment variable that wins over configuration files. */
export const ENGINE_VARIABLE = 'QUICGATE_ENGINE'

/** No engine can be had as asked for; the message is fit for a person. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
}

/** An engine, and why it is this one. */
export interface EngineChoice {
  readonly engine: DatagramEngine
  readonly why: string
}

/** What asks for an engine. */
export interface EngineRequest {
  /** From a flag: wins over everything. */
  flag?: EngineName | undefined
  /** From a configuration file: the environment wins over it. */
  config?: EngineName | undefined
  /** Told, once, what the chosen engine has to go without. */
  onDegraded?: (message: string) => void
}

/**
 * Chooses.
 *
 * @param load gives the addon, or throws what stands in the way
 * @throws EngineError if the environment names none, or the native engine is asked for and does not load
 */
export function chooseEngine(
  request: EngineRequest = {},
  env: NodeJS.ProcessEnv = process.env,
  load: () => NativeAddon = loadAddon
): EngineChoice {
  const { name, by } = wanted(request, env)
  if (name === 'node') return { engine: new NodeEngine(), why: `${by} asks for it` }
  try {
    const engine = new NativeEngine({ onDegraded: request.onDegraded }, load())
    return { engine, why: name === 'native' ? `${by} asks for it` : 'it is built and fits this Node' }
  } catch (error) {
    const reason = (error as Error).message.split('\n')[0]!
    if (name === 'auto') return { engine: new NodeEngine(), why: `the native engine does not load: ${reason}` }
    const remedy = 'build it with `npm run build:native`, or `npm rebuild quicgate` for a dependency (needs Linux, make, a C++ compiler and Python), or ask for "auto"'
    throw new EngineError(`${by} asks for the native engine, which does not load: ${reason}; ${remedy}`)
  }
}

function wanted({ flag, config }: EngineRequest, env: NodeJS.ProcessEnv): { name: EngineName; by: string } {
  if (flag !== undefined) return { name: flag, by: '--engine' }
  const text = env[ENGINE_VARIABLE]
  if (text !== undefined && text !== '') {
    const name = engineNames.find((known) => known === text)
    if (name === undefined) {
      throw new EngineError(`${ENGINE_VARIABLE}: expected one of ${engineNames.join(', ')}, not "${text}"`)
    }
    return { name, by: ENGINE_VARIABLE }
  }
  return { name: config ?? 'auto', by: 'the configuration' }
}

let shared: DatagramEngine | undefined

/** The engine of whoever has not been given one, made at the first call. @throws EngineError as {@link chooseEngine} */
export function defaultEngine(): DatagramEngine {
  return (shared ??= chooseEngine().engine)
}
