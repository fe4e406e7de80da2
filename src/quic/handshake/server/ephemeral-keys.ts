/**
 * The server's half of forward secrecy. Making a key costs as much as using it, so one serves the hellos of a few seconds, as
 * the reference provides for (ephemeral_key_source.h: keys "can be reused for several connections in a short period of
 * time"). Keys of connections that ended are out of reach once their ephemeral key is forgotten.
 */
import { createKeyExchange, type KeyExchange, type KeyExchangeName } from '../../crypto/key-exchange.js'
import type { CryptoPrimitives } from '../../crypto/primitives.js'
import type { QuicHelper } from '../../types.js'

/** How long a key is used, seconds. */
export const EPHEMERAL_KEY_SECONDS = 10

interface EphemeralKey {
  readonly exchange: KeyExchange
  readonly madeAt: number
}

/** One a server. */
export class EphemeralKeys {
  private readonly keys = new Map<KeyExchangeName, EphemeralKey>()

  /**
   * @param helper its calendar and randomness
   * @param primitives who computes with the keys, node:crypto if missing
   */
  constructor(
    private readonly helper: QuicHelper,
    private readonly primitives?: CryptoPrimitives
  ) {}

  /** The key to answer a hello with now. */
  get(name: KeyExchangeName): KeyExchange {
    const now = this.helper.wallSeconds()
    const known = this.keys.get(name)
    const age = known === undefined ? Infinity : now - known.madeAt
    // A calendar that was set back must not keep a key alive.
    if (known !== undefined && age >= 0 && age < EPHEMERAL_KEY_SECONDS) return known.exchange
    const exchange = createKeyExchange(name, (length) => this.helper.randomBytes(length), this.primitives)
    this.keys.set(name, { exchange, madeAt: now })
    return exchange
  }
}
