/**
 * Where `quicgate fetch` puts responses: bodies one after the other on stdout, or into files.
 */
import { createWriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import type { ResponseSink } from '../client/fetch-exchange.js'
import { headerValue } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'

/** Discards the body. */
export class NullSink implements ResponseSink {
  readonly ready = true

  headers(): void {}

  write(): boolean {
    return true
  }

  onReady(): void {}
  trailers(): void {}

  /** Nothing is open. */
  async finish(): Promise<void> {}
}

/**
 * Writes one response to a stream that is its own: a file. With `include`, status line and headers come first, and
 * trailers last.
 */
export class WritableSink implements ResponseSink {
  protected blocked = false
  private resume: (() => void) | undefined
  private error: Error | undefined
  private readonly onDrain = (): void => {
    this.blocked = false
    this.resume?.()
  }

  constructor(
    protected readonly target: Writable,
    private readonly include: boolean,
    private readonly owned: boolean
  ) {
    target.on('drain', this.onDrain)
    if (owned) {
      target.on('error', (error) => {
        this.error = error
        this.onDrain()
      })
    }
  }

  get ready(): boolean {
    return !this.blocked
  }

  headers(headers: HeaderList, version: string): void {
    if (this.include) this.put(`QUIC/${version} ${headerValue(headers, ':status')}\r\n${lines(headers)}\r\n`)
  }

  write(piece: Uint8Array): boolean {
    return this.put(piece)
  }

  onReady(resume: () => void): void {
    this.resume = resume
  }

  trailers(trailers: HeaderList): void {
    if (this.include) this.put(`\r\n${lines(trailers)}`)
  }

  /** Resolves when everything is written; rejects with the system's error if that failed. */
  async finish(): Promise<void> {
    this.target.off('drain', this.onDrain)
    if (!this.owned) return
    // A file that could not be opened has closed long ago.
    if (!this.target.closed) await new Promise<void>((resolve) => this.target.once('close', resolve).end())
    if (this.error !== undefined) throw this.error
  }

  private put(bytes: string | Uint8Array): boolean {
    if (this.error !== undefined || this.target.destroyed) return true
    // latin1: header values are octets.
    const more = typeof bytes === 'string' ? this.target.write(bytes, 'latin1') : this.target.write(bytes)
    this.blocked = !more
    return more
  }
}

/** Shares stdout: the responses take turns in the order in which they were asked for; who waits stalls its stream. */
export class TurnSink extends WritableSink {
  private waiting: (() => void) | undefined
  private hasTurn = false
  /** What came before its turn: headers, a few hundred bytes. */
  private early: [HeaderList, string] | undefined

  constructor(target: Writable, include: boolean, turn: Promise<void>) {
    super(target, include, false)
    void turn.then(() => {
      this.hasTurn = true
      if (this.early !== undefined) super.headers(...this.early)
      this.waiting?.()
    })
  }

  override get ready(): boolean {
    return this.hasTurn && super.ready
  }

  override headers(headers: HeaderList, version: string): void {
    if (this.hasTurn) super.headers(headers, version)
    else this.early = [headers, version]
  }

  override onReady(resume: () => void): void {
    super.onReady(resume)
    this.waiting = resume
  }
}

function lines(headers: HeaderList): string {
  return headers.filter(([name]) => !name.startsWith(':')).map(([name, value]) => `${name}: ${value}\r\n`).join('')
}

/** A sink for a new file, or one that is overwritten. */
export function fileSink(path: string, include: boolean): WritableSink {
  return new WritableSink(createWriteStream(path), include, true)
}
