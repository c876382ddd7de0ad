import { sql, type ExpressionBuilder, type Kysely } from 'kysely'

import { chunksOf } from './chunks.ts'
import type { PdsBlobRow, PdsBlobTables } from './pds-blob-tables.ts'
import type { PdsTables } from './pds-tables.ts'

/** Takes in a blob, or notes that it was uploaded again. */
export async function putPdsBlob(database: Kysely<PdsBlobTables>, row: PdsBlobRow): Promise<void> {
  const { mime_type, uploaded_at } = row
  await database
    .insertInto('pds_blobs')
    .values(row)
    .onConflict((conflict) => conflict.column('cid').doUpdateSet({ mime_type, uploaded_at }))
    .execute()
}

/** A blob that a record names. */
export function findNamedPdsBlob(database: Kysely<PdsTables>, cid: string): Promise<PdsBlobRow | undefined> {
  return database
    .selectFrom('pds_blobs')
    .selectAll()
    .where('cid', '=', cid)
    .where((where) => where.exists(namesOf(where)))
    .executeTakeFirst()
}

/** Size and type of those of the blobs that are there, by CID. */
export async function findPdsBlobs(
  database: Kysely<PdsBlobTables>,
  cids: readonly string[],
): Promise<Map<string, Pick<PdsBlobRow, 'size_bytes' | 'mime_type'>>> {
  if (cids.length === 0) return new Map()
  const rows = await database
    .selectFrom('pds_blobs')
    .select(['cid', 'size_bytes', 'mime_type'])
    .where('cid', 'in', cids)
    .execute()
  return new Map(rows.map((row) => [row.cid, row]))
}

/** Deletes those of the blobs that no record names any more. */
export async function deleteUnnamedPdsBlobs(
  database: Kysely<PdsTables>,
  cids: readonly string[],
): Promise<void> {
  for (const some of chunksOf(cids)) {
    await database
      .deleteFrom('pds_blobs')
      .where('cid', 'in', some)
      .where((where) => where.not(where.exists(namesOf(where))))
      .execute()
  }
}

/** Deletes blobs that were uploaded before a time (ISO text) and that no record names; how many. */
export async function expirePdsBlobs(database: Kysely<PdsTables>, uploadedBefore: string): Promise<number> {
  const { numDeletedRows } = await database
    .deleteFrom('pds_blobs')
    .where('uploaded_at', '<', uploadedBefore)
    .where((where) => where.not(where.exists(namesOf(where))))
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/** A page of blobs that records name but nobody has uploaded, with one such record each, in order of their CIDs. */
export async function listMissingPdsBlobs(
  database: Kysely<PdsTables>,
  page: { cursor?: string | undefined; limit: number },
): Promise<{ cid: string; collection: string; rkey: string }[]> {
  const rows = await database
    .selectFrom('repo_record_blobs')
    .leftJoin('pds_blobs', 'pds_blobs.cid', 'repo_record_blobs.blob_cid')
    .where('pds_blobs.cid', 'is', null)
    .where('blob_cid', '>', page.cursor ?? '')
    .groupBy('blob_cid')
    // A path has one slash, and any one record will do.
    .select(['blob_cid as cid', sql<string>`min(collection || '/' || rkey)`.as('path')])
    .orderBy('blob_cid')
    .limit(page.limit)
    .execute()
  return rows.map(({ cid, path }) => {
    const [collection, rkey] = path.split('/') as [string, string]
    return { cid, collection, rkey }
  })
}

function namesOf(where: ExpressionBuilder<PdsTables, 'pds_blobs'>) {
  return where
    .selectFrom('repo_record_blobs')
    .select('blob_cid')
    .whereRef('repo_record_blobs.blob_cid', '=', 'pds_blobs.cid')
}
