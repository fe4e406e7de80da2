/** Data that came before what precedes it. */
interface Piece {
  offset: number
  data: Uint8Array
}

/**
 * Puts the bytes of one direction of one stream in order, whatever order, duplication or overlap they come in, and
 * hands on what joins the beginning without a gap.
 */
export class StreamAssembler {
  /** How many bytes from the beginning were handed on. */
  length = 0
  // Ascending by offset; all behind the first gap.
  private readonly waiting: Piece[] = []

  /** @param sink takes the next bytes, each once */
  constructor(private readonly sink: (data: Uint8Array) => void) {}

  /** Takes the data of one STREAM frame; `data` is kept, not copied, if it has to wait. */
  push(offset: number, data: Uint8Array): void {
    if (offset > this.length) {
      if (data.length > 0) this.wait({ offset, data })
      return
    }
    this.deliver(offset, data)
    while (this.waiting.length > 0 && this.waiting[0]!.offset <= this.length) {
      const piece = this.waiting.shift()!
      this.deliver(piece.offset, piece.data)
    }
  }

  private deliver(offset: number, data: Uint8Array): void {
    const known = this.length - offset
    if (known >= data.length) return
    this.length = offset + data.length
    this.sink(known === 0 ? data : data.subarray(known))
  }

  private wait(piece: Piece): void {
    // Most pieces come behind all others: look from the end.
    let at = this.waiting.length
    while (at > 0 && this.waiting[at - 1]!.offset > piece.offset) at--
    this.waiting.splice(at, 0, piece)
  }
}
