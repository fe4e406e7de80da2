/** Clients that do not get a connection, and why. */
import { createSocket, type Socket } from 'node:dgram'
import { afterEach, describe, expect, it } from 'vitest'
import { QuicClient } from '../../../src/endpoint/client.js'
import { NodeEngine } from '../../../src/endpoint/engines/node-engine.js'
import { InsecureProofVerifier } from '../../../src/quic/crypto/proof.js'

const sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close()
})

/** A port at which somebody listens and says nothing. */
async function silentPort(): Promise<number> {
  const socket = createSocket('udp4')
  sockets.push(socket)
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return socket.address().port
}

function connect(port: number, o: { connectTimeoutMs?: number; signal?: AbortSignal } = {}): Promise<QuicClient> {
  const verifier = new InsecureProofVerifier()
  return QuicClient.connect({ host: '127.0.0.1', port, serverName: 'a.test', verifier, engine: new NodeEngine(), ...o })
}

describe('a client', () => {
  it('learns at once that nothing listens there', async () => {
    const port = await silentPort()
    sockets.pop()!.close()
    const startedAt = performance.now()
    await expect(connect(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('gives up a server that does not answer in time', async () => {
    const connecting = connect(await silentPort(), { connectTimeoutMs: 200 })
    await expect(connecting).rejects.toMatchObject({ code: 'QUIC_HANDSHAKE_TIMEOUT', details: 'no answer from the peer' })
  })

  it('gives up when it is told to, for the reason that it is told', async () => {
    const port = await silentPort()
    const [before, during] = [new AbortController(), new AbortController()]
    before.abort(new Error('never mind'))
    await expect(connect(port, { signal: before.signal })).rejects.toThrow('never mind')
    const connecting = connect(port, { signal: during.signal })
    setTimeout(() => during.abort(new Error('enough')), 50)
    await expect(connecting).rejects.toThrow('enough')
  })
})
