/** The time in log lines. */

let shown = -1
let second = -1
let upToSecond = ''
let text = ''

/**
 * The member `time` of a pino line, ISO 8601 in UTC with milliseconds. Many lines fall into one millisecond, and very many
 * into one second: only what changes is formatted anew.
 */
export function logTime(): string {
  const now = Date.now()
  if (now === shown) return text
  shown = now
  const nowSecond = Math.floor(now / 1000)
  if (nowSecond !== second) {
    second = nowSecond
    upToSecond = `,"time":"${new Date(second * 1000).toISOString().slice(0, 20)}`
  }
  text = `${upToSecond}${String(now - second * 1000).padStart(3, '0')}Z"`
  return text
}
