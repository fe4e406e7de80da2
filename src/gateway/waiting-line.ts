/**
 * Those who wait for something, in the order in which they came. They are linked through themselves and not kept in a
 * `Set`, which under load would let each of them outlive the young generation: see quic/transport/streams/stream-table.ts.
 */

/** Who can wait. The fields are the line's. */
export interface Waiting<W> {
  waits: boolean
  lineBefore: W | undefined
  lineAfter: W | undefined
}

/** First come, first served; whoever waits may leave. */
export class WaitingLine<W extends Waiting<W>> {
  private first: W | undefined
  private last: W | undefined
  private count = 0

  /** How many wait. */
  get length(): number {
    return this.count
  }

  /** Puts one at the end who is in no line. */
  add(waiter: W): void {
    waiter.waits = true
    waiter.lineBefore = this.last
    if (this.last === undefined) this.first = waiter
    else this.last.lineAfter = waiter
    this.last = waiter
    this.count++
  }

  /** Takes one out, wherever it is; nothing happens if it does not wait. */
  remove(waiter: W): void {
    if (!waiter.waits) return
    const { lineBefore: before, lineAfter: after } = waiter
    if (before === undefined) this.first = after
    else before.lineAfter = after
    if (after === undefined) this.last = before
    else after.lineBefore = before
    // Nothing that is over may lead to those who come after it.
    waiter.waits = false
    waiter.lineBefore = undefined
    waiter.lineAfter = undefined
    this.count--
  }

  /** Takes the one out who has waited longest. */
  shift(): W | undefined {
    const { first } = this
    if (first !== undefined) this.remove(first)
    return first
  }
}
