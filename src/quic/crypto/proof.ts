/** Everything about proofs that code outside of this folder needs, under one name. */
export { CertificateError } from './certificate-error.js'
export type { CertificateErrorCode } from './certificate-error.js'
export { signedProofData } from './proof-signature.js'
export { StaticProofSource, certifiedKeyFromPem } from './proof-source.js'
export type { CertifiedKey, ProofParameters, ProofSource, ProofVerifier } from './proof-types.js'
export { CaProofVerifier, InsecureProofVerifier } from './proof-verifier.js'
