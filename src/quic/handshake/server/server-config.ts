/**
 * Server configs: the long-lived key-exchange values that a server publishes, signed, in the message SCFG
 * (quic_crypto_server_config.cc, GenerateConfig and ParseConfigProtobuf).
 */
import { createHash } from 'node:crypto'
import type { KeyExchange, KeyExchangeName } from '../../crypto/key-exchange.js'
import { createKeyExchange, keyExchangeFromPrivate, privateKeyOf } from '../../crypto/key-exchange.js'
import type { AeadName } from '../../crypto/protection.js'
import { HandshakeMessage } from '../../wire/handshake-message.js'
import { MessageTag, TAG_CHID, Tag, tagName, tagOf } from '../../wire/tags.js'

/** Length of the orbit, which goes into client nonces, in bytes. */
export const ORBIT_LENGTH = 8
const ID_LENGTH = 16
const DEFAULT_LIFETIME_SECONDS = 180 * 24 * 3600
const knownAeads: readonly string[] = ['AESG', 'CC20']
const knownKeyExchanges: readonly string[] = ['C255', 'P256']

/** A saved server config that cannot be used. The message says why, fit for the person who keeps the file. */
export class ServerConfigError extends Error {
  override readonly name = 'ServerConfigError'
  readonly code = 'SERVER_CONFIG_INVALID'
}

/** What {@link ServerConfig.generate} needs. */
export interface ServerConfigOptions {
  /** Gives that many unpredictable bytes. */
  random: (length: number) => Uint8Array
  /** Seconds since the UNIX epoch. */
  wallSeconds: number
  /** In the order to advertise: fastest first. */
  aeads: readonly AeadName[]
  /** In the order to advertise. */
  keyExchanges: readonly KeyExchangeName[]
  /** Asks clients for a Channel ID. */
  channelIds?: boolean | undefined
  /** How long clients may use it; 180 days unless told otherwise. */
  lifetimeSeconds?: number
  /** When it may become the primary one, seconds since the UNIX epoch; now unless told otherwise. */
  primaryFrom?: number
}

/** A server config with its private keys in a form for JSON: keep it as secret as a private key. */
export interface SavedServerConfig {
  /** The SCFG message, hexadecimal. */
  scfg: string
  /** Private keys, hexadecimal, by key exchange. */
  privateKeys: Partial<Record<KeyExchangeName, string>>
  /** Seconds since the UNIX epoch. */
  primaryFrom?: number
}

/** One server config, ready to agree on keys. Immutable. */
export class ServerConfig {
  private constructor(
    /** The SCFG message, byte for byte as it is signed and goes into key derivation. */
    readonly bytes: Uint8Array,
    /** SCID, 16 bytes when generated here. */
    readonly id: Uint8Array,
    /** In the order advertised. */
    readonly aeads: readonly AeadName[],
    /** In the order advertised. */
    readonly keyExchanges: readonly KeyExchange[],
    /** EXPY, seconds since the UNIX epoch. */
    readonly expirySeconds: number,
    /** OBIT, 8 bytes: what client nonces for this config have in common. */
    readonly orbit: Uint8Array,
    /** From when on it may be given out, seconds since the UNIX epoch (PRIMARY_TIME of the reference). */
    readonly primaryFrom: number,
    /** No other process can have accepted a hello for it: as a rule it was made by this one. */
    readonly fresh: boolean,
    /** Whether clients are asked for a Channel ID. */
    readonly channelIds: boolean
  ) {}

  /** Makes a new config with new keys. */
  static generate(o: ServerConfigOptions): ServerConfig {
    const keyExchanges = o.keyExchanges.map((name) => createKeyExchange(name, o.random))
    const expirySeconds = o.wallSeconds + (o.lifetimeSeconds ?? DEFAULT_LIFETIME_SECONDS)
    const orbit = o.random(ORBIT_LENGTH)
    const scfg = new HandshakeMessage(MessageTag.SCFG)
      .setUint32List(Tag.KEXS, o.keyExchanges.map(tagOf))
      .setUint32List(Tag.AEAD, o.aeads.map(tagOf))
      .setLength24List(Tag.PUBS, keyExchanges.map((exchange) => exchange.publicValue))
      .setUint64(Tag.EXPY, expirySeconds)
      .set(Tag.OBIT, orbit)
    const channelIds = o.channelIds === true
    if (channelIds) scfg.setUint32List(Tag.PDMD, [TAG_CHID])
    // The id follows from everything else, so that it changes whenever anything does.
    const id = createHash('sha256').update(scfg.serialize()).digest().subarray(0, ID_LENGTH)
    scfg.set(Tag.SCID, id)
    const from = o.primaryFrom ?? o.wallSeconds
    return new ServerConfig(scfg.serialize(), id, [...o.aeads], keyExchanges, expirySeconds, orbit, from, true, channelIds)
  }

  /**
   * Brings back what {@link serialize} saved.
   *
   * @param fresh whether no other process can have accepted a hello for the config with this id; none if missing
   * @throws ServerConfigError if something is missing or does not fit together
   */
  static restore(saved: SavedServerConfig, fresh: (id: Uint8Array) => boolean = () => false): ServerConfig {
    const bytes = fromHex(saved.scfg, 'the SCFG message')
    try {
      return ServerConfig.fromMessage(bytes, saved, fresh)
    } catch (error) {
      if (error instanceof ServerConfigError) throw error
      throw new ServerConfigError(`the saved server config is damaged: ${(error as Error).message}`)
    }
  }

  private static fromMessage(
    bytes: Uint8Array,
    { privateKeys, primaryFrom }: SavedServerConfig,
    fresh: (id: Uint8Array) => boolean
  ): ServerConfig {
    const scfg = HandshakeMessage.parse(bytes)
    if (scfg.tag !== MessageTag.SCFG) throw new ServerConfigError('the saved server config is no SCFG message')
    const orbit = scfg.require(Tag.OBIT)
    if (orbit.length !== ORBIT_LENGTH) throw new ServerConfigError('its OBIT has not 8 bytes')
    scfg.require(Tag.EXPY)
    const aeads = names(scfg, Tag.AEAD, knownAeads) as AeadName[]
    const kinds = names(scfg, Tag.KEXS, knownKeyExchanges) as KeyExchangeName[]
    const publicValues = scfg.length24List(Tag.PUBS) ?? []
    const keyExchanges = kinds.map((name, i) => {
      const key = privateKeys[name]
      if (key === undefined) throw new ServerConfigError(`the private key for ${name} is missing`)
      const exchange = keyExchangeFromPrivate(name, fromHex(key, `the private key for ${name}`))
      if (!equal(exchange.publicValue, publicValues[i])) {
        throw new ServerConfigError(`the private key for ${name} does not fit the public value in the config`)
      }
      return exchange
    })
    const from = primaryFrom ?? 0
    if (typeof from !== 'number') throw new ServerConfigError('primaryFrom is not a number')
    const expiry = scfg.uint64(Tag.EXPY)!
    const id = scfg.require(Tag.SCID)
    const channelIds = scfg.uint32List(Tag.PDMD)?.includes(TAG_CHID) === true
    return new ServerConfig(bytes, id, aeads, keyExchanges, expiry, orbit, from, fresh(id), channelIds)
  }

  /** The config and its private keys, to be kept across restarts: clients that hold it then need no new one. */
  serialize(): SavedServerConfig {
    const privateKeys: SavedServerConfig['privateKeys'] = {}
    for (const exchange of this.keyExchanges) privateKeys[exchange.name] = toHex(privateKeyOf(exchange))
    return { scfg: toHex(this.bytes), privateKeys, primaryFrom: this.primaryFrom }
  }

  /** The key exchange of that name, undefined if the config has none. */
  keyExchange(name: string): KeyExchange | undefined {
    return this.keyExchanges.find((exchange) => exchange.name === name)
  }
}

/**
 * The configs that a server honours. Rejections give out the primary one; clients may come with any of them.
 */
export class ServerConfigs implements Iterable<ServerConfig> {
  private byId = new Map<string, ServerConfig>()
  private current: ServerConfig

  constructor(primary: ServerConfig, others: readonly ServerConfig[] = []) {
    this.current = primary
    for (const config of [...others, primary]) this.byId.set(toHex(config.id), config)
  }

  /** The one that rejections give out. */
  get primary(): ServerConfig {
    return this.current
  }

  [Symbol.iterator](): Iterator<ServerConfig> {
    return this.byId.values()
  }

  /**
   * Goes on with these configs, at least one, of which the latest whose time has come is the primary one, and if none's
   * has, the earliest (SelectNewPrimaryConfig). A config that is known already stays the same object.
   *
   * @param wallSeconds now, since the UNIX epoch
   * @returns whether another config is the primary one now
   */
  use(configs: readonly ServerConfig[], wallSeconds: number): boolean {
    const before = this.current
    const kept = configs.map((config) => this.byId.get(toHex(config.id)) ?? config)
    kept.sort((a, b) => a.primaryFrom - b.primaryFrom || Buffer.compare(a.id, b.id))
    this.current = kept.findLast((config) => config.primaryFrom <= wallSeconds) ?? kept[0]!
    this.byId = new Map(kept.map((config) => [toHex(config.id), config]))
    return this.current !== before
  }

  /** The config that a client names in SCID, undefined if it is not one of ours. */
  lookup(id: Uint8Array): ServerConfig | undefined {
    return this.byId.get(toHex(id))
  }
}

function names(scfg: HandshakeMessage, tag: number, known: readonly string[]): string[] {
  const list = (scfg.uint32List(tag) ?? []).map(tagName)
  const stranger = list.find((name) => !known.includes(name))
  if (stranger !== undefined) throw new ServerConfigError(`it offers ${stranger}, which is not supported`)
  if (list.length === 0) throw new ServerConfigError(`it offers no ${tagName(tag)}`)
  return list
}

function equal(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

function fromHex(text: unknown, what: string): Uint8Array {
  if (typeof text !== 'string' || !/^(?:[0-9a-f]{2})+$/i.test(text)) {
    throw new ServerConfigError(`${what} is not in hexadecimal digits`)
  }
  return Buffer.from(text, 'hex')
}
