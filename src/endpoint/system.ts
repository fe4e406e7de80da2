/**
 * What endpoints take from the machine they run on: time, alarms, randomness.
 */
import { randomFillSync } from 'node:crypto'
import type { Micros, QuicHelper } from '../quic/types.js'

/**
 * Clock, alarms, randomness and calendar of an endpoint. {@link systemHelper} is this machine's; a program can bring its
 * own, to run endpoints on a clock that it moves itself.
 */
export interface EndpointHelper extends QuicHelper {
  /** Microseconds of a clock that never goes back: an integer, never 0. */
  now(): Micros
  /** Calls back once, `delayMs` milliseconds (at least 1) from now or later. @returns what {@link cancelAlarm} takes */
  setAlarm(callback: () => void, delayMs: number): unknown
  /** Takes an alarm back; harmless if it has rung, or if there is none. */
  cancelAlarm(alarm: unknown): void
  /** Calls back once when the code that is running is done: what is to be sent is sent then. */
  runSoon(callback: () => void): void
}

/** Microseconds of the monotonic clock, integer, never 0. */
export function monotonicNow(): Micros {
  return Math.floor(performance.now() * 1000) + 1
}

const POOL_SIZE = 4096
const MAX_FROM_POOL = 64
const pool = new Uint8Array(POOL_SIZE)
let poolUsed = POOL_SIZE

/** A handshake asks for a few bytes many times, and asking the system for them costs the same however many they are. */
function pooledRandomBytes(length: number): Uint8Array {
  if (length > MAX_FROM_POOL) return randomFillSync(new Uint8Array(length))
  if (poolUsed + length > POOL_SIZE) {
    randomFillSync(pool)
    poolUsed = 0
  }
  const bytes = pool.slice(poolUsed, poolUsed + length)
  // What was given out is kept by nobody else.
  pool.fill(0, poolUsed, poolUsed + length)
  poolUsed += length
  return bytes
}

/** Clock, alarms, randomness and calendar of this machine. */
export const systemHelper: EndpointHelper = {
  randomBytes: pooledRandomBytes,
  wallSeconds: () => Math.floor(Date.now() / 1000),
  now: monotonicNow,
  setAlarm: (callback, delayMs) => setTimeout(callback, delayMs),
  cancelAlarm: (alarm) => clearTimeout(alarm as NodeJS.Timeout | undefined),
  runSoon: (callback) => void setImmediate(callback)
}
