/** Upstreams behind TLS: whose certificate is accepted, and which name is asked for. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate, type TestCertificate } from '../../helpers/certificates.js'
import { TestGateway } from '../../helpers/gateway-fixture.js'

const dates = { from: '2020-01-01', to: '2100-01-01' }
const dir = mkdtempSync(join(tmpdir(), 'quicgate-upstream-tls-'))
const ca = join(dir, 'ca.pem')
let upstream: Server
let url: string

beforeAll(async () => {
  const authority: TestCertificate = await makeCertificate({ name: 'Authority', ca: true, ...dates })
  const leaf = await makeCertificate({ name: 'upstream.test', hosts: ['upstream.test'], issuer: authority, ...dates })
  writeFileSync(ca, authority.pem)
  upstream = createServer({ cert: leaf.pem, key: leaf.keyPem }, (request, response) => {
    response.end(`asked for ${String((request.socket as TLSSocket).servername)}`)
  })
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  url = `https://127.0.0.1:${(upstream.address() as AddressInfo).port}`
})

afterAll(() => {
  upstream.closeAllConnections()
  upstream.close()
  rmSync(dir, { recursive: true })
})

/** What a client gets from the upstream under these settings, and the word in the log. */
async function ask(tls?: object): Promise<{ status: string; body: string; proxyStatus: string; outcome: string }> {
  const gateway = new TestGateway([{ name: 'tls', upstreams: [{ url, tls }] }])
  const stream = await gateway.get('/')
  await gateway.upstreams.destroy()
  const proxyStatus = stream.header('proxy-status') ?? ''
  return { status: stream.status!, body: stream.body, proxyStatus, outcome: gateway.log[0]!.outcome }
}

describe('an upstream behind TLS', () => {
  it('is asked when its certificate is of an authority that is trusted, for the name that is configured', async () => {
    expect(await ask({ ca, serverName: 'upstream.test' })).toMatchObject({ status: '200', body: 'asked for upstream.test' })
  })

  it.each([
    ['of an unknown authority', () => ({ serverName: 'upstream.test' })],
    ['without any settings', () => undefined],
    ['for another name', () => ({ ca, serverName: 'other.test' })],
    ['that does not have the address of the URL', () => ({ ca })]
  ])('is not asked with a certificate %s', async (_, tls) => {
    const answer = await ask(tls())
    expect(answer).toMatchObject({ status: '502', outcome: 'upstream_tls' })
    expect(answer.proxyStatus).toContain('error=tls_certificate_error')
    expect(answer.body).toContain('certificate was not accepted')
  })

  it('is asked all the same where that is what the configuration says', async () => {
    // An address is no server name (RFC 6066 section 3).
    expect(await ask({ insecure: true })).toMatchObject({ status: '200', body: 'asked for false' })
  })
})
