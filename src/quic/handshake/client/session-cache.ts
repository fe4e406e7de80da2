/**
 * What a client knows about servers, so that its next connection to one begins with a full hello and sends requests at
 * once (quic_crypto_client_config.cc, LookupOrCreate).
 */
import { CachedServerState } from './cached-server-state.js'
import type { SavedServerState } from './cached-server-state.js'

/** Servers remembered unless told otherwise; who was not needed for longest is forgotten first. */
export const DEFAULT_SESSION_CACHE_SIZE = 256

/** The state for each server, in memory. Connections to the same server at the same time share it. */
export class ClientSessionCache {
  /** Least recently used first. */
  private readonly states = new Map<string, CachedServerState>()

  /** @param maxServers at least 1 */
  constructor(private readonly maxServers = DEFAULT_SESSION_CACHE_SIZE) {}

  /** Servers that there is a state for. */
  get size(): number {
    return this.states.size
  }

  /** The state for a server, empty if it is new. The handshake that gets it keeps it up to date. */
  lookup(serverName: string, port: number): CachedServerState {
    const id = `${serverName.toLowerCase()}:${port}`
    const known = this.states.get(id)
    this.states.delete(id)
    const state = known ?? new CachedServerState()
    this.keep(id, state)
    return state
  }

  /** Forgets every server. Connections under way go on. */
  clear(): void {
    for (const state of this.states.values()) state.onChange = undefined
    this.states.clear()
    this.onChange()
  }

  /** Overridable: what has changed is to be kept now, for the program may end. */
  flush(): void {}

  /** Overridable: something that {@link save} gives has changed. */
  protected onChange(): void {}

  /** Everything worth keeping, by server, in a form for JSON. */
  protected save(): Record<string, SavedServerState> {
    const saved: Record<string, SavedServerState> = {}
    for (const [id, state] of this.states) {
      const worth = state.save()
      if (worth !== undefined) saved[id] = worth
    }
    return saved
  }

  /**
   * Takes in what {@link save} gave, as read from anywhere.
   *
   * @returns how many servers' states were damaged and left out
   */
  protected restore(saved: Record<string, unknown>): number {
    let damaged = 0
    for (const [id, value] of Object.entries(saved)) {
      const state = CachedServerState.restore(value)
      if (state === undefined) damaged++
      else if (!this.states.has(id)) this.keep(id, state)
    }
    return damaged
  }

  private keep(id: string, state: CachedServerState): void {
    state.onChange = () => this.onChange()
    this.states.set(id, state)
    for (const [oldest, dropped] of this.states) {
      if (this.states.size <= this.maxServers) return
      dropped.onChange = undefined
      this.states.delete(oldest)
    }
  }
}
