import { sleep, waitAtMost } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import type { DataDeletions } from '../services/data-deletions.ts'

/** Deletions of other instances, and those that were put off, are looked for as often. */
const pollMs = 15_000
const stopPatienceMs = 10_000

/** Carries deletions of data on, whether or not somebody watches. */
export class DataDeletionRuns {
  readonly #needs: { deletions: () => Pick<DataDeletions, 'runDue'>; log: Logger }
  readonly #stop = new AbortController()
  #wakeUp: () => void = () => undefined
  #isAwake = false
  #round: Promise<void> | undefined
  #loop: Promise<void> | undefined

  constructor(needs: { deletions: () => Pick<DataDeletions, 'runDue'>; log: Logger }) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** There is a new one. */
  wake(): void {
    this.#isAwake = true
    this.#wakeUp()
  }

  /** Resolves once everything that is due was taken as far as it goes. */
  async idle(): Promise<void> {
    while (this.#isAwake || this.#round !== undefined) {
      if (this.#round === undefined) await new Promise<void>((resolve) => setImmediate(resolve))
      else await this.#round
      if (this.#stop.signal.aborted) return
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wakeUp()
    // What is cut off goes on where it was, after the next start.
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      this.#isAwake = false
      this.#round = this.#needs
        .deletions()
        .runDue(signal)
        .catch((err: unknown) => this.#needs.log.error({ err }, 'deletions of data wait'))
      await this.#round
      this.#round = undefined
      if (this.#isAwake) continue
      const nap = new AbortController()
      this.#wakeUp = () => nap.abort()
      if (!signal.aborted) await sleep(pollMs, nap.signal).catch(() => undefined)
    }
  }
}
