/**
 * Certificates of every kind, good and bad, made on the spot.
 */
import 'reflect-metadata'
import { KeyObject, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator
} from '@peculiar/x509'
import type { Extension, X509Certificate } from '@peculiar/x509'

export { Extension, KeyUsageFlags } from '@peculiar/x509'

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** Seconds since the epoch: when certificates made with the default dates are valid. */
export const TEST_TIME = Date.UTC(2020, 5, 15) / 1000

export interface TestCertificate {
  readonly der: Uint8Array
  readonly pem: string
  readonly keyPem: string
  readonly privateKey: KeyObject
  /** For what signs with it. */
  readonly x509: X509Certificate
  readonly keys: webcrypto.CryptoKeyPair
}

export interface TestCertificateOptions {
  /** Common name. */
  name: string
  /** Who signs; itself if not given. */
  issuer?: TestCertificate
  /** Subject alternative names, DNS and IP. */
  hosts?: string[]
  ca?: boolean
  pathLength?: number
  purposes?: string[]
  keyUsage?: KeyUsageFlags
  from?: string
  to?: string
  key?: 'P-256' | 'P-384' | 'rsa1024' | 'rsa2048'
  /** Use these keys instead of fresh ones. */
  keys?: webcrypto.CryptoKeyPair
  hash?: string
  extraExtensions?: Extension[]
}

const rsa = (modulusLength: number, hash: string) => ({
  name: 'RSASSA-PKCS1-v1_5',
  hash,
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength
})
let serial = 1000

/** Makes a certificate; by default a P-256 leaf without constraints, valid through 2020. */
export async function makeCertificate(options: TestCertificateOptions): Promise<TestCertificate> {
  const hash = options.hash ?? 'SHA-256'
  const kind = options.key ?? 'P-256'
  const ecdsa = { name: 'ECDSA', namedCurve: kind, hash }
  const algorithm = kind.startsWith('rsa') ? rsa(Number(kind.slice(3)), hash) : ecdsa
  const keys = options.keys ?? (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']))
  const signer = options.issuer?.keys ?? keys
  const name = `CN=${options.name}`
  const extensions: Extension[] = [await SubjectKeyIdentifierExtension.create(keys.publicKey)]
  if (options.issuer !== undefined) extensions.push(await AuthorityKeyIdentifierExtension.create(signer.publicKey))
  if (options.ca !== undefined) extensions.push(new BasicConstraintsExtension(options.ca, options.pathLength, true))
  if (options.keyUsage !== undefined) extensions.push(new KeyUsagesExtension(options.keyUsage, true))
  if (options.purposes !== undefined) extensions.push(new ExtendedKeyUsageExtension(options.purposes))
  if (options.hosts !== undefined) {
    const names = options.hosts.map(value => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value }))
    extensions.push(new SubjectAlternativeNameExtension(names))
  }
  const x509 = await X509CertificateGenerator.create({
    serialNumber: (serial++).toString(16).padStart(4, '0'),
    subject: name,
    issuer: options.issuer?.x509.subject ?? name,
    notBefore: new Date(options.from ?? '2020-01-01'),
    notAfter: new Date(options.to ?? '2021-01-01'),
    publicKey: keys.publicKey,
    signingKey: signer.privateKey,
    signingAlgorithm: { ...signer.privateKey.algorithm, hash },
    extensions: [...extensions, ...(options.extraExtensions ?? [])]
  })
  const privateKey = KeyObject.from(keys.privateKey)
  return {
    der: new Uint8Array(x509.rawData),
    pem: x509.toString('pem') + '\n',
    keyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    privateKey,
    x509,
    keys
  }
}

/** Makes an authority, by default one that may have authorities below it. */
export function makeAuthority(
  name: string,
  options: Omit<TestCertificateOptions, 'name'> = {}
): Promise<TestCertificate> {
  return makeCertificate({ ca: true, keyUsage: KeyUsageFlags.keyCertSign, ...options, name })
}
