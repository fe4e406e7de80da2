/**
 * The system's clock and randomness, as the core wants them.
 */
import { randomBytes } from 'node:crypto'
import type { Micros, QuicHelper } from '../quic/types.js'

/** Microseconds of the monotonic clock, integer, never 0. */
export function monotonicNow(): Micros {
  return Math.floor(performance.now() * 1000) + 1
}

/** Randomness and calendar of this machine. */
export const systemHelper: QuicHelper = {
  randomBytes: (length) => new Uint8Array(randomBytes(length)),
  wallSeconds: () => Math.floor(Date.now() / 1000)
}
