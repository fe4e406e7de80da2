/** Issues X.509 certificates with @peculiar/x509. */
// The library's dependency injection wants this before it is loaded.
import 'reflect-metadata'
import { KeyObject, createPrivateKey, randomBytes, webcrypto } from 'node:crypto'
import { hostname } from 'node:os'
import { isIP } from 'node:net'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator
} from '@peculiar/x509'

/** The kinds of server keys that can prove an identity. */
export type ServerKeyType = 'ecdsa' | 'rsa'

/** A certificate and its private key, PEM. */
export interface IssuedCertificate {
  certificatePem: string
  keyPem: string
  notAfter: Date
}

/** A certificate that signs others. */
export type Authority = IssuedCertificate

const ORGANIZATION = 'quicgate development'
const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const F4 = new Uint8Array([1, 0, 1])
const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: F4, modulusLength: 2048 }
const MS_PER_DAY = 86_400_000
const MS_PER_HOUR = 3_600_000

/** A new authority with a P-256 key; its name says on which machine it was made. */
export async function issueAuthority(days: number): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify'])
  const notAfter = new Date(Date.now() + days * MS_PER_DAY)
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    // The random part keeps authorities made one after another apart in trust stores.
    name: [{ O: [ORGANIZATION] }, { CN: [`quicgate CA ${hostname().slice(0, 40)} ${randomBytes(3).toString('hex')}`] }],
    notBefore: anHourAgo(),
    notAfter,
    signingAlgorithm: ECDSA,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey)
    ]
  })
  return { certificatePem: pem(certificate), keyPem: exportKey(keys.privateKey), notAfter }
}

/** A server certificate for DNS names and IP addresses. */
export async function issueServerCertificate(
  authority: Authority,
  hosts: readonly string[],
  keyType: ServerKeyType,
  notAfter: Date
): Promise<IssuedCertificate> {
  const keys = await webcrypto.subtle.generateKey(keyType === 'rsa' ? RSA : ECDSA, true, ['sign', 'verify'])
  const issuer = new X509Certificate(authority.certificatePem)
  const signingKey = await importSigningKey(authority.keyPem)
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    // A common name has at most 64 characters; nobody reads it for the host.
    subject: [{ O: [ORGANIZATION] }, { CN: [hosts[0]!.slice(0, 64)] }],
    issuer: issuer.subjectName,
    notBefore: anHourAgo(),
    notAfter,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: signingKey.algorithm.name === 'ECDSA' ? ECDSA : RSA,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        hosts.map((host) => ({ type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const), value: host }))
      ),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey)
    ]
  })
  return { certificatePem: pem(certificate), keyPem: exportKey(keys.privateKey), notAfter }
}

async function importSigningKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  const key = createPrivateKey(keyPem)
  const der = key.export({ format: 'der', type: 'pkcs8' })
  return webcrypto.subtle.importKey('pkcs8', der, key.asymmetricKeyType === 'rsa' ? RSA : ECDSA, false, ['sign'])
}

function exportKey(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ format: 'pem', type: 'pkcs8' }).toString()
}

function pem(certificate: X509Certificate): string {
  return certificate.toString('pem') + '\n'
}

/** 16 random bytes, positive as a DER integer. */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x3f) | 0x40
  return bytes.toString('hex')
}

/** Peers' clocks may be behind. */
function anHourAgo(): Date {
  return new Date(Date.now() - MS_PER_HOUR)
}
