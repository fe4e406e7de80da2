/**
 * What becomes of a connection's events: all of them are written as they come, or the last ones when there is trouble.
 */
import { QuicErrorCode, type QuicError } from '../../quic/errors.js'
import { EventRing } from './event-ring.js'
import type { QlogFile } from './qlog-directory.js'
import type { QlogEvent } from './qlog-events.js'
import type { QlogSink } from './qlog-observer.js'

/** Packets sent before a share of lost ones means anything. */
const MIN_PACKETS_FOR_LOSS = 50

/** Writes everything. */
export class FileSink implements QlogSink {
  constructor(private readonly file: QlogFile) {}

  add(event: QlogEvent): void {
    this.file.write(event)
  }

  end(): void {
    this.file.flush()
  }
}

/** When a connection counts as slow. */
export interface SlowThresholds {
  /** ms from the beginning until the handshake is confirmed. */
  readonly handshake: number
  /** ms of smoothed round-trip time. */
  readonly rtt: number
  /** Percent of the sent packets that are lost, once there are a few. */
  readonly loss: number
}

/**
 * Keeps the last events in memory. They are written when the connection turns out slow, from when on all that fits is
 * kept for its end, and when it fails; a good connection leaves nothing.
 */
export class TroubleSink implements QlogSink {
  private readonly ring: EventRing
  private file: QlogFile | undefined
  private confirmed = false
  private sent = 0
  private lost = 0
  private lastTime = 0
  private slowness = false

  /**
   * @param capacity events to keep
   * @param createFile called if there is something to write, until it gives a file; undefined if there shall be none
   */
  constructor(
    capacity: number,
    private readonly slow: SlowThresholds,
    private readonly createFile: () => QlogFile | undefined
  ) {
    this.ring = new EventRing(capacity)
  }

  add(event: QlogEvent, milestone: boolean): void {
    this.ring.add(event, milestone)
    this.lastTime = event.time
    const trouble = this.slownessIn(event)
    if (trouble === undefined || this.slowness) return
    // Once is enough to know; what follows is written at the end.
    this.slowness = true
    this.write(event.time, trouble)
  }

  end(error: QuicError, openStreams: boolean): void {
    const failure = this.failure(error, openStreams)
    if (failure !== undefined || this.file !== undefined) this.write(this.lastTime, failure)
  }

  private slownessIn({ time, name, data }: QlogEvent): string | undefined {
    switch (name) {
      case 'transport:packet_sent':
        this.sent++
        return undefined
      case 'recovery:packet_lost':
        this.lost++
        if (this.sent < MIN_PACKETS_FOR_LOSS || this.lost * 100 <= this.slow.loss * this.sent) return undefined
        return `more than ${this.slow.loss} % of the packets sent are lost`
      case 'recovery:metrics_updated': {
        const rtt = data['smoothed_rtt'] as number | undefined
        return rtt !== undefined && rtt > this.slow.rtt ? `the round trip takes more than ${this.slow.rtt} ms` : undefined
      }
      case 'connectivity:connection_state_updated': {
        if (data['new'] !== 'handshake_confirmed') return undefined
        this.confirmed = true
        return time > this.slow.handshake ? `the handshake took more than ${this.slow.handshake} ms` : undefined
      }
      default:
        return undefined
    }
  }

  private failure({ wireCode, code }: QuicError, openStreams: boolean): string | undefined {
    if (!this.confirmed) return `${code} before the handshake was done`
    if (wireCode === QuicErrorCode.NO_ERROR || wireCode === QuicErrorCode.PEER_GOING_AWAY) return undefined
    if (wireCode === QuicErrorCode.NETWORK_IDLE_TIMEOUT && !openStreams) return undefined
    return code
  }

  private write(time: number, trouble: string | undefined): void {
    const file = (this.file ??= this.createFile())
    if (file === undefined) return
    for (const event of this.ring.take()) file.write(event)
    if (trouble !== undefined) file.write({ time, name: 'gquic:trouble', data: { message: trouble } })
    file.flush()
  }
}
