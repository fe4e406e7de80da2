/**
 * The options with which every program records what its connections do.
 */
import { Option } from 'commander'
import { qlogSchema, type ObserveConfig } from '../config/observe-schema.js'
import { ConnectionRecorder } from '../observe/connection-recorder.js'

/** What the options come to. */
export interface ObserveFlags {
  keylog?: string
  qlog?: string
}

/** `--keylog`. */
export const keylogOption = (): Option =>
  new Option('--keylog <file>', 'append the keys of all connections to FILE, for `quicgate inspect --keys`')

/** `--qlog`. */
export const qlogOption = (): Option =>
  new Option('--qlog <dir>', 'write a qlog trace of each connection to DIR, for qvis')

/**
 * Opens what flags and configuration ask for; flags win.
 * @throws the system's error, with `path`, for what cannot be opened
 */
export function createRecorder(
  flags: ObserveFlags,
  config: ObserveConfig,
  onProblem: (message: string) => void
): ConnectionRecorder {
  const qlog =
    flags.qlog === undefined
      ? config.qlog
      : { ...(config.qlog ?? qlogSchema.parse({ dir: flags.qlog })), dir: flags.qlog, when: 'always' as const }
  return new ConnectionRecorder({ keylog: flags.keylog ?? config.keylog, qlog }, onProblem)
}
