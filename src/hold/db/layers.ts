import type { Kysely } from 'kysely'

import type { LayerRow, StorageTables } from './storage-tables.ts'

/** Notes the layers of a manifest, each with the record key it shall have; those noted before keep theirs. */
export async function insertLayers(
  database: Kysely<StorageTables>,
  rows: readonly LayerRow[],
): Promise<void> {
  await database
    .insertInto('layers')
    .values([...rows])
    .onConflict((conflict) => conflict.columns(['manifest_uri', 'digest']).doNothing())
    .execute()
}

/** Layers of a manifest whose records are not known to be written. */
export function listUnwrittenLayers(
  database: Kysely<StorageTables>,
  manifestUri: string,
): Promise<LayerRow[]> {
  return database
    .selectFrom('layers')
    .selectAll()
    .where('manifest_uri', '=', manifestUri)
    .where('is_written', '=', 0)
    .orderBy('rkey')
    .execute()
}

export async function markLayersWritten(database: Kysely<StorageTables>, manifestUri: string): Promise<void> {
  await database
    .updateTable('layers')
    .set({ is_written: 1 })
    .where('manifest_uri', '=', manifestUri)
    .execute()
}

export function listLayers(database: Kysely<StorageTables>, manifestUri: string): Promise<LayerRow[]> {
  return database.selectFrom('layers').selectAll().where('manifest_uri', '=', manifestUri).execute()
}

export async function deleteLayers(database: Kysely<StorageTables>, manifestUri: string): Promise<void> {
  await database.deleteFrom('layers').where('manifest_uri', '=', manifestUri).execute()
}
