/**
 * What a gateway has to keep over restarts so that clients that know it need no new handshake: the server config with
 * its private keys, and the secret of source-address tokens.
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { generateServerConfig } from '../endpoint/server.js'
import { systemHelper } from '../endpoint/system.js'
import { ServerConfig } from '../quic/handshake/server/server-config.js'
import type { SavedServerConfig } from '../quic/handshake/server/server-config.js'

const CONFIG_FILE = 'server-config.json'
const TOKEN_FILE = 'token-secret'
const TOKEN_SECRET_LENGTH = 32
/** A config that ends sooner is replaced at start: clients would have to fetch a new one in the middle of the run. */
const RENEW_BEFORE_SECONDS = 7 * 24 * 3600

/** The secrets in use. */
export interface GatewaySecrets {
  readonly serverConfig: ServerConfig
  readonly tokenSecret: Uint8Array
}

/**
 * Reads the secrets in `dir`, or makes and saves them; without a directory they last as long as the process.
 * Files are private (0600, the directory 0700) and replaced as a whole, never half written.
 * @param warn told when saved secrets had to be replaced, and why
 * @throws the system's error if the directory can be neither read nor written
 */
export function loadSecrets(
  dir: string | undefined,
  engine: DatagramEngine,
  warn: (message: string) => void
): GatewaySecrets {
  if (dir === undefined) {
    return { serverConfig: generateServerConfig(engine), tokenSecret: randomBytes(TOKEN_SECRET_LENGTH) }
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  return { serverConfig: loadServerConfig(dir, engine, warn), tokenSecret: loadTokenSecret(dir, warn) }
}

function loadServerConfig(dir: string, engine: DatagramEngine, warn: (message: string) => void): ServerConfig {
  const file = join(dir, CONFIG_FILE)
  const text = readIfThere(file)
  if (text !== undefined) {
    const saved = restore(text.toString('utf8'))
    const problem = typeof saved === 'string' ? saved : staleness(saved, engine)
    if (problem === undefined) return saved as ServerConfig
    warn(`${file}: ${problem}; made a new server config, clients will do one full handshake`)
  }
  const made = generateServerConfig(engine)
  replaceFile(file, `${JSON.stringify(made.serialize())}\n`)
  return made
}

function restore(text: string): ServerConfig | string {
  try {
    return ServerConfig.restore(JSON.parse(text) as SavedServerConfig)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function staleness(config: ServerConfig, engine: DatagramEngine): string | undefined {
  if (config.expirySeconds - systemHelper.wallSeconds() < RENEW_BEFORE_SECONDS) return 'it is about to expire'
  const wanted = engine.aeadProvider.preference.join()
  return config.aeads.join() === wanted ? undefined : 'it advertises other ciphers than this packet engine prefers'
}

function loadTokenSecret(dir: string, warn: (message: string) => void): Uint8Array {
  const file = join(dir, TOKEN_FILE)
  const saved = readIfThere(file)
  if (saved !== undefined) {
    if (saved.length === TOKEN_SECRET_LENGTH) return saved
    warn(`${file}: not ${TOKEN_SECRET_LENGTH} bytes long; made a new secret`)
  }
  const made = randomBytes(TOKEN_SECRET_LENGTH)
  replaceFile(file, made)
  return made
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Writes beside the file and renames: readers see the old content or the new, and never with looser permissions. */
function replaceFile(file: string, content: string | Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, content, { mode: 0o600, flush: true })
    chmodSync(temporary, 0o600)
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
