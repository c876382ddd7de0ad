import { Worker } from 'node:worker_threads'

import type { BrandedCard } from '../views/card.ts'
import type { CardJob, CardResult } from './card-worker.ts'

/** Cards that wait while one is drawn; a drawing takes some 100 ms. */
const waitingCountMax = 20
const drawingMsMax = 15_000
/** Fonts and WebAssembly take some 100 MB: the thread goes when nobody has wanted a card for a while. */
const idleMsMax = 60_000
/** A card has 30 to 100 kB. */
const keptCountMax = 64

export type Png = Uint8Array<ArrayBuffer>

interface Waiting {
  job: CardJob
  resolve: (png: Png) => void
  reject: (error: unknown) => void
}

/** Draws cards, one at a time, in a thread that is there when it is needed; keeps the last ones. */
export class CardRenderer {
  readonly #kept = new Map<string, Promise<Png>>()
  readonly #waiting: Waiting[] = []
  #worker: Worker | undefined
  #isDrawing = false
  #idle: NodeJS.Timeout | undefined
  #count = 0

  /** A card that is drawn already, or is about to be. */
  find(key: string): Promise<Png> | undefined {
    return this.#kept.get(key)
  }

  /** Draws a card; `key` is the same for cards that look the same. Undefined when too many wait already. */
  draw(key: string, card: BrandedCard): Promise<Png> | undefined {
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    if (this.#waiting.length >= waitingCountMax) return undefined
    const png = new Promise<Png>((resolve, reject) => {
      this.#waiting.push({ job: { id: ++this.#count, card }, resolve, reject })
    })
    if (this.#kept.size >= keptCountMax) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(key, png)
    // What failed is tried again when somebody asks again.
    png.catch(() => this.#kept.delete(key))
    void this.#drawWaiting()
    return png
  }

  async #drawWaiting(): Promise<void> {
    if (this.#isDrawing) return
    this.#isDrawing = true
    clearTimeout(this.#idle)
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const drawn = this.#draw(next.job)
      drawn.then(next.resolve, next.reject)
      await drawn.catch(() => undefined)
    }
    this.#isDrawing = false
    this.#idle = setTimeout(() => this.#stop(), idleMsMax).unref()
  }

  /** @throws what went wrong in the thread, which is then a new one for the next card */
  async #draw(job: CardJob): Promise<Png> {
    const worker = (this.#worker ??= startWorker())
    const { promise, resolve, reject } = Promise.withResolvers<CardResult>()
    const onExit = () => reject(new Error('the thread that draws cards ended'))
    const late = setTimeout(() => reject(new Error('a card took too long to draw')), drawingMsMax).unref()
    worker.once('message', resolve).once('error', reject).once('exit', onExit)
    try {
      worker.postMessage(job, [])
      const result = await promise
      if ('error' in result) throw new Error(result.error)
      return result.png
    } catch (error) {
      this.#stop()
      throw error
    } finally {
      clearTimeout(late)
      worker.off('message', resolve).off('error', reject).off('exit', onExit)
    }
  }

  #stop(): void {
    void this.#worker?.terminate()
    this.#worker = undefined
  }
}

/** It holds no process: one that wants to end ends. */
function startWorker(): Worker {
  const worker = new Worker(new URL('card-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 64 },
  })
  worker.on('error', () => undefined)
  worker.unref()
  return worker
}
