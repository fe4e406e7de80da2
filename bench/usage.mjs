// Loaded into every measured Node program (NODE_OPTIONS=--import): tells how much processor time and memory it has
// used, when asked over the IPC channel and, in a file, when it ends. The program itself notices nothing.
import { writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const usage = () => {
  const { user, system } = process.cpuUsage()
  return { cpuMicros: user + system, maxRssKiB: process.resourceUsage().maxRSS }
}

/** What is still in use after garbage collection, bytes. */
async function memory() {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return process.memoryUsage()
}

// Processes that a measured program starts itself are none of ours.
if (process.channel !== undefined && process.ppid === Number(process.env.QUICGATE_BENCH_PARENT)) {
  process.on('message', (message) => {
    if (message === 'usage') process.send({ usage: usage() })
    if (message === 'memory') memory().then((used) => process.send({ memory: used }))
  })
  // Whoever measures is gone: nobody else would end this program.
  process.on('disconnect', () => process.exit(1))
  // A listener alone would keep the program running for ever.
  process.channel.unref()
}

const file = process.env.QUICGATE_BENCH_USAGE
if (file !== undefined) process.on('exit', () => writeFileSync(file, JSON.stringify(usage())))
