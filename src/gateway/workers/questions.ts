/** Questions to workers that may be too busy to answer. */

/** Questions that wait for their answers. */
export class Questions {
  private lastId = 0
  private readonly waiting = new Map<number, (answer: unknown) => void>()

  /** @param patienceMs how long an answer may take */
  constructor(private readonly patienceMs: number) {}

  /**
   * Asks.
   *
   * @param send sends the question, which is to carry the id
   * @returns the answer, undefined if none comes in time
   */
  ask<T>(send: (id: number) => void): Promise<T | undefined> {
    const id = ++this.lastId
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.answer(id, undefined), this.patienceMs)
      this.waiting.set(id, (answer) => {
        clearTimeout(timer)
        resolve(answer as T | undefined)
      })
      send(id)
    })
  }

  /** An answer came. One that nobody waits for any more is ignored. */
  answer(id: number, answer: unknown): void {
    const resolve = this.waiting.get(id)
    this.waiting.delete(id)
    resolve?.(answer)
  }
}
