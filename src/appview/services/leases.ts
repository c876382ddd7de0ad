import { sleep, type Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { KeyedLocks } from '../../lib/keyed-locks.ts'
import { AtprotoError } from '../../atproto/errors.ts'
import { deleteLease, takeLease } from '../db/leases.ts'
import type { AppViewDb } from '../db/schema.ts'

/** Longer than anything that is done under a lease; an instance that dies holds others up no longer than this. */
const lifetimeMs = 90_000
const patienceMs = 120_000
const firstDelayMs = 20
const longestDelayMs = 500

/**
 * Locks among all instances that share the database. One that was not given back ends by itself; the clocks of the
 * instances have to agree to within a good part of a minute.
 */
export class Leases {
  readonly #needs: { db: AppViewDb; now: Now }
  /** In one process those who wait do so without asking the database. */
  readonly #local = new KeyedLocks()

  constructor(needs: { db: AppViewDb; now: Now }) {
    this.#needs = needs
  }

  /** Runs `action` while nobody else runs one under this name. @throws {AtprotoError} `unreachable` after two minutes of waiting */
  run<T>(name: string, action: () => Promise<T>): Promise<T> {
    return this.#local.run(name, async () => {
      const holder = randomId()
      await this.#take(name, holder)
      try {
        return await action()
      } finally {
        await deleteLease(this.#needs.db, name, holder)
      }
    })
  }

  async #take(name: string, holder: string): Promise<void> {
    const { db, now } = this.#needs
    for (let waitedMs = 0, delayMs = firstDelayMs; waitedMs < patienceMs; waitedMs += delayMs) {
      const nowMs = now().getTime()
      if (await takeLease(db, { name, holder, nowMs, expiresAtMs: nowMs + lifetimeMs })) return
      await sleep(delayMs + Math.random() * delayMs)
      delayMs = Math.min(delayMs * 2, longestDelayMs)
    }
    throw new AtprotoError('unreachable', `another instance is busy with ${name}`)
  }
}
