/**
 * Source-address tokens: what a client shows to prove that it received something at its address before
 * (quic_crypto_server_config.cc, NewSourceAddressToken and ValidateSourceAddressTokens).
 *
 * A token is a {@link SecretBox} over protocol buffers (source_address_token.proto): a list, in field 4, of
 * `{ 1: address (16 bytes, IPv4 mapped), 2: issued, seconds since the UNIX epoch, 3: what was found of the path }`. It
 * depends on no server config, so it outlives a change of those.
 */
import { hkdf } from '../../crypto/hkdf.js'
import type { CryptoPrimitives } from '../../crypto/primitives.js'
import { ProtobufWriter, readProtobuf } from '../../wire/protobuf.js'
import { ipBytes } from '../../wire/socket-address.js'
import { RejectReason } from '../../wire/tags.js'
import type { CachedNetworkParameters } from '../cached-network-parameters.js'
import { decodeNetworkParameters, encodeNetworkParameters } from '../cached-network-parameters.js'
import { SecretBox } from './secret-box.js'

const LIST_FIELD = 4
const EntryField = { Address: 1, Issued: 2, Network: 3 } as const
/** Addresses that a token remembers: a client that moves between networks stays known in each. */
const MAX_ENTRIES = 5
/** How long a token is good, seconds. */
export const TOKEN_LIFETIME_SECONDS = 24 * 3600
const FUTURE_SECONDS = 3600
const LABEL = Buffer.from('QUIC source address token key', 'latin1')

/** What a server handshake needs of tokens. Times are seconds since the UNIX epoch. */
export interface SourceAddressTokens {
  /**
   * A new token for a client at `address`. Valid entries of the one it showed, `previous`, for other addresses are
   * carried over.
   * @param network what was found of the path to it
   */
  issue(address: string, wallSeconds: number, previous?: Uint8Array, network?: CachedNetworkParameters): Uint8Array
  /** Undefined if the token is good for a client at `address`, else the {@link RejectReason}. */
  check(token: Uint8Array, address: string, wallSeconds: number): RejectReason | undefined
  /** What a token that is good for `address` tells of the path there. */
  networkOf(token: Uint8Array, address: string): CachedNetworkParameters | undefined
}

/** What a token says about one address. */
interface Entry {
  readonly address: Uint8Array
  readonly issued: number
  /** As it is on the wire; undefined if nothing is known. */
  readonly network: Uint8Array | undefined
}

/** A token of ours; without entries if it does not hold what it should. */
interface OpenedToken {
  readonly entries: readonly Entry[] | undefined
}

/**
 * Tokens under keys that follow from secrets, so that servers which share the secrets accept each other's. New tokens
 * are made with the first; tokens of the others are still good, so that secrets can be replaced one after the other.
 */
export class SecretSourceAddressTokens implements SourceAddressTokens {
  private boxes: readonly SecretBox[]
  /** What was opened last: one hello's token is asked about several times. The array itself is the key. */
  private lastToken: Uint8Array | undefined
  private lastOpened: OpenedToken | undefined

  /**
   * @param secret any unpredictable bytes; tokens of the same secret stay valid across restarts
   * @param primitives who seals them, node:crypto if missing
   */
  constructor(
    secret: Uint8Array | readonly Uint8Array[],
    private readonly random: (length: number) => Uint8Array,
    private readonly primitives?: CryptoPrimitives
  ) {
    this.boxes = this.boxesOf(secret instanceof Uint8Array ? [secret] : secret)
  }

  /** Goes on with these secrets, at least one; see the class. */
  setSecrets(secrets: readonly Uint8Array[]): void {
    this.boxes = this.boxesOf(secrets)
    this.lastToken = undefined
  }

  private boxesOf(secrets: readonly Uint8Array[]): SecretBox[] {
    const { random, primitives } = this
    return secrets.map((secret) => new SecretBox(hkdf(secret, new Uint8Array(0), [LABEL], 16), random, primitives))
  }

  issue(address: string, wallSeconds: number, previous?: Uint8Array, network?: CachedNetworkParameters): Uint8Array {
    const own = mappedAddress(address)
    const entries: Entry[] = [{ address: own, issued: wallSeconds, network: network && encodeNetworkParameters(network) }]
    for (const entry of (previous && this.entries(previous)) ?? []) {
      if (entries.length === MAX_ENTRIES) break
      const known = entries.some((other) => sameAddress(other.address, entry.address))
      if (!known && checkTime(entry, wallSeconds) === undefined) entries.push(entry)
    }
    const list = new ProtobufWriter()
    for (const entry of entries) list.bytes(LIST_FIELD, writeEntry(entry))
    return this.boxes[0]!.seal(list.finish())
  }

  check(token: Uint8Array, address: string, wallSeconds: number): RejectReason | undefined {
    const opened = this.open(token)
    if (opened === undefined) return RejectReason.SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE
    const { entries } = opened
    if (entries === undefined) return RejectReason.SOURCE_ADDRESS_TOKEN_PARSE_FAILURE
    const own = mappedAddress(address)
    let reason: RejectReason = RejectReason.SOURCE_ADDRESS_TOKEN_DIFFERENT_IP_ADDRESS_FAILURE
    for (const entry of entries) {
      if (!sameAddress(entry.address, own)) continue
      const problem = checkTime(entry, wallSeconds)
      if (problem === undefined) return undefined
      reason = problem
    }
    return reason
  }

  networkOf(token: Uint8Array, address: string): CachedNetworkParameters | undefined {
    const own = mappedAddress(address)
    const network = this.entries(token)?.find((entry) => sameAddress(entry.address, own))?.network
    return network && decodeNetworkParameters(network)
  }

  private entries(token: Uint8Array): readonly Entry[] | undefined {
    return this.open(token)?.entries
  }

  private open(token: Uint8Array): OpenedToken | undefined {
    if (token === this.lastToken) return this.lastOpened
    this.lastToken = token
    this.lastOpened = undefined
    for (const box of this.boxes) {
      const plaintext = box.open(token)
      if (plaintext === undefined) continue
      this.lastOpened = { entries: parseEntries(plaintext) }
      break
    }
    return this.lastOpened
  }
}

function parseEntries(plaintext: Uint8Array): Entry[] | undefined {
  const entries: Entry[] = []
  let sound = true
  const whole = readProtobuf(plaintext, {
    onBytes: (field, value) => {
      if (field !== LIST_FIELD) return
      const entry = parseEntry(value)
      if (entry === undefined) sound = false
      else entries.push(entry)
    }
  })
  return whole && sound && entries.length > 0 ? entries : undefined
}

function parseEntry(message: Uint8Array): Entry | undefined {
  let address: Uint8Array | undefined
  let issued: number | undefined
  let network: Uint8Array | undefined
  const sound = readProtobuf(message, {
    onInteger: (field, value) => {
      if (field === EntryField.Issued) issued = value
    },
    onBytes: (field, value) => {
      if (field === EntryField.Address) address = value
      else if (field === EntryField.Network) network = value
    }
  })
  return sound && address !== undefined && issued !== undefined ? { address, issued, network } : undefined
}

function writeEntry({ address, issued, network }: Entry): Uint8Array {
  const out = new ProtobufWriter().bytes(EntryField.Address, address).integer(EntryField.Issued, issued)
  if (network !== undefined) out.bytes(EntryField.Network, network)
  return out.finish()
}

function checkTime({ issued }: Entry, wallSeconds: number): RejectReason | undefined {
  if (issued > wallSeconds + FUTURE_SECONDS) return RejectReason.SOURCE_ADDRESS_TOKEN_CLOCK_SKEW_FAILURE
  if (wallSeconds > issued + TOKEN_LIFETIME_SECONDS) return RejectReason.SOURCE_ADDRESS_TOKEN_EXPIRED_FAILURE
  return undefined
}

function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Bytes of an IPv6 address. */
const MAPPED_LENGTH = 16
let lastAddress = ''
let lastMapped: Uint8Array = new Uint8Array(0)

/** Sixteen bytes, an IPv4 address as the IPv6 address it maps to: one client, however the socket names it. */
function mappedAddress(address: string): Uint8Array {
  // One hello asks for its sender's several times.
  if (address === lastAddress) return lastMapped
  lastMapped = mapped(ipBytes(address))
  lastAddress = address
  return lastMapped
}

function mapped(bytes: Uint8Array): Uint8Array {
  if (bytes.length === MAPPED_LENGTH) return bytes
  const address = new Uint8Array(MAPPED_LENGTH)
  address.fill(0xff, MAPPED_LENGTH - 6, MAPPED_LENGTH - 4)
  address.set(bytes, MAPPED_LENGTH - 4)
  return address
}
