/**
 * The CUBIC window curve in bytes, as the reference computes it (cubic_bytes.cc).
 */
import type { Micros } from '../types.js'
import { MAX_SEGMENT_SIZE } from './congestion-controller.js'
import { CubicCurve, type WindowCurve } from './cubic-curve.js'

/** Windows in bytes, of any size. */
export class Cubic extends CubicCurve implements WindowCurve {
  constructor() {
    super(MAX_SEGMENT_SIZE)
  }

  windowAfterLoss(window: number): number {
    return this.shrink(window)
  }

  windowAfterAck(now: Micros, acked: number, window: number, minRtt: Micros): number {
    return this.grow(now, acked, window, minRtt)
  }

  protected override growthLimit(acked: number): number {
    return Math.floor(acked / 2)
  }

  protected override growReno(acked: number): void {
    this.estimatedRenoWindow += Math.floor((acked * (this.alpha * MAX_SEGMENT_SIZE)) / this.estimatedRenoWindow)
  }

  protected override onEpochStarted(): void {}
}
