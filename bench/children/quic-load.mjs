// Load over one QUIC connection.
//   node quic-load.mjs PORT CA_FILE REQUESTS IN_FLIGHT
import { readFileSync } from 'node:fs'
import { QuicClient } from '../../dist/endpoint/client.js'
import { openRequestStream } from '../../dist/client/request-stream.js'
import { CaProofVerifier } from '../../dist/quic/crypto/proof.js'
import { load } from './load.mjs'

const [port, ca, requests, inFlight] = process.argv.slice(2)
const client = await QuicClient.connect({
  host: '127.0.0.1',
  port: Number(port),
  serverName: 'localhost',
  verifier: new CaProofVerifier({ ca: [readFileSync(ca, 'utf8')] })
})
const headers = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', `localhost:${port}`],
  [':path', '/'],
  ['user-agent', 'quicgate-bench']
]

class Exchange {
  constructor(done) {
    this.done = done
    this.length = 0
    this.stream = undefined
  }
  onResponse() {}
  onData() {
    for (let bytes = this.stream.read(); bytes !== undefined; bytes = this.stream.read()) this.length += bytes.length
  }
  onTrailers() {}
  onWritable() {}
  onStopSending() {}
  onReset(code) {
    this.done(new Error(`the stream was reset with code ${code}`))
  }
  onClose() {
    this.done(this.length === 1024 ? undefined : client.session.closeError ?? new Error(`got ${this.length} bytes`))
  }
}

await load(Number(requests), Number(inFlight), (done) => {
  const exchange = new Exchange(done)
  exchange.stream = openRequestStream(client.session, exchange)
  exchange.stream.writeHeaders(headers, true)
})
await client.close()
process.exit(0)
