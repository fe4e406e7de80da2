/**
 * How clients decide whom to believe: the public authorities, a person's own, or nobody in particular.
 */
import { loadCaFile, systemTrust } from '../endpoint/trust-store.js'
import { CaProofVerifier, InsecureProofVerifier } from '../quic/crypto/proof.js'
import type { ProofVerifier } from '../quic/crypto/proof.js'

/**
 * A verifier for the files or the flag that a person gave.
 * @param ca PEM files of authorities; the public ones if missing
 * @throws CertificateError if a file cannot be used
 */
export function createVerifier(o: { ca?: readonly string[]; insecure?: boolean }): ProofVerifier {
  if (o.insecure === true) return new InsecureProofVerifier()
  return new CaProofVerifier({ ca: o.ca === undefined ? systemTrust() : o.ca.flatMap((file) => loadCaFile(file)) })
}
