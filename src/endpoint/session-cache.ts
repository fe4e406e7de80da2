/**
 * A client's session cache that outlives the process, in a file:
 *
 *     { "format": "quicgate session cache 1", "servers": { "host:port": SavedServerState, … } }
 *
 * Tokens in it tell servers that two connections are of one client, so the file is as private as cookies are.
 */
import type { SavedServerState } from '../quic/handshake/client/cached-server-state.js'
import { ClientSessionCache, DEFAULT_SESSION_CACHE_SIZE } from '../quic/handshake/client/session-cache.js'
import { readPrivateFile, replacePrivateFile } from './private-file.js'

const FORMAT = 'quicgate session cache 1'
/** Changes come in bunches, one handshake makes several; milliseconds. */
const WRITE_DELAY_MS = 200
/** More than 256 servers with long chains take; what is larger is no file of ours. */
const MAX_FILE_BYTES = 16 * 1024 * 1024

/** What makes a {@link FileSessionCache}. */
export interface FileSessionCacheOptions {
  maxServers?: number
  /** Told, in words for a person, when the file is damaged or cannot be read or written: the cache goes on without. */
  onWarning?(message: string): void
}

/** See the file comment. Several processes may use one file: the last to write wins. */
export class FileSessionCache extends ClientSessionCache {
  private timer: NodeJS.Timeout | undefined
  private changed = false

  /** Reads the file, if there is one. */
  constructor(
    private readonly file: string,
    private readonly o: FileSessionCacheOptions = {}
  ) {
    super(o.maxServers ?? DEFAULT_SESSION_CACHE_SIZE)
    this.load()
  }

  /** Writes what has changed since the last time. To be called before the process ends. */
  override flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (!this.changed) return
    this.changed = false
    try {
      replacePrivateFile(this.file, `${JSON.stringify({ format: FORMAT, servers: this.save() })}\n`)
    } catch (error) {
      this.warn(`cannot be written (${reasonOf(error)}); what was learned about servers is lost at the end`)
    }
  }

  protected override onChange(): void {
    this.changed = true
    this.timer ??= setTimeout(() => this.flush(), WRITE_DELAY_MS).unref()
  }

  private load(): void {
    let content: Buffer | undefined
    try {
      content = readPrivateFile(this.file)
    } catch (error) {
      this.warn(`cannot be read (${reasonOf(error)}); connections begin with full handshakes`)
      return
    }
    if (content === undefined) return
    const servers = content.length <= MAX_FILE_BYTES ? parse(content.toString('utf8')) : undefined
    if (servers === undefined) {
      this.warn('is no session cache, or is damaged; it will be replaced')
      return
    }
    const damaged = this.restore(servers)
    if (damaged > 0) this.warn(`holds ${damaged} damaged entries; they will be replaced`)
  }

  private warn(problem: string): void {
    this.o.onWarning?.(`session cache ${this.file} ${problem}`)
  }
}

function parse(text: string): Record<string, SavedServerState> | undefined {
  try {
    const content = JSON.parse(text) as { format?: unknown; servers?: unknown } | null
    if (content?.format !== FORMAT || typeof content.servers !== 'object') return undefined
    return (content.servers ?? {}) as Record<string, SavedServerState>
  } catch {
    return undefined
  }
}

function reasonOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}
