/**
 * So many log lines of one kind a second, and no more: a registry that answers thousands of pulls a second would otherwise
 * do little but tell of it. How many were left out is told with the next line that is let through.
 */
export class LineBudget {
  readonly #perSecond: number
  #second = 0
  #spent = 0
  #left = 0

  constructor({ perSecond }: { perSecond: number }) {
    this.#perSecond = perSecond
  }

  /** Whether a line may be written now (milliseconds of any clock), and then how many before it were not; undefined: leave it out. */
  take(nowMs: number): { leftOut?: number } | undefined {
    const second = Math.floor(nowMs / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#spent = 0
    }
    if (this.#spent >= this.#perSecond) {
      this.#left++
      return undefined
    }
    this.#spent++
    const leftOut = this.#left
    this.#left = 0
    return leftOut === 0 ? {} : { leftOut }
  }
}
