/** One action at a time for each key; those who wait are served in order. In this process only. */
export class KeyedLocks {
  readonly #waiting = new Map<string, (() => void)[]>()

  /** Runs `action` once nobody else works under this key. Not reentrant. */
  async run<T>(key: string, action: () => Promise<T>): Promise<T> {
    const queue = this.#waiting.get(key)
    if (queue === undefined) this.#waiting.set(key, [])
    else await new Promise<void>((resolve) => queue.push(resolve))
    try {
      return await action()
    } finally {
      this.#release(key)
    }
  }

  /** Runs `action` with those keys that are free at this moment, all held until it ends; it waits for none. */
  async runWithFree<K extends string, T>(
    keys: readonly K[],
    action: (free: readonly K[]) => Promise<T>,
  ): Promise<T> {
    const free = [...new Set(keys)].filter((key) => !this.#waiting.has(key))
    for (const key of free) this.#waiting.set(key, [])
    try {
      return await action(free)
    } finally {
      for (const key of free) this.#release(key)
    }
  }

  #release(key: string): void {
    const next = this.#waiting.get(key)?.shift()
    if (next === undefined) this.#waiting.delete(key)
    else next()
  }
}
