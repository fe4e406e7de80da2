// The yardstick's server: node:http. With a directory it serves its files and takes uploads, without one it answers
// 1 KB to everything.
//   node http-server.mjs PORT [DIRECTORY]
import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const [port, directory] = process.argv.slice(2)
const kilobyte = Buffer.alloc(1024, 'quicgate ')

const server = createServer((request, response) => {
  if (directory === undefined) {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': kilobyte.length })
    response.end(kilobyte)
  } else if (request.method === 'POST') {
    request.resume().once('end', () => response.end('ok'))
  } else {
    const file = join(directory, request.url)
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': statSync(file).size })
    createReadStream(file).pipe(response)
  }
})
server.listen(Number(port), '127.0.0.1', () => console.log(`listening on 127.0.0.1:${port}`))
process.on('SIGTERM', () => process.exit(0))
