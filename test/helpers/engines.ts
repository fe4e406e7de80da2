/**
 * The engines that tests run on: the same tests for all of them.
 */
import type { DatagramEngine } from '../../src/endpoint/datagram-engine.js'
import { NativeEngine, type NativeEngineOptions } from '../../src/endpoint/engines/native-engine.js'
import { loadAddon, type NativeAddon } from '../../src/endpoint/engines/native-addon.js'
import { NodeEngine } from '../../src/endpoint/engines/node-engine.js'

export const testedEngines = ['node', 'native'] as const
export type TestedEngine = (typeof testedEngines)[number]

function findAddon(): NativeAddon | undefined {
  try {
    return loadAddon()
  } catch (error) {
    if (process.env['QUICGATE_REQUIRE_TOOLS'] === '1') throw error
    return undefined
  }
}

/** The addon; undefined where it is not built, in which case its tests are to be skipped. It has to be there where all tools are required. */
export const addon = findAddon()

/** Whether an engine runs here. */
export function hasEngine(name: TestedEngine): boolean {
  return name === 'node' || addon !== undefined
}

/** An engine; where the native one is not built, the other stands in for it in tests that are skipped. */
export function makeEngine(name: TestedEngine, options: NativeEngineOptions = {}): DatagramEngine {
  return name === 'native' && addon !== undefined ? new NativeEngine(options, addon) : new NodeEngine()
}
