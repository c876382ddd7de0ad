import type { BlobVerification, Sample } from './blob-verification.ts'
import type { GarbageCollection } from './garbage-collection.ts'
import type { Layers } from './layers.ts'
import type { OwnerRegistration } from './owner-registration.ts'
import type { StoreSweep } from './store-sweep.ts'
import { sleep } from '../../lib/clock.ts'

/** What an operator asks of a hold, whether it serves or not. */
export type MaintenanceTask =
  | { task: 'gc'; isDryRun: boolean }
  | { task: 'verify'; sample: Sample }
  | { task: 'reindex' }
  | { task: 'register' }

/** What is told on the way. The last one of a task that came to its end is `done`. */
export interface MaintenanceEvent {
  kind: 'progress' | 'fault' | 'done' | 'refused'
  values: Record<string, unknown>
}

interface Needs {
  gc: Pick<GarbageCollection, 'idle' | 'progress' | 'start'>
  verification: BlobVerification
  storeSweep: Pick<StoreSweep, 'takeInPage'>
  layers: Pick<Layers, 'rebuild'>
  registration: Pick<OwnerRegistration, 'close' | 'done' | 'open'>
}

const progressMs = 500

/** Runs tasks of an operator's, and tells how they go. One who stops listening stops all but garbage collection. */
export class Maintenance {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  run(task: MaintenanceTask, signal: AbortSignal): AsyncGenerator<MaintenanceEvent> {
    switch (task.task) {
      case 'gc':
        return this.#collect(task.isDryRun, signal)
      case 'verify':
        return this.#verify(task.sample, signal)
      case 'reindex':
        return this.#reindex(signal)
      case 'register':
        return this.#register(signal)
    }
  }

  async *#collect(isDryRun: boolean, signal: AbortSignal): AsyncGenerator<MaintenanceEvent> {
    const { gc } = this.#needs
    if (!(await gc.start({ isDryRun }))) {
      yield { kind: 'refused', values: { message: 'garbage collection runs already' } }
      return
    }
    const ended = gc.idle()
    for (;;) {
      const nap = new AbortController()
      const first = await Promise.race([
        ended,
        sleep(progressMs, AbortSignal.any([signal, nap.signal])).catch(() => undefined),
      ])
      nap.abort()
      if (first !== undefined) break
      signal.throwIfAborted()
      yield { kind: 'progress', values: { ...(await gc.progress()) } }
    }
    yield { kind: 'done', values: { ...(await ended) } }
  }

  async *#verify(sample: Sample, signal: AbortSignal): AsyncGenerator<MaintenanceEvent> {
    let last = {}
    for await (const seen of this.#needs.verification.verify(sample, signal)) {
      if ('problem' in seen) yield { kind: 'fault', values: { ...seen } }
      else yield { kind: 'progress', values: (last = { ...seen }) }
    }
    yield { kind: 'done', values: last }
  }

  /** Blobs that only the store knows get their rows, and so do the layer records of the data repo. */
  async *#reindex(signal: AbortSignal): AsyncGenerator<MaintenanceEvent> {
    const values = { blobsTakenIn: 0, bytesTakenIn: 0 }
    for (let cursor: string | undefined; ;) {
      signal.throwIfAborted()
      const page = await this.#needs.storeSweep.takeInPage(cursor, { isDryRun: false, asCondemned: false })
      values.blobsTakenIn += page.found
      values.bytesTakenIn += page.foundBytes
      yield { kind: 'progress', values: { ...values } }
      cursor = page.next
      if (cursor === undefined) break
    }
    const { layers, malformed } = await this.#needs.layers.rebuild()
    yield { kind: 'done', values: { ...values, layers, layersMalformed: malformed } }
  }

  /** Waits for the owner, as long as somebody waits with us. */
  async *#register(signal: AbortSignal): AsyncGenerator<MaintenanceEvent> {
    const { registration } = this.#needs
    const url = await registration.open()
    if (url !== undefined) {
      yield { kind: 'progress', values: { url: url.href } }
      const left = new Promise<void>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('nobody waits any more')), { once: true })
      })
      try {
        signal.throwIfAborted()
        await Promise.race([registration.done, left])
      } finally {
        registration.close()
      }
    }
    yield { kind: 'done', values: { wasRegistered: url === undefined } }
  }
}
