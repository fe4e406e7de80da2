/** Where a client's trusted authorities come from. */
import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { CaProofVerifier, CertificateError } from '../quic/crypto/proof.js'
import { holdsPrivateKey, splitPemCertificates } from '../quic/crypto/pem.js'

/**
 * The authorities that Node.js trusts: those it comes with (Mozilla's), and those in the file that the environment
 * names with NODE_EXTRA_CA_CERTS, as for its own TLS.
 *
 * @returns PEM, one certificate each
 * @throws CertificateError CA_UNREADABLE if the environment names a file that cannot be used
 */
export function systemTrust(environment: Record<string, string | undefined> = process.env): string[] {
  const extra = environment['NODE_EXTRA_CA_CERTS']
  if (extra === undefined || extra === '') return [...rootCertificates]
  return [...rootCertificates, ...readCaFile(extra, `NODE_EXTRA_CA_CERTS file ${extra}`)]
}

/**
 * The authorities in a PEM file that a person names.
 *
 * @returns PEM, one certificate each, at least one
 * @throws CertificateError CA_UNREADABLE, with the file's name
 */
export function loadCaFile(path: string): string[] {
  return readCaFile(path, `CA file ${path}`)
}

function readCaFile(path: string, what: string): string[] {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch (error) {
    throw new CertificateError('CA_UNREADABLE', `${what} ${readProblem(error as NodeJS.ErrnoException)}`)
  }
  const certificates = splitPemCertificates(text)
  if (certificates.length === 0) {
    const found = holdsPrivateKey(text) ? 'a private key' : 'no certificate'
    const expected = 'expected PEM with -----BEGIN CERTIFICATE-----'
    throw new CertificateError('CA_UNREADABLE', `${what} holds ${found} (${expected})`)
  }
  try {
    new CaProofVerifier({ ca: certificates })
  } catch (error) {
    throw new CertificateError('CA_UNREADABLE', `${what}: ${(error as Error).message}`)
  }
  return certificates
}

function readProblem(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return 'does not exist'
    case 'EACCES':
    case 'EPERM':
      return 'may not be read by this user; check its permissions'
    case 'EISDIR':
      return 'is a directory; name the PEM file in it'
    default:
      return `cannot be read: ${error.message}`
  }
}
