/**
 * Everything that a process records about its connections: keys and traces.
 */
import { combineObservers } from '../quic/transport/observer.js'
import type { ConnectionObserver, ObserveConnection, ObservedConnection } from '../quic/transport/observer.js'
import type { PeerAddress } from '../quic/types.js'
import { KeyLog } from './key-log.js'
import { QlogDirectory } from './qlog/qlog-directory.js'
import { QlogObserver } from './qlog/qlog-observer.js'
import { FileSink, TroubleSink, type SlowThresholds } from './qlog/qlog-sinks.js'

/** How often what waits in memory goes to the disk, ms. */
const FLUSH_INTERVAL_MS = 1000
/** Traces of troubled connections in a minute: peers can make trouble at will, and shall not keep the disk busy. */
const TROUBLE_TRACES_A_MINUTE = 60

/** How connections are traced. */
export interface QlogOptions {
  /** Made if missing. */
  readonly dir: string
  /** `always`: every connection, whole. `trouble`: the last events of those that fail or are slow. */
  readonly when: 'always' | 'trouble'
  /** Events of a connection that are kept in memory for `trouble`. */
  readonly events: number
  readonly slow: SlowThresholds
  /** Bytes. */
  readonly maxFileSize: number
  readonly maxFiles: number
}

/** What is recorded. */
export interface RecorderOptions {
  /** File that keys are appended to. */
  readonly keylog?: string | undefined
  readonly qlog?: QlogOptions | undefined
}

/** One a process. */
export class ConnectionRecorder {
  private readonly keyLog: KeyLog | undefined
  private readonly directory: QlogDirectory | undefined
  private readonly timer: NodeJS.Timeout | undefined
  private minute = 0
  private tracesThisMinute = 0

  /**
   * @param onProblem gets a sentence when something can no longer be recorded
   * @throws the system's error, with `path`, if a file or directory cannot be made
   */
  constructor(
    private readonly o: RecorderOptions,
    private readonly onProblem: (message: string) => void
  ) {
    if (o.qlog !== undefined) this.directory = new QlogDirectory(o.qlog.dir, o.qlog, onProblem)
    if (o.keylog !== undefined) this.keyLog = new KeyLog(o.keylog, onProblem)
    if (this.directory === undefined) return
    this.timer = setInterval(() => this.directory!.flush(), FLUSH_INTERVAL_MS)
    this.timer.unref()
  }

  /** Makes the observer of one connection; undefined if there is nothing to record. To be given to servers and clients. */
  readonly observe: ObserveConnection = (facts, localAddress) => {
    const observers: ConnectionObserver[] = []
    if (this.keyLog !== undefined) observers.push(this.keyLog.observer(facts))
    if (this.directory !== undefined) observers.push(this.trace(facts, localAddress, this.directory, this.o.qlog!))
    return combineObservers(observers)
  }

  /** Writes what waits and closes the files. Connections must be over. */
  close(): void {
    clearInterval(this.timer)
    this.directory?.flush()
    this.keyLog?.close()
  }

  private trace(
    facts: ObservedConnection,
    localAddress: () => PeerAddress | undefined,
    directory: QlogDirectory,
    { when, events, slow }: QlogOptions
  ): ConnectionObserver {
    const referenceTime = Date.now()
    const sink =
      when === 'always'
        ? new FileSink(directory.create(facts, referenceTime))
        : new TroubleSink(events, slow, () =>
            this.mayTraceTrouble() ? directory.create(facts, referenceTime) : undefined
          )
    return new QlogObserver(facts, localAddress, sink)
  }

  private mayTraceTrouble(): boolean {
    const minute = Math.floor(performance.now() / 60_000)
    if (minute !== this.minute) this.tracesThisMinute = 0
    this.minute = minute
    if (this.tracesThisMinute === TROUBLE_TRACES_A_MINUTE) {
      this.onProblem(`more than ${TROUBLE_TRACES_A_MINUTE} connections in trouble within a minute: not all are traced`)
    }
    return ++this.tracesThisMinute <= TROUBLE_TRACES_A_MINUTE
  }
}
