/** Checks of a server's proof: against a list of authorities, or not at all. */
import { CertificateError } from './certificate-error.js'
import { certificateMatchesHost, describeNames } from './certificate-names.js'
import { PathCertificate, TrustAnchors, findPathProblem } from './certificate-path.js'
import { splitPemCertificates } from './pem.js'
import { proofKeyProblem, verifyProof } from './proof-signature.js'
import type { ProofParameters, ProofVerifier } from './proof-types.js'

const NO_CERTIFICATE = 'the server sent no certificate'

/**
 * Accepts a server whose certificate is for the host, in date, vouched for by one of a list of authorities, and whose
 * key made the signature. A certificate that is itself in the list needs nobody to vouch for it. Revocation is not
 * checked.
 */
export class CaProofVerifier implements ProofVerifier {
  readonly #anchors: TrustAnchors

  /**
   * @param options.ca trusted certificates, PEM, one or more in each string
   * @throws CertificateError CA_UNREADABLE
   */
  constructor(options: { ca: readonly string[] }) {
    this.#anchors = new TrustAnchors(readAuthorities(options.ca))
  }

  verify(proof: ProofParameters): string | undefined {
    const [leaf, ...intermediates] = proof.chain
    if (leaf === undefined) return NO_CERTIFICATE
    let certificate: PathCertificate
    let others: PathCertificate[]
    try {
      certificate = new PathCertificate(leaf)
      others = intermediates.map((der) => new PathCertificate(der))
      return (
        hostProblem(certificate, proof.hostname) ??
        findPathProblem(certificate, others, this.#anchors, proof.wallSeconds) ??
        signatureProblem(certificate, proof)
      )
    } catch {
      // Certificates are read lazily: an odd one may fail as late as when its key is asked for.
      return 'the server sent a certificate that is unreadable'
    }
  }
}

/** Accepts every server that sends a certificate, whoever it is: for tests only. */
export class InsecureProofVerifier implements ProofVerifier {
  verify(proof: ProofParameters): string | undefined {
    return proof.chain.length === 0 ? NO_CERTIFICATE : undefined
  }
}

function readAuthorities(texts: readonly string[]): PathCertificate[] {
  const blocks = texts.flatMap(splitPemCertificates)
  if (blocks.length === 0) {
    throw new CertificateError('CA_UNREADABLE', 'the list of authorities holds no certificate (expected PEM)')
  }
  return blocks.map((block, i) => {
    try {
      return new PathCertificate(block)
    } catch {
      throw new CertificateError('CA_UNREADABLE', `certificate ${i + 1} of the list of authorities is damaged`)
    }
  })
}

function hostProblem(certificate: PathCertificate, hostname: string): string | undefined {
  if (certificateMatchesHost(certificate.x509, hostname)) return undefined
  return `certificate is for ${describeNames(certificate.x509)}, not ${hostname}`
}

function signatureProblem(certificate: PathCertificate, proof: ProofParameters): string | undefined {
  const key = certificate.publicKey
  const problem = proofKeyProblem(key)
  if (problem !== undefined) return `the certificate's key is ${problem}`
  if (verifyProof(key, proof.signedData, proof.signature)) return undefined
  return "the server's signature is wrong: it does not hold the certificate's key, or somebody changed its messages"
}
