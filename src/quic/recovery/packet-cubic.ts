/**
 * The CUBIC window curve counted in packets, the older of the reference's two implementations (cubic.cc), which the
 * connection option BYTE switches to. It grows in whole segments.
 */
import type { Micros } from '../types.js'
import { MAX_SEGMENT_SIZE } from './congestion-controller.js'
import { CubicCurve, type WindowCurve } from './cubic-curve.js'

/** Windows are given and returned in bytes, and are whole segments. */
export class PacketCubic extends CubicCurve implements WindowCurve {
  /** Packets that have not yet made the emulated Reno window grow. */
  private renoCredit = 0

  constructor() {
    super(1)
  }

  windowAfterLoss(window: number): number {
    return this.shrink(Math.floor(window / MAX_SEGMENT_SIZE)) * MAX_SEGMENT_SIZE
  }

  /** One packet was acknowledged; its size does not matter. */
  windowAfterAck(now: Micros, _acked: number, window: number, minRtt: Micros): number {
    this.renoCredit++
    return this.grow(now, 1, Math.floor(window / MAX_SEGMENT_SIZE), minRtt) * MAX_SEGMENT_SIZE
  }

  protected override growthLimit(acked: number): number {
    return Math.floor((acked + 1) / 2)
  }

  protected override growReno(): void {
    // With fewer emulated connections than before, several steps may be due at once.
    for (;;) {
      const required = Math.floor(this.estimatedRenoWindow / this.alpha)
      if (this.renoCredit < required) return
      this.renoCredit -= required
      this.estimatedRenoWindow++
    }
  }

  protected override onEpochStarted(acked: number): void {
    this.renoCredit = acked
  }
}
