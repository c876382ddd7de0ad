import type { Now } from '../../lib/clock.ts'
import { AppViewError } from '../errors.ts'

const freeCountDefault = 5
const firstBlockMs = 15_000
const longestBlockMs = 15 * 60_000
const forgottenAfterMs = 60 * 60_000
const keyCountMax = 50_000

/**
 * Slows down guessing: some failures are free (five unless told), then each one blocks its key for twice as long, from 15 seconds up to a
 * quarter of an hour; an hour without failures forgets. In memory, per instance.
 */
export class AttemptLimits {
  readonly #now: Now
  readonly #freeCount: number
  readonly #failures = new Map<string, { count: number; lastAtMs: number; blockedUntilMs: number }>()

  constructor(needs: { now: Now; freeCount?: number }) {
    this.#now = needs.now
    this.#freeCount = needs.freeCount ?? freeCountDefault
  }

  /** @throws {AppViewError} `login_blocked` with the seconds left */
  check(key: string): void {
    const leftMs = (this.#failures.get(key)?.blockedUntilMs ?? 0) - this.#now().getTime()
    if (leftMs <= 0) return
    const retryAfterSeconds = Math.ceil(leftMs / 1000)
    throw new AppViewError('login_blocked', 'too many failed logins; wait before the next one', {
      retryAfterSeconds,
    })
  }

  noteFailure(key: string): void {
    const nowMs = this.#now().getTime()
    const before = this.#failures.get(key)
    const isForgotten = before === undefined || nowMs - before.lastAtMs > forgottenAfterMs
    const count = isForgotten ? 1 : before.count + 1
    const blockMs =
      count <= this.#freeCount
        ? 0
        : Math.min(firstBlockMs * 2 ** (count - this.#freeCount - 1), longestBlockMs)
    this.#failures.delete(key)
    if (this.#failures.size >= keyCountMax)
      this.#failures.delete(this.#failures.keys().next().value as string)
    this.#failures.set(key, { count, lastAtMs: nowMs, blockedUntilMs: nowMs + blockMs })
  }

  noteSuccess(key: string): void {
    this.#failures.delete(key)
  }
}
