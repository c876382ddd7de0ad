import { sql, type Kysely } from 'kysely'

import type { HoldTables } from './schema.ts'
import type { BlobRow } from './storage-tables.ts'

export function findBlobRow(database: Kysely<HoldTables>, digest: string): Promise<BlobRow | undefined> {
  return database.selectFrom('blobs').selectAll().where('digest', '=', digest).executeTakeFirst()
}

/** Adds a blob unless it is known; false when it was. */
export async function insertBlobRow(database: Kysely<HoldTables>, row: BlobRow): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await database
    .insertInto('blobs')
    .values(row)
    .onConflict((conflict) => conflict.column('digest').doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** Blobs that are still served from where they were uploaded. */
export function listUnsettledBlobs(database: Kysely<HoldTables>, limit: number): Promise<BlobRow[]> {
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

/** The blob moved to `storeKey`; its old bytes stay until `staleUntil`. */
export async function moveBlobRow(
  database: Kysely<HoldTables>,
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

export function listStaleBlobs(database: Kysely<HoldTables>, now: string, limit: number): Promise<BlobRow[]> {
  return database.selectFrom('blobs').selectAll().where('stale_until', '<=', now).limit(limit).execute()
}

export async function forgetStaleKey(database: Kysely<HoldTables>, digest: string): Promise<void> {
  await database
    .updateTable('blobs')
    .set({ stale_key: null, stale_until: null })
    .where('digest', '=', digest)
    .execute()
}
