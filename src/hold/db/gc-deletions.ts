import type { Kysely } from 'kysely'

import type { GcDeletionRow } from './gc-tables.ts'
import type { StorageTables } from './storage-tables.ts'

/** Whether bytes of a blob that was given up wait to be deleted. */
export async function hasDeletion(database: Kysely<StorageTables>, digest: string): Promise<boolean> {
  const row = await database
    .selectFrom('gc_deletions')
    .select('store_key')
    .where('digest', '=', digest)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

export function listDeletions(database: Kysely<StorageTables>, limit: number): Promise<GcDeletionRow[]> {
  return database.selectFrom('gc_deletions').selectAll().orderBy('store_key').limit(limit).execute()
}

/** Notes that these bytes are gone. */
export async function forgetDeletions(
  database: Kysely<StorageTables>,
  storeKeys: readonly string[],
): Promise<void> {
  if (storeKeys.length === 0) return
  await database.deleteFrom('gc_deletions').where('store_key', 'in', storeKeys).execute()
}
