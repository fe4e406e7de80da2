/**
 * Sends a part of a file as the body of a stream: the next piece is read from disk when the stream takes more.
 */
import { read } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'

/** What the sender needs of a stream. */
export interface BodySink {
  write(data: Uint8Array, fin?: boolean): boolean
  reset(errorCode: number): void
  readonly writeEnded: boolean
  readonly closed: boolean
}

/** Bytes read at a time. */
const PIECE = 131_072

/** Owns the file handle: closes it when the body is sent, or when {@link stop} is called. */
export class BodySender {
  private position: number
  private readonly end: number
  private reading = false
  private stopped = false

  /**
   * @param start first byte of the body in the file
   * @param length body length in bytes, above 0
   * @param errorCode what the stream is reset with if the file cannot be read or has become shorter
   */
  constructor(
    private readonly sink: BodySink,
    private readonly file: FileHandle,
    start: number,
    length: number,
    private readonly errorCode: number
  ) {
    this.position = start
    this.end = start + length
  }

  /** Begins, and goes on after the stream has become writable again. */
  pump(): void {
    if (this.reading || this.stopped) return
    this.reading = true
    const size = Math.min(PIECE, this.end - this.position)
    read(this.file.fd, Buffer.allocUnsafe(size), 0, size, this.position, (error, count, piece) => {
      this.reading = false
      if (this.stopped) this.closeFile()
      else if (error !== null || count === 0) this.fail()
      else this.send(count === size ? piece : piece.subarray(0, count))
    })
  }

  /** Sends no more; closes the file. */
  stop(): void {
    if (this.stopped) return
    this.stopped = true
    if (!this.reading) this.closeFile()
  }

  private send(piece: Uint8Array): void {
    if (this.sink.closed || this.sink.writeEnded) {
      this.stop()
      return
    }
    this.position += piece.length
    const last = this.position === this.end
    const more = this.sink.write(piece, last)
    if (last) this.stop()
    else if (more) this.pump()
  }

  private fail(): void {
    this.stop()
    if (!this.sink.closed) this.sink.reset(this.errorCode)
  }

  private closeFile(): void {
    this.file.close().catch(() => {})
  }
}
