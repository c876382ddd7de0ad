import { sql, type Kysely } from 'kysely'

import type { BlobRow, StorageTables } from './storage-tables.ts'

export function findBlobRow(database: Kysely<StorageTables>, digest: string): Promise<BlobRow | undefined> {
  return database.selectFrom('blobs').selectAll().where('digest', '=', digest).executeTakeFirst()
}

/**
 * Adds a blob unless it is known; false when it was. Either way it is no longer condemned, and what a deletion of
 * earlier bytes left to do is forgotten: these bytes are to stay.
 */
export async function insertBlobRow(database: Kysely<StorageTables>, row: BlobRow): Promise<boolean> {
  await database.deleteFrom('gc_deletions').where('digest', '=', row.digest).execute()
  for (;;) {
    const { numInsertedOrUpdatedRows } = await database
      .insertInto('blobs')
      .values(row)
      .onConflict((conflict) => conflict.column('digest').doNothing())
      .executeTakeFirst()
    if (numInsertedOrUpdatedRows === 1n) return true
    // Deleted in between by another process, and then it is new after all.
    if (await pardonBlob(database, row.digest)) return false
  }
}

/** Takes a condemnation back; false when there is no such blob (any more). */
export async function pardonBlob(database: Kysely<StorageTables>, digest: string): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('blobs')
    .set({ condemned_at: null })
    .where('digest', '=', digest)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Blobs that are still served from where they were uploaded. */
export function listUnsettledBlobs(database: Kysely<StorageTables>, limit: number): Promise<BlobRow[]> {
  return (
    database
      .selectFrom('blobs')
      .selectAll()
      // In the words of the partial index, so that SQLite sees that it fits.
      .where(sql<boolean>`store_key like 'uploads/%'`)
      .orderBy('verified_at')
      .limit(limit)
      .execute()
  )
}

export async function countUnsettledBlobs(database: Kysely<StorageTables>): Promise<number> {
  const { count } = await database
    .selectFrom('blobs')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where(sql<boolean>`store_key like 'uploads/%'`)
    .executeTakeFirstOrThrow()
  return count
}

/** The blob moved to `storeKey`; its old bytes stay until `staleUntil`. */
export async function moveBlobRow(
  database: Kysely<StorageTables>,
  row: BlobRow,
  to: { storeKey: string; staleUntil: string },
): Promise<void> {
  await database
    .updateTable('blobs')
    .set({ store_key: to.storeKey, stale_key: row.store_key, stale_until: to.staleUntil })
    .where('digest', '=', row.digest)
    .where('store_key', '=', row.store_key)
    .execute()
}

export function listStaleBlobs(
  database: Kysely<StorageTables>,
  now: string,
  limit: number,
): Promise<BlobRow[]> {
  return database.selectFrom('blobs').selectAll().where('stale_until', '<=', now).limit(limit).execute()
}

export async function forgetStaleKey(database: Kysely<StorageTables>, digest: string): Promise<void> {
  await database
    .updateTable('blobs')
    .set({ stale_key: null, stale_until: null })
    .where('digest', '=', digest)
    .execute()
}
