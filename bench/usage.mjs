// Loaded into every measured program (NODE_OPTIONS=--import): tells how much processor time it has used, when asked
// over the IPC channel and, in a file, when it ends. The program itself notices nothing.
import { writeFileSync } from 'node:fs'

const usage = () => {
  const { user, system } = process.cpuUsage()
  return { cpuMicros: user + system, maxRssKiB: process.resourceUsage().maxRSS }
}

if (process.channel !== undefined) {
  process.on('message', (message) => {
    if (message === 'usage') process.send({ usage: usage() })
  })
  // A listener alone would keep the program running for ever.
  process.channel.unref()
}

const file = process.env.QUICGATE_BENCH_USAGE
if (file !== undefined) process.on('exit', () => writeFileSync(file, JSON.stringify(usage())))
