/**
 * The files of traces: one a connection, each bounded, and no more of them than asked for.
 */
import { appendFileSync, mkdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ObservedConnection } from '../../quic/transport/observer.js'
import { qlogHeader, qlogRecord, vantagePoint, type QlogEvent } from './qlog-events.js'

/** Bytes that wait for the disk before they are written. */
const WRITE_SIZE = 64 * 1024
const MAX_NAMESAKES = 100

/** Limits of a {@link QlogDirectory}. */
export interface QlogLimits {
  /** Bytes of one file; what comes later is left out, and the file says so. */
  readonly maxFileSize: number
  /** Files kept of those that this process wrote: the oldest is deleted for a new one. */
  readonly maxFiles: number
}

/** Where the traces of a process go. */
export class QlogDirectory {
  private readonly files: QlogFile[] = []
  private failed = false

  /**
   * Makes the directory if it is missing.
   * @param onProblem told once, when traces can no longer be written
   * @throws the system's error if it cannot be made, or is no directory
   */
  constructor(
    private readonly path: string,
    private readonly limits: QlogLimits,
    private readonly onProblem: (message: string) => void
  ) {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    if (!statSync(path).isDirectory()) throw Object.assign(new Error(`${path} is no directory`), { code: 'ENOTDIR', path })
  }

  /** Begins a file. Nothing here throws: a trace that cannot be written must not disturb what it traces. */
  create(facts: ObservedConnection, referenceTime: number): QlogFile {
    const name = `${facts.connectionId.toString()}_${vantagePoint(facts.perspective)}`
    const header = qlogRecord(qlogHeader(facts, referenceTime))
    const path = this.attempt(() => this.createFile(name, header))
    const file = new QlogFile(path, header.length, this.limits.maxFileSize, (text) => this.append(path!, text))
    if (path === undefined) return file
    this.files.push(file)
    if (this.files.length > this.limits.maxFiles) this.remove(this.files.shift()!)
    return file
  }

  /** Writes what waits. */
  flush(): void {
    for (const file of this.files) file.flush()
  }

  /** A connection id may come back: its later traces get a number. */
  private createFile(name: string, header: string): string {
    for (let i = 1; ; i++) {
      const path = join(this.path, i === 1 ? `${name}.sqlog` : `${name}-${i}.sqlog`)
      try {
        writeFileSync(path, header, { flag: 'wx', mode: 0o600 })
        return path
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || i === MAX_NAMESAKES) throw error
      }
    }
  }

  private append(path: string, text: string): boolean {
    return this.attempt(() => (appendFileSync(path, text), true)) === true
  }

  private remove(file: QlogFile): void {
    file.abandon()
    try {
      unlinkSync(file.path!)
    } catch {
      // Somebody was faster.
    }
  }

  private attempt<T>(write: () => T): T | undefined {
    try {
      return write()
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (!this.failed) this.onProblem(`cannot write qlog traces to ${this.path} (${code ?? message}); some will be missing`)
      this.failed = true
      return undefined
    }
  }
}

/** One trace. Keeps a little back, so that the disk is not asked for every event. */
export class QlogFile {
  private pending = ''
  private ended: boolean

  /**
   * @param path undefined if it could not be made: then everything is dropped
   * @param size bytes that it has already
   * @param append returns whether it worked
   */
  constructor(
    readonly path: string | undefined,
    private size: number,
    private readonly maxSize: number,
    private readonly append: (text: string) => boolean
  ) {
    this.ended = path === undefined
  }

  write(event: QlogEvent): void {
    if (this.ended) return
    let record = qlogRecord(event)
    const full = this.size + Buffer.byteLength(record) > this.maxSize
    if (full) record = qlogRecord({ time: event.time, name: 'gquic:trace_truncated', data: { max_size: this.maxSize } })
    this.size += Buffer.byteLength(record)
    this.pending += record
    if (full || this.pending.length >= WRITE_SIZE) this.flush()
    this.ended ||= full
  }

  flush(): void {
    if (this.pending === '' || this.ended) return
    const text = this.pending
    this.pending = ''
    if (!this.append(text)) this.ended = true
  }

  /** Drops what comes from now on. */
  abandon(): void {
    this.ended = true
    this.pending = ''
  }
}
