// The yardstick's proxy: node:http to undici, and nothing in between.
//   node http-proxy.mjs PORT UPSTREAM_PORT
import { createServer } from 'node:http'
import { Pool } from 'undici'

const [port, upstream] = process.argv.slice(2).map(Number)
const pool = new Pool(`http://127.0.0.1:${upstream}`, { connections: 256, pipelining: 1 })

class Answer {
  constructor(response) {
    this.response = response
  }
  onRequestStart() {}
  onResponseStart(_controller, status, headers) {
    this.response.writeHead(status, headers)
  }
  onResponseData(_controller, chunk) {
    this.response.write(chunk)
  }
  onResponseEnd() {
    this.response.end()
  }
  onResponseError(_controller, error) {
    this.response.destroy(error)
  }
}

createServer((request, response) => {
  const { method, url, headers } = request
  delete headers.connection
  pool.dispatch({ method, path: url, headers }, new Answer(response))
}).listen(port, '127.0.0.1', () => console.log(`listening on 127.0.0.1:${port}`))
process.on('SIGTERM', () => process.exit(0))
