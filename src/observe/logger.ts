/** The logger of the commands: JSON lines for machines, readable lines on a terminal. */
import { pino, stdSerializers } from 'pino'
import type { DestinationStream, Logger } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { logTime } from './log-time.js'
import { TurnDestination } from './turn-destination.js'

export type { Logger } from 'pino'

/** Levels of {@link createLogger}, most talkative first. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** All optional. */
export interface LoggerOptions {
  readonly level?: LogLevel
  /** Readable lines instead of JSON; if left out, exactly when the output is a terminal. */
  readonly pretty?: boolean
  /** Where lines go; standard output if left out. */
  readonly destination?: DestinationStream
}

/**
 * A pino logger. Lines for machines leave at the end of the turn of the event loop that made them, or when the process
 * exits, and synchronously, so that the last one before an exit is not lost. Errors are logged by name, code and message,
 * with their stack at level debug and below only.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const level = options.level ?? 'info'
  const withStack = level === 'debug' || level === 'trace'
  const settings = {
    level,
    base: null,
    timestamp: logTime,
    serializers: { err: (error: Error) => serializeError(error, withStack) }
  }
  const pretty = options.pretty ?? (options.destination === undefined && process.stdout.isTTY)
  if (!pretty) return pino(settings, options.destination ?? new TurnDestination(standardOutput()))
  const destination = options.destination ?? standardOutput()
  const colorize = process.stdout.isTTY && (process.env.NO_COLOR ?? '') === ''
  const format = prettyFactory({ colorize, translateTime: 'SYS:HH:MM:ss.l' })
  return pino(settings, { write: (line) => destination.write(format(line) ?? line) })
}

/** Standard output for whole lines, several at a time if need be; they are written when the call returns. */
export function standardOutput(): DestinationStream {
  return pino.destination({ fd: 1, sync: true })
}

function serializeError(error: Error, withStack: boolean): object {
  if (!(error instanceof Error)) return { message: String(error) }
  const { name, message } = error
  const code = (error as NodeJS.ErrnoException).code
  return withStack ? stdSerializers.err(error) : { name, code, message }
}
