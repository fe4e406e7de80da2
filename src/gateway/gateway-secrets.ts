/** How a gateway keeps its secrets. */
import { ConfigError } from '../config/config-error.js'
import type { GatewayConfig } from '../config/gateway-config.js'
import { SecretsKeeper } from '../endpoint/secrets-keeper.js'
import type { ServerSecrets } from '../endpoint/server-secrets.js'
import type { AeadName } from '../quic/crypto/protection.js'

/** How often secrets are looked after, their directory read again. */
const INTERVAL_MS = 60_000

/** Secrets in memory or in the configuration's directory, looked after. */
export class GatewaySecrets {
  private timer: NodeJS.Timeout | undefined

  private constructor(private readonly keeper: SecretsKeeper) {}

  /**
   * @param aeads in the order to advertise: fastest first
   * @param onWarning told, in words for a person, what is wrong with the directory
   * @throws ConfigError if secrets cannot be kept where the configuration says
   */
  static open(config: GatewayConfig, aeads: readonly AeadName[], onWarning: (message: string) => void): GatewaySecrets {
    const { stateDir, stateDirAt, handshake } = config
    const policy = { rotateEvery: handshake.rotateEvery / 1000, acceptFor: handshake.acceptFor / 1000 }
    try {
      return new GatewaySecrets(new SecretsKeeper({ directory: stateDir, aeads, channelIds: handshake.channelIds, policy, onWarning }))
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const remedy = 'name a directory that this user may write'
      const message = `stateDir: cannot keep secrets in ${stateDir}: ${reason}; ${remedy}`
      throw new ConfigError([{ ...stateDirAt, message }])
    }
  }

  /** The secrets as they were last looked at. */
  get current(): ServerSecrets {
    return this.keeper.current
  }

  /** Reads what other gateways wrote, and lets what is due have its turn, once a minute from now on. */
  watch(onLook: (secrets: ServerSecrets) => void): void {
    this.timer = setInterval(() => onLook(this.keeper.refresh()), INTERVAL_MS).unref()
  }

  close(): void {
    clearInterval(this.timer)
  }
}
