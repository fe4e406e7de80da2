import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { X509Certificate } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDevelopmentCertificates } from '../../../src/config/development-certificates.js'
import type { DevelopmentCertificates } from '../../../src/config/development-certificates.js'
import { loadCaFile } from '../../../src/endpoint/trust-store.js'
import { CaProofVerifier, certifiedKeyFromPem } from '../../../src/quic/crypto/proof.js'
import { makeAuthority } from '../../helpers/certificates.js'

let parent: string
let dir: string
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'certificates-'))
  dir = join(parent, 'certs')
})
afterEach(() => rm(parent, { recursive: true }))

const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
const text = (path: string) => readFile(path, 'latin1')

/** What a client says that trusts the authority, at the time given. */
async function verify(made: DevelopmentCertificates, hostname: string, wallSeconds = Date.now() / 1000) {
  const key = certifiedKeyFromPem(await text(made.certPath), await text(made.keyPath))
  const signedData = Buffer.from('signed data')
  const proof = { hostname, chain: key.chain, signedData, signature: key.sign(signedData), wallSeconds }
  return new CaProofVerifier({ ca: loadCaFile(made.caPath) }).verify(proof)
}

describe('createDevelopmentCertificates', () => {
  it.each(['ecdsa', 'rsa'] as const)('makes an %s certificate that clients accept for its hosts', async (keyType) => {
    const hosts = ['localhost', '*.dev.example', '127.0.0.1', '::1']
    const made = await createDevelopmentCertificates({ dir, hosts, keyType })
    expect(made).toMatchObject({ caCreated: true, keyType, hosts })
    for (const host of ['localhost', 'www.dev.example', '127.0.0.1', '::1']) {
      expect(await verify(made, host)).toBeUndefined()
    }
    expect(await verify(made, 'other.example')).toMatch(/^certificate is for localhost/)
    const leaf = new X509Certificate(await text(made.certPath))
    expect(leaf.publicKey.asymmetricKeyType).toBe(keyType === 'rsa' ? 'rsa' : 'ec')
    expect(leaf.ca).toBe(false)
  })

  it('keeps private files private', async () => {
    const made = await createDevelopmentCertificates({ dir, hosts: ['localhost'] })
    expect(await mode(dir)).toBe('700')
    expect(await mode(made.keyPath)).toBe('600')
    expect(await mode(made.caKeyPath)).toBe('600')
  })

  it('tightens a looser file that it replaces, and leaves a directory of others alone', async () => {
    await mkdir(dir, { mode: 0o755 })
    await chmod(dir, 0o755)
    await writeFile(join(dir, 'key.pem'), 'old')
    await chmod(join(dir, 'key.pem'), 0o666)
    const made = await createDevelopmentCertificates({ dir, hosts: ['localhost'], force: true })
    expect(await mode(made.keyPath)).toBe('600')
    expect(await mode(dir)).toBe('755')
    expect((await readdir(dir)).sort()).toEqual(['ca-key.pem', 'ca.pem', 'cert.pem', 'key.pem'])
  })

  it('uses the authority again, and replaces a certificate only when forced', async () => {
    const first = await createDevelopmentCertificates({ dir, hosts: ['localhost'] })
    const authority = await text(first.caPath)
    const certificate = await text(first.certPath)
    await expect(createDevelopmentCertificates({ dir, hosts: ['localhost'] })).rejects.toMatchObject({
      code: 'FILE_EXISTS',
      message: `${first.certPath} exists; pass --force to replace it, or --dir for another place`
    })
    expect(await text(first.certPath)).toBe(certificate)
    const second = await createDevelopmentCertificates({ dir, hosts: ['b.example'], force: true })
    expect(second.caCreated).toBe(false)
    expect(await text(second.caPath)).toBe(authority)
    expect(await verify(second, 'b.example')).toBeUndefined()
  })

  it('keeps to the days asked for and to those of the authority', async () => {
    const made = await createDevelopmentCertificates({ dir, hosts: ['localhost'], days: 2 })
    const now = Date.now() / 1000
    expect(await verify(made, 'localhost', now + 86_400)).toBeUndefined()
    expect(await verify(made, 'localhost', now + 3 * 86_400)).toMatch(/expired on/)
    const ending = await makeAuthority('Ending', { to: new Date(Date.now() + 5 * 86_400_000).toISOString() })
    await writeFile(made.caPath, ending.pem)
    await writeFile(made.caKeyPath, ending.keyPem)
    const capped = await createDevelopmentCertificates({ dir, hosts: ['localhost'], days: 3650, force: true })
    expect(capped.expires).toBe(capped.caExpires)
    expect(await verify(capped, 'localhost')).toBeUndefined()
  })

  it('signs with an RSA authority that somebody put there', async () => {
    const rsa = await makeAuthority('RSA', { key: 'rsa2048', from: '2020-01-01', to: '2090-01-01' })
    await mkdir(dir)
    await writeFile(join(dir, 'ca.pem'), rsa.pem)
    await writeFile(join(dir, 'ca-key.pem'), rsa.keyPem)
    const made = await createDevelopmentCertificates({ dir, hosts: ['localhost'] })
    expect(await verify(made, 'localhost')).toBeUndefined()
  })

  it.each([
    [[], 'HOST_INVALID', 'name at least one host'],
    [['https://a.example'], 'HOST_INVALID', '"https://a.example" is no host'],
    [['a.example:443'], 'HOST_INVALID', 'without port'],
    [['a..example'], 'HOST_INVALID', 'is no host'],
    [['a.*.example'], 'HOST_INVALID', 'is no host']
  ])('refuses the hosts %j', async (hosts, code, message) => {
    const failed = createDevelopmentCertificates({ dir, hosts })
    await expect(failed).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string })
    await expect(stat(dir)).rejects.toThrow()
  })

  it.each([0, 1.5, -1, 3651, NaN])('refuses %s days', async (days) => {
    const failed = createDevelopmentCertificates({ dir, hosts: ['localhost'], days })
    await expect(failed).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('says what is wrong with an authority that is there', async () => {
    const future = { from: '2020-01-01', to: '2090-01-01' }
    const good = await makeAuthority('Good', future)
    const other = await makeAuthority('Other', future)
    const old = await makeAuthority('Old')
    const leaf = await makeAuthority('Leaf', { ...future, ca: false })
    const curve = await makeAuthority('Curve', { ...future, key: 'P-384' })
    const expected: [string | undefined, string | undefined, RegExp][] = [
      [good.pem, undefined, /ca\.pem is there but .*ca-key\.pem is not/],
      [undefined, good.keyPem, /ca-key\.pem is there but .*ca\.pem is not/],
      [good.pem, other.keyPem, /ca-key\.pem does not belong to .*ca\.pem; delete/],
      [good.pem, 'nonsense', /damaged; delete/],
      [old.pem, old.keyPem, /expired on 2021-01-01; delete/],
      [leaf.pem, leaf.keyPem, /no authority's certificate/],
      [curve.pem, curve.keyPem, /ca-key\.pem is on the curve secp384r1/]
    ]
    await mkdir(dir)
    for (const [certificate, key, message] of expected) {
      await rm(join(dir, 'ca.pem'), { force: true })
      await rm(join(dir, 'ca-key.pem'), { force: true })
      if (certificate !== undefined) await writeFile(join(dir, 'ca.pem'), certificate)
      if (key !== undefined) await writeFile(join(dir, 'ca-key.pem'), key)
      await expect(createDevelopmentCertificates({ dir, hosts: ['localhost'] })).rejects.toThrow(message)
    }
    expect((await readdir(dir)).sort()).toEqual(['ca-key.pem', 'ca.pem'])
  })

  it('says so when the directory cannot be made', async () => {
    await writeFile(dir, 'a file')
    const failed = createDevelopmentCertificates({ dir, hosts: ['localhost'] })
    const message = expect.stringContaining(dir) as string
    await expect(failed).rejects.toMatchObject({ code: 'FILE_UNWRITABLE', message })
  })
})
