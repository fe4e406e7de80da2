/**
 * The CUBIC window curve counted in packets, the older of the reference's two implementations (cubic.cc), which the
 * connection option BYTE switches to. It grows in whole segments.
 */
import type { Micros } from '../types.js'
import { MAX_SEGMENT_SIZE } from './congestion-controller.js'
import type { WindowCurve } from './cubic.js'

const CUBE_WINDOW_SCALE = 410
const CUBE_SCALE = 2 ** 40
const CUBE_FACTOR = Math.floor(CUBE_SCALE / CUBE_WINDOW_SCALE)
const MAX_UPDATE_INTERVAL: Micros = 30_000
const LOSS_FACTOR = 0.7
const LAST_MAX_FACTOR = 0.85
const UNSET = -1

/** The state of one CUBIC epoch. Windows are given and returned in bytes, and are whole segments. */
export class PacketCubic implements WindowCurve {
  private connections = 2
  private epoch: Micros = UNSET
  private lastUpdate: Micros = UNSET
  private lastWindow = 0
  private lastMaxWindow = 0
  private ackedPackets = 0
  /** Since the last update. */
  private newlyAcked = 0
  private estimatedRenoWindow = 0
  private originWindow = 0
  /** In 1/1024 s. */
  private timeToOrigin = 0
  private lastTarget = 0

  setEmulatedConnections(count: number): void {
    this.connections = Math.max(1, count)
  }

  get beta(): number {
    return (this.connections - 1 + LOSS_FACTOR) / this.connections
  }

  get alpha(): number {
    const { beta } = this
    return (3 * this.connections * this.connections * (1 - beta)) / (1 + beta)
  }

  reset(): void {
    this.epoch = UNSET
    this.lastUpdate = UNSET
    this.lastWindow = 0
    this.lastMaxWindow = 0
    this.ackedPackets = 0
    this.newlyAcked = 0
    this.estimatedRenoWindow = 0
    this.originWindow = 0
    this.timeToOrigin = 0
    this.lastTarget = 0
  }

  onApplicationLimited(): void {
    this.epoch = UNSET
  }

  windowAfterLoss(windowBytes: number): number {
    const window = Math.floor(windowBytes / MAX_SEGMENT_SIZE)
    this.lastMaxWindow = window < this.lastMaxWindow ? Math.floor(LAST_MAX_FACTOR * window) : window
    this.epoch = UNSET
    return Math.floor(window * this.beta) * MAX_SEGMENT_SIZE
  }

  /** One packet was acknowledged; its size does not matter. */
  windowAfterAck(now: Micros, _acked: number, windowBytes: number, minRtt: Micros): number {
    return this.afterAck(now, Math.floor(windowBytes / MAX_SEGMENT_SIZE), minRtt) * MAX_SEGMENT_SIZE
  }

  private afterAck(now: Micros, window: number, minRtt: Micros): number {
    this.ackedPackets++
    this.newlyAcked++
    if (this.lastWindow === window && this.lastUpdate !== UNSET && now - this.lastUpdate <= MAX_UPDATE_INTERVAL) {
      return Math.max(this.lastTarget, this.estimatedRenoWindow)
    }
    this.lastWindow = window
    this.lastUpdate = now
    if (this.epoch === UNSET) this.startEpoch(now, window)
    const elapsed = Math.floor(((now + minRtt - this.epoch) * 1024) / 1_000_000)
    const offset = this.timeToOrigin - elapsed
    const delta = Math.floor((CUBE_WINDOW_SCALE * offset * offset * offset) / CUBE_SCALE)
    const target = Math.min(this.originWindow - delta, window + Math.floor((this.newlyAcked + 1) / 2))
    // With fewer emulated connections than before, several steps may be due at once.
    for (;;) {
      const required = Math.floor(this.estimatedRenoWindow / this.alpha)
      if (this.ackedPackets < required) break
      this.ackedPackets -= required
      this.estimatedRenoWindow++
    }
    this.newlyAcked = 0
    this.lastTarget = target
    return Math.max(target, this.estimatedRenoWindow)
  }

  private startEpoch(now: Micros, window: number): void {
    this.epoch = now
    this.ackedPackets = 1
    this.newlyAcked = 1
    this.estimatedRenoWindow = window
    if (this.lastMaxWindow <= window) {
      this.timeToOrigin = 0
      this.originWindow = window
    } else {
      this.timeToOrigin = Math.floor(Math.cbrt(CUBE_FACTOR * (this.lastMaxWindow - window)))
      this.originWindow = this.lastMaxWindow
    }
  }
}
