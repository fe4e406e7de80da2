/**
 * What both of the reference's CUBIC implementations have in common (cubic_bytes.cc, cubic.cc): growth depends on the
 * time since the last loss, not on the round-trip time, and N emulated connections make it milder after a loss. They
 * differ in what they count, bytes or packets.
 */
import type { Micros } from '../types.js'

/** 410 / 2^40: 0.4 in units of 1/1024 s cubed, with the 100 ms scaling round trip folded in. */
const CUBE_WINDOW_SCALE = 410
const CUBE_SCALE = 2 ** 40
const MAX_UPDATE_INTERVAL: Micros = 30_000
const LOSS_FACTOR = 0.7
/** Extra cut of the remembered maximum when a loss comes before the old one was reached again: gives way to others. */
const LAST_MAX_FACTOR = 0.85
const UNSET = -1

/** How a window, in bytes, answers losses and acknowledgements outside of slow start. */
export interface WindowCurve {
  setEmulatedConnections(count: number): void
  reset(): void
  onApplicationLimited(): void
  windowAfterLoss(window: number): number
  windowAfterAck(now: Micros, acked: number, window: number, minRtt: Micros): number
}

/** The state of one CUBIC epoch, in units that the subclass chooses. */
export abstract class CubicCurve {
  /** What TCP's rule would have given the emulated connections. */
  protected estimatedRenoWindow = 0
  private connections = 2
  private epoch: Micros = UNSET
  private lastUpdate: Micros = UNSET
  private lastWindow = 0
  private lastMaxWindow = 0
  /** Since the last update. */
  private acked = 0
  private originWindow = 0
  /** In 1/1024 s. */
  private timeToOrigin = 0
  private lastTarget = 0
  private readonly cubeFactor: number

  /** @param segment how many units a segment has */
  constructor(private readonly segment: number) {
    this.cubeFactor = Math.floor(Math.floor(CUBE_SCALE / CUBE_WINDOW_SCALE) / segment)
  }

  /** The most that `acked` may make the window grow by, however steep the curve is here: half of it. */
  protected abstract growthLimit(acked: number): number

  /** Adds to {@link estimatedRenoWindow} what follows from `acked`. */
  protected abstract growReno(acked: number): void

  /** An epoch begins with this much acknowledged. */
  protected abstract onEpochStarted(acked: number): void

  /** How many TCP connections this one stands for (default 2). */
  setEmulatedConnections(count: number): void {
    this.connections = Math.max(1, count)
  }

  /** The share of the window that stays after a loss. */
  get beta(): number {
    return (this.connections - 1 + LOSS_FACTOR) / this.connections
  }

  /** Additive growth of the emulated Reno connections, segments a window. */
  get alpha(): number {
    const { beta, connections } = this
    return (3 * connections * connections * (1 - beta)) / (1 + beta)
  }

  /** Forgets everything but the emulated connections. */
  reset(): void {
    this.epoch = UNSET
    this.lastUpdate = UNSET
    this.lastWindow = 0
    this.lastMaxWindow = 0
    this.acked = 0
    this.estimatedRenoWindow = 0
    this.originWindow = 0
    this.timeToOrigin = 0
    this.lastTarget = 0
    this.onEpochStarted(0)
  }

  /** The window is not used up: starts a new epoch, so that idle time does not count as time for growth. */
  onApplicationLimited(): void {
    this.epoch = UNSET
  }

  /** The window after a loss, in units. */
  protected shrink(window: number): number {
    this.lastMaxWindow = window < this.lastMaxWindow ? Math.floor(LAST_MAX_FACTOR * window) : window
    this.epoch = UNSET
    return Math.floor(window * this.beta)
  }

  /**
   * The window, in units, after `acked` units were acknowledged.
   * @param minRtt added to the elapsed time: the window is for what is sent one round trip from now
   */
  protected grow(now: Micros, acked: number, window: number, minRtt: Micros): number {
    this.acked += acked
    if (this.lastWindow === window && this.lastUpdate !== UNSET && now - this.lastUpdate <= MAX_UPDATE_INTERVAL) {
      return Math.max(this.lastTarget, this.estimatedRenoWindow)
    }
    this.lastWindow = window
    this.lastUpdate = now
    if (this.epoch === UNSET) this.startEpoch(now, acked, window)
    const elapsed = Math.floor(((now + minRtt - this.epoch) * 1024) / 1_000_000)
    const offset = this.timeToOrigin - elapsed
    const delta = Math.floor((CUBE_WINDOW_SCALE * offset * offset * offset) / CUBE_SCALE) * this.segment
    this.lastTarget = Math.min(this.originWindow - delta, window + this.growthLimit(this.acked))
    this.growReno(this.acked)
    this.acked = 0
    return Math.max(this.lastTarget, this.estimatedRenoWindow)
  }

  private startEpoch(now: Micros, acked: number, window: number): void {
    this.epoch = now
    this.acked = acked
    this.estimatedRenoWindow = window
    this.onEpochStarted(acked)
    if (this.lastMaxWindow <= window) {
      this.timeToOrigin = 0
      this.originWindow = window
    } else {
      this.timeToOrigin = Math.floor(Math.cbrt(this.cubeFactor * (this.lastMaxWindow - window)))
      this.originWindow = this.lastMaxWindow
    }
  }
}
