// Gets one file with one AEAD, and prints what `quicgate fetch --json` prints.
//   node quic-get.mjs PORT CA_FILE AEAD PATH
import { createHash } from 'node:crypto'
import { connect } from './connect.mjs'
import { get, getHeaders } from './exchange.mjs'

const [port, ca, aead, path] = process.argv.slice(2)
const started = performance.now()
const client = await connect(port, ca, { aead })
const hash = createHash('sha256')
const bodyLength = await new Promise((resolve, reject) => {
  const done = (error, length) => (error === undefined ? resolve(length) : reject(error))
  get(client.session, getHeaders(path), done, (bytes) => hash.update(bytes))
})
const total = performance.now() - started
const { version, stats } = client.connection
const sha256 = hash.digest('hex')
console.log(JSON.stringify({ status: 200, version: version.label, bodyLength, sha256, path: stats, timings: { total } }))
await client.close()
