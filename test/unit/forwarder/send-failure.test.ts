/** The forwarder's own answers, as a local client gets them. */
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { RequestFailure } from '../../../src/client/failure.js'
import { sendFailure } from '../../../src/forwarder/send-failure.js'

const failure = new RequestFailure({
  type: 'connection_refused',
  status: 502,
  cause: 'nothing listens at gateway:443',
  remedy: 'start the gateway',
  nextHop: 'gateway:443'
})
const server = createServer((request, response) => sendFailure(request, response, failure, 'fwd'))

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

/** The answer to a request of which only the head and `body` come. */
async function ask(method: string, body?: string): Promise<IncomingMessage & { text: string }> {
  if (!server.listening) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const headers = { accept: 'application/json', ...(body !== undefined && { 'content-length': '1000' }) }
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, method, headers }, (response) => {
      let text = ''
      response.on('data', (piece: Buffer) => (text += piece.toString()))
      response.on('end', () => resolve(Object.assign(response, { text })))
    })
    request.on('error', reject)
    if (body === undefined) request.end()
    else request.write(body)
  })
}

describe('a request that cannot be carried', () => {
  it('is answered with why and what to do, for people and for programs', async () => {
    const response = await ask('GET')
    expect(response.statusCode).toBe(502)
    expect(response.headers['proxy-status']).toBe(
      'fwd;error=connection_refused;next-hop="gateway:443";details="nothing listens at gateway:443"'
    )
    expect(JSON.parse(response.text)).toMatchObject({
      type: 'urn:quicgate:connection_refused', detail: 'nothing listens at gateway:443: start the gateway.'
    })
    expect(response.headers.connection).not.toBe('close')
  })

  it('without its content costs the connection, which nobody could tell from the next request', async () => {
    const response = await ask('POST', 'a part')
    expect([response.statusCode, response.headers.connection]).toEqual([502, 'close'])
  })

  it('has the length of the words, and no words, for HEAD', async () => {
    const response = await ask('HEAD')
    expect(response.text).toBe('')
    expect(Number(response.headers['content-length'])).toBeGreaterThan(50)
  })
})
