/** The admin endpoint of a gateway that is one process. */
import { formatHostPort } from '../../config/values.js'
import { ProcessMetrics } from '../../observe/metrics/metric-set.js'
import type { Gateway } from '../gateway.js'
import type { AdminSource } from './admin-server.js'
import { describeConnections, uptimeSeconds } from './status.js'

/**
 * Answers for it.
 * @param version of the program
 */
export function singleProcessSource(gateway: Gateway, version: string): AdminSource {
  const ofProcess = new ProcessMetrics()
  return {
    notReady: () => (gateway.stopping ? 'stopping' : undefined),
    metrics: async () => [...(await gateway.metrics.read()), ...(await ofProcess.read())],
    status: (limit) =>
      Promise.resolve({
        version,
        engine: gateway.engine.name,
        uptime: uptimeSeconds(),
        stopping: gateway.stopping,
        listeners: gateway.addresses.map(formatHostPort),
        workers: [
          {
            worker: 0,
            state: gateway.stopping ? 'stopping' : 'running',
            pid: process.pid,
            uptime: uptimeSeconds(),
            restarts: 0,
            connections: gateway.connectionCount
          }
        ],
        connectionCount: gateway.connectionCount,
        connections: describeConnections(gateway, limit)
      })
  }
}
