/**
 * The round-trip time as this side measures it. All values in integer microseconds; 0 means "no sample yet".
 */
import type { Micros } from '../types.js'

/** What a connection assumes before it has measured anything (rtt_stats.cc, kInitialRttMs). */
export const DEFAULT_INITIAL_RTT: Micros = 100_000

const MIN_INITIAL_RTT: Micros = 10_000
const MAX_INITIAL_RTT: Micros = 15_000_000

/** Smoothed, least and latest round-trip time, and its mean deviation (rtt_stats.cc). */
export class RttStats {
  /** The newest sample, without the delay that the peer says it waited before acknowledging. */
  latest: Micros = 0
  /** The least raw sample: the peer's delay is not taken off, since a coarse peer clock would make it too small. */
  min: Micros = 0
  smoothed: Micros = 0
  /** The smoothed value before the newest sample. */
  previousSmoothed: Micros = 0
  meanDeviation: Micros = 0
  private initialValue: Micros

  /** @param initial the assumption until the first sample, µs */
  constructor(initial: Micros = DEFAULT_INITIAL_RTT) {
    this.initialValue = initial
  }

  /** What is assumed until the first sample. */
  get initial(): Micros {
    return this.initialValue
  }

  /** The smoothed value, or the assumption while there is none. */
  get smoothedOrInitial(): Micros {
    return this.smoothed !== 0 ? this.smoothed : this.initialValue
  }

  /** Takes the assumption from a hello (IRTT), clamped to 10 ms … 15 s as the reference clamps it. */
  setInitial(rtt: Micros): void {
    this.initialValue = Math.min(Math.max(Math.round(rtt), MIN_INITIAL_RTT), MAX_INITIAL_RTT)
  }

  /**
   * Takes one sample.
   * @param sendDelta µs between sending a packet and learning that it arrived
   * @param ackDelay µs that the peer waited before it told; `Infinity` if it did not say
   */
  update(sendDelta: Micros, ackDelay: Micros): void {
    if (!(sendDelta > 0) || sendDelta === Infinity) return
    if (this.min === 0 || sendDelta < this.min) this.min = sendDelta
    this.previousSmoothed = this.smoothed
    const sample = sendDelta > ackDelay ? sendDelta - ackDelay : sendDelta
    this.latest = sample
    if (this.smoothed === 0) {
      this.smoothed = sample
      this.meanDeviation = Math.floor(sample / 2)
      return
    }
    this.meanDeviation = Math.floor(0.75 * this.meanDeviation + 0.25 * Math.abs(this.smoothed - sample))
    this.smoothed = Math.max(1, Math.floor(0.875 * this.smoothed + 0.125 * sample))
  }

  /** After a spurious timeout: believes the slower of smoothed and latest, so that it does not happen again at once. */
  expireSmoothed(): void {
    this.meanDeviation = Math.max(this.meanDeviation, Math.abs(this.smoothed - this.latest))
    this.smoothed = Math.max(this.smoothed, this.latest)
  }

  /** Forgets everything: the path is another one. */
  reset(): void {
    this.latest = 0
    this.min = 0
    this.smoothed = 0
    this.previousSmoothed = 0
    this.meanDeviation = 0
    this.initialValue = DEFAULT_INITIAL_RTT
  }
}
