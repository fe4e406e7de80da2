/**
 * Who proves a server's identity, and who checks it: the two seams through which an application brings its own.
 */

/** A certificate chain with the private key of its leaf. */
export interface CertifiedKey {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** What certificate transparency logs say about the leaf: a SignedCertificateTimestampList (RFC 6962, 3.3). */
  readonly timestamps?: Uint8Array | undefined
  /** Signs with the algorithm that the leaf's key type calls for. */
  sign(data: Uint8Array): Uint8Array
}

/** Chooses what a server proves itself with. */
export interface ProofSource {
  /** @param serverName the SNI of the hello; undefined if it had none */
  select(serverName: string | undefined): CertifiedKey
}

/** What a client has to check before it trusts a server config. */
export interface ProofParameters {
  /** The name or IP address that the client meant to reach. */
  hostname: string
  /** DER, leaf first. */
  chain: readonly Uint8Array[]
  /** See signedProofData. */
  signedData: Uint8Array
  signature: Uint8Array
  /** Seconds since the UNIX epoch, for validity dates. */
  wallSeconds: number
}

/** Decides whether a server is the one that was meant. */
export interface ProofVerifier {
  /** @returns undefined if it is, else why not, in words for a person; never throws */
  verify(proof: ProofParameters): string | undefined
}
