// Load over HTTP/1.1 by autocannon, in the manner of the other load programs.
//   node autocannon.mjs PORT REQUESTS CONNECTIONS
import autocannon from 'autocannon'
import { told } from './load.mjs'

const [port, requests, connections] = process.argv.slice(2).map(Number)

/** Sends `amount` requests. autocannon itself looks once a second whether it is done, so the last answer is timed here. */
async function round(amount) {
  const started = performance.now()
  let answered = 0
  let seconds
  const instance = autocannon({ url: `http://127.0.0.1:${port}/`, connections, amount })
  instance.on('response', () => {
    if (++answered === amount) seconds = (performance.now() - started) / 1000
  })
  const result = await instance
  const failed = result.errors + result.timeouts + result.non2xx
  if (failed > 0 || seconds === undefined) throw new Error(`${failed} of ${amount} requests failed, ${answered} were answered`)
  return { seconds, latency: result.latency }
}

await round(Math.max(connections, Math.min(2000, requests)))
const go = told('go')
process.send({ warm: true })
await go
const { seconds, latency } = await round(requests)
const end = told('end')
process.send({ done: { seconds, p50: latency.p50, p99: latency.p99, p999: latency.p99_9 } })
await end
process.exit(0)
