import { AttemptLimit } from './attempt-limit.ts'
import type { Now } from './clock.ts'

/** So many at once, and then one more every so many seconds. */
export interface Rate {
  /** Tells the keys of different limits apart. */
  name: string
  countMax: number
  everySeconds: number
}

/** Counts what is limited: in memory ({@link MemoryRateCounter}), or where several instances see it. Never fails. */
export interface RateCounter {
  /** Takes one of `key`; or takes none and tells the seconds to wait, 1 at least. */
  take(rate: Rate, key: string): Promise<number | undefined>
}

/** For one instance. */
export class MemoryRateCounter implements RateCounter {
  readonly #now: Now
  readonly #limits = new Map<string, { rate: Rate; attempts: AttemptLimit }>()

  constructor(needs: { now: Now }) {
    this.#now = needs.now
  }

  async take(rate: Rate, key: string): Promise<number | undefined> {
    return this.takeNow(rate, key)
  }

  /** Without waiting, for requests so small that a promise would show. */
  takeNow(rate: Rate, key: string): number | undefined {
    let limit = this.#limits.get(rate.name)
    // Settings may come to allow another rate; then counting begins anew.
    if (limit?.rate.countMax !== rate.countMax || limit.rate.everySeconds !== rate.everySeconds) {
      limit = { rate, attempts: new AttemptLimit({ ...rate, now: this.#now }) }
      this.#limits.set(rate.name, limit)
    }
    return limit.attempts.take(key)
  }
}
