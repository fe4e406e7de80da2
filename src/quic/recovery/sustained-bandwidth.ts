/**
 * A bandwidth that a connection has kept up for a while: what its successor may begin with
 * (quic_sustained_bandwidth_recorder.cc).
 */
import type { Micros } from '../types.js'
import type { CongestionController } from './congestion-controller.js'
import type { RttStats } from './rtt-stats.js'

/** Round trips without loss after which an estimate is a sustained one. */
const SUSTAINED_ROUND_TRIPS = 3

/** Sees every acknowledgement. Bandwidths in bytes per second. */
export class SustainedBandwidthRecorder {
  /** The last sustained estimate; undefined before the first. */
  bandwidth: number | undefined
  /** Whether it was found in slow start. */
  inSlowStart = false
  /** The most that there ever was. */
  maxBandwidth = 0
  /** When that was, seconds since the UNIX epoch. */
  maxBandwidthSeconds = 0
  private since: Micros | undefined

  /** @param wallSeconds the time since the UNIX epoch, for {@link maxBandwidthSeconds} */
  constructor(private readonly wallSeconds: () => number) {}

  /** An acknowledgement has been processed: takes what the controller estimates now. */
  record(now: Micros, controller: CongestionController, rtt: RttStats): void {
    if (controller.inRecovery) {
      this.since = undefined
      return
    }
    if (this.since === undefined) {
      this.since = now
      return
    }
    const bandwidth = Math.floor(controller.bandwidthEstimate * 1e6)
    if (now - this.since >= SUSTAINED_ROUND_TRIPS * rtt.smoothed) {
      this.bandwidth = bandwidth
      this.inSlowStart = controller.inSlowStart
    }
    if (bandwidth > this.maxBandwidth) {
      this.maxBandwidth = bandwidth
      this.maxBandwidthSeconds = this.wallSeconds()
    }
  }
}
