import { waitAtMost } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import { withTrace } from '../../lib/trace.ts'
import { jobFailures } from '../metrics.ts'

const log = logger('hold:jobs')

/** Work that is done again and again, one run at a time, from when it is made until it is disposed. */
export class Periodic implements AsyncDisposable {
  readonly #name: string
  readonly #run: (signal: AbortSignal) => Promise<void>
  readonly #patienceMs: number
  readonly #intervalMs: number
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  readonly #stop = new AbortController()
  #isWanted = false

  /**
   * `run` is to end soon once its signal is aborted: whoever stops the program waits for it, `patienceMs` at most. Work
   * that only a running server should do `waitsForKick`, and repeats from then on.
   */
  constructor(needs: {
    name: string
    intervalMs: number
    run: (signal: AbortSignal) => Promise<void>
    patienceMs?: number
    waitsForKick?: boolean
  }) {
    this.#name = needs.name
    this.#run = needs.run
    this.#patienceMs = needs.patienceMs ?? 10_000
    this.#intervalMs = needs.intervalMs
    if (needs.waitsForKick !== true) this.#repeat()
  }

  /** Asks for a run as soon as the present one, if any, is over. */
  kick(): void {
    this.#isWanted = true
    // Work of its own, whichever request it was that asked.
    withTrace(undefined, () => {
      this.#repeat()
      this.#running ??= this.#work().finally(() => (this.#running = undefined))
    })
  }

  /** Resolves when nothing runs and nothing is asked for. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    clearInterval(this.#timer)
    await waitAtMost(this.#patienceMs, this.idle())
  }

  #repeat(): void {
    if (this.#stop.signal.aborted) return
    this.#timer ??= setInterval(() => this.kick(), this.#intervalMs).unref()
  }

  async #work(): Promise<void> {
    const { signal } = this.#stop
    while (this.#isWanted && !signal.aborted) {
      this.#isWanted = false
      await this.#run(signal).catch((error: unknown) => {
        jobFailures.inc({ job: this.#name })
        log.error({ err: error, job: this.#name }, 'a job failed')
      })
    }
  }
}
