/** How many processes a gateway is to have. */
import { availableParallelism } from 'node:os'
import { ConfigError } from '../../config/config-error.js'
import type { GatewayConfig } from '../../config/gateway-config.js'
import type { DatagramEngine } from '../../endpoint/datagram-engine.js'

/** A number of workers, and why it is not the one that `auto` stands for otherwise. */
export interface WorkerCount {
  readonly count: number
  readonly remark?: string
}

/**
 * Decides.
 *
 * @param cores that this process may use
 * @throws ConfigError if there are to be several and the engine cannot share sockets among them
 */
export function workerCount(config: GatewayConfig, engine: DatagramEngine, cores = availableParallelism()): WorkerCount {
  const { workers, workersAt } = config
  const shares = engine.openGroup !== undefined
  if (workers === 'auto') {
    if (shares || cores === 1) return { count: cores }
    return { count: 1, remark: `workers: auto is 1, because the ${engine.name} engine cannot share listeners between processes` }
  }
  if (workers === 1 || shares) return { count: workers }
  const message =
    `workers: the ${engine.name} engine cannot share listeners between processes; ` +
    'write 1 or auto, or have the native engine built (npm rebuild)'
  throw new ConfigError([{ ...workersAt, message }])
}
