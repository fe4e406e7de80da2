/**
 * The vocabulary that every part of the core shares: sides, encryption levels, addresses and the injected helper.
 */

/** A point in time or a duration, in integer microseconds. The origin is the driver's; only differences mean anything. */
export type Micros = number

/** Which side of a connection this endpoint is. */
export const Perspective = { Client: 0, Server: 1 } as const
export type Perspective = (typeof Perspective)[keyof typeof Perspective]

/**
 * The three levels at which a Google QUIC packet can be protected (quic_protocol.h, EncryptionLevel).
 * `None` is the FNV hash only, `Initial` the keys from the server config, `ForwardSecure` the ephemeral keys.
 */
export const EncryptionLevel = { None: 0, Initial: 1, ForwardSecure: 2 } as const
export type EncryptionLevel = (typeof EncryptionLevel)[keyof typeof EncryptionLevel]

/** An IP endpoint. `address` is in text form without brackets or zone. Drivers intern these: compare with {@link sameAddress}. */
export interface PeerAddress {
  readonly family: 4 | 6
  readonly address: string
  readonly port: number
}

/** Whether two addresses name the same IP endpoint. */
export function sameAddress(a: PeerAddress, b: PeerAddress): boolean {
  return a === b || (a.port === b.port && a.address === b.address)
}

/**
 * What the core may not have of its own: randomness and the calendar. Real endpoints pass the system's, simulations
 * pass seeded ones, so that one seed gives one trace.
 */
export interface QuicHelper {
  /** `length` unpredictable bytes in a fresh array that the caller owns. */
  randomBytes(length: number): Uint8Array
  /** Seconds since the UNIX epoch, for nonces, tokens and expiry. */
  wallSeconds(): number
}
