import type { Selectable } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { type AppViewTables, flag, type AppViewDb, type RepositoryKey, type UploadMode } from './schema.ts'

/** A blob upload in progress, as any instance can take it up. */
export interface Upload {
  id: string
  accountDid: Did
  repository: RepositoryKey
  holdDid: Did
  holdUploadId: string
  mode: UploadMode
  offsetBytes: number
  digestAlgorithm: string
  /** Bytes at the end that are not in a part yet; counted in `offsetBytes`. */
  tail?: Uint8Array | undefined
  isHashWhole: boolean
  createdAt: string
  expiresAt: string
}

/** A part that the hold's storage has. */
export interface UploadPart {
  partNumber: number
  etag: string
  sizeBytes: number
}

export async function findUpload(db: AppViewDb, id: string): Promise<Upload | undefined> {
  const row = await db.selectFrom('uploads').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toUpload(row)
}

/** Stores an upload whole. To move one on, use {@link advanceUpload}: it notices another writer. */
export async function upsertUpload(db: AppViewDb, upload: Upload): Promise<void> {
  const columns = {
    account_did: upload.accountDid,
    owner_did: upload.repository.ownerDid,
    repository: upload.repository.name,
    hold_did: upload.holdDid,
    hold_upload_id: upload.holdUploadId,
    mode: upload.mode,
    offset_bytes: upload.offsetBytes,
    digest_algorithm: upload.digestAlgorithm,
    tail: upload.tail ?? null,
    is_hash_whole: flag(upload.isHashWhole),
    created_at: upload.createdAt,
    expires_at: upload.expiresAt,
  }
  await db
    .insertInto('uploads')
    .values({ id: upload.id, ...columns })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(columns))
    .execute()
}

/** Moves an upload on from `fromOffsetBytes`. False when it is elsewhere already or gone: someone else wrote to it. */
export async function advanceUpload(
  db: AppViewDb,
  upload: Pick<Upload, 'id' | 'offsetBytes' | 'tail' | 'isHashWhole' | 'digestAlgorithm' | 'expiresAt'>,
  fromOffsetBytes: number,
): Promise<boolean> {
  const result = await db
    .updateTable('uploads')
    .set({
      offset_bytes: upload.offsetBytes,
      tail: upload.tail ?? null,
      is_hash_whole: flag(upload.isHashWhole),
      digest_algorithm: upload.digestAlgorithm,
      expires_at: upload.expiresAt,
    })
    .where('id', '=', upload.id)
    .where('offset_bytes', '=', fromOffsetBytes)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Removes an upload with its parts. False when it was gone already. */
export async function deleteUpload(db: AppViewDb, id: string): Promise<boolean> {
  await db.deleteFrom('upload_parts').where('upload_id', '=', id).execute()
  const result = await db.deleteFrom('uploads').where('id', '=', id).executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** Uploads of an account that go to the hold without us: the hold knows how far they are. */
export async function listDirectUploads(
  db: AppViewDb,
  accountDid: Did,
  repository: RepositoryKey,
): Promise<Upload[]> {
  const rows = await db
    .selectFrom('uploads')
    .selectAll()
    .where('account_did', '=', accountDid)
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .where('mode', '=', 'direct')
    .orderBy('created_at')
    .execute()
  return rows.map(toUpload)
}

/** How many uploads of an account come through us and are not over at `now` (ISO). */
export async function countUploadsOf(db: AppViewDb, accountDid: Did, now: string): Promise<number> {
  const { count } = await db
    .selectFrom('uploads')
    .select(({ fn }) => fn.countAll<number | bigint | string>().as('count'))
    .where('account_did', '=', accountDid)
    .where('mode', '=', 'relay')
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Uploads that nobody went on with until `now` (ISO). */
export async function listExpiredUploads(
  db: AppViewDb,
  { now, limit }: { now: string; limit: number },
): Promise<Upload[]> {
  const rows = await db
    .selectFrom('uploads')
    .selectAll()
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .execute()
  return rows.map(toUpload)
}

/** Notes a part; writing it again replaces it, as in S3. */
export async function putUploadPart(db: AppViewDb, uploadId: string, part: UploadPart): Promise<void> {
  const columns = { etag: part.etag, size_bytes: part.sizeBytes }
  await db
    .insertInto('upload_parts')
    .values({ upload_id: uploadId, part_number: part.partNumber, ...columns })
    .onConflict((conflict) => conflict.columns(['upload_id', 'part_number']).doUpdateSet(columns))
    .execute()
}

export async function listUploadParts(db: AppViewDb, uploadId: string): Promise<UploadPart[]> {
  const rows = await db
    .selectFrom('upload_parts')
    .selectAll()
    .where('upload_id', '=', uploadId)
    .orderBy('part_number')
    .execute()
  return rows.map((row) => ({ partNumber: row.part_number, etag: row.etag, sizeBytes: row.size_bytes }))
}

function toUpload(row: Selectable<AppViewTables['uploads']>): Upload {
  return {
    id: row.id,
    accountDid: row.account_did,
    repository: { ownerDid: row.owner_did, name: row.repository },
    holdDid: row.hold_did,
    holdUploadId: row.hold_upload_id,
    mode: row.mode,
    offsetBytes: row.offset_bytes,
    digestAlgorithm: row.digest_algorithm,
    ...(row.tail !== null && { tail: row.tail }),
    isHashWhole: row.is_hash_whole === 1,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }
}
