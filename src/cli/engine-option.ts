/**
 * The option that names the packet engine.
 */
import { Option } from 'commander'
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { chooseEngine, engineNames, type EngineName } from '../endpoint/engines/select-engine.js'

/** What the option comes to. */
export interface EngineFlags {
  engine?: EngineName
}

/** `--engine`. */
export const engineOption = (): Option =>
  new Option('--engine <engine>', 'what moves and protects datagrams (default: QUICGATE_ENGINE, the configuration, auto)')
    .choices(engineNames)

/**
 * The engine that flag, environment and configuration ask for, in this order.
 * @throws EngineError if there is none such
 */
export function engineOf(flags: EngineFlags, onDegraded: (message: string) => void, config?: EngineName): DatagramEngine {
  return chooseEngine({ flag: flags.engine, config, onDegraded }).engine
}
