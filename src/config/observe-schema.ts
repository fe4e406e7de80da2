/** What a program records of its connections: keys and traces. Shared by all configuration files. */
import { resolve } from 'node:path'
import { z } from 'zod'
import { duration, size } from './values.js'

const slowSchema = z
  .strictObject({
    handshake: duration(1).prefault('1s').describe('from the first packet until the handshake is confirmed'),
    rtt: duration(1).prefault('500ms').describe('the smoothed round-trip time'),
    loss: z.number().min(0).max(100).default(10).describe('percent of the packets sent, once there are 50')
  })
  .describe('above what a connection counts as slow')

/** `qlog`. */
export const qlogSchema = z
  .strictObject({
    dir: z.string().min(1).describe('directory of the traces; made if missing'),
    when: z.enum(['always', 'trouble']).default('always')
      .describe('trace every connection, or write the last events of those that fail or are slow'),
    events: z.int().min(10).max(100_000).default(200)
      .describe('events of each connection that are kept in memory for that, about 800 bytes each'),
    slow: slowSchema.prefault({}),
    maxFileSize: size(4096).prefault('16MiB').describe('of one trace; what comes later is left out'),
    maxFiles: z.int().min(1).max(1_000_000).default(1000)
      .describe('traces that are kept of those that this process wrote; the oldest is deleted for a new one')
  })
  .describe('traces of connections for qvis and other viewers of qlog')

/** The keys of a configuration file. */
export const observeFields = {
  keylog: z.string().min(1).optional()
    .describe('file that the keys of all connections are appended to: whoever reads it can read the traffic'),
  qlog: qlogSchema.optional()
}

/** What {@link observeFields} come to. Durations in milliseconds, sizes in bytes. */
export interface ObserveConfig {
  readonly keylog?: string | undefined
  readonly qlog?: z.output<typeof qlogSchema> | undefined
}

/** The same with absolute paths; those in the file are relative to the directory `base`. */
export function resolveObserved({ keylog, qlog }: ObserveConfig, base: string): ObserveConfig {
  return {
    keylog: keylog === undefined ? undefined : resolve(base, keylog),
    qlog: qlog === undefined ? undefined : { ...qlog, dir: resolve(base, qlog.dir) }
  }
}
