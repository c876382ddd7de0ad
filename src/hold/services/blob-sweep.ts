import type { Kysely } from 'kysely'

import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import { Slots } from '../../lib/slots.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import {
  condemnBlobs,
  deleteCondemnedBlobs,
  listBlobsToSweep,
  pardonBlobs,
  type SweepRow,
} from '../db/gc-blobs.ts'
import { forgetDeletions, listDeletions } from '../db/gc-deletions.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import type { BlobKey, BlobStore } from '../ports/blob-store.ts'
import type { Blobs } from './blobs.ts'
import { decideSweep, type SweepVerdict } from './gc-decisions.ts'

const log = logger('hold:gc')

/** Blobs looked at in one go, and deleted in one transaction. */
export const sweepPageSize = 200
/** Fewer than the threads that Node has for files, so that uploads find one free. */
const deletionsAtOnceMax = 2

export interface SweptPage {
  /** Where to go on; undefined at the end. */
  next: string | undefined
  examined: number
  deletable: number
  deletableBytes: number
  /** Needed by nothing, and waiting for their grace period to end. */
  waiting: number
  waitingBytes: number
  deleted: number
  deletedBytes: number
}

interface Needs {
  database: Kysely<StorageTables>
  store: Pick<BlobStore, 'delete'>
  blobs: Pick<Blobs, 'locks'>
  graceMs: number
  now: Now
}

/**
 * Deletes blobs that nothing needs, in three steps that a crash may part: condemned in the database, where whoever asks
 * for it takes that back; a grace period later the row goes, in one statement with what it depends on; then the bytes.
 */
export class BlobSweep {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Sweeps the blobs after a digest, one page of them. */
  async sweepPage(after: string, { isDryRun }: { isDryRun: boolean }): Promise<SweptPage> {
    const { database, graceMs, now } = this.#needs
    const rows = await listBlobsToSweep(database, after, sweepPageSize)
    const at = { now: now().toISOString(), graceMs }
    const verdicts = Map.groupBy(rows, (row) => decideSweep(factsOf(row), at))
    const listed = (verdict: SweepVerdict) => (verdicts.get(verdict) ?? []).map(({ digest }) => digest)
    const deletable = verdicts.get('delete') ?? []
    const waiting = [...(verdicts.get('condemn') ?? []), ...(verdicts.get('wait') ?? [])]
    const page: SweptPage = {
      next: rows.length < sweepPageSize ? undefined : rows.at(-1)?.digest,
      examined: rows.length,
      deletable: deletable.length,
      deletableBytes: sumOf(deletable),
      waiting: waiting.length,
      waitingBytes: sumOf(waiting),
      deleted: 0,
      deletedBytes: 0,
    }
    if (isDryRun) return page
    await condemnBlobs(database, listed('condemn'), at.now)
    await pardonBlobs(database, listed('pardon'))
    return { ...page, ...(await this.#delete(listed('delete') as Digest[])) }
  }

  /** Deletes bytes whose rows went before a crash. */
  async finishDeletions(signal: AbortSignal): Promise<void> {
    const { database, blobs } = this.#needs
    while (!signal.aborted) {
      const rows = await listDeletions(database, sweepPageSize)
      if (rows.length === 0) return
      const doneCount = await blobs.locks.runWithFree(
        rows.map(({ digest }) => digest),
        async (free) => {
          // Those that were uploaded again since are no longer noted.
          const isFree = new Set(free)
          const left = (await listDeletions(database, sweepPageSize)).filter(({ digest }) =>
            isFree.has(digest),
          )
          return this.#deleteBytes(left.map(({ store_key }) => store_key))
        },
      )
      if (doneCount === 0) return
    }
  }

  async #delete(digests: readonly Digest[]): Promise<{ deleted: number; deletedBytes: number }> {
    const { database, blobs, graceMs, now } = this.#needs
    if (digests.length === 0) return { deleted: 0, deletedBytes: 0 }
    // A digest that is locked is being uploaded or moved: nobody waits for it, it is not garbage today.
    return blobs.locks.runWithFree(digests, async (free) => {
      if (free.length === 0) return { deleted: 0, deletedBytes: 0 }
      const condemnedUntil = new Date(now().getTime() - graceMs).toISOString()
      const deleted = await deleteCondemnedBlobs(database, free, condemnedUntil)
      await this.#deleteBytes(deleted.flatMap(({ storeKeys }) => storeKeys))
      return {
        deleted: deleted.length,
        deletedBytes: deleted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      }
    })
  }

  /** What the store does not delete stays noted, for the next run; how many are done. */
  async #deleteBytes(storeKeys: readonly string[]): Promise<number> {
    const slots = new Slots(deletionsAtOnceMax)
    const done: string[] = []
    const deleteOne = async (key: string) => {
      try {
        await this.#needs.store.delete(key as BlobKey)
        done.push(key)
      } catch (err) {
        log.warn({ err, key }, 'the bytes of a deleted blob are still there; the next run tries again')
      }
    }
    await Promise.all(storeKeys.map((key) => slots.run(() => deleteOne(key))))
    await forgetDeletions(this.#needs.database, done)
    return done.length
  }
}

function factsOf(row: SweepRow) {
  const isReached = row.reached_count === row.uploader_count
  return {
    isLinked: row.is_linked === 1,
    isUploading: row.is_uploading === 1,
    condemnedAt: row.condemned_at,
    uploadersReachedAt: row.uploader_count === 0 ? undefined : isReached ? row.reached_at : null,
  }
}

function sumOf(rows: readonly SweepRow[]): number {
  return rows.reduce((sum, { size_bytes }) => sum + size_bytes, 0)
}
