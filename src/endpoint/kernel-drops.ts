/**
 * Datagrams that the kernel threw away because a socket's receive buffer was full. Nothing else tells of them: to QUIC
 * they look like loss on the path. Linux counts them in the last column of /proc/net/udp and /proc/net/udp6.
 */
import { readFile } from 'node:fs/promises'
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

/** How often the table is read at most: never for more than a thousandth of the time. */
const REST_PER_READING = 1000

/**
 * What the kernel has dropped for one bound socket, by the table. It is read in the background: where the kernel has room
 * for many sockets, which it goes through one by one, that takes tens of milliseconds.
 */
export class KernelDropTable {
  private known: number | undefined
  private reading = false
  private restUntil = 0

  /** @param local what the socket is bound to */
  constructor(private readonly local: PeerAddress) {}

  /** The count of the last reading, undefined before the first and where the system does not tell; has it read again. */
  latest(): number | undefined {
    if (!this.reading && performance.now() >= this.restUntil) void this.read()
    return this.known
  }

  private async read(): Promise<void> {
    this.reading = true
    const startedAt = performance.now()
    try {
      const table = await readFile(this.local.family === 6 ? '/proc/net/udp6' : '/proc/net/udp', 'latin1')
      this.known = dropsOfPort(table, this.local.port)
    } catch {
      this.known = undefined
    }
    const now = performance.now()
    this.restUntil = now + REST_PER_READING * (now - startedAt)
    this.reading = false
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
