// The yardstick's client: undici. Does what `quicgate fetch --json` does with a body, and prints the same fields.
//   node http-client.mjs URL [FILE_TO_POST]
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Writable } from 'node:stream'
import { stream } from 'undici'

const [url, upload] = process.argv.slice(2)
const request =
  upload === undefined ? { method: 'GET' } : { method: 'POST', body: createReadStream(upload, { highWaterMark: 65_536 }) }
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
await stream(url, request, ({ statusCode }) => {
  status = statusCode
  return digest
})
const total = performance.now() - started
console.log(JSON.stringify({ status, bodyLength, sha256: hash.digest('hex'), timings: { total } }))
