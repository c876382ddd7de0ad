import { sql, type Kysely } from 'kysely'

import { addReferences, removeReferences, type Reference } from './charges.ts'
import type { HoldTables } from './schema.ts'
import type { LayerRow, StorageTables } from './storage-tables.ts'

/** Twelve thousand parameters in a statement; SQLite takes 32,766. */
const rowsPerStatement = 1000

/**
 * Notes layers, each with the record key it shall have, and charges for them; those noted before keep their keys.
 * The bytes that were neither charged nor kept for the account before. Only within a transaction.
 */
export async function insertLayers(
  database: Kysely<StorageTables>,
  rows: readonly LayerRow[],
): Promise<number> {
  const added: Pick<LayerRow, 'user_did' | 'digest' | 'size_bytes'>[] = []
  for (let start = 0; start < rows.length; start += rowsPerStatement) {
    const inserted = await database
      .insertInto('layers')
      .values(rows.slice(start, start + rowsPerStatement))
      .onConflict((conflict) => conflict.columns(['manifest_uri', 'digest']).doNothing())
      .returning(['user_did', 'digest', 'size_bytes'])
      .execute()
    added.push(...inserted)
  }
  return addReferences(database, referencesOf(added))
}

/** Takes rows out, and the charges that rest on them alone. Only within a transaction. */
export async function deleteLayers(
  database: Kysely<StorageTables>,
  rows: readonly Pick<LayerRow, 'manifest_uri' | 'digest'>[],
): Promise<void> {
  const deleted: Pick<LayerRow, 'user_did' | 'digest' | 'size_bytes'>[] = []
  for (const [manifestUri, ofManifest] of Map.groupBy(rows, (row) => row.manifest_uri)) {
    const digests = ofManifest.map(({ digest }) => digest)
    for (let start = 0; start < digests.length; start += rowsPerStatement) {
      const gone = await database
        .deleteFrom('layers')
        .where('manifest_uri', '=', manifestUri)
        .where('digest', 'in', digests.slice(start, start + rowsPerStatement))
        .returning(['user_did', 'digest', 'size_bytes'])
        .execute()
      deleted.push(...gone)
    }
  }
  await removeReferences(database, referencesOf(deleted))
}

/** Everything that is noted of these manifests. */
export function listLayersOf(
  database: Kysely<StorageTables>,
  manifestUris: readonly string[],
): Promise<LayerRow[]> {
  return database.selectFrom('layers').selectAll().where('manifest_uri', 'in', manifestUris).execute()
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

/** From now on the records of these layers may be gone. */
export async function markLayersUnwritten(
  database: Kysely<StorageTables>,
  rows: readonly Pick<LayerRow, 'manifest_uri'>[],
): Promise<void> {
  const manifestUris = [...new Set(rows.map((row) => row.manifest_uri))]
  await database
    .updateTable('layers')
    .set({ is_written: 0 })
    .where('manifest_uri', 'in', manifestUris)
    .execute()
}

/** A page of the manifests whose layers an account is charged for, in order. */
export async function listManifestUrisOf(
  database: Kysely<StorageTables>,
  userDid: string,
  limit: number,
): Promise<string[]> {
  const rows = await database
    .selectFrom('layers')
    .select('manifest_uri')
    .distinct()
    .where('user_did', '=', userDid)
    .limit(limit)
    .execute()
  return rows.map((row) => row.manifest_uri)
}

/**
 * Layers of an account whose records name no manifest (`prefix` begins what stands in its place), where layers of a
 * manifest have the same digest for the same account.
 */
export function listReplacedLayers(
  database: Kysely<StorageTables>,
  { userDid, prefix, limit }: { userDid: string; prefix: string; limit: number },
): Promise<Pick<LayerRow, 'manifest_uri' | 'digest'>[]> {
  // No `like`: DIDs have percent signs.
  const isNameless = (column: 'layers.manifest_uri' | 'others.manifest_uri') =>
    sql<boolean>`substr(${sql.ref(column)}, 1, ${sql.lit(prefix.length)}) = ${prefix}`
  return database
    .selectFrom('layers')
    .select(['layers.manifest_uri', 'layers.digest'])
    .where('layers.user_did', '=', userDid)
    .where(isNameless('layers.manifest_uri'))
    .where((expression) =>
      expression.exists(
        expression
          .selectFrom('layers as others')
          .select('others.digest')
          .whereRef('others.user_did', '=', 'layers.user_did')
          .whereRef('others.digest', '=', 'layers.digest')
          .where((inner) => inner.not(isNameless('others.manifest_uri'))),
      ),
    )
    .orderBy('layers.manifest_uri')
    .limit(limit)
    .execute()
}

function referencesOf(rows: readonly Pick<LayerRow, 'user_did' | 'digest' | 'size_bytes'>[]): Reference[] {
  const groups = Map.groupBy(rows, (row) => `${row.user_did} ${row.digest}`)
  return [...groups.values()].flatMap(([first, ...others]) =>
    first === undefined
      ? []
      : [
          {
            userDid: first.user_did,
            digest: first.digest,
            sizeBytes: first.size_bytes,
            count: 1 + others.length,
          },
        ],
  )
}

/** Some of the rows that say their record is written where the data repo has no such record. */
export function listOrphanedLayers(
  database: Kysely<HoldTables>,
  collection: string,
  limit: number,
): Promise<LayerRow[]> {
  return database
    .selectFrom('layers')
    .selectAll()
    .where('is_written', '=', 1)
    .where((expression) =>
      expression.not(
        expression.exists(
          expression
            .selectFrom('repo_records')
            .select('repo_records.rkey')
            .where('repo_records.collection', '=', collection)
            .whereRef('repo_records.rkey', '=', 'layers.rkey'),
        ),
      ),
    )
    .limit(limit)
    .execute()
}
