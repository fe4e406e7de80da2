/**
 * Keeps a server's secrets up to date, in memory or in a directory that several servers may share: what one of them
 * makes, the others read within a minute, and a newcomer begins with what is there.
 *
 * The directory holds `secrets.json` (see serializeSecrets; 0600) and, while somebody writes it, `secrets.lock`. One that
 * cannot be written is only read: somebody else puts new secrets there.
 */
import { closeSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { AeadName } from '../quic/crypto/protection.js'
import { readPrivateFile, replacePrivateFile } from './private-file.js'
import {
  defaultSecretsPolicy,
  parseSecrets,
  rotateSecrets,
  serializeSecrets,
  type SecretsPolicy,
  type ServerSecrets
} from './server-secrets.js'
import { systemHelper } from './system.js'

const FILE = 'secrets.json'
const LOCK = 'secrets.lock'
/** Nobody holds the lock for longer than this, milliseconds, unless it died. */
const LOCK_STALE_MS = 10_000
const LOCK_RETRY_MS = 50
const LOCK_WAIT_MS = 2 * LOCK_STALE_MS

/** What makes a {@link SecretsKeeper}. */
export interface SecretsKeeperOptions {
  /** Made if missing (0700). Without it the secrets last as long as the process. */
  readonly directory?: string | undefined
  /** In the order to advertise: fastest first. */
  readonly aeads: readonly AeadName[]
  /** Whether clients are asked for a Channel ID. */
  readonly channelIds?: boolean | undefined
  readonly policy?: Partial<SecretsPolicy> | undefined
  /** Told, in words for a person, what is wrong with the directory. The same thing is told once. */
  onWarning(message: string): void
  /** Seconds since the UNIX epoch. */
  readonly wallSeconds?: () => number
}

/** See the file comment. */
export class SecretsKeeper {
  private secrets: ServerSecrets
  private lastWarning: string | undefined

  /** @throws the system's error if the directory has no secrets and none can be written there */
  constructor(private readonly o: SecretsKeeperOptions) {
    this.secrets = o.directory === undefined ? this.rotated(undefined) : this.begin(o.directory)
  }

  /** The secrets as of the last {@link refresh}. */
  get current(): ServerSecrets {
    return this.secrets
  }

  /** Reads what others wrote and rotates what is due: to be called about once a minute. */
  refresh(): ServerSecrets {
    const { directory } = this.o
    try {
      if (directory === undefined) this.secrets = this.rotated(this.secrets)
      else this.refreshFrom(directory)
    } catch (error) {
      this.warn(`${directory}: ${messageOf(error)}; going on with the secrets that were there before`)
    }
    return this.secrets
  }

  private refreshFrom(directory: string): void {
    this.secrets = this.read(directory) ?? this.secrets
    // Who finds the lock taken leaves it to the other: there is time until the successor's turn.
    if (this.rotated(this.secrets) !== this.secrets) {
      this.secrets = this.update(directory, this.secrets, 0) ?? this.secrets
    }
  }

  private begin(directory: string): ServerSecrets {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const saved = this.readOrWarn(directory)
    if (saved !== undefined && this.rotated(saved, true) === saved) return saved
    const secrets = this.update(directory, saved, LOCK_WAIT_MS, true)
    if (secrets !== undefined) return secrets
    throw new Error(`somebody else has held ${join(directory, LOCK)} for ${LOCK_WAIT_MS / 1000} s; remove it`)
  }

  /**
   * Rotates under the lock, after another look at what is there, and writes.
   * @param fallback what to go on with if that is impossible
   * @returns undefined if somebody else held the lock for `waitMs`
   */
  private update(
    directory: string,
    fallback: ServerSecrets | undefined,
    waitMs: number,
    starting = false
  ): ServerSecrets | undefined {
    const lock = join(directory, LOCK)
    try {
      if (!acquireLock(lock, waitMs)) return undefined
      try {
        const saved = this.readIfSound(directory)
        const secrets = this.rotated(saved ?? fallback, starting)
        if (secrets !== saved) replacePrivateFile(join(directory, FILE), serializeSecrets(secrets))
        return secrets
      } finally {
        rmSync(lock, { force: true })
      }
    } catch (error) {
      if (fallback === undefined) throw error
      this.warn(`${directory}: cannot be written (${messageOf(error)}); new secrets have to come from somebody else`)
      return fallback
    }
  }

  /** @param starting a process that wants other ciphers or Channel IDs than those advertised makes a config that says so */
  private rotated(secrets: ServerSecrets | undefined, starting = false): ServerSecrets {
    const { aeads, channelIds = false, policy, wallSeconds = systemHelper.wallSeconds } = this.o
    const last = secrets?.configs.at(-1)
    const renew = starting && last !== undefined && (last.aeads.join() !== aeads.join() || last.channelIds !== channelIds)
    const ingredients = { random: systemHelper.randomBytes, aeads, channelIds }
    return rotateSecrets(secrets, wallSeconds(), { ...defaultSecretsPolicy, ...policy }, ingredients, renew)
  }

  /** @throws the system's error, or one that says how the file is damaged */
  private read(directory: string): ServerSecrets | undefined {
    const content = readPrivateFile(join(directory, FILE))
    return content && parseSecrets(content.toString('utf8'), this.secrets)
  }

  private readIfSound(directory: string): ServerSecrets | undefined {
    try {
      return this.read(directory)
    } catch {
      return undefined
    }
  }

  private readOrWarn(directory: string): ServerSecrets | undefined {
    try {
      return this.read(directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall !== undefined) throw error
      const what = `${join(directory, FILE)}: ${messageOf(error)}`
      this.warn(`${what}; made new secrets, clients will do one full handshake`)
      return undefined
    }
  }

  private warn(message: string): void {
    if (message !== this.lastWarning) this.o.onWarning(message)
    this.lastWarning = message
  }
}

/** Takes a lock that the holder's death does not keep for ever. */
function acquireLock(lock: string, waitMs: number): boolean {
  for (let waited = 0; ; waited += LOCK_RETRY_MS) {
    try {
      closeSync(openSync(lock, 'wx', 0o600))
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs
    if (since !== undefined && Date.now() - since > LOCK_STALE_MS) rmSync(lock, { force: true })
    else if (waited >= waitMs) return false
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_RETRY_MS)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
