import type { Kysely, Selectable, Updateable } from 'kysely'

import type { StorageTables, UploadPartRow, UploadTable } from './storage-tables.ts'

export type UploadRow = Selectable<UploadTable>

export async function insertUpload(database: Kysely<StorageTables>, row: UploadRow): Promise<void> {
  await database.insertInto('uploads').values(row).execute()
}

export function findUpload(database: Kysely<StorageTables>, id: string): Promise<UploadRow | undefined> {
  return database.selectFrom('uploads').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Uploads of one account, with the size of what they became. */
export function listUploadsOf(database: Kysely<StorageTables>, userDid: string, ids: readonly string[]) {
  return database
    .selectFrom('uploads')
    .leftJoin('blobs', 'blobs.digest', 'uploads.digest')
    .select(['uploads.id', 'uploads.state', 'uploads.digest', 'uploads.offset_bytes', 'blobs.size_bytes'])
    .where('uploads.user_did', '=', userDid)
    .where('uploads.id', 'in', ids)
    .execute()
}

/** How many uploads of an account are open and not over at `now` (ISO). */
export async function countOpenUploads(
  database: Kysely<StorageTables>,
  userDid: string,
  now: string,
): Promise<number> {
  const { count } = await database
    .selectFrom('uploads')
    .select(({ fn }) => fn.countAll<number | bigint | string>().as('count'))
    .where('user_did', '=', userDid)
    .where('state', '=', 'open')
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Changes an open upload that is still at `offsetBytes`; false when somebody else was there first. */
export async function updateUpload(
  database: Kysely<StorageTables>,
  at: Pick<UploadRow, 'id' | 'offset_bytes'>,
  change: Updateable<UploadTable>,
): Promise<boolean> {
  const { numUpdatedRows } = await database
    .updateTable('uploads')
    .set(change)
    .where('id', '=', at.id)
    .where('state', '=', 'open')
    .where('offset_bytes', '=', at.offset_bytes)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Takes an upload and its parts out; false when it was gone already. */
export async function deleteUpload(database: Kysely<StorageTables>, id: string): Promise<boolean> {
  await deleteUploadParts(database, id)
  const { numDeletedRows } = await database.deleteFrom('uploads').where('id', '=', id).executeTakeFirst()
  return numDeletedRows === 1n
}

export function listExpiredUploads(
  database: Kysely<StorageTables>,
  now: string,
  limit: number,
): Promise<UploadRow[]> {
  return database
    .selectFrom('uploads')
    .selectAll()
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .execute()
}

export async function insertUploadParts(
  database: Kysely<StorageTables>,
  parts: readonly UploadPartRow[],
): Promise<void> {
  // SQLite takes 32,766 parameters in a statement, and four are used for a part.
  for (let start = 0; start < parts.length; start += 1000) {
    await database
      .insertInto('upload_parts')
      .values(parts.slice(start, start + 1000))
      .execute()
  }
}

/** Notes how large a part is, or is now. */
export async function putUploadPart(database: Kysely<StorageTables>, part: UploadPartRow): Promise<void> {
  await database
    .insertInto('upload_parts')
    .values(part)
    .onConflict((conflict) =>
      conflict.columns(['upload_id', 'part_number']).doUpdateSet({ size_bytes: part.size_bytes }),
    )
    .execute()
}

export function listUploadParts(database: Kysely<StorageTables>, uploadId: string): Promise<UploadPartRow[]> {
  return database
    .selectFrom('upload_parts')
    .selectAll()
    .where('upload_id', '=', uploadId)
    .orderBy('part_number')
    .execute()
}

export async function deleteUploadParts(database: Kysely<StorageTables>, uploadId: string): Promise<void> {
  await database.deleteFrom('upload_parts').where('upload_id', '=', uploadId).execute()
}

/** How many uploads go on, by the way they take. */
export async function countUploadsByMode(
  database: Kysely<StorageTables>,
): Promise<{ mode: UploadRow['mode']; count: number }[]> {
  return database
    .selectFrom('uploads')
    .select((select) => ['mode', select.fn.countAll<number>().as('count')] as const)
    .where('state', '=', 'open')
    .groupBy('mode')
    .execute()
}
