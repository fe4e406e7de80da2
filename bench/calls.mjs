/** Functions under measurement in this process. */

/** Microseconds of processor time that one of `count` calls takes, after as many again that warm the compilers up. */
export function microsPerCall(count, call) {
  for (let i = 0; i < count; i++) call()
  const before = process.cpuUsage()
  for (let i = 0; i < count; i++) call()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}
