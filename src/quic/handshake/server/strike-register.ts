/**
 * Strike registers: which nonces have been used, so that a hello that somebody recorded does not work a second time
 * (strike_register.cc). A nonce carries its time, so only those of a window around now have to be remembered.
 */
import { RejectReason } from '../../wire/tags.js'

/** How far a nonce's time may be from now, seconds (strike_register_window_secs). */
export const STRIKE_WINDOW_SECONDS = 600
/** Nonces remembered at most. The reference has 1024, which a server with 2 new clients a second outgrows. */
export const STRIKE_MAX_ENTRIES = 1 << 16

/** What makes a {@link StrikeRegister}. */
export interface StrikeRegisterOptions {
  /** Seconds since the UNIX epoch. */
  wallSeconds: number
  windowSeconds?: number | undefined
  /** At least 2. */
  maxEntries?: number | undefined
  /**
   * Whether an earlier process may have accepted nonces of the same kind. If so, nothing is accepted until every nonce
   * that it can have accepted has run out.
   */
  hasPredecessor: boolean
}

/**
 * Nonces that were used. It never forgets one that it would accept again: when it is full, the oldest make room and
 * nonces of their age and older are refused from then on (the horizon); so are those further in the future than the
 * horizon lies in the past, which would fill it up for long.
 */
export class StrikeRegister {
  private readonly window: number
  private readonly maxEntries: number
  /** Nonces older than this second are refused. */
  private horizon: number
  /** By the second in which they were made. */
  private readonly bySecond = new Map<number, Set<string>>()
  private count = 0

  constructor(o: StrikeRegisterOptions) {
    this.window = o.windowSeconds ?? STRIKE_WINDOW_SECONDS
    this.maxEntries = o.maxEntries ?? STRIKE_MAX_ENTRIES
    this.horizon = o.hasPredecessor ? o.wallSeconds + this.window + 1 : 0
  }

  /** Nonces remembered now. */
  get size(): number {
    return this.count
  }

  /**
   * Uses a nonce.
   *
   * @param seconds when it was made, since the UNIX epoch
   * @param value the rest of it
   * @returns undefined the first time, 'time' outside the window, 'used' if it was used before
   */
  insert(seconds: number, value: Uint8Array, wallSeconds: number): 'time' | 'used' | undefined {
    if (wallSeconds < this.horizon) return 'time'
    const oldest = Math.max(this.horizon, wallSeconds - this.window)
    const newest = wallSeconds + Math.min(wallSeconds - this.horizon, this.window)
    if (seconds < oldest || seconds > newest) return 'time'
    const key = Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')
    if (this.bySecond.get(seconds)?.has(key) === true) return 'used'
    this.makeRoom(wallSeconds)
    if (seconds < this.horizon) return 'time'
    let nonces = this.bySecond.get(seconds)
    if (nonces === undefined) this.bySecond.set(seconds, (nonces = new Set()))
    nonces.add(key)
    this.count++
    return undefined
  }

  private makeRoom(wallSeconds: number): void {
    if (this.count < this.maxEntries) return
    const expired = wallSeconds - this.window
    let oldest = Infinity
    for (const seconds of this.bySecond.keys()) {
      if (seconds < expired) this.drop(seconds)
      else oldest = Math.min(oldest, seconds)
    }
    if (this.count >= this.maxEntries) this.drop(oldest)
  }

  private drop(seconds: number): void {
    this.count -= this.bySecond.get(seconds)!.size
    this.bySecond.delete(seconds)
    this.horizon = Math.max(this.horizon, seconds + 1)
  }
}

/** Nonces as the handshake writes them: big-endian seconds first. */
export function nonceSeconds(nonce: Uint8Array): number {
  return ((nonce[0]! << 24) | (nonce[1]! << 16) | (nonce[2]! << 8) | nonce[3]!) >>> 0
}

/** A year, seconds: longer than a server config lives, and with it the nonces that are made for it. */
const NOT_A_TIME_SECONDS = 365 * 86_400

/**
 * When a client says that it made its nonce. lsquic writes the seconds in the byte order of its machine. They are turned
 * around only where the right order gives no time at all: a reading that could become good, or once was, while the
 * config lives would let the nonce be used under either.
 */
function clientNonceSeconds(nonce: Uint8Array, wallSeconds: number): number {
  const seconds = nonceSeconds(nonce)
  if (Math.abs(seconds - wallSeconds) <= NOT_A_TIME_SECONDS) return seconds
  return nonceSeconds(Uint8Array.of(nonce[3]!, nonce[2]!, nonce[1]!, nonce[0]!))
}

const ORBIT_START = 4
const ORBIT_END = 12

/** What makes {@link ClientNonces}. */
export interface ClientNonceOptions {
  windowSeconds?: number | undefined
  maxEntries?: number | undefined
  /**
   * Whether nonces for server configs that were not made by this process are accepted at once after a start, at the
   * risk that a hello which an earlier process accepted is accepted again.
   */
  trustAfterRestart?: boolean | undefined
}

/** What a client nonce is checked against. */
export interface NonceConfig {
  readonly orbit: Uint8Array
  /** Made by this process, so no other server has accepted nonces for it. */
  readonly fresh: boolean
}

/** Client nonces that were used, one register for each orbit. Clients copy the orbit of their server config. */
export class ClientNonces {
  private readonly registers = new Map<string, StrikeRegister>()
  private readonly startSeconds: number

  /** @param wallSeconds now, since the UNIX epoch */
  constructor(
    wallSeconds: number,
    private readonly o: ClientNonceOptions = {}
  ) {
    this.startSeconds = wallSeconds
  }

  /** Uses a nonce of 32 bytes. Undefined if it may be used, else the {@link RejectReason}. */
  use(nonce: Uint8Array, config: NonceConfig, wallSeconds: number): RejectReason | undefined {
    if (Buffer.compare(nonce.subarray(ORBIT_START, ORBIT_END), config.orbit) !== 0) {
      return RejectReason.CLIENT_NONCE_INVALID_ORBIT_FAILURE
    }
    switch (this.registerOf(config).insert(clientNonceSeconds(nonce, wallSeconds), nonce.subarray(ORBIT_END), wallSeconds)) {
      case 'time':
        return RejectReason.CLIENT_NONCE_INVALID_TIME_FAILURE
      case 'used':
        return RejectReason.CLIENT_NONCE_NOT_UNIQUE_FAILURE
      default:
        return undefined
    }
  }

  /** Forgets the orbits that no config in use has. */
  retain(configs: Iterable<NonceConfig>): void {
    const orbits = new Set(Array.from(configs, ({ orbit }) => keyOf(orbit)))
    for (const orbit of this.registers.keys()) if (!orbits.has(orbit)) this.registers.delete(orbit)
  }

  private registerOf(config: NonceConfig): StrikeRegister {
    const key = keyOf(config.orbit)
    let register = this.registers.get(key)
    if (register === undefined) {
      const { windowSeconds, maxEntries, trustAfterRestart } = this.o
      // Before this process began it accepted nothing; since then it has had its chance to say so.
      register = new StrikeRegister({
        wallSeconds: this.startSeconds,
        windowSeconds,
        maxEntries,
        hasPredecessor: !config.fresh && trustAfterRestart !== true
      })
      this.registers.set(key, register)
    }
    return register
  }
}

function keyOf(orbit: Uint8Array): string {
  return Buffer.from(orbit.buffer, orbit.byteOffset, orbit.length).toString('latin1')
}
