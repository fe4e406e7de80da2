import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { loadCaFile, systemTrust } from '../../../src/endpoint/trust-store.js'
import { CertificateError } from '../../../src/quic/crypto/proof.js'
import { makeAuthority } from '../../helpers/certificates.js'
import type { TestCertificate } from '../../helpers/certificates.js'

let dir: string
let ca: TestCertificate
const write = async (name: string, text: string): Promise<string> => {
  const path = join(dir, name)
  await writeFile(path, text)
  return path
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'trust-store-'))
  ca = await makeAuthority('CA')
})
afterAll(() => rm(dir, { recursive: true }))

describe('loadCaFile', () => {
  it('gives every certificate of the file', async () => {
    const other = await makeAuthority('Other')
    const loaded = loadCaFile(await write('two.pem', `# authorities\n${ca.pem}${other.pem}`))
    expect(loaded.map((pem) => pem.trim())).toEqual([ca.pem.trim(), other.pem.trim()])
  })

  it('says what is wrong with a file, with its name', async () => {
    const damaged = await write('damaged.pem', ca.pem + ca.pem.replace(/\n.{6}/, '\nAAAAAA'))
    const expected: [string, string][] = [
      [join(dir, 'missing.pem'), 'does not exist'],
      [dir, 'is a directory; name the PEM file in it'],
      [await write('empty.pem', ''), 'holds no certificate (expected PEM with -----BEGIN CERTIFICATE-----)'],
      [await write('key.pem', ca.keyPem), 'holds a private key (expected PEM'],
      [damaged, 'certificate 2 of the list of authorities is damaged']
    ]
    for (const [path, message] of expected) {
      expect(() => loadCaFile(path)).toThrow(CertificateError)
      expect(() => loadCaFile(path)).toThrow(message)
      expect(() => loadCaFile(path)).toThrow(`CA file ${path}`)
    }
  })
})

describe('systemTrust', () => {
  it('is what Node.js brings', () => {
    expect(systemTrust({})).toEqual([...rootCertificates])
  })

  it('takes the file that the environment adds', async () => {
    const path = await write('extra.pem', ca.pem)
    expect(systemTrust({ NODE_EXTRA_CA_CERTS: path }).at(-1)!.trim()).toBe(ca.pem.trim())
    expect(() => systemTrust({ NODE_EXTRA_CA_CERTS: join(dir, 'missing.pem') })).toThrow(/NODE_EXTRA_CA_CERTS file/)
  })
})
