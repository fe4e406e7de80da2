/**
 * Looks for a path of signatures from a server's certificate to an authority that is trusted (RFC 5280 §6, without
 * policies, name constraints and revocation): the platform does that only inside of a TLS connection.
 */
import { X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import {
  ANY_PURPOSE,
  NAME_CONSTRAINTS,
  SERVER_AUTHENTICATION,
  isSoundSignature,
  readCertificateFields
} from './certificate-fields.js'
import type { CertificateFields } from './certificate-fields.js'
import { commonName } from './certificate-names.js'
import { MIN_RSA_BITS, proofKeyProblem } from './proof-signature.js'

/** A longest path of so many authorities is more than any real one, and bounds the search. */
const MAX_AUTHORITIES = 8
/** Signatures checked at most: a hostile chain could have a path for every order of its certificates. */
const MAX_SIGNATURE_CHECKS = 64

const DER_SEQUENCE = 0x30

/** A certificate with what the search looks at, read once. */
export class PathCertificate {
  readonly x509: X509Certificate
  readonly fields: CertificateFields
  readonly subject: string
  readonly issuer: string
  readonly fingerprint: string
  #publicKey: KeyObject | undefined

  /**
   * @param certificate DER or PEM
   * @throws Error of some kind if it is unreadable
   */
  constructor(certificate: Uint8Array | string) {
    if (typeof certificate !== 'string' && certificate[0] !== DER_SEQUENCE) throw new RangeError('not DER')
    this.x509 = new X509Certificate(certificate)
    this.fields = readCertificateFields(this.x509.raw)
    this.subject = this.x509.subject
    this.issuer = this.x509.issuer
    this.fingerprint = this.x509.fingerprint256
  }

  get publicKey(): KeyObject {
    return (this.#publicKey ??= this.x509.publicKey)
  }

  get name(): string {
    return commonName(this.subject)
  }
}

/** The authorities that are trusted, by name. */
export class TrustAnchors {
  readonly #bySubject = new Map<string, PathCertificate[]>()
  readonly #fingerprints = new Set<string>()

  /** @param certificates from {@link PathCertificate}'s constructor, duplicates allowed */
  constructor(certificates: Iterable<PathCertificate>) {
    for (const certificate of certificates) {
      if (this.has(certificate)) continue
      this.#fingerprints.add(certificate.fingerprint)
      const sameName = this.#bySubject.get(certificate.subject)
      if (sameName === undefined) this.#bySubject.set(certificate.subject, [certificate])
      else sameName.push(certificate)
    }
  }

  has(certificate: PathCertificate): boolean {
    return this.#fingerprints.has(certificate.fingerprint)
  }

  named(subject: string): readonly PathCertificate[] {
    return this.#bySubject.get(subject) ?? []
  }
}

/**
 * Whether `leaf` is trusted at `wallSeconds`: it is an anchor itself, or anchors vouch for it, possibly through
 * `intermediates` in any order.
 *
 * @returns undefined if so, else why not, in words for a person
 */
export function findPathProblem(
  leaf: PathCertificate,
  intermediates: readonly PathCertificate[],
  anchors: TrustAnchors,
  wallSeconds: number
): string | undefined {
  const problem = validityProblem(leaf, wallSeconds) ?? leafUseProblem(leaf.fields)
  if (problem !== undefined) return problem
  if (anchors.has(leaf)) return undefined
  const search = new PathSearch(intermediates, anchors, wallSeconds)
  if (search.reaches(leaf, [leaf])) return undefined
  return search.problem ?? unknownAuthority(leaf, intermediates)
}

class PathSearch {
  /** What was wrong with the first candidate that had the right name. */
  problem: string | undefined
  #checksLeft = MAX_SIGNATURE_CHECKS

  constructor(
    private readonly intermediates: readonly PathCertificate[],
    private readonly anchors: TrustAnchors,
    private readonly wallSeconds: number
  ) {}

  /** @param path from the leaf up to `certificate`, both included */
  reaches(certificate: PathCertificate, path: readonly PathCertificate[]): boolean {
    if (path.length > MAX_AUTHORITIES) return false
    for (const anchor of this.anchors.named(certificate.issuer)) {
      if (this.vouches(anchor, certificate, path)) return true
    }
    for (const issuer of this.intermediates) {
      if (issuer.subject !== certificate.issuer || path.includes(issuer)) continue
      if (this.vouches(issuer, certificate, path) && this.reaches(issuer, [...path, issuer])) return true
    }
    return false
  }

  /** Whether `issuer`, which has the right name, may have signed `certificate`, and did. */
  private vouches(issuer: PathCertificate, certificate: PathCertificate, path: readonly PathCertificate[]): boolean {
    const problem =
      validityProblem(issuer, this.wallSeconds) ??
      authorityUseProblem(issuer, path) ??
      signatureAlgorithmProblem(certificate)
    if (problem !== undefined) return this.refuse(problem)
    if (this.#checksLeft-- <= 0) return this.refuse('the certificate chain has too many possible paths')
    if (certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.publicKey)) return true
    const wrong = `certificate of ${certificate.name} is not signed with the key of the authority "${issuer.name}"`
    const remedy = '; if you made the authority anew, update the file given with --ca'
    return this.refuse(this.anchors.has(issuer) ? wrong + remedy : wrong)
  }

  private refuse(problem: string): false {
    this.problem ??= problem
    return false
  }
}

function validityProblem({ x509, name }: PathCertificate, wallSeconds: number): string | undefined {
  const from = Date.parse(x509.validFrom)
  const to = Date.parse(x509.validTo)
  if (wallSeconds * 1000 < from) return `certificate of ${name} is not valid before ${day(from)}`
  if (wallSeconds * 1000 > to) return `certificate of ${name} expired on ${day(to)}`
  // Also where a date did not parse, so that every comparison is false.
  return from <= to ? undefined : `certificate of ${name} has unreadable validity dates`
}

function leafUseProblem(fields: CertificateFields): string | undefined {
  if (!allowsServers(fields)) return 'certificate may not be used for servers (extended key usage lacks serverAuth)'
  if (fields.digitalSignature === false) return 'certificate may not sign (key usage lacks digitalSignature)'
  return unenforcedProblem(fields)
}

function authorityUseProblem(issuer: PathCertificate, path: readonly PathCertificate[]): string | undefined {
  const { fields, name } = issuer
  // First, because the platform's idea of an authority includes it.
  if (fields.certificateSigning === false) return `"${name}" may not sign certificates (key usage lacks keyCertSign)`
  if (!issuer.x509.ca) return `"${name}", which signed a certificate of the chain, is no certificate authority`
  // Authorities that changed their own key do not count (RFC 5280 §6.1.4 (l)); the leaf never does.
  const below = path.filter((step, i) => i > 0 && step.subject !== step.issuer).length
  if (fields.pathLength !== undefined && below > fields.pathLength) {
    return `authority "${name}" allows no more than ${fields.pathLength} authorities below it`
  }
  if (issuer.publicKey.asymmetricKeyType === 'rsa' && proofKeyProblem(issuer.publicKey) !== undefined) {
    return `authority "${name}" has an RSA key under ${MIN_RSA_BITS} bits, too short to be trusted`
  }
  if (!allowsServers(fields)) return `authority "${name}" may not vouch for servers (extended key usage)`
  return unenforcedProblem(fields)
}

function signatureAlgorithmProblem(certificate: PathCertificate): string | undefined {
  if (isSoundSignature(certificate.fields.signatureAlgorithm)) return undefined
  return `certificate of ${certificate.name} is signed with an algorithm that is weak or unknown`
}

function unenforcedProblem({ unenforced }: CertificateFields): string | undefined {
  if (unenforced === undefined) return undefined
  if (unenforced === NAME_CONSTRAINTS) return 'certificate chain has name constraints, which are not supported'
  return 'certificate chain has a critical extension that is not supported'
}

function allowsServers({ purposes }: CertificateFields): boolean {
  return purposes === undefined || purposes.includes(SERVER_AUTHENTICATION) || purposes.includes(ANY_PURPOSE)
}

function unknownAuthority(leaf: PathCertificate, intermediates: readonly PathCertificate[]): string {
  const own = 'pass --ca FILE if it is your own'
  if (leaf.subject === leaf.issuer) return `certificate is self-signed, not signed by a known authority; ${own}`
  const missing = intermediates.length === 0 ? ', or the server does not send its intermediate certificates' : ''
  return `certificate is not signed by a known authority (it names "${commonName(leaf.issuer)}"); ${own}${missing}`
}

function day(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10)
}
