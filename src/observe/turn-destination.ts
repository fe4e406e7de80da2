/** Where log lines of a busy program go: a system call for each would cost more than making the line. */
import type { DestinationStream } from 'pino'

/** As much as this many UTF-16 units wait at most. */
const MAX_WAITING = 64 * 1024

/**
 * Collects the lines of one turn of the event loop and writes them with one call. What waits is written as well when the
 * process ends, in whatever way it ends that lets it run its `exit` listeners.
 */
export class TurnDestination implements DestinationStream {
  private waiting = ''
  private readonly flushWaiting = (): void => this.flush()

  /** @param target takes what it is given at once, and whole */
  constructor(private readonly target: DestinationStream) {
    process.on('exit', this.flushWaiting)
  }

  /** Takes one line. */
  write(line: string): void {
    if (this.waiting === '') setImmediate(this.flushWaiting)
    this.waiting += line
    if (this.waiting.length > MAX_WAITING) this.flush()
  }

  /** Writes what waits. */
  flush(): void {
    if (this.waiting === '') return
    const lines = this.waiting
    this.waiting = ''
    this.target.write(lines)
  }
}
