// The yardstick of the network benchmark: HTTP/1.1 and HTTP/2 over TLS, whichever the client asks for.
//   node tls-server.mjs HOST PORT CERT_FILE KEY_FILE DIRECTORY
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { createSecureServer } from 'node:http2'
import { join } from 'node:path'

const [host, port, cert, key, directory] = process.argv.slice(2)
const server = createSecureServer({ cert: readFileSync(cert), key: readFileSync(key), allowHTTP1: true }, (request, response) => {
  const file = join(directory, request.url)
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': statSync(file).size })
  createReadStream(file).on('error', () => response.destroy()).pipe(response)
})
// Clients that have waited long enough leave in the middle of an answer.
server.on('sessionError', () => {})
server.on('tlsClientError', () => {})
server.listen(Number(port), host, () => console.log(`listening on ${host}:${port}`))
process.on('SIGTERM', () => process.exit(0))
