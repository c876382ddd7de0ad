import { sleep, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { listRecentPushes, type RecentPush } from '../db/recent-pushes.ts'
import type { AppViewDb } from '../db/schema.ts'

export type { RecentPush }

const intervalMs = 1000
const retryMs = 10_000
/** Pushes that are looked at each time; of more within a second the oldest are not told. */
const lookedAtCount = 30
/** What a backfill brings in is no news. */
const freshMs = 10 * 60_000
const toldCountMax = 1000

type Listener = (pushes: readonly RecentPush[]) => void

interface Needs {
  db: AppViewDb
  now: Now
  log: Logger
}

/**
 * Pushes as they happen, for whoever listens: read from the rows, once a second and only while somebody listens. So it
 * does not matter who wrote them, this process, another one or the indexer; each is told once, the oldest first, and only
 * what everyone may see.
 */
export class LivePushes {
  readonly #needs: Needs
  readonly #listeners = new Set<{ listener: Listener; end: () => void }>()
  readonly #told = new Set<string>()
  #stop = new AbortController()
  #loop: Promise<void> | undefined
  #isClosed = false

  constructor(needs: Needs) {
    this.#needs = needs
  }

  get listenerCount(): number {
    return this.#listeners.size
  }

  /** Calls `listener` for what is pushed from now on, and `end` when nothing will come any more. @returns a function that ends it */
  subscribe(listener: Listener, end: () => void): () => void {
    if (this.#isClosed) {
      end()
      return () => undefined
    }
    const entry = { listener, end }
    this.#listeners.add(entry)
    this.#loop ??= this.#run()
    return () => {
      if (this.#listeners.delete(entry) && this.#listeners.size === 0) this.#stop.abort()
    }
  }

  /** What was pushed after a time (ISO), the oldest first: for those who looked away for a while. */
  async since(after: string): Promise<RecentPush[]> {
    return (await this.#fresh()).filter((push) => push.at > after)
  }

  /** Ends all subscriptions; there are no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const { end } of this.#listeners) end()
    this.#listeners.clear()
    this.#stop.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    let delayMs = intervalMs
    let isFirst = true
    while (this.#listeners.size > 0) {
      try {
        const pushes = (await this.#fresh()).filter((push) => this.#isNews(push))
        if (pushes.length > 0 && !isFirst) for (const { listener } of this.#listeners) listener(pushes)
        isFirst = false
        delayMs = intervalMs
      } catch (err) {
        this.#needs.log.error({ err }, 'pushes could not be read for those who listen')
        delayMs = retryMs
      }
      await sleep(delayMs, this.#stop.signal).catch(() => undefined)
      if (this.#stop.signal.aborted && !this.#isClosed) this.#stop = new AbortController()
    }
    this.#told.clear()
    this.#loop = undefined
  }

  async #fresh(): Promise<RecentPush[]> {
    const { db, now } = this.#needs
    const notBefore = new Date(now().getTime() - freshMs).toISOString()
    return (await listRecentPushes(db, { notBefore, limit: lookedAtCount })).toReversed()
  }

  #isNews({ at, digest, name, ownerDid, tag }: RecentPush): boolean {
    const key = [ownerDid, name, tag, digest, at].join(' ')
    if (this.#told.has(key)) return false
    this.#told.add(key)
    if (this.#told.size > toldCountMax) this.#told.delete(this.#told.values().next().value as string)
    return true
  }
}
