// Load over HTTP/1.1 with undici's cheapest interface.
//   node http-load.mjs PORT REQUESTS IN_FLIGHT
import { Pool } from 'undici'
import { load } from './load.mjs'

const [port, requests, inFlight] = process.argv.slice(2).map(Number)
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: inFlight, pipelining: 1 })

await load(requests, inFlight, (done) => {
  let length = 0
  pool.dispatch(
    { method: 'GET', path: '/', headers: { 'user-agent': 'quicgate-bench' } },
    {
      onRequestStart() {},
      onResponseStart() {},
      onResponseData(_controller, chunk) {
        length += chunk.length
      },
      onResponseEnd() {
        done(length === 1024 ? undefined : new Error(`got ${length} bytes`))
      },
      onResponseError(_controller, error) {
        done(error)
      }
    }
  )
})
await pool.close()
process.exit(0)
