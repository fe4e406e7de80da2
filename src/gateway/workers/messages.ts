/** What the primary process of a gateway and its workers say to each other. Everything survives a structured clone. */
import type { FileSnapshot } from '../../config/config-files.js'
import type { MetricSnapshot } from '../../observe/metrics/metric-set.js'
import type { ConnectionStatus } from '../admin/status.js'

/** Secrets on their way to a worker. */
export interface HandedSecrets {
  /** See serializeSecrets. */
  readonly text: string
  /** Ids, hexadecimal, of the server configs that no process before this worker can have accepted hellos for. */
  readonly fresh: readonly string[]
}

/** The first message to a worker: what it is to be. */
export interface StartMessage {
  readonly type: 'start'
  /** Which worker, from 0, and of how many. */
  readonly index: number
  readonly count: number
  /** File descriptors of its sockets, in the order of the listeners. */
  readonly fds: readonly number[]
  readonly secrets: HandedSecrets
  /** The configuration as the primary read it, whatever has become of the files since. */
  readonly config: { readonly file: string; readonly files: FileSnapshot }
  /** What the program was started with, for whoever makes the worker's surroundings. */
  readonly flags: Readonly<Record<string, string | undefined>>
  /** Of the program. */
  readonly version: string
}

/** From the primary. */
export type ToWorker =
  | StartMessage
  | { readonly type: 'secrets'; readonly secrets: HandedSecrets }
  | { readonly type: 'metrics'; readonly id: number }
  /** `connections`: how many to describe at most. */
  | { readonly type: 'status'; readonly id: number; readonly connections: number }
  | { readonly type: 'stop'; readonly drainMs: number }

/** What a worker is doing. */
export interface WorkerReport {
  readonly connectionCount: number
  readonly connections: readonly ConnectionStatus[]
}

/** To the primary. */
export type FromWorker =
  | { readonly type: 'ready' }
  /** It cannot do what it is to do. The message is for a person. */
  | { readonly type: 'failed'; readonly message: string; readonly exitCode: number }
  /** `id` of the question; 0 for the last word of a worker that stops. */
  | { readonly type: 'metrics'; readonly id: number; readonly metrics: readonly MetricSnapshot[] }
  | { readonly type: 'status'; readonly id: number; readonly report: WorkerReport }
