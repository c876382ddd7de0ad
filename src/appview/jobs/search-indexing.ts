import { sleep, waitAtMost } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import {
  countSearchChanges,
  deleteSearchChanges,
  expandSearchChange,
  listSearchChanges,
  lockSearchIndex,
  type SearchChange,
} from '../db/search-changes.ts'
import type { AppViewDb } from '../db/schema.ts'
import { refreshSearchDocuments, type StaleDocument } from '../read-model/search-document.ts'

/** Changes of one transaction: few enough that pages do not wait for it. */
const changesPerRound = 25
const idleMs = 500
const pauseMs = 5
const retryMs = 5000
/** So often the log tells how far a long piece of work has come, in rounds. */
const roundsPerReport = 200
const countedMax = 1_000_000
const stopPatienceMs = 10_000
/** Failures in a row before it is asked whether one change, not the database, is at fault. */
const failureCountMax = 3

interface Needs {
  db: AppViewDb
  log: Logger
}

/**
 * Brings the search index in step with the rows: what triggers noted is taken up a moment later, in small
 * transactions. An index that is not there yet is made in the same way. Of several instances one does the work.
 */
export class SearchIndexing {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined
  #rounds: Promise<unknown> = Promise.resolve()
  #failures = 0

  constructor(needs: Needs) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** Resolves when everything noted up to now is in the index. */
  async settle(): Promise<void> {
    while ((await this.#round()) !== 'idle') await sleep(0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { db, log } = this.#needs
    const { signal } = this.#stop
    let busyRounds = 0
    while (!signal.aborted) {
      let delayMs = pauseMs
      try {
        const outcome = await this.#round()
        this.#failures = 0
        if (outcome === 'idle' && busyRounds >= roundsPerReport) log.info('the search index is complete')
        busyRounds = outcome === 'worked' ? busyRounds + 1 : 0
        if (outcome !== 'worked') delayMs = idleMs
        if (busyRounds > 0 && busyRounds % roundsPerReport === 0) {
          log.info({ waiting: await countSearchChanges(db, countedMax) }, 'the search index is being made')
        }
      } catch (err) {
        if (signal.aborted) return
        log.error({ err }, 'the search index is late; it will go on')
        delayMs = retryMs
        if (++this.#failures >= failureCountMax) await this.stepOver().catch(() => undefined)
      }
      await sleep(delayMs, signal).catch(() => undefined)
    }
  }

  /** One transaction. Rounds of one process wait for each other. */
  #round(): Promise<'worked' | 'idle' | 'elsewhere'> {
    const round = this.#rounds.then(async () => {
      const waiting = await listSearchChanges(this.#needs.db, { limit: 1 })
      if (waiting.length === 0) return 'idle'
      return this.#needs.db.transaction().execute(async (tx) => {
        if (!(await lockSearchIndex(tx))) return 'elsewhere'
        await takeUp(tx, await listSearchChanges(tx, { limit: changesPerRound }))
        return 'worked'
      })
    })
    this.#rounds = round.catch(() => undefined)
    return round
  }

  /**
   * Takes up the changes of a round that keeps failing one by one. One that fails is dropped, so that it holds up no
   * other: that the database takes, or it is the database that is at fault.
   */
  async stepOver(): Promise<void> {
    const { db, log } = this.#needs
    for (const change of await listSearchChanges(db, { limit: changesPerRound })) {
      if (this.#stop.signal.aborted) return
      const isTaken = db.transaction().execute(async (tx) => {
        if (await lockSearchIndex(tx)) await takeUp(tx, [change])
      })
      await isTaken.catch(async (err: unknown) => {
        await deleteSearchChanges(db, [change.id])
        log.error({ err, ...change }, 'the search index does without a change')
      })
    }
  }
}

async function takeUp(tx: AppViewDb, changes: readonly SearchChange[]): Promise<void> {
  const stale = new Map<string, StaleDocument>()
  for (const change of changes) {
    const { did, id, name, scope } = change
    if (scope === 'repository') stale.set(`${did} ${name}`, { ownerDid: did, name, changeId: id })
    else await expandSearchChange(tx, change)
  }
  await refreshSearchDocuments(tx, [...stale.values()])
  await deleteSearchChanges(
    tx,
    changes.map((change) => change.id),
  )
}
