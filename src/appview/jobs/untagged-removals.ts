import type { Did } from '../../atproto/syntax.ts'
import { sleep, waitAtMost, type Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import type { Logger } from '../../lib/log.ts'
import { deleteLease, takeLease } from '../db/leases.ts'
import type { AppViewDb } from '../db/schema.ts'
import {
  deleteUntagged,
  listDueUntagged,
  postponeUntagged,
  type UntaggedManifest,
} from '../db/untagged-manifests.ts'
import type { Manifests } from '../services/manifests.ts'

const pageSize = 200
const roundMs = 60_000
const leaseMs = 5 * 60_000
const firstDelayMs = 60_000
const longestDelayMs = 24 * 3_600_000
/** With the delays above, about a week: then a session that is lost is not coming back, and the manifests stay. */
const attemptCountMax = 18
const stopPatienceMs = 10_000

interface Needs {
  db: AppViewDb
  manifests: Pick<Manifests, 'removeUntagged'>
  log: Logger
  now: Now
}

/** Removes what tags have left, for owners who wish so: from a list in the database, of several AppViews one at a time. */
export class UntaggedRemovals {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** Deals with what is due now. */
  async removeDue(): Promise<void> {
    const { db, now } = this.#needs
    const due = await listDueUntagged(db, { now: now().toISOString(), limit: pageSize })
    for (const [ownerDid, rows] of Map.groupBy(due, (row) => row.ownerDid)) {
      if (this.#stop.signal.aborted) return
      await this.#removeOf(ownerDid, rows)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.removeDue().catch((err: unknown) =>
        this.#needs.log.error({ err }, 'untagged manifests wait'),
      )
      await sleep(roundMs, signal).catch(() => undefined)
    }
  }

  async #removeOf(ownerDid: Did, rows: readonly UntaggedManifest[]): Promise<void> {
    const { db, log, manifests, now } = this.#needs
    const [name, holder] = [`untagged ${ownerDid}`, randomId()]
    const nowMs = now().getTime()
    if (!(await takeLease(db, { name, holder, nowMs, expiresAtMs: nowMs + leaseMs }))) return
    try {
      const { removedCount, seen } = await manifests.removeUntagged(ownerDid)
      if (removedCount > 0)
        log.info({ owner: ownerDid, removedCount }, 'manifests without a tag were removed')
      for (const row of seen) await deleteUntagged(db, row)
    } catch (err) {
      for (const row of rows) await this.#postpone(row, err)
    } finally {
      await deleteLease(db, name, holder)
    }
  }

  async #postpone(row: UntaggedManifest, err: unknown): Promise<void> {
    const { db, log, now } = this.#needs
    const { attempts, digest, ownerDid } = row
    if (attempts + 1 >= attemptCountMax) {
      log.warn({ err, owner: ownerDid, digest }, 'a manifest without a tag could not be removed; it stays')
      return deleteUntagged(db, row)
    }
    log.debug({ err, owner: ownerDid, digest, attempts }, 'a manifest without a tag is looked at again later')
    const delayMs = Math.min(firstDelayMs * 2 ** attempts, longestDelayMs)
    await postponeUntagged(db, row, new Date(now().getTime() + delayMs).toISOString())
  }
}
