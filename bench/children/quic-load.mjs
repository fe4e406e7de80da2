// Load over QUIC connections, each with a number of requests under way.
//   node quic-load.mjs PORT CA_FILE VERSION REQUESTS CONNECTIONS STREAMS
import { connect } from './connect.mjs'
import { get, getHeaders } from './exchange.mjs'
import { load } from './load.mjs'

const [port, ca, version, ...numbers] = process.argv.slice(2)
const [requests, connections, streams] = numbers.map(Number)
const clients = []
for (let i = 0; i < connections; i++) clients.push(await connect(port, ca, { version }))
const headers = getHeaders('/')

await load(requests, connections * streams, (done, slot) => {
  get(clients[slot % connections].session, headers, (error, length) => {
    done(error ?? (length === 1024 ? undefined : new Error(`got ${length} bytes`)))
  })
})
await Promise.all(clients.map((client) => client.close()))
process.exit(0)
