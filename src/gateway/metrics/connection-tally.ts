/** Counts connections and what they carried, over those that are open and those that are over. */
import type { ServerEvent } from '../../endpoint/server.js'
import { QuicErrorCode, quicErrorName } from '../../quic/errors.js'
import type { ConnectionStats, QuicConnection } from '../../quic/transport/connection.js'

const knownCodes = new Set<number>(Object.values(QuicErrorCode))
/** Peers may close with any number: all that mean nothing are one. */
const UNKNOWN_ERROR = 'QUIC_UNKNOWN_ERROR'

type Totals = { -readonly [K in keyof ConnectionStats]: number }

/** Connections that ended with the same error, by the same side. */
export interface ClosedCount {
  readonly error: string
  readonly by: 'client' | 'gateway'
  count: number
}

/** Listens to a server's events. */
export class ConnectionTally {
  /** By version. */
  readonly opened = new Map<string, number>()
  private readonly closed = new Map<string, ClosedCount>()
  private readonly past = noTotals()

  /** What happened to a connection of any server. */
  onEvent(event: ServerEvent): void {
    if (event.type === 'connection-opened') {
      const { label } = event.connection.version
      this.opened.set(label, (this.opened.get(label) ?? 0) + 1)
    } else if (event.type === 'connection-closed') {
      this.onClosed(event.error.wireCode, event.fromPeer)
      addTo(this.past, event.connection.stats)
    }
  }

  closings(): Iterable<ClosedCount> {
    return this.closed.values()
  }

  /** What all connections did together; `live` are those that servers still have. */
  totals(live: Iterable<QuicConnection>): ConnectionStats {
    const totals = { ...this.past }
    // One that is closed has been counted, though its server may keep it until it has said so.
    for (const connection of live) if (connection.connected) addTo(totals, connection.stats)
    return totals
  }

  private onClosed(code: number, fromPeer: boolean): void {
    const error = knownCodes.has(code) ? quicErrorName(code) : UNKNOWN_ERROR
    const by = fromPeer ? 'client' : 'gateway'
    const key = `${error} ${by}`
    const entry = this.closed.get(key)
    if (entry === undefined) this.closed.set(key, { error, by, count: 1 })
    else entry.count++
  }
}

function noTotals(): Totals {
  return {
    packetsReceived: 0,
    bytesReceived: 0,
    packetsSent: 0,
    bytesSent: 0,
    packetsLost: 0,
    packetsRetransmitted: 0,
    packetsRetransmittedSpuriously: 0,
    tailLossProbes: 0,
    retransmissionTimeouts: 0,
    undecryptable: 0,
    duplicates: 0
  }
}

function addTo(totals: Totals, stats: ConnectionStats): void {
  for (const name of Object.keys(totals) as (keyof Totals)[]) totals[name] += stats[name]
}
