/** More wait for a place than there may. */
export class SlotsFullError extends Error {
  override name = 'SlotsFullError'
}

/** At most `count` actions at a time, the others wait in order: bounds the memory that parts in flight take. */
export class Slots {
  #free: number
  readonly #waitingMax: number
  readonly #waiting: (() => void)[] = []

  /** `waitingMax`: how many may wait; any number unless told. */
  constructor(count: number, { waitingMax = Number.POSITIVE_INFINITY }: { waitingMax?: number } = {}) {
    this.#free = count
    this.#waitingMax = waitingMax
  }

  /** Runs `action` as soon as a place is free. @throws {SlotsFullError} when too many wait already */
  async run<T>(action: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else if (this.#waiting.length >= this.#waitingMax) throw new SlotsFullError('too many wait for a place')
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await action()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
