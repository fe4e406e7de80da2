/** Log lines made by hand, for records that come with every request. */
import { pino } from 'pino'
import type { DestinationStream } from 'pino'
import { logTime } from './log-time.js'
import type { Logger } from './logger.js'

/** Text in which JSON escapes nothing. */
const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** Text as a JSON string. */
export function jsonString(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text)
}

/** A member of a line; nothing if the value is undefined. The name is one that JSON does not escape. */
export function textMember(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${jsonString(value)}`
}

/** As {@link textMember}, for a finite number. */
export function numberMember(name: string, value: number | undefined): string {
  return value === undefined ? '' : `,"${name}":${value}`
}

/**
 * Writes lines in the form in which a logger writes its own, with its bindings and to the same place. Their members are
 * JSON already: the logger would ask each of them for its name and type anew, which costs more than the rest of the line.
 */
export class LineWriter {
  private readonly bindings: string
  private readonly destination: DestinationStream

  /** @param logger its level is looked at for each line */
  constructor(private readonly logger: Logger) {
    const bindings = JSON.stringify(logger.bindings()).slice(1, -1)
    this.bindings = bindings === '' ? '' : `,${bindings}`
    this.destination = (logger as unknown as Record<symbol, DestinationStream>)[pino.symbols.streamSym]
  }

  /** Whether lines of that level are written. */
  enabled(level: 'info' | 'warn'): boolean {
    return this.logger.isLevelEnabled(level)
  }

  /**
   * Writes one line, whatever the logger's level.
   * @param members such as `,"a":1,"b":"x"`
   */
  write(level: 'info' | 'warn', members: string, message: string): void {
    const number = this.logger.levels.values[level]
    this.destination.write(`{"level":${number}${logTime()}${this.bindings}${members},"msg":${jsonString(message)}}\n`)
  }
}
