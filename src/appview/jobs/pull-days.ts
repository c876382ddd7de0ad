import { sleep, waitAtMost, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { addPulls, deletePullDaysBefore, type PullDay } from '../db/pull-days.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'

const intervalMs = 30_000
/** Repositories and days that wait to be written; beyond, the longest waiting are forgotten. */
const waitingCountMax = 20_000
const rowsPerStatement = 200
const keptDays = 400
const stopPatienceMs = 5_000

interface Needs {
  db: AppViewDb
  now: Now
  log: Logger
}

/**
 * How often repositories were pulled through this AppView, by day: counted in memory, which costs a pull nothing, and
 * added to the database every half minute.
 */
export class PullDays {
  readonly #needs: Needs
  readonly #waiting = new Map<string, PullDay>()
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined
  #sweptDay = ''
  /** Written out once a day, and not for every pull. */
  #today = { number: Number.NaN, day: '' }

  constructor(needs: Needs) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  note({ ownerDid, name }: RepositoryKey): void {
    const now = this.#needs.now()
    const dayNumber = Math.floor(now.getTime() / dayMs)
    if (dayNumber !== this.#today.number) this.#today = { number: dayNumber, day: dayOf(now) }
    this.#add({ repository: { ownerDid, name }, day: this.#today.day, count: 1 })
  }

  /** Writes what waits; what cannot be written waits on. */
  async flush(): Promise<void> {
    const pulls = [...this.#waiting.values()]
    this.#waiting.clear()
    for (let start = 0; start < pulls.length; start += rowsPerStatement) {
      const some = pulls.slice(start, start + rowsPerStatement)
      try {
        await addPulls(this.#needs.db, some)
      } catch (err) {
        this.#needs.log.warn({ err }, 'pulls were not counted; they are kept')
        for (const pull of some) this.#add(pull)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await waitAtMost(
      stopPatienceMs,
      (this.#loop ?? Promise.resolve()).then(() => this.flush()),
    )
  }

  /** Forgets days that no page shows any more; once a day. */
  async sweep(): Promise<void> {
    const now = this.#needs.now()
    if (this.#sweptDay === dayOf(now)) return
    await deletePullDaysBefore(this.#needs.db, dayOf(new Date(now.getTime() - keptDays * dayMs)))
    this.#sweptDay = dayOf(now)
  }

  #add(pull: PullDay): void {
    const key = `${pull.day} ${pull.repository.ownerDid} ${pull.repository.name}`
    const known = this.#waiting.get(key)
    if (known !== undefined) {
      known.count += pull.count
      return
    }
    if (this.#waiting.size >= waitingCountMax)
      this.#waiting.delete(this.#waiting.keys().next().value as string)
    this.#waiting.set(key, { ...pull })
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await sleep(intervalMs, signal).catch(() => undefined)
      if (signal.aborted) return
      await this.flush()
      await this.sweep().catch((err: unknown) => this.#needs.log.warn({ err }, 'old counts were not removed'))
    }
  }
}

const dayOf = (time: Date) => time.toISOString().slice(0, 10)
const dayMs = 86_400_000
