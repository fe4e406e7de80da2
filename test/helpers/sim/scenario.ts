/**
 * Runs scenarios under several seeds, and says which seed failed. QUICGATE_SIM_SEED runs that one alone,
 * QUICGATE_SIM_ROUNDS that many times as many.
 */
import { it } from 'vitest'
import type { TransportOptions } from '../../../src/endpoint/transport-options.js'
import type { AeadProvider } from '../../../src/quic/crypto/protection.js'
import type { ObserveConnection } from '../../../src/quic/transport/observer.js'
import type { Micros } from '../../../src/quic/types.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import type { NetworkNode } from './network.js'
import { SimClientSession, SimServerSession, type ExchangeOptions } from './sim-application.js'
import { SimWorld, type SimClient } from './sim-world.js'

const forced = process.env['QUICGATE_SIM_SEED']
const rounds = Number(process.env['QUICGATE_SIM_ROUNDS'] ?? 1)

/** Defines a test that calls `body` once for each of `seeds` seeds. */
export function scenario(name: string, seeds: number, body: (seed: number) => void): void {
  it(name, () => {
    const base = hashName(name)
    const many = Array.from({ length: seeds * rounds }, (_, i) => (base + i) >>> 0)
    const list = forced !== undefined ? [Number(forced)] : many
    for (const seed of list) {
      try {
        body(seed)
      } catch (error) {
        const how = `seed ${seed}: run with QUICGATE_SIM_SEED=${seed} to see it again`
        throw new Error(`${error instanceof Error ? error.message : String(error)} (${how})`, { cause: error })
      }
    }
  }, 20_000 * rounds)
}

/** Different scenarios begin at different seeds. */
function hashName(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** One connection in a world of its own, and the exchanges to make on it. */
export interface ConnectionScenario {
  seed: number
  /** What the client offers; all versions if not given. */
  versions?: readonly QuicVersion[]
  serverVersions?: readonly QuicVersion[]
  transport?: TransportOptions
  serverTransport?: TransportOptions
  up?: NetworkNode[]
  down?: NetworkNode[]
  handshakeTimeout?: Micros
  /** Sees both ends. */
  observe?: ObserveConnection
  /** Of both ends; node:crypto if not given. */
  aeadProvider?: AeadProvider
}

/** A world with one client that begins to connect. */
export interface ConnectedPair {
  readonly world: SimWorld
  readonly client: SimClient<SimClientSession>
  /** The server's session. The server must have accepted the connection, and not forgotten it. */
  serverSession(): SimServerSession
}

/** Makes the world and the client. */
export function makePair(o: ConnectionScenario): ConnectedPair {
  const world = new SimWorld({
    seed: o.seed,
    versions: o.serverVersions,
    transport: o.serverTransport,
    observe: o.observe,
    aeadProvider: o.aeadProvider,
    createSession: (connection) => new SimServerSession(connection, o.serverTransport)
  })
  const client = world.addClient({
    versions: o.versions,
    transport: o.transport,
    up: o.up,
    down: o.down,
    handshakeTimeout: o.handshakeTimeout,
    observe: o.observe,
    createSession: (connection) => new SimClientSession(connection, o.transport)
  })
  return { world, client, serverSession: () => client.serverSide(world)!.session as SimServerSession }
}

/** Connects: returns once requests may be sent. */
export function connectPair(o: ConnectionScenario): ConnectedPair {
  const pair = makePair(o)
  pair.world.run(() => {
    if (pair.client.session.closeError !== undefined) throw pair.client.session.closeError
    return pair.client.connection.encryptionEstablished
  }, 30_000)
  return pair
}

/** Connects and makes these exchanges, all at once; returns when the last is complete and checked. */
export function runExchanges(o: ConnectionScenario, exchanges: ExchangeOptions[], limitMs = 600_000): ConnectedPair {
  const pair = connectPair(o)
  for (const exchange of exchanges) pair.client.session.start(exchange)
  pair.world.run(() => pair.client.session.done, limitMs)
  const { applicationError } = pair.serverSession()
  if (applicationError !== undefined) throw applicationError
  return pair
}
