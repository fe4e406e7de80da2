import { afterEach, describe, expect, it } from 'vitest'
import { QuicClient } from '../../../src/endpoint/client.js'
import { NodeEngine } from '../../../src/endpoint/engines/node-engine.js'
import { QuicServer } from '../../../src/endpoint/server.js'
import {
  defaultSecretsPolicy,
  rotateSecrets,
  type SecretsIngredients,
  type ServerSecrets
} from '../../../src/endpoint/server-secrets.js'
import { systemHelper } from '../../../src/endpoint/system.js'
import { sessionOptions } from '../../../src/endpoint/transport-options.js'
import { InsecureProofVerifier, StaticProofSource, certifiedKeyFromPem } from '../../../src/quic/crypto/proof.js'
import { ClientSessionCache } from '../../../src/quic/handshake/client/session-cache.js'
import { QuicSpdyServerSession } from '../../../src/quic/spdy/spdy-server-session.js'
import { QuicSpdyStream } from '../../../src/quic/spdy/spdy-stream.js'
import { certificateOne } from '../../helpers/static-certificates.js'

const ingredients: SecretsIngredients = {
  random: systemHelper.randomBytes,
  aeads: new NodeEngine().aeadProvider.preference
}
const open: { close(): Promise<void> }[] = []

afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

class Session extends QuicSpdyServerSession {
  protected override createIncomingDynamicStream(id: number): QuicSpdyStream {
    return new QuicSpdyStream(id, this)
  }
}

async function listen(secrets: ServerSecrets): Promise<QuicServer> {
  const server = await QuicServer.listen({
    host: '127.0.0.1',
    port: 0,
    proofSource: new StaticProofSource([certifiedKeyFromPem(certificateOne.cert, certificateOne.key)]),
    secrets,
    createSession: (connection) => new Session(connection, sessionOptions('server', {}))
  })
  open.push(server)
  return server
}

async function connect(server: QuicServer, sessionCache: ClientSessionCache): Promise<QuicClient> {
  const client = await QuicClient.connect({
    host: '127.0.0.1',
    port: server.address.port,
    serverName: 'one.test',
    serverPort: 443,
    verifier: new InsecureProofVerifier(),
    sessionCache
  })
  open.push(client)
  await until(() => client.connection.handshakeConfirmed)
  // The server knows that the handshake is over by the first packet that follows it.
  await until(() => [...server.connections()].every(({ handshakeConfirmed }) => handshakeConfirmed))
  return client
}

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('a server whose secrets are succeeded', () => {
  it('tells its clients, who begin with the new ones', async () => {
    const wallSeconds = systemHelper.wallSeconds()
    const first = rotateSecrets(undefined, wallSeconds - 10, defaultSecretsPolicy, ingredients)
    const server = await listen(first)
    const caches = Array.from({ length: 20 }, () => new ClientSessionCache())
    for (const cache of caches) await connect(server, cache)
    const next = rotateSecrets(first, wallSeconds, defaultSecretsPolicy, ingredients, true)
    expect(next.configs).toHaveLength(2)
    server.useSecrets(next)
    const known = caches.map((cache) => cache.lookup('one.test', 443))
    const told = (): boolean =>
      known.every(({ serverConfigBytes }) => Buffer.compare(serverConfigBytes, next.configs[1]!.bytes) === 0)
    await until(told)
    expect(known.every(({ proofValid }) => proofValid)).toBe(true)
    const again = await connect(server, caches[0]!)
    expect(again.connection.describeHandshake()).toMatchObject({ helloCount: 1, earlyData: 'accepted', rejections: [] })
  })

  it('accepts what another server with the same secrets gave', async () => {
    const secrets = rotateSecrets(undefined, systemHelper.wallSeconds(), defaultSecretsPolicy, ingredients)
    const cache = new ClientSessionCache()
    await connect(await listen(secrets), cache)
    const elsewhere = await connect(await listen(secrets), cache)
    expect(elsewhere.connection.describeHandshake()).toMatchObject({ helloCount: 1, earlyData: 'accepted' })
    const others = rotateSecrets(undefined, systemHelper.wallSeconds(), defaultSecretsPolicy, ingredients)
    const stranger = await connect(await listen(others), cache)
    expect(stranger.connection.describeHandshake()).toMatchObject({
      earlyData: 'rejected',
      rejections: [['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE']]
    })
  })
})
