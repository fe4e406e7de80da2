// The yardstick's client: undici. Does what `quicgate fetch --json` does with a body, and prints the same fields.
//   node http-client.mjs URL
import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import { stream } from 'undici'

const started = performance.now()
const hash = createHash('sha256')
let bodyLength = 0
const digest = new Writable({
  write(chunk, _encoding, done) {
    hash.update(chunk)
    bodyLength += chunk.length
    done()
  }
})
let status
await stream(process.argv[2], { method: 'GET' }, ({ statusCode }) => {
  status = statusCode
  return digest
})
const total = performance.now() - started
console.log(JSON.stringify({ status, bodyLength, sha256: hash.digest('hex'), timings: { total } }))
