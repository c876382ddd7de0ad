import type { Kysely } from 'kysely'

import type { GcRunRow } from './gc-tables.ts'
import type { StorageTables } from './storage-tables.ts'

export function findGcRun(
  database: Kysely<StorageTables>,
  kind: GcRunRow['kind'],
): Promise<GcRunRow | undefined> {
  return database.selectFrom('gc_runs').selectAll().where('kind', '=', kind).executeTakeFirst()
}

export async function putGcRun(database: Kysely<StorageTables>, row: GcRunRow): Promise<void> {
  await database
    .insertInto('gc_runs')
    .values(row)
    .onConflict((conflict) => conflict.column('kind').doUpdateSet(row))
    .execute()
}
