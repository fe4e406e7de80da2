/**
 * Where `quicgate fetch` puts responses: bodies one after the other on stdout, or into files.
 */
import { createWriteStream } from 'node:fs'
import type { WriteStream } from 'node:fs'
import type { Writable } from 'node:stream'
import { SINK_PIECE, type ResponseSink } from '../client/fetch-exchange.js'
import { headerValue } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'

/** Bytes that go to a file at once: with small pieces the calls would cost more than the bytes. */
const FILE_CHUNK = 4 * SINK_PIECE
/** While one is written the other is filled. */
const FILE_CHUNKS = 2
/** What a file waits for no longer, ms, when little comes. */
const FILE_DELAY_MS = 100

/** Discards the body. */
export class NullSink implements ResponseSink {
  readonly ready = true

  headers(): void {}
  write(): void {}
  onReady(): void {}
  trailers(): void {}

  /** Nothing is open. */
  async finish(): Promise<void> {}
}

/** A sink that writes. With `include`, status line and headers come first, and trailers last. */
abstract class WritingSink implements ResponseSink {
  protected resume: (() => void) | undefined

  constructor(private readonly include: boolean) {}

  abstract readonly ready: boolean
  abstract write(piece: Uint8Array): void

  headers(headers: HeaderList, version: string): void {
    if (this.include) this.writeText(`QUIC/${version} ${headerValue(headers, ':status')}\r\n${lines(headers)}\r\n`)
  }

  onReady(resume: () => void): void {
    this.resume = resume
  }

  trailers(trailers: HeaderList): void {
    if (this.include) this.writeText(`\r\n${lines(trailers)}`)
  }

  private writeText(text: string): void {
    // latin1: header values are octets.
    const bytes = Buffer.from(text, 'latin1')
    for (let at = 0; at < bytes.length; at += SINK_PIECE) this.write(bytes.subarray(at, at + SINK_PIECE))
  }
}

/** Writes one response to a file, in large chunks. */
export class FileSink extends WritingSink {
  private readonly target: WriteStream
  private readonly free: Buffer[] = []
  private chunks = 0
  private chunk: Buffer | undefined
  private filled = 0
  private delay: NodeJS.Timeout | undefined
  private error: Error | undefined

  /** Makes the file, or overwrites it. */
  constructor(path: string, include: boolean) {
    super(include)
    this.target = createWriteStream(path, { highWaterMark: FILE_CHUNKS * FILE_CHUNK })
    this.target.on('error', (error) => {
      this.error = error
      this.resume?.()
    })
  }

  /** Not while all chunks are being written. After a failure what comes is discarded: {@link finish} tells of it. */
  get ready(): boolean {
    return this.failed || this.chunk !== undefined || this.free.length > 0 || this.chunks < FILE_CHUNKS
  }

  private get failed(): boolean {
    return this.error !== undefined || this.target.destroyed
  }

  override write(piece: Uint8Array): void {
    if (this.failed) return
    this.chunk ??= this.free.pop() ?? this.newChunk()
    this.chunk.set(piece, this.filled)
    this.filled += piece.length
    if (this.filled + SINK_PIECE > FILE_CHUNK) this.flush()
    else this.delay ??= setTimeout(() => this.flush(), FILE_DELAY_MS)
  }

  /** A response's headers may be one more chunk than there is: they cannot wait. */
  private newChunk(): Buffer {
    this.chunks++
    return Buffer.allocUnsafeSlow(FILE_CHUNK)
  }

  private flush(): void {
    clearTimeout(this.delay)
    this.delay = undefined
    const { chunk } = this
    if (chunk === undefined) return
    this.chunk = undefined
    this.target.write(chunk.subarray(0, this.filled), () => {
      this.free.push(chunk)
      this.resume?.()
    })
    this.filled = 0
  }

  /** Resolves when everything is written; rejects with the system's error if that failed. */
  async finish(): Promise<void> {
    this.resume = undefined
    this.flush()
    // A file that could not be opened has closed long ago.
    if (!this.target.closed) await new Promise<void>((resolve) => this.target.once('close', resolve).end())
    if (this.error !== undefined) throw this.error
  }
}

/** Shares stdout: the responses take turns in the order in which they were asked for; who waits stalls its stream. */
export class TurnSink extends WritingSink {
  private blocked = false
  private hasTurn = false
  /** What came before its turn: headers, a few hundred bytes. */
  private early: [HeaderList, string] | undefined
  private readonly onDrain = (): void => {
    this.blocked = false
    this.resume?.()
  }

  constructor(
    private readonly target: Writable,
    include: boolean,
    turn: Promise<void>
  ) {
    super(include)
    target.on('drain', this.onDrain)
    void turn.then(() => {
      this.hasTurn = true
      if (this.early !== undefined) super.headers(...this.early)
      this.resume?.()
    })
  }

  get ready(): boolean {
    return this.hasTurn && !this.blocked
  }

  override headers(headers: HeaderList, version: string): void {
    if (this.hasTurn) super.headers(headers, version)
    else this.early = [headers, version]
  }

  override write(piece: Uint8Array): void {
    if (!this.target.destroyed) this.blocked = !this.target.write(Buffer.from(piece))
  }

  /** Stdout stays open for the next. */
  async finish(): Promise<void> {
    this.target.off('drain', this.onDrain)
  }
}

function lines(headers: HeaderList): string {
  return headers.filter(([name]) => !name.startsWith(':')).map(([name, value]) => `${name}: ${value}\r\n`).join('')
}
