import type { Now } from './clock.ts'

const addressCountMax = 10_000

/** So many attempts of one address in so long a time; in memory. */
export class AttemptWindow {
  readonly #needs: { now: Now; attemptCountMax: number; windowSeconds: number }
  readonly #windows = new Map<string, { endsAtMs: number; count: number }>()

  constructor(needs: { now: Now; attemptCountMax: number; windowSeconds: number }) {
    this.#needs = needs
  }

  /** Counts an attempt; the seconds to wait when there were too many. */
  take(address: string): number | undefined {
    const { now, attemptCountMax, windowSeconds } = this.#needs
    const nowMs = now().getTime()
    const known = this.#windows.get(address)
    const window =
      known !== undefined && known.endsAtMs > nowMs
        ? known
        : { endsAtMs: nowMs + windowSeconds * 1000, count: 0 }
    this.#windows.delete(address)
    if (this.#windows.size >= addressCountMax) this.#windows.delete(this.#windows.keys().next().value as string) // prettier-ignore
    this.#windows.set(address, window)
    window.count += 1
    return window.count > attemptCountMax ? Math.ceil((window.endsAtMs - nowMs) / 1000) : undefined
  }
}
