// Opens connections and keeps them, with nothing on them, until told otherwise. `check` asks each for one answer.
//   node quic-idle.mjs PORT CA_FILE VERSION CONNECTIONS PATH IDLE_SECONDS
import { QuicClient } from '../../dist/index.js'
import { clientOptions } from './connect.mjs'
import { get, getHeaders } from './exchange.mjs'
import { told } from './load.mjs'

const AT_A_TIME = 32

const [port, ca, version, connections, path, idleSeconds] = process.argv.slice(2)
const options = clientOptions(port, ca, { version, transport: { idleTimeoutSeconds: Number(idleSeconds) } })

/** Calls `work` for each number below `count`, so many at a time. */
async function forEach(count, work) {
  let next = 0
  const worker = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, count) }, worker))
}

const clients = []
const check = told('check')
await forEach(Number(connections), async () => {
  const client = await QuicClient.connect(options)
  clients.push(client)
  // The server makes its session when a request comes, so each has had one.
  await answered(client)
})
process.send({ open: clients.length })

await check
const end = told('end')
let alive = 0
await forEach(clients.length, async (i) => {
  if (await answered(clients[i]).catch(() => false)) alive++
})
process.send({ alive })
await end
process.exit(0)

function answered(client) {
  return new Promise((resolve, reject) => {
    get(client.session, getHeaders(path), (error) => (error === undefined ? resolve(true) : reject(error)))
  })
}
