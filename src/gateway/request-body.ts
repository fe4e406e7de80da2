/** A request's content on its way from a QUIC stream to an upstream, no faster than the upstream takes it. */
import { Readable } from 'node:stream'

/** What this needs of the stream that carries the content. */
export interface BodySource {
  /** The next bytes in order; reading them opens the client's flow-control window. */
  read(): Uint8Array | undefined
  /** Whether everything was read. */
  readonly readEnded: boolean
  /** Ignores what is still to come. */
  stopReading(): void
}

/** Why a request's content cannot be passed on. */
export class RequestBodyError extends Error {
  override readonly name = 'RequestBodyError'

  constructor(
    readonly code: 'CONTENT_LENGTH_MISMATCH' | 'CONTENT_STALLED',
    message: string
  ) {
    super(message)
  }
}

/** How much may be read ahead of the upstream, bytes. More would only hide its pace from the client. */
const READ_AHEAD = 16 * 1024

/**
 * A Readable that reads its source only when asked. Fails with {@link RequestBodyError} when the content is longer or
 * shorter than announced, or when the client sends nothing for `idleMs` while the upstream waits.
 */
export class RequestBody extends Readable {
  /** Bytes taken from the source. */
  received = 0
  private wanted = false
  private idleTimer: NodeJS.Timeout | undefined

  /** @param contentLength announced length in bytes, if any */
  constructor(
    private readonly source: BodySource,
    private readonly contentLength: number | undefined,
    private readonly idleMs: number
  ) {
    super({ highWaterMark: READ_AHEAD })
    // Whoever sends the content listens while it does; before and after, the exchange has the error already.
    this.on('error', () => undefined)
  }

  /** Whether any content was taken: it cannot be sent a second time. */
  get started(): boolean {
    return this.received > 0
  }

  override _read(): void {
    this.wanted = true
    this.pump()
  }

  /** The source has something new: bytes, or its end. */
  onReadable(): void {
    if (this.wanted) this.pump()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.wanted = false
    clearTimeout(this.idleTimer)
    if (!this.source.readEnded) this.source.stopReading()
    callback(error)
  }

  private pump(): void {
    while (this.wanted) {
      const bytes = this.source.read()
      if (bytes === undefined) {
        if (this.source.readEnded) this.finish()
        else this.watch()
        return
      }
      this.idleTimer?.refresh()
      this.received += bytes.length
      if (this.contentLength !== undefined && this.received > this.contentLength) return this.mismatch()
      this.wanted = this.push(bytes)
    }
    // The upstream has enough for now: its own pace is watched elsewhere, the client's is not to blame.
    clearTimeout(this.idleTimer)
    this.idleTimer = undefined
  }

  private finish(): void {
    this.wanted = false
    clearTimeout(this.idleTimer)
    if (this.contentLength !== undefined && this.received !== this.contentLength) return this.mismatch()
    this.push(null)
  }

  private mismatch(): void {
    const words = `content-length is ${this.contentLength}, but ${this.received} bytes came`
    this.destroy(new RequestBodyError('CONTENT_LENGTH_MISMATCH', words))
  }

  private watch(): void {
    this.idleTimer ??= setTimeout(() => {
      this.destroy(new RequestBodyError('CONTENT_STALLED', `the client sent nothing for ${this.idleMs} ms`))
    }, this.idleMs)
  }
}
