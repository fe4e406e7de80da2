/** What a gateway is doing now, for `/status`. */
import { formatHostPort } from '../../config/values.js'
import type { Gateway } from '../gateway.js'

/** One connection. */
export interface ConnectionStatus {
  /** As on the wire, hexadecimal. */
  readonly connection: string
  readonly quic: string
  /** Address and port. */
  readonly client: string
  /** Smoothed round-trip time, milliseconds. */
  readonly rtt: number
  /** Bytes. */
  readonly congestionWindow: number
  readonly bytesInFlight: number
  readonly packetsSent: number
  readonly packetsLost: number
  readonly streams: number
}

/** One process that carries requests. */
export interface WorkerStatus {
  /** Which one, from 0. */
  readonly worker: number
  /** `starting` or `pausing` (before it is started again) while it takes no requests. */
  readonly state: 'starting' | 'running' | 'pausing' | 'stopping'
  readonly pid: number | undefined
  /** Seconds since its start. */
  readonly uptime: number
  /** How often it was started again. */
  readonly restarts: number
  readonly connections: number
}

/** The whole. */
export interface GatewayStatus {
  readonly version: string
  readonly engine: string
  /** Seconds since the start of the program. */
  readonly uptime: number
  readonly stopping: boolean
  readonly listeners: readonly string[]
  readonly workers: readonly WorkerStatus[]
  /** All there are; {@link connections} may be fewer. */
  readonly connectionCount: number
  readonly connections: readonly ConnectionStatus[]
}

/** Some of the connections of the gateway in this process, at most `limit`. */
export function describeConnections(gateway: Gateway, limit: number): ConnectionStatus[] {
  const found: ConnectionStatus[] = []
  if (limit === 0) return found
  for (const connection of gateway.openConnections()) {
    const { address, port } = connection.peerAddress
    const { packetsSent, packetsLost } = connection.stats
    found.push({
      connection: connection.connectionId.toString(),
      quic: connection.version.label,
      client: formatHostPort({ host: address, port }),
      rtt: connection.smoothedRtt / 1000,
      congestionWindow: connection.congestionWindow,
      bytesInFlight: connection.bytesInFlight,
      packetsSent,
      packetsLost,
      streams: connection.session.openStreamCount
    })
    if (found.length === limit) break
  }
  return found
}

/** Whole seconds since this process began. */
export function uptimeSeconds(): number {
  return Math.floor(process.uptime())
}
