/**
 * Source-address tokens: what a client shows to prove that it received something at its address before
 * (quic_crypto_server_config.cc, NewSourceAddressToken and ValidateSourceAddressTokens).
 *
 * A token is a {@link SecretBox} over `version(1) | entries × { address(16, IPv4 mapped), issued u32 big-endian }`. It
 * depends on no server config, so it outlives a change of those.
 */
import ipaddr from 'ipaddr.js'
import { hkdf } from '../../crypto/hkdf.js'
import { RejectReason } from '../../wire/tags.js'
import { SecretBox } from './secret-box.js'

const FORMAT = 1
const ENTRY_SIZE = 20
/** Addresses that a token remembers: a client that moves between networks stays known in each. */
const MAX_ENTRIES = 5
/** How long a token is good, seconds. */
export const TOKEN_LIFETIME_SECONDS = 24 * 3600
const FUTURE_SECONDS = 3600
const LABEL = Buffer.from('QUIC source address token key', 'latin1')

/** What a server handshake needs of tokens. Times are seconds since the UNIX epoch. */
export interface SourceAddressTokens {
  /** A new token for a client at `address`. Valid entries of the one it showed, `previous`, are carried over. */
  issue(address: string, wallSeconds: number, previous?: Uint8Array): Uint8Array
  /** Undefined if the token is good for a client at `address`, else the {@link RejectReason}. */
  check(token: Uint8Array, address: string, wallSeconds: number): RejectReason | undefined
}

/**
 * Tokens under keys that follow from secrets, so that servers which share the secrets accept each other's. New tokens
 * are made with the first; tokens of the others are still good, so that secrets can be replaced one after the other.
 */
export class SecretSourceAddressTokens implements SourceAddressTokens {
  private boxes: readonly SecretBox[]

  /** @param secret any unpredictable bytes; tokens of the same secret stay valid across restarts */
  constructor(
    secret: Uint8Array | readonly Uint8Array[],
    private readonly random: (length: number) => Uint8Array
  ) {
    this.boxes = this.boxesOf(secret instanceof Uint8Array ? [secret] : secret)
  }

  /** Goes on with these secrets, at least one; see the class. */
  setSecrets(secrets: readonly Uint8Array[]): void {
    this.boxes = this.boxesOf(secrets)
  }

  private boxesOf(secrets: readonly Uint8Array[]): SecretBox[] {
    return secrets.map((secret) => new SecretBox(hkdf(secret, new Uint8Array(0), LABEL, 16), this.random))
  }

  issue(address: string, wallSeconds: number, previous?: Uint8Array): Uint8Array {
    const own = mappedAddress(address)
    const entries = [writeEntry(own, wallSeconds)]
    for (const entry of (previous && this.entries(previous)) ?? []) {
      if (entries.length === MAX_ENTRIES) break
      const known = entries.some((other) => sameAddress(other, entry))
      if (!known && checkTime(entry, wallSeconds) === undefined) entries.push(entry)
    }
    return this.boxes[0]!.seal(Buffer.concat([Uint8Array.of(FORMAT), ...entries]))
  }

  check(token: Uint8Array, address: string, wallSeconds: number): RejectReason | undefined {
    const plaintext = this.open(token)
    if (plaintext === undefined) return RejectReason.SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE
    const entries = parseEntries(plaintext)
    if (entries === undefined) return RejectReason.SOURCE_ADDRESS_TOKEN_PARSE_FAILURE
    const own = mappedAddress(address)
    let reason: RejectReason = RejectReason.SOURCE_ADDRESS_TOKEN_DIFFERENT_IP_ADDRESS_FAILURE
    for (const entry of entries) {
      if (!sameAddress(entry, own)) continue
      const problem = checkTime(entry, wallSeconds)
      if (problem === undefined) return undefined
      reason = problem
    }
    return reason
  }

  private entries(token: Uint8Array): Uint8Array[] | undefined {
    const plaintext = this.open(token)
    return plaintext && parseEntries(plaintext)
  }

  private open(token: Uint8Array): Uint8Array | undefined {
    for (const box of this.boxes) {
      const plaintext = box.open(token)
      if (plaintext !== undefined) return plaintext
    }
    return undefined
  }
}

function parseEntries(plaintext: Uint8Array): Uint8Array[] | undefined {
  const length = plaintext.length - 1
  if (plaintext[0] !== FORMAT || length === 0 || length % ENTRY_SIZE !== 0) return undefined
  const entries: Uint8Array[] = []
  for (let at = 1; at <= length; at += ENTRY_SIZE) entries.push(plaintext.subarray(at, at + ENTRY_SIZE))
  return entries
}

function writeEntry(address: Uint8Array, wallSeconds: number): Uint8Array {
  const entry = Buffer.alloc(ENTRY_SIZE)
  entry.set(address)
  entry.writeUInt32BE(wallSeconds >>> 0, 16)
  return entry
}

function checkTime(entry: Uint8Array, wallSeconds: number): RejectReason | undefined {
  const issued = ((entry[16]! << 24) | (entry[17]! << 16) | (entry[18]! << 8) | entry[19]!) >>> 0
  if (issued > wallSeconds + FUTURE_SECONDS) return RejectReason.SOURCE_ADDRESS_TOKEN_CLOCK_SKEW_FAILURE
  if (wallSeconds > issued + TOKEN_LIFETIME_SECONDS) return RejectReason.SOURCE_ADDRESS_TOKEN_EXPIRED_FAILURE
  return undefined
}

function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < 16; i++) if (a[i] !== b[i]) return false
  return true
}

/** Sixteen bytes, an IPv4 address as the IPv6 address it maps to: one client, however the socket names it. */
function mappedAddress(address: string): Uint8Array {
  const ip = ipaddr.parse(address)
  const v6 = ip.kind() === 'ipv4' ? (ip as ipaddr.IPv4).toIPv4MappedAddress() : ip
  return Uint8Array.from(v6.toByteArray())
}
