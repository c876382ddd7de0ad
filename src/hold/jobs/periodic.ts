import { logger } from '../../lib/log.ts'

const log = logger('hold:jobs')

/** Work that is done again and again, one run at a time, from when it is made until it is disposed. */
export class Periodic implements AsyncDisposable {
  readonly #name: string
  readonly #run: () => Promise<void>
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined
  #isWanted = false
  #isStopped = false

  constructor(needs: { name: string; intervalMs: number; run: () => Promise<void> }) {
    this.#name = needs.name
    this.#run = needs.run
    this.#timer = setInterval(() => this.kick(), needs.intervalMs).unref()
  }

  /** Asks for a run as soon as the present one, if any, is over. */
  kick(): void {
    this.#isWanted = true
    this.#running ??= this.#work().finally(() => (this.#running = undefined))
  }

  /** Resolves when nothing runs and nothing is asked for. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    await this.idle()
  }

  async #work(): Promise<void> {
    while (this.#isWanted && !this.#isStopped) {
      this.#isWanted = false
      await this.#run().catch((error: unknown) => log.error({ err: error, job: this.#name }, 'a job failed'))
    }
  }
}
