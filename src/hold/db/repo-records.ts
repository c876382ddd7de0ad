import type { Kysely } from 'kysely'

import { chunksOf } from './chunks.ts'
import type { PdsTables, RepoRecordBlobRow, RepoRecordRow } from './pds-tables.ts'

/** A record with the bytes of its block (DAG-CBOR). */
export interface RecordWithBytes {
  rkey: string
  cid: string
  bytes: Uint8Array
}

export function findRecordRow(
  database: Kysely<PdsTables>,
  collection: string,
  rkey: string,
): Promise<RecordWithBytes | undefined> {
  return recordsWithBytes(database, collection).where('repo_records.rkey', '=', rkey).executeTakeFirst()
}

/** A page of a collection, greatest record key first unless `isAscending`; `cursor` is the last key of the page before. */
export function listRecordRows(
  database: Kysely<PdsTables>,
  collection: string,
  page: { limit: number; cursor?: string | undefined; isAscending: boolean },
): Promise<RecordWithBytes[]> {
  let query = recordsWithBytes(database, collection)
  if (page.cursor !== undefined) {
    query = query.where('repo_records.rkey', page.isAscending ? '>' : '<', page.cursor)
  }
  return query
    .orderBy('repo_records.rkey', page.isAscending ? 'asc' : 'desc')
    .limit(page.limit)
    .execute()
}

/** The CIDs that these keys of a collection have now; keys without a record are missing from the map. */
export async function findRecordCids(
  database: Kysely<PdsTables>,
  collection: string,
  rkeys: readonly string[],
): Promise<Map<string, string>> {
  const cids = new Map<string, string>()
  for (const some of chunksOf(rkeys)) {
    const rows = await database
      .selectFrom('repo_records')
      .select(['rkey', 'cid'])
      .where('collection', '=', collection)
      .where('rkey', 'in', some)
      .execute()
    for (const row of rows) cids.set(row.rkey, row.cid)
  }
  return cids
}

/** Which of these CIDs a record still has: two records of the same content share one block. */
export async function listCidsInUse(database: Kysely<PdsTables>, cids: readonly string[]): Promise<string[]> {
  const inUse: string[] = []
  for (const some of chunksOf(cids)) {
    const rows = await database
      .selectFrom('repo_records')
      .select('cid')
      .distinct()
      .where('cid', 'in', some)
      .execute()
    inUse.push(...rows.map((row) => row.cid))
  }
  return inUse
}

/** Where a record is. */
export type RecordPath = Pick<RepoRecordRow, 'collection' | 'rkey'>

/** Adds records to the index, or changes what is there under their paths. */
export async function putRecordRows(
  database: Kysely<PdsTables>,
  rows: readonly RepoRecordRow[],
): Promise<void> {
  for (const some of chunksOf(rows)) {
    await database
      .insertInto('repo_records')
      .values(some)
      .onConflict((conflict) =>
        conflict.columns(['collection', 'rkey']).doUpdateSet((update) => ({
          cid: update.ref('excluded.cid'),
          rev: update.ref('excluded.rev'),
        })),
      )
      .execute()
  }
}

export async function deleteRecordRows(
  database: Kysely<PdsTables>,
  paths: readonly RecordPath[],
): Promise<void> {
  for (const { collection, rkeys } of byCollection(paths)) {
    await database
      .deleteFrom('repo_records')
      .where('collection', '=', collection)
      .where('rkey', 'in', rkeys)
      .execute()
  }
}

/** Notes which PDS blobs records name. */
export async function insertRecordBlobs(
  database: Kysely<PdsTables>,
  rows: readonly RepoRecordBlobRow[],
): Promise<void> {
  for (const some of chunksOf(rows)) await database.insertInto('repo_record_blobs').values(some).execute()
}

/** Forgets which PDS blobs records name; answers the CIDs of those blobs. */
export async function deleteRecordBlobs(
  database: Kysely<PdsTables>,
  paths: readonly RecordPath[],
): Promise<string[]> {
  const cids: string[] = []
  for (const { collection, rkeys } of byCollection(paths)) {
    const rows = await database
      .deleteFrom('repo_record_blobs')
      .where('collection', '=', collection)
      .where('rkey', 'in', rkeys)
      .returning('blob_cid')
      .execute()
    cids.push(...rows.map((row) => row.blob_cid))
  }
  return cids
}

function* byCollection(
  paths: readonly RecordPath[],
): Generator<{ collection: string; rkeys: readonly string[] }> {
  for (const [collection, some] of Map.groupBy(paths, (path) => path.collection)) {
    for (const chunk of chunksOf(some)) yield { collection, rkeys: chunk.map(({ rkey }) => rkey) }
  }
}

export async function countRecordRows(database: Kysely<PdsTables>, collection?: string): Promise<number> {
  let query = database.selectFrom('repo_records').select((select) => select.fn.countAll<number>().as('count'))
  if (collection !== undefined) query = query.where('collection', '=', collection)
  return (await query.executeTakeFirstOrThrow()).count
}

export async function listCollections(database: Kysely<PdsTables>): Promise<string[]> {
  const rows = await database
    .selectFrom('repo_records')
    .select('collection')
    .distinct()
    .orderBy('collection')
    .execute()
  return rows.map((row) => row.collection)
}

/** A page of the CIDs of PDS blobs that records name, of records written after `since` if given. */
export async function listBlobCids(
  database: Kysely<PdsTables>,
  page: { since?: string | undefined; cursor?: string | undefined; limit: number },
): Promise<string[]> {
  let query = database.selectFrom('repo_record_blobs').select('blob_cid').distinct()
  if (page.since !== undefined) query = query.where('rev', '>', page.since)
  if (page.cursor !== undefined) query = query.where('blob_cid', '>', page.cursor)
  const rows = await query.orderBy('blob_cid').limit(page.limit).execute()
  return rows.map((row) => row.blob_cid)
}

// One statement for the row and its block, so that no write can come between the two.
function recordsWithBytes(database: Kysely<PdsTables>, collection: string) {
  return database
    .selectFrom('repo_records')
    .innerJoin('repo_blocks', 'repo_blocks.cid', 'repo_records.cid')
    .select(['repo_records.rkey', 'repo_records.cid', 'repo_blocks.bytes'])
    .where('repo_records.collection', '=', collection)
    .where('repo_blocks.removed_rev', 'is', null)
}
