import { statfs } from 'node:fs/promises'

import type { BlobStore } from '../ports/blob-store.ts'

/** How storage is just now. `place`: folder or bucket. */
export type StorageHealth = { driver: 'filesystem' | 's3'; place: string } & (
  | { state: 'works'; durationMs: number; freeBytes?: number; capacityBytes?: number }
  | { state: 'failed'; message: string }
)

interface Needs {
  store: Pick<BlobStore, 'findSize'>
  driver: StorageHealth['driver']
  place: string
}

const waitMsMax = 5000

/** Whether the store answers, and how much room there is where that can be said. */
export class StorageChecks {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async check(): Promise<StorageHealth> {
    const { driver, place, store } = this.#needs
    const startedAtMs = performance.now()
    const tooLate = AbortSignal.timeout(waitMsMax)
    try {
      // Nothing is there; a store that can say so works.
      await Promise.race([store.findSize('uploads/storage-check'), rejectOn(tooLate)])
      const durationMs = Math.round(performance.now() - startedAtMs)
      return {
        driver,
        place,
        state: 'works',
        durationMs,
        ...(driver === 'filesystem' && (await room(place))),
      }
    } catch (error) {
      const message = tooLate.aborted ? 'it did not answer in time' : 'it did not answer, or refused'
      return { driver, place, state: 'failed', message: error instanceof Error ? `${message} (${error.message})` : message } // prettier-ignore
    }
  }
}

async function room(folder: string): Promise<{ freeBytes: number; capacityBytes: number }> {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { freeBytes: bavail * bsize, capacityBytes: blocks * bsize }
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(new Error('timeout')), { once: true }),
  )
}
