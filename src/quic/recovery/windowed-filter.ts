/**
 * The largest of the samples of the last while, in three numbers instead of all samples (windowed_filter.h; Kathleen
 * Nichols' algorithm). Time is whatever the caller counts: microseconds, or round trips.
 */

/** Keeps the best sample, and the best two that came after it, to replace it when it is too old. */
export class WindowedMaxFilter {
  private first = 0
  private second = 0
  private third = 0
  private firstTime = 0
  private secondTime = 0
  private thirdTime = 0

  /** @param windowLength how long a sample counts */
  constructor(private readonly windowLength: number) {}

  /** 0 before the first sample. */
  get best(): number {
    return this.first
  }

  get secondBest(): number {
    return this.second
  }

  get thirdBest(): number {
    return this.third
  }

  /** Forgets all samples but this one. */
  reset(sample: number, time: number): void {
    this.first = this.second = this.third = sample
    this.firstTime = this.secondTime = this.thirdTime = time
  }

  /** Takes a sample. Times must not go back. */
  update(sample: number, time: number): void {
    const { windowLength } = this
    if (this.first === 0 || sample >= this.first || time - this.thirdTime > windowLength) {
      this.reset(sample, time)
      return
    }
    if (sample >= this.second) {
      this.setSecond(sample, time)
      this.setThird(sample, time)
    } else if (sample >= this.third) {
      this.setThird(sample, time)
    }
    if (time - this.firstTime > windowLength) {
      this.promote()
      this.setThird(sample, time)
      // The second best may be too old as well; the third is not, or everything would have been reset above.
      if (time - this.firstTime > windowLength) this.promote()
    } else if (this.second === this.first && time - this.secondTime > Math.floor(windowLength / 4)) {
      // A quarter of the window without a better runner-up: take one from the second quarter.
      this.setSecond(sample, time)
      this.setThird(sample, time)
    } else if (this.third === this.second && time - this.thirdTime > Math.floor(windowLength / 2)) {
      this.setThird(sample, time)
    }
  }

  private promote(): void {
    this.first = this.second
    this.firstTime = this.secondTime
    this.setSecond(this.third, this.thirdTime)
  }

  private setSecond(sample: number, time: number): void {
    this.second = sample
    this.secondTime = time
  }

  private setThird(sample: number, time: number): void {
    this.third = sample
    this.thirdTime = time
  }
}
