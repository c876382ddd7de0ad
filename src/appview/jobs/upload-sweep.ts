import { sleep, waitAtMost } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import type { BlobUploads } from '../services/blob-uploads.ts'

const sweepIntervalMs = 10 * 60_000
const stopPatienceMs = 10_000

/** Ends abandoned uploads every ten minutes. */
export class UploadSweep {
  readonly #uploads: Pick<BlobUploads, 'sweep'>
  readonly #log: Logger
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined

  constructor(needs: { uploads: Pick<BlobUploads, 'sweep'>; log: Logger }) {
    this.#uploads = needs.uploads
    this.#log = needs.log
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    // Holds that do not answer are not waited for: they forget the uploads by themselves.
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await sleep(sweepIntervalMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.#uploads
        .sweep()
        .catch((err: unknown) => this.#log.error({ err }, 'the sweep of uploads failed'))
    }
  }
}
