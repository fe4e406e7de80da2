/**
 * A file read from front to back in pieces of wanted sizes, holding no more of it than the largest piece.
 */
import type { FileHandle } from 'node:fs/promises'

const READ_SIZE = 256 * 1024

/** Reads an open file. */
export class ByteSource {
  private buffer: Buffer = Buffer.alloc(0)
  private position = 0

  constructor(private readonly file: FileHandle) {}

  /**
   * The next `length` bytes, as a view that is good until the next call; fewer if the file ends before. They are only
   * looked at: {@link take} moves on.
   */
  async peek(length: number): Promise<Buffer> {
    while (this.buffer.length - this.position < length) {
      const rest = this.buffer.subarray(this.position)
      const next = Buffer.allocUnsafe(rest.length + Math.max(READ_SIZE, length - rest.length))
      rest.copy(next)
      const { bytesRead } = await this.file.read(next, rest.length, next.length - rest.length)
      this.buffer = next.subarray(0, rest.length + bytesRead)
      this.position = 0
      if (bytesRead === 0) break
    }
    return this.buffer.subarray(this.position, this.position + length)
  }

  /** The next `length` bytes, or fewer at the file's end. Views like {@link peek}'s. */
  async take(length: number): Promise<Buffer> {
    const bytes = await this.peek(length)
    this.position += bytes.length
    return bytes
  }
}
