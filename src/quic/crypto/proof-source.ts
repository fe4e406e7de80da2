/** Certificates with their keys, read from PEM, and the choice among them. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { MAX_CHAIN_CERTIFICATES, MAX_INFLATED_CHAIN, inflatedSize } from './cert-compressor.js'
import { CertificateError } from './certificate-error.js'
import { certificateNames, normalizeHost } from './certificate-names.js'
import { holdsPrivateKey, splitPemCertificates } from './pem.js'
import { proofKeyProblem, signProof } from './proof-signature.js'
import type { CertifiedKey, ProofSource } from './proof-types.js'

/**
 * A fixed set of certificates. A server name chooses the first that has it among its alternative names, exactly or else
 * by a wildcard; where none has, and for hellos without a name, the first of all is taken.
 */
export class StaticProofSource implements ProofSource {
  readonly #default: CertifiedKey
  readonly #exact = new Map<string, CertifiedKey>()
  /** By the part behind the asterisk and its dot. */
  readonly #wildcard = new Map<string, CertifiedKey>()

  /** @throws RangeError without entries */
  constructor(entries: readonly CertifiedKey[]) {
    if (entries.length === 0) throw new RangeError('a server needs at least one certificate')
    this.#default = entries[0]!
    for (const entry of entries) {
      const names = certificateNames(new X509Certificate(entry.chain[0]!))
      for (const name of names.dns) {
        const byName = name.startsWith('*.') ? this.#wildcard : this.#exact
        const key = name.startsWith('*.') ? name.slice(2) : name
        if (!byName.has(key)) byName.set(key, entry)
      }
    }
  }

  select(serverName: string | undefined): CertifiedKey {
    if (serverName === undefined) return this.#default
    const name = normalizeHost(serverName)
    const dot = name.indexOf('.')
    const wildcard = dot > 0 ? this.#wildcard.get(name.slice(dot + 1)) : undefined
    return this.#exact.get(name) ?? wildcard ?? this.#default
  }
}

/**
 * The chain and key of two PEM texts: the certificate of the server first, then those that link it to an authority; the
 * private key unencrypted, RSA from 2048 bits or EC on P-256.
 *
 * @param timestamps see {@link CertifiedKey.timestamps}
 * @throws CertificateError: the key is at fault if the code begins with `KEY_`, else the certificate
 */
export function certifiedKeyFromPem(
  certPem: string | Buffer,
  keyPem: string | Buffer,
  timestamps?: Uint8Array
): CertifiedKey {
  const certificates = readChain(certPem.toString())
  const key = readPrivateKey(keyPem.toString())
  const matching = certificates.findIndex((certificate) => certificate.checkPrivateKey(key))
  if (matching < 0) throw new CertificateError('KEY_MISMATCH', 'the key does not belong to the certificate')
  if (matching > 0) {
    const place = `the key belongs to certificate ${matching + 1} of the chain`
    throw new CertificateError('KEY_MISMATCH', `${place}; put that one first in the certificate file`)
  }
  return new PemCertifiedKey(
    certificates.map((certificate) => new Uint8Array(certificate.raw)),
    key,
    timestamps
  )
}

class PemCertifiedKey implements CertifiedKey {
  readonly #key: KeyObject

  constructor(
    readonly chain: readonly Uint8Array[],
    key: KeyObject,
    readonly timestamps: Uint8Array | undefined
  ) {
    this.#key = key
  }

  sign(data: Uint8Array): Uint8Array {
    return signProof(this.#key, data)
  }
}

function readChain(text: string): X509Certificate[] {
  const blocks = splitPemCertificates(text)
  if (blocks.length === 0) {
    const found = holdsPrivateKey(text) ? 'a private key; are the two files swapped?' : 'no certificate'
    const expected = 'expected PEM with -----BEGIN CERTIFICATE-----'
    throw new CertificateError('CERTIFICATE_UNREADABLE', `the certificate file holds ${found} (${expected})`)
  }
  const certificates = blocks.map((block, i) => {
    try {
      return new X509Certificate(block)
    } catch {
      throw new CertificateError('CERTIFICATE_UNREADABLE', `certificate ${i + 1} of the file is damaged`)
    }
  })
  const size = inflatedSize(certificates.map((certificate) => certificate.raw))
  if (certificates.length > MAX_CHAIN_CERTIFICATES || size > MAX_INFLATED_CHAIN) {
    const found = `the certificate file holds ${certificates.length} certificates (${size} bytes)`
    const limits = `${MAX_CHAIN_CERTIFICATES} and ${MAX_INFLATED_CHAIN} bytes can be sent`
    throw new CertificateError('CHAIN_TOO_LARGE', `${found}; no more than ${limits}; keep only the server's chain`)
  }
  return certificates
}

function readPrivateKey(text: string): KeyObject {
  if (!holdsPrivateKey(text)) {
    const swapped = splitPemCertificates(text).length > 0
    const found = swapped ? 'a certificate; are the two files swapped?' : 'no private key'
    const expected = 'expected PEM with -----BEGIN PRIVATE KEY-----'
    throw new CertificateError('KEY_UNREADABLE', `the key file holds ${found} (${expected})`)
  }
  let key: KeyObject
  try {
    key = createPrivateKey(text)
  } catch (error) {
    if (text.includes('ENCRYPTED') || (error as NodeJS.ErrnoException).code === 'ERR_MISSING_PASSPHRASE') {
      const remedy = 'write it without one: openssl pkey -in KEY -out PLAIN_KEY'
      throw new CertificateError('KEY_ENCRYPTED', `the private key is protected by a passphrase; ${remedy}`)
    }
    throw new CertificateError('KEY_UNREADABLE', 'the private key is damaged')
  }
  const problem = proofKeyProblem(key)
  if (problem !== undefined) throw new CertificateError('KEY_UNSUPPORTED', `the key is ${problem}`)
  return key
}
