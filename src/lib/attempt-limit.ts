import type { Now } from './clock.ts'

const keyCountMax = 50_000

/**
 * So many attempts at once, and then one more every so many seconds, of each key: a network ({@link networkOf}), an
 * account, or both. An attempt is taken before what it costs is begun, so that a burst counts as what it is; what turns
 * out to be no attack is given back. In memory, per instance: N instances allow N times as much.
 */
export class AttemptLimit {
  readonly #needs: { now: Now; countMax: number; everySeconds: number }
  /** When all that was taken has drained away. */
  readonly #drained = new Map<string, number>()

  constructor(needs: { now: Now; countMax: number; everySeconds: number }) {
    this.#needs = needs
  }

  /** Takes an attempt; or takes none and tells the seconds to wait. */
  take(key: string): number | undefined {
    const waitSeconds = this.waitSeconds(key)
    if (waitSeconds > 0) return waitSeconds
    this.#put(key, this.#takenMs(key) + this.#needs.everySeconds * 1000)
    return undefined
  }

  /** Until an attempt can be taken. 0: now. */
  waitSeconds(key: string): number {
    const { countMax, everySeconds } = this.#needs
    const overMs = this.#takenMs(key) - (countMax - 1) * everySeconds * 1000
    return Math.max(0, Math.ceil(overMs / 1000))
  }

  giveBack(key: string): void {
    this.#put(key, this.#takenMs(key) - this.#needs.everySeconds * 1000)
  }

  /** Whether none is taken. */
  isFresh(key: string): boolean {
    return this.#takenMs(key) === 0
  }

  forget(key: string): void {
    this.#drained.delete(key)
  }

  #takenMs(key: string): number {
    return Math.max(0, (this.#drained.get(key) ?? 0) - this.#needs.now().getTime())
  }

  #put(key: string, takenMs: number): void {
    this.#drained.delete(key)
    if (takenMs <= 0) return
    if (this.#drained.size >= keyCountMax) this.#drained.delete(this.#drained.keys().next().value as string) // prettier-ignore
    this.#drained.set(key, this.#needs.now().getTime() + takenMs)
  }
}
