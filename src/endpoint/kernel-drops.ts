/**
 * Datagrams that the kernel threw away because a socket's receive buffer was full. Nothing else tells of them: to QUIC
 * they look like loss on the path. Linux counts them in the last column of /proc/net/udp and /proc/net/udp6.
 */
import { readFileSync } from 'node:fs'
import type { PeerAddress } from '../quic/types.js'

/**
 * The drops of all sockets bound to a port in one table.
 *
 * @param table the content of /proc/net/udp or /proc/net/udp6
 * @returns undefined if no socket is bound to it
 */
export function dropsOfPort(table: string, port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let drops: number | undefined
  for (const line of table.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/)
    if (columns[1]?.endsWith(suffix) === true) drops = (drops ?? 0) + Number(columns.at(-1))
  }
  return drops
}

/** What the kernel has dropped for a bound socket so far; undefined where the system does not tell. */
export function kernelDrops(local: PeerAddress): number | undefined {
  try {
    const table = readFileSync(local.family === 6 ? '/proc/net/udp6' : '/proc/net/udp', 'latin1')
    return dropsOfPort(table, local.port)
  } catch {
    return undefined
  }
}

const INTERVAL_MS = 10_000

/** Looks now and then whether a socket has lost datagrams in the kernel. */
export class KernelDropWatch {
  /** Dropped since the socket was opened; undefined where the system does not tell. */
  total: number | undefined
  private readonly timer: NodeJS.Timeout

  /**
   * @param read tells how many there are by now
   * @param onDrops called with how many more there are, and how many there are by now
   */
  constructor(
    private readonly read: () => number | undefined,
    private readonly onDrops: (dropped: number, total: number) => void,
    intervalMs = INTERVAL_MS
  ) {
    this.total = read()
    this.timer = setInterval(() => this.look(), intervalMs).unref()
  }

  /** Looks at once. @returns the total */
  look(): number | undefined {
    const before = this.total ?? 0
    this.total = this.read()
    if (this.total !== undefined && this.total > before) this.onDrops(this.total - before, this.total)
    return this.total
  }

  close(): void {
    clearInterval(this.timer)
  }
}
