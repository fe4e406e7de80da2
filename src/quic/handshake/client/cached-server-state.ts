/**
 * What a client knows about one server from its earlier messages (quic_crypto_client_config.cc, CachedState).
 *
 * One handshake fills it from rejections; kept beyond the connection it lets the next one begin with a full hello.
 */
import { MAX_CHAIN_CERTIFICATES, decompressChain } from '../../crypto/cert-compressor.js'
import type { CommonCertificateSets } from '../../crypto/common-certificates.js'
import { QuicError, QuicErrorCode } from '../../errors.js'
import { HandshakeMessage } from '../../wire/handshake-message.js'
import { Tag } from '../../wire/tags.js'

const none = new Uint8Array(0)
/** Server nonces kept from stateless rejections; a client uses them one a connection. */
const MAX_SERVER_NONCES = 8

/** A {@link CachedServerState} in a form for JSON: bytes in base64, times in seconds since the UNIX epoch. */
export interface SavedServerState {
  serverConfig: string
  expirySeconds: number
  sourceAddressToken: string
  /** DER, leaf first. */
  chain: string[]
  signature: string
  /** SHA-256 of the hello that the signature answers. */
  chloHash: string
  /** A SignedCertificateTimestampList; empty if there is none. */
  timestamps: string
  /** The version of the last connection; empty if unknown. */
  version: string
}

/** Certificates that a hello said are here. */
export interface KnownCertificates {
  /** Those in CCRT. */
  readonly announced: readonly Uint8Array[]
  /** The sets in CCS. */
  readonly common?: CommonCertificateSets | undefined
}

/** The state for one server. Times are seconds since the UNIX epoch. */
export class CachedServerState {
  private config: HandshakeMessage | undefined
  private configBytes: Uint8Array = none
  private expirySeconds = 0
  private certificates: readonly Uint8Array[] = []
  private proof: Uint8Array = none
  private hash: Uint8Array = none
  private sct: Uint8Array = none
  private valid = false
  private token: Uint8Array = none
  private readonly serverNonces: Uint8Array[] = []
  /** The label of the version of the last connection; undefined before the first. */
  version: string | undefined
  /** Called after whatever is to be kept has changed. */
  onChange: (() => void) | undefined

  /** The latest source-address token; empty if there is none. */
  get sourceAddressToken(): Uint8Array {
    return this.token
  }

  set sourceAddressToken(token: Uint8Array) {
    this.token = token
    this.onChange?.()
  }

  /** What certificate transparency logs say about the leaf, as the server passed it on; empty if there is nothing. */
  get timestamps(): Uint8Array {
    return this.sct
  }

  /** The server config, undefined if there is none. */
  get serverConfig(): HandshakeMessage | undefined {
    return this.config
  }

  /** The SCFG value, byte for byte as it is signed; empty if there is none. */
  get serverConfigBytes(): Uint8Array {
    return this.configBytes
  }

  /** DER, leaf first; empty if there is no proof. */
  get chain(): readonly Uint8Array[] {
    return this.certificates
  }

  /** The signature over {@link chloHash} and the config; empty if there is no proof. */
  get signature(): Uint8Array {
    return this.proof
  }

  /** SHA-256 of the hello that the signature answers. */
  get chloHash(): Uint8Array {
    return this.hash
  }

  /** Whether the proof that is there has been verified. */
  get proofValid(): boolean {
    return this.valid
  }

  /** Whether a full hello can be made of it. */
  isComplete(wallSeconds: number): boolean {
    return this.config !== undefined && this.valid && wallSeconds <= this.expirySeconds
  }

  /** Notes that the proof has been verified. */
  markProofValid(): void {
    this.valid = true
    this.onChange?.()
  }

  /** Keeps the server nonce of a stateless rejection: it is for the next connection. */
  addServerNonce(nonce: Uint8Array): void {
    this.serverNonces.push(nonce)
    if (this.serverNonces.length > MAX_SERVER_NONCES) this.serverNonces.shift()
  }

  /** Takes the oldest nonce of {@link addServerNonce}; empty if there is none. */
  takeServerNonce(): Uint8Array {
    return this.serverNonces.shift() ?? none
  }

  /** Forgets the server config: it turned out unusable, and the server shall send another. */
  forgetServerConfig(): void {
    this.config = undefined
    this.configBytes = none
    this.valid = false
    this.serverNonces.length = 0
    this.onChange?.()
  }

  /** Forgets everything. */
  clear(): void {
    this.clearProof()
    this.token = none
    this.version = undefined
    this.forgetServerConfig()
  }

  /** What is worth keeping beyond this process; undefined if that is nothing. */
  save(): SavedServerState | undefined {
    if (this.config === undefined && this.token.length === 0) return undefined
    return {
      serverConfig: toText(this.configBytes),
      expirySeconds: this.expirySeconds,
      sourceAddressToken: toText(this.token),
      chain: this.certificates.map(toText),
      signature: toText(this.proof),
      chloHash: toText(this.hash),
      timestamps: toText(this.sct),
      version: this.version ?? ''
    }
  }

  /**
   * Brings back what {@link save} gave, as read from anywhere. The proof counts as not verified yet.
   *
   * @returns undefined if it is damaged
   */
  static restore(saved: unknown): CachedServerState | undefined {
    const values = (saved ?? {}) as Record<keyof SavedServerState, unknown>
    const { chain, expirySeconds, version } = values
    const texts = [values.serverConfig, values.sourceAddressToken, values.signature, values.chloHash, values.timestamps]
    const sound = texts.every(isText) && Array.isArray(chain) && chain.every(isText) && Number.isFinite(expirySeconds)
    if (!sound || !isText(version) || chain.length > MAX_CHAIN_CERTIFICATES) return undefined
    const state = new CachedServerState()
    const [configBytes, token, proof, hash, sct] = texts.map(fromText) as [Buffer, Buffer, Buffer, Buffer, Buffer]
    try {
      if (configBytes.length > 0) state.config = parseConfig(configBytes)
    } catch {
      return undefined
    }
    state.configBytes = configBytes
    state.expirySeconds = expirySeconds as number
    state.token = token
    state.certificates = chain.map(fromText)
    state.proof = proof
    state.hash = hash
    state.sct = sct
    state.version = version === '' ? undefined : version
    return state
  }

  /**
   * Takes what a REJ or SCUP brings. A proof that differs from the one before has to be verified (again).
   *
   * @param chloHash SHA-256 of the hello that the message answers
   * @param known what the hello said is here, which the message may leave out
   * @throws QuicError CRYPTO_MESSAGE_PARAMETER_NOT_FOUND (no SCFG), INVALID_CRYPTO_MESSAGE_PARAMETER (a SCFG that is
   *   none or never ends, a proof without its chain or the other way round, a broken chain),
   *   CRYPTO_SERVER_CONFIG_EXPIRED
   */
  update(
    message: HandshakeMessage,
    chloHash: Uint8Array,
    wallSeconds: number,
    known: KnownCertificates = { announced: this.certificates }
  ): void {
    const scfg = message.get(Tag.SCFG)
    if (scfg === undefined) throw new QuicError(QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, 'Missing SCFG')
    this.setServerConfig(scfg, message.get(Tag.STTL)?.length === 8 ? message.uint64(Tag.STTL) : undefined, wallSeconds)
    const token = message.get(Tag.STK)
    if (token !== undefined) this.token = token

    const signature = message.get(Tag.PROF)
    const chain = message.get(Tag.CRT)
    if (signature !== undefined && chain !== undefined) {
      this.setProof(decompress(chain, known), chloHash, signature)
      this.sct = message.get(Tag.CSCT) ?? none
      this.onChange?.()
      return
    }
    // Another config may have come without a proof; the old proof must not stand for it.
    this.valid = false
    this.clearProof()
    this.onChange?.()
    if (signature !== undefined) throw invalid('Certificate missing')
    if (chain !== undefined) throw invalid('Proof missing')
  }

  private setServerConfig(bytes: Uint8Array, lifetimeSeconds: number | undefined, wallSeconds: number): void {
    const known = this.config !== undefined && Buffer.compare(bytes, this.configBytes) === 0
    const config = known ? this.config! : parseConfig(bytes)
    const expiry = lifetimeSeconds === undefined ? expiryOf(config) : wallSeconds + lifetimeSeconds
    this.expirySeconds = expiry
    if (wallSeconds > expiry) throw new QuicError(QuicErrorCode.CRYPTO_SERVER_CONFIG_EXPIRED, 'SCFG has expired')
    if (known) return
    this.config = config
    this.configBytes = bytes
    this.valid = false
  }

  private setProof(chain: readonly Uint8Array[], chloHash: Uint8Array, signature: Uint8Array): void {
    const same =
      Buffer.compare(signature, this.proof) === 0 &&
      Buffer.compare(chloHash, this.hash) === 0 &&
      chain.length === this.certificates.length &&
      chain.every((certificate, i) => Buffer.compare(certificate, this.certificates[i]!) === 0)
    if (same) return
    this.valid = false
    this.certificates = chain
    this.hash = chloHash
    this.proof = signature
  }

  private clearProof(): void {
    this.certificates = []
    this.proof = none
    this.hash = none
    this.sct = none
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

function fromText(text: string): Buffer {
  return Buffer.from(text, 'base64')
}

function parseConfig(bytes: Uint8Array): HandshakeMessage {
  try {
    return HandshakeMessage.parse(bytes)
  } catch {
    throw invalid('SCFG invalid')
  }
}

function expiryOf(config: HandshakeMessage): number {
  if (config.get(Tag.EXPY)?.length !== 8) throw invalid('SCFG missing EXPY')
  return config.uint64(Tag.EXPY)!
}

function decompress(chain: Uint8Array, { announced, common }: KnownCertificates): Uint8Array[] {
  try {
    return decompressChain(chain, announced, common)
  } catch (error) {
    const why = error instanceof QuicError ? `: ${error.details}` : ''
    throw invalid(`Certificate data invalid${why}`)
  }
}

function invalid(details: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, details)
}
