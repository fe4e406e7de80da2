import { beforeAll, describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { rootCertificates } from 'node:tls'
import { CaProofVerifier, InsecureProofVerifier, signedProofData } from '../../../src/quic/crypto/proof.js'
import { signProof } from '../../../src/quic/crypto/proof-signature.js'
import {
  CLIENT_AUTH,
  Extension,
  KeyUsageFlags,
  SERVER_AUTH,
  TEST_TIME,
  makeAuthority,
  makeCertificate
} from '../../helpers/certificates.js'
import type { TestCertificate } from '../../helpers/certificates.js'

const signedData = signedProofData(new Uint8Array(32).fill(1), Buffer.from('server config'))
const HOST = 'www.a.example'
let root: TestCertificate
let intermediate: TestCertificate
let leaf: TestCertificate

interface Check {
  trusted?: TestCertificate[]
  hostname?: string
  wallSeconds?: number
  signer?: TestCertificate
}

/** What the verifier says about a chain whose leaf really signed. */
function verify(chain: TestCertificate[], { trusted = [root], hostname = HOST, wallSeconds, signer }: Check = {}) {
  return new CaProofVerifier({ ca: trusted.map((certificate) => certificate.pem) }).verify({
    hostname,
    chain: chain.map((certificate) => certificate.der),
    signedData,
    signature: signProof((signer ?? chain[0]!).privateKey, signedData),
    wallSeconds: wallSeconds ?? TEST_TIME
  })
}

beforeAll(async () => {
  root = await makeAuthority('Root', { from: '2010-01-01', to: '2030-01-01' })
  intermediate = await makeAuthority('Intermediate', { issuer: root, purposes: [SERVER_AUTH] })
  leaf = await makeCertificate({
    name: HOST,
    issuer: intermediate,
    hosts: [HOST, '*.wild.example', '192.0.2.7', '2001:db8::7'],
    ca: false,
    keyUsage: KeyUsageFlags.digitalSignature,
    purposes: [CLIENT_AUTH, SERVER_AUTH]
  })
})

describe('a trusted chain', () => {
  it('is accepted through an intermediate', () => {
    expect(verify([leaf, intermediate])).toBeUndefined()
  })

  it('is accepted with the authority itself in it, in any order, among others', async () => {
    const stray = await makeAuthority('Stray')
    expect(verify([leaf, root, stray, intermediate])).toBeUndefined()
  })

  it('is accepted when the intermediate is what is trusted', () => {
    expect(verify([leaf], { trusted: [intermediate] })).toBeUndefined()
  })

  it('is accepted with RSA keys all the way', async () => {
    const ca = await makeAuthority('RSA root', { key: 'rsa2048' })
    const server = await makeCertificate({ name: HOST, issuer: ca, hosts: [HOST], key: 'rsa2048' })
    expect(verify([server], { trusted: [ca] })).toBeUndefined()
  })

  it('is accepted when the first of two authorities of one name is the wrong one', async () => {
    const namesake = await makeAuthority('Root')
    expect(verify([leaf, intermediate], { trusted: [namesake, root] })).toBeUndefined()
    const otherIntermediate = await makeAuthority('Intermediate', { issuer: namesake })
    expect(verify([leaf, otherIntermediate, intermediate])).toBeUndefined()
  })

  it('is accepted if self-signed only when it is trusted itself', async () => {
    const own = await makeCertificate({ name: HOST, hosts: [HOST] })
    expect(verify([own], { trusted: [own] })).toBeUndefined()
    expect(verify([own])).toBe(
      'certificate is self-signed, not signed by a known authority; pass --ca FILE if it is your own'
    )
  })
})

describe('host names', () => {
  it.each([
    [HOST, true],
    ['WWW.A.Example', true],
    ['www.a.example.', true],
    ['a.example', false],
    ['x.wild.example', true],
    ['wild.example', false],
    ['y.x.wild.example', false],
    ['.wild.example', false],
    ['', false],
    ['*.wild.example', false],
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['2001:db8::7', true],
    ['[2001:db8:0::7]', true],
    ['2001:db8::8', false]
  ])('%s: %s', (hostname, good) => {
    const problem = verify([leaf, intermediate], { hostname })
    if (good) expect(problem).toBeUndefined()
    else expect(problem).toContain('certificate is for www.a.example, *.wild.example, 192.0.2.7 and 1 more, not ')
  })

  it('does not look at the common name', async () => {
    const nameless = await makeCertificate({ name: HOST, issuer: root })
    expect(verify([nameless])).toBe(`certificate is for no host name, not ${HOST}`)
  })

  it('does not take an address that is written as a DNS name', async () => {
    const dnsName = Buffer.concat([Buffer.from('300b8209', 'hex'), Buffer.from('192.0.2.7')])
    const extraExtensions = [new Extension('2.5.29.17', false, dnsName)]
    const odd = await makeCertificate({ name: 'odd', issuer: root, extraExtensions })
    expect(verify([odd], { hostname: '192.0.2.7' })).toMatch(/^certificate is for/)
  })
})

describe('validity dates', () => {
  it.each([
    ['2019-12-31T23:59:59Z', 'certificate of www.a.example is not valid before 2020-01-01'],
    ['2020-01-01T00:00:00Z', undefined],
    ['2021-01-01T00:00:00Z', undefined],
    ['2021-01-01T00:00:01Z', 'certificate of www.a.example expired on 2021-01-01']
  ])('at %s: %s', (time, problem) => {
    expect(verify([leaf, intermediate], { wallSeconds: Date.parse(time) / 1000 })).toBe(problem)
  })

  it('hold for intermediates and authorities too', async () => {
    const old = await makeAuthority('Old', { issuer: root, to: '2020-02-01' })
    const server = await makeCertificate({ name: HOST, issuer: old, hosts: [HOST] })
    expect(verify([server, old])).toBe('certificate of Old expired on 2020-02-01')
    expect(verify([server], { trusted: [old] })).toBe('certificate of Old expired on 2020-02-01')
  })
})

describe('a chain that leads nowhere', () => {
  it('has an unknown authority at its end', async () => {
    const other = await makeAuthority('Other')
    expect(verify([leaf, intermediate, root], { trusted: [other] })).toMatch(
      /^certificate is not signed by a known authority \(it names "Intermediate"\); pass --ca FILE if it is your own$/
    )
  })

  it('lacks the intermediate', () => {
    expect(verify([leaf])).toMatch(/\(it names "Intermediate"\).*server does not send its intermediate certificates$/)
  })

  it('has an authority of the same name but another key', async () => {
    const renewed = await makeAuthority('Root')
    expect(verify([leaf, intermediate], { trusted: [renewed] })).toMatch(
      /^certificate of Intermediate is not signed with the key of the authority "Root"; if you made the authority anew/
    )
  })

  it('has a forged signature under the right names and key ids', async () => {
    const forger = await makeAuthority('Intermediate', { issuer: root })
    const forged = await makeCertificate({ name: HOST, issuer: forger, hosts: [HOST] })
    expect(verify([forged, intermediate])).toMatch(/not signed with the key of the authority "Intermediate"$/)
  })

  it.each<[string, Parameters<typeof makeAuthority>[1], RegExp]>([
    ['no authority', { ca: false }, /"Bad", which signed a certificate of the chain, is no certificate authority/],
    ['without constraints', { ca: undefined }, /no certificate authority/],
    ['not to sign certificates', { keyUsage: KeyUsageFlags.digitalSignature }, /"Bad" may not sign certificates/],
    ['for clients only', { purposes: [CLIENT_AUTH] }, /"Bad" may not vouch for servers/],
    ['bound to names', { extraExtensions: [new Extension('2.5.29.30', false, Uint8Array.of(0x30, 0))] }, /constraints/],
    ['with an unknown demand', { extraExtensions: [new Extension('1.2.3.4', true, new Uint8Array(2))] }, /critical/],
    ['with a short key', { key: 'rsa1024' }, /"Bad" has an RSA key under 2048 bits/],
    ['signed with SHA-1', { hash: 'SHA-1' }, /certificate of Bad is signed with an algorithm that is weak/]
  ])('goes through an intermediate that is %s', async (_what, options, problem) => {
    const bad = await makeAuthority('Bad', { ...options, issuer: root })
    // Its own certificates are signed with SHA-256 in any case.
    const server = await makeCertificate({ name: HOST, issuer: bad, hosts: [HOST] })
    expect(verify([server, bad])).toMatch(problem)
  })

  it('has more authorities than one of them allows', async () => {
    const short = await makeAuthority('Short', { issuer: root, pathLength: 0 })
    const below = await makeAuthority('Below', { issuer: short })
    const direct = await makeCertificate({ name: HOST, issuer: short, hosts: [HOST] })
    const deep = await makeCertificate({ name: HOST, issuer: below, hosts: [HOST] })
    expect(verify([direct, short])).toBeUndefined()
    expect(verify([deep, below, short])).toBe('authority "Short" allows no more than 0 authorities below it')
  })

  it('is longer than any real one', async () => {
    const chain: TestCertificate[] = []
    let issuer = root
    for (let i = 0; i < 9; i++) chain.unshift((issuer = await makeAuthority(`Level ${i}`, { issuer })))
    const server = await makeCertificate({ name: HOST, issuer, hosts: [HOST] })
    expect(verify([server, ...chain])).toMatch(/not signed by a known authority/)
    expect(verify([server, ...chain.slice(0, 7)], { trusted: [chain[7]!] })).toBeUndefined()
  })

  it('runs in circles', async () => {
    const keys = { a: await makeAuthority('A'), b: await makeAuthority('B') }
    const ab = await makeAuthority('A', { issuer: keys.b, keys: keys.a.keys })
    const ba = await makeAuthority('B', { issuer: keys.a, keys: keys.b.keys })
    const server = await makeCertificate({ name: HOST, issuer: keys.a, hosts: [HOST] })
    expect(verify([server, ab, ba])).toMatch(/not signed by a known authority/)
  })

  it('has too many paths to try them all', async () => {
    const keys = await makeAuthority('Maze')
    const wall = () => makeAuthority('Maze', { issuer: keys, keys: keys.keys })
    const walls = await Promise.all(Array.from({ length: 20 }, wall))
    const server = await makeCertificate({ name: HOST, issuer: keys, hosts: [HOST] })
    expect(verify([server, ...walls])).toMatch(/too many possible paths/)
  })
})

describe('the leaf', () => {
  const make = (options: Partial<Parameters<typeof makeCertificate>[0]>) =>
    makeCertificate({ name: HOST, issuer: root, hosts: [HOST], ...options })

  it('must be for servers if it says what it is for', async () => {
    expect(verify([await make({ purposes: [CLIENT_AUTH] })])).toMatch(/serverAuth/)
    expect(verify([await make({ purposes: ['2.5.29.37.0'] })])).toBeUndefined()
  })

  it('must be allowed to sign', async () => {
    expect(verify([await make({ keyUsage: KeyUsageFlags.keyEncipherment })])).toMatch(/digitalSignature/)
  })

  it('must have a key that the protocol can use', async () => {
    const p384 = await make({ key: 'P-384' })
    expect(verify([p384], { signer: leaf })).toMatch(/the certificate's key is on the curve secp384r1/)
  })

  it('must have made the signature', async () => {
    const other = await make({})
    expect(verify([leaf, intermediate], { signer: other })).toMatch(/^the server's signature is wrong/)
  })
})

describe('damaged input', () => {
  const proof = { hostname: HOST, signedData, signature: new Uint8Array(70), wallSeconds: TEST_TIME }

  it('is a problem, never an exception', () => {
    const verifier = new CaProofVerifier({ ca: [root.pem] })
    const mutated = fc
      .tuple(fc.nat(leaf.der.length - 1), fc.nat(255))
      .map(([at, byte]) => Uint8Array.from(leaf.der, (old, i) => (i === at ? byte : old)))
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated), { maxLength: 3 }), (chain) => {
        expect(verifier.verify({ ...proof, chain })).toBeTypeOf('string')
      }),
      { numRuns: 150 }
    )
  })

  it('may not be PEM where DER belongs', () => {
    const verifier = new CaProofVerifier({ ca: [root.pem] })
    expect(verifier.verify({ ...proof, chain: [Buffer.from(leaf.pem)] })).toMatch(/unreadable/)
  })

  it('is refused in the list of authorities', () => {
    expect(() => new CaProofVerifier({ ca: ['nothing'] })).toThrow(/holds no certificate/)
    const damaged = root.pem.replace(/\n.{6}/, '\nAAAAAA')
    expect(() => new CaProofVerifier({ ca: [root.pem + damaged] })).toThrow(/certificate 2/)
  })
})

describe('verifiers', () => {
  const proof = { hostname: HOST, signedData, signature: new Uint8Array(0), wallSeconds: TEST_TIME }

  it('need a certificate, even the one that believes everything', () => {
    const insecure = new InsecureProofVerifier()
    const strict = new CaProofVerifier({ ca: [root.pem] })
    expect(insecure.verify({ ...proof, chain: [] })).toBe('the server sent no certificate')
    expect(insecure.verify({ ...proof, chain: [Uint8Array.of(1)] })).toBeUndefined()
    expect(strict.verify({ ...proof, chain: [] })).toBe('the server sent no certificate')
  })

  it('can hold all of the authorities that Node.js brings', () => {
    const verifier = new CaProofVerifier({ ca: rootCertificates })
    const problem = verifier.verify({ ...proof, chain: [leaf.der, intermediate.der] })
    expect(problem).toMatch(/not signed by a known authority/)
  })
})
