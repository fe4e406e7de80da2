/**
 * What all handshakes of one server share, made once.
 */
import type { CommonCertificateSets } from '../../crypto/common-certificates.js'
import type { CryptoPrimitives } from '../../crypto/primitives.js'
import type { ProofSource } from '../../crypto/proof.js'
import type { QuicHelper } from '../../types.js'
import type { QuicConfigProposal } from '../config.js'
import type { HandshakeHost } from '../handshake.js'
import type { ClientHelloContext } from './client-hello-check.js'
import { ServerHandshakeStats } from './handshake-stats.js'
import type { ServerConfig } from './server-config.js'
import { ServerConfigs } from './server-config.js'
import { QuicCryptoServerHandshake } from './server-handshake.js'
import { EphemeralKeys } from './ephemeral-keys.js'
import type { ServerHandshakeOptions } from './server-handshake.js'
import { ServerNonces } from './server-nonce.js'
import { SecretSourceAddressTokens } from './source-address-token.js'
import { StatelessRejector } from './stateless-rejector.js'
import { ClientNonces } from './strike-register.js'

/** What becomes of hellos at first sight, behind which requests come before a round trip (0-RTT). */
export interface EarlyDataPolicy {
  /**
   * `once` accepts each such hello once (default). `always` remembers none: whoever recorded one can have its requests
   * carried out again. `never` answers with a rejection, after which the client's requests come a round trip later.
   */
  readonly accept?: 'once' | 'always' | 'never' | undefined
  /** How far a client's clock may differ, and how long hellos are remembered, seconds (default 600). */
  readonly windowSeconds?: number | undefined
  /** Hellos remembered at most (default 65,536); beyond that the oldest are refused. */
  readonly maxEntries?: number | undefined
  /**
   * Whether hellos for server configs of an earlier process are accepted at once, though that process may have
   * accepted them too. Otherwise they are rejected for the first `windowSeconds`.
   */
  readonly trustAfterRestart?: boolean | undefined
  /** The register itself, where several servers of a process share their secrets; the values above are then its own. */
  readonly nonces?: ClientNonces | undefined
}

/** What makes {@link ServerHandshakes}. */
export interface ServerHandshakesOptions {
  readonly helper: QuicHelper
  /** The engine's; node:crypto's if missing. */
  readonly primitives?: CryptoPrimitives | undefined
  readonly proofSource: ProofSource
  /** Certificates that clients may have beforehand; none by default. */
  readonly commonCertificates?: CommonCertificateSets | undefined
  /** At least one. */
  readonly configs: readonly ServerConfig[]
  /** At least one; tokens are made with the first and accepted of all. */
  readonly tokenSecrets: readonly Uint8Array[]
  readonly config: QuicConfigProposal
  /** See {@link ServerHandshakeOptions.servingRegion}. */
  readonly servingRegion?: string | undefined
  readonly resetToken?: ServerHandshakeOptions['resetToken']
  readonly earlyData?: EarlyDataPolicy | undefined
  /** Whether clients that say so are rejected without a connection (default true). */
  readonly statelessRejects?: boolean | undefined
  /** Whether a connection with this id (8 bytes) would reach this server: stateless rejects name none that would not. */
  readonly mayRetryAs?: ((connectionId: Uint8Array) => boolean) | undefined
}

/** Makes a server's handshakes. */
export class ServerHandshakes {
  /** What became of hellos so far. */
  readonly stats = new ServerHandshakeStats()
  private readonly options: ServerHandshakeOptions
  private readonly tokens: SecretSourceAddressTokens
  private readonly clientNonces: ClientNonces | undefined
  private readonly rejector: StatelessRejector | undefined

  constructor(private readonly o: ServerHandshakesOptions) {
    const { helper, primitives, earlyData = {}, configs } = o
    const random = (length: number): Uint8Array => helper.randomBytes(length)
    const wallSeconds = helper.wallSeconds()
    this.tokens = new SecretSourceAddressTokens(o.tokenSecrets, random, primitives)
    if ((earlyData.accept ?? 'once') === 'once') {
      this.clientNonces = earlyData.nonces ?? new ClientNonces(wallSeconds, earlyData)
    }
    this.options = {
      configs: new ServerConfigs(configs[0]!),
      proofSource: o.proofSource,
      commonCertificates: o.commonCertificates,
      tokens: this.tokens,
      serverNonces: new ServerNonces(random, undefined, primitives),
      clientNonces: this.clientNonces,
      refuseEarlyData: earlyData.accept === 'never',
      ephemeralKeys: new EphemeralKeys(helper, primitives),
      stats: this.stats,
      config: o.config,
      servingRegion: o.servingRegion,
      resetToken: o.resetToken
    }
    this.options.configs.use(configs, wallSeconds)
    if (o.statelessRejects !== false) this.rejector = new StatelessRejector(this.options, o.mayRetryAs)
  }

  /** What the server proposes for connections. */
  get config(): QuicConfigProposal {
    return this.o.config
  }

  /** The server config that rejections give out. */
  get primary(): ServerConfig {
    return this.options.configs.primary
  }

  /** The handshake of one connection. */
  create(host: HandshakeHost): QuicCryptoServerHandshake {
    return new QuicCryptoServerHandshake(host, this.options)
  }

  /** The answer to a first hello that needs no connection: see {@link StatelessRejector}. */
  rejectStatelessly(chlo: Uint8Array, context: ClientHelloContext): Uint8Array | undefined {
    return this.rejector?.reject(chlo, context)
  }

  /**
   * Goes on with these secrets, of which what has its turn now comes to be used: also to be called when time has passed.
   *
   * @returns whether another server config is the primary one now, which connected clients should be told of
   */
  useSecrets(configs: readonly ServerConfig[], tokenSecrets: readonly Uint8Array[]): boolean {
    this.tokens.setSecrets(tokenSecrets)
    const changed = this.options.configs.use(configs, this.o.helper.wallSeconds())
    this.clientNonces?.retain(this.options.configs)
    return changed
  }
}
