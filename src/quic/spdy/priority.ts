/**
 * SPDY priorities 0 (most urgent) to 7, and the HTTP/2 weight byte (weight - 1, 0 to 255) that carries them in HEADERS.
 * Source: Spdy3PriorityToHttp2Weight and Http2WeightToSpdy3Priority (spdy_protocol.cc).
 */

export const HIGHEST_PRIORITY = 0
export const LOWEST_PRIORITY = 7
/** The priority of a stream that never named one. */
export const DEFAULT_PRIORITY = 3

const STEP = 255.9 / 7

/** The weight byte for a SPDY priority; a priority outside 0..7 counts as the nearest one inside. */
export function weightByteOfPriority(priority: number): number {
  const clamped = Math.min(Math.max(Math.trunc(priority), HIGHEST_PRIORITY), LOWEST_PRIORITY)
  return Math.trunc(STEP * (LOWEST_PRIORITY - clamped))
}

/** The SPDY priority that a weight byte stands for. */
export function priorityOfWeightByte(weightByte: number): number {
  return Math.trunc(LOWEST_PRIORITY - weightByte / STEP)
}
