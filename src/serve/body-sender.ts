/**
 * Sends a part of a file as the body of a stream: the next piece is read from disk when the stream takes more.
 */
import { read } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'

/** What the sender needs of a stream, which nobody else writes to. */
export interface BodySink {
  /** Where the first byte that was written stands that the stream may yet read. */
  readonly releasedOffset: number
  write(data: Uint8Array, fin?: boolean): boolean
  reset(errorCode: number): void
  readonly writeEnded: boolean
  readonly closed: boolean
}

/** Bytes read at a time. */
const PIECE = 131_072

/** What the stream was given, until it is acknowledged. */
interface LentPiece {
  readonly bytes: Buffer
  /** Where it ends in the stream. */
  readonly end: number
}

/** Owns the file handle: closes it when the body is sent, or when {@link stop} is called. */
export class BodySender {
  private position: number
  private readonly end: number
  private written = 0
  private readonly lent: LentPiece[] = []
  /** Pieces that the stream is done with: memory that is written again costs less than memory that is new. */
  private readonly free: Buffer[] = []
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
    read(this.file.fd, this.takePiece(), 0, size, this.position, (error, count, piece) => {
      this.reading = false
      if (this.stopped) this.closeFile()
      else if (error !== null || count === 0) this.fail()
      else this.send(piece, count)
    })
  }

  private takePiece(): Buffer {
    const { releasedOffset } = this.sink
    while (this.lent.length > 0 && this.lent[0]!.end <= releasedOffset) this.free.push(this.lent.shift()!.bytes)
    return this.free.pop() ?? Buffer.allocUnsafeSlow(Math.min(PIECE, this.end - this.position))
  }

  /** Sends no more; closes the file. */
  stop(): void {
    if (this.stopped) return
    this.stopped = true
    this.lent.length = this.free.length = 0
    if (!this.reading) this.closeFile()
  }

  private send(piece: Buffer, length: number): void {
    if (this.sink.closed || this.sink.writeEnded) {
      this.stop()
      return
    }
    this.position += length
    this.written += length
    this.lent.push({ bytes: piece, end: this.written })
    const last = this.position === this.end
    const more = this.sink.write(length === piece.length ? piece : piece.subarray(0, length), last)
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
