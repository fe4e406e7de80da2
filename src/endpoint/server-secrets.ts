/**
 * The secrets of a server that change with time: server configs, of which several are good at a time, and the secrets of
 * source-address tokens. A successor is made some time before its turn comes, so that every server which shares the
 * secrets knows it before any of them gives it out, and what it succeeds stays good for clients that hold it.
 */
import type { KeyExchangeName } from '../quic/crypto/key-exchange.js'
import type { AeadName } from '../quic/crypto/protection.js'
import { ServerConfig, type SavedServerConfig } from '../quic/handshake/server/server-config.js'
import { TOKEN_LIFETIME_SECONDS } from '../quic/handshake/server/source-address-token.js'

const FORMAT = 'quicgate secrets 1'
const SECRET_LENGTH = 32
/** Clocks of servers that share secrets may differ by this much, seconds. */
const CLOCK_SLACK_SECONDS = 300
const DAY_SECONDS = 24 * 3600

/** A secret of source-address tokens, and from when on (seconds since the UNIX epoch) tokens are made with it. */
export interface TokenSecret {
  readonly secret: Uint8Array
  readonly from: number
}

/** What a server keeps to itself. Both lists hold at least one, the earliest first. */
export interface ServerSecrets {
  readonly configs: readonly ServerConfig[]
  readonly tokenSecrets: readonly TokenSecret[]
  /** What the tokens of stateless resets follow from; never changes, as a reset may come long after. */
  readonly resetSecret: Uint8Array
}

/** When secrets are succeeded. Times in seconds. */
export interface SecretsPolicy {
  /** How long a config and a token secret are given out: a day unless told otherwise. */
  readonly rotateEvery: number
  /** How long a client may still come with a config after that: a week unless told otherwise. */
  readonly acceptFor: number
  /** How long before its turn a successor is made: ten minutes unless told otherwise. */
  readonly lead: number
}

export const defaultSecretsPolicy: SecretsPolicy = {
  rotateEvery: DAY_SECONDS,
  acceptFor: 7 * DAY_SECONDS,
  lead: 600
}

/** What new secrets are made of. */
export interface SecretsIngredients {
  random(length: number): Uint8Array
  /** In the order to advertise: fastest first. */
  readonly aeads: readonly AeadName[]
  /** Whether clients are asked for a Channel ID. */
  readonly channelIds?: boolean | undefined
}

const keyExchanges: readonly KeyExchangeName[] = ['C255', 'P256']

/**
 * The secrets as they are to be at `wallSeconds` (since the UNIX epoch): what nobody can use any more is dropped, and
 * successors are made where it is time. Gives back `current` itself if that changes nothing.
 *
 * @param renew makes a config of these ingredients now, whatever there is
 */
export function rotateSecrets(
  current: ServerSecrets | undefined,
  wallSeconds: number,
  policy: SecretsPolicy,
  ingredients: SecretsIngredients,
  renew = false
): ServerSecrets {
  const configs = rotateConfigs(current?.configs ?? [], wallSeconds, policy, ingredients, renew)
  const tokenSecrets = rotateTokenSecrets(current?.tokenSecrets ?? [], wallSeconds, policy, ingredients)
  if (current !== undefined && same(configs, current.configs) && same(tokenSecrets, current.tokenSecrets)) {
    return current
  }
  return { configs, tokenSecrets, resetSecret: current?.resetSecret ?? ingredients.random(SECRET_LENGTH) }
}

function rotateConfigs(
  current: readonly ServerConfig[],
  wallSeconds: number,
  policy: SecretsPolicy,
  { random, aeads, channelIds }: SecretsIngredients,
  renew: boolean
): ServerConfig[] {
  const live = current.filter((config) => config.expirySeconds >= wallSeconds)
  const from = renew ? wallSeconds : nextTurn(live.at(-1)?.primaryFrom, wallSeconds, policy)
  if (from === undefined) return live
  const lifetimeSeconds = from - wallSeconds + policy.rotateEvery + policy.acceptFor
  const options = { random, wallSeconds, aeads, keyExchanges, channelIds }
  const made = ServerConfig.generate({ ...options, lifetimeSeconds, primaryFrom: from })
  return [...live, made].sort((a, b) => a.primaryFrom - b.primaryFrom)
}

function rotateTokenSecrets(
  current: readonly TokenSecret[],
  wallSeconds: number,
  policy: SecretsPolicy,
  { random }: SecretsIngredients
): TokenSecret[] {
  const oldest = wallSeconds - TOKEN_LIFETIME_SECONDS - CLOCK_SLACK_SECONDS
  // The last tokens of a secret are made when its successor's turn comes.
  const live = current.filter((_, i) => i === current.length - 1 || current[i + 1]!.from >= oldest)
  const from = nextTurn(live.at(-1)?.from, wallSeconds, policy)
  return from === undefined ? live : [...live, { secret: random(SECRET_LENGTH), from }]
}

/** When the successor of what has its turn since `since` gets its own; undefined while it is too early to make one. */
function nextTurn(since: number | undefined, wallSeconds: number, { rotateEvery, lead }: SecretsPolicy): number | undefined {
  if (since === undefined) return wallSeconds
  if (wallSeconds < since + rotateEvery - lead) return undefined
  return Math.max(since + rotateEvery, wallSeconds + lead)
}

function same<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i])
}

/** The token secrets as a server wants them: the one to make tokens with first. */
export function tokenSecretsAt({ tokenSecrets }: ServerSecrets, wallSeconds: number): Uint8Array[] {
  const current = tokenSecrets.findLast(({ from }) => from <= wallSeconds) ?? tokenSecrets[0]!
  return [current, ...tokenSecrets.filter((other) => other !== current)].map(({ secret }) => secret)
}

/** The secrets as the text of a file. To be kept as private as a private key. */
export function serializeSecrets(secrets: ServerSecrets): string {
  const content = {
    format: FORMAT,
    serverConfigs: secrets.configs.map((config) => config.serialize()),
    tokenSecrets: secrets.tokenSecrets.map(({ secret, from }) => ({ secret: Buffer.from(secret).toString('hex'), from })),
    resetSecret: Buffer.from(secrets.resetSecret).toString('hex')
  }
  return `${JSON.stringify(content, null, 2)}\n`
}

/**
 * Brings back what {@link serializeSecrets} gave. A config of `known` stays the same object.
 *
 * @param fresh whether no other process can have accepted a hello for the config with this id; none if missing
 * @throws Error that says, for the person who keeps the file, what is wrong with it
 */
export function parseSecrets(
  text: string,
  known?: ServerSecrets,
  fresh: (id: Uint8Array) => boolean = () => false
): ServerSecrets {
  const content = JSON.parse(text) as Record<string, unknown> | null
  if (content?.['format'] !== FORMAT) throw new Error(`it is no file of secrets (its "format" is not "${FORMAT}")`)
  const configs = listOf(content, 'serverConfigs').map((saved) => {
    const config = ServerConfig.restore((saved ?? {}) as SavedServerConfig, fresh)
    return known?.configs.find(({ id }) => Buffer.compare(id, config.id) === 0) ?? config
  })
  const tokenSecrets = listOf(content, 'tokenSecrets').map((saved) => {
    const { secret, from } = (saved ?? {}) as Record<string, unknown>
    if (typeof from !== 'number') throw new Error('one of its tokenSecrets is damaged')
    return { secret: secretOf(secret, 'one of its tokenSecrets'), from }
  })
  const resetSecret = secretOf(content['resetSecret'], 'its resetSecret')
  configs.sort((a, b) => a.primaryFrom - b.primaryFrom)
  tokenSecrets.sort((a, b) => a.from - b.from)
  return { configs, tokenSecrets, resetSecret }
}

function secretOf(text: unknown, what: string): Uint8Array {
  if (typeof text === 'string' && /^(?:[0-9a-f]{2}){16,64}$/i.test(text)) return new Uint8Array(Buffer.from(text, 'hex'))
  throw new Error(`${what} is damaged`)
}

function listOf(content: Record<string, unknown>, name: string): unknown[] {
  const list = content[name]
  if (!Array.isArray(list) || list.length === 0) throw new Error(`it holds no ${name}`)
  return list
}
