import type { Kysely } from 'kysely'

import type { StorageTables } from './storage-tables.ts'

/** Those of the keys below the prefix of uploads that an upload or a blob still stands for. */
export async function listKeysInUse(
  database: Kysely<StorageTables>,
  keys: readonly { key: string; uploadId: string }[],
): Promise<Set<string>> {
  if (keys.length === 0) return new Set()
  const ids = keys.map(({ uploadId }) => uploadId)
  const names = keys.map(({ key }) => key)
  const uploads = await database.selectFrom('uploads').select('id').where('id', 'in', ids).execute()
  const blobs = await database
    .selectFrom('blobs')
    .select('store_key')
    .where('store_key', 'in', names)
    .execute()
  const stale = await database
    .selectFrom('blobs')
    .select('stale_key')
    .where('stale_until', 'is not', null)
    .where('stale_key', 'in', names)
    .execute()
  const openIds = new Set(uploads.map(({ id }) => id))
  const inUse = new Set([...blobs.map((row) => row.store_key), ...stale.map((row) => row.stale_key ?? '')])
  return new Set(
    keys.filter(({ key, uploadId }) => openIds.has(uploadId) || inUse.has(key)).map(({ key }) => key),
  )
}

/** Those of the store's uploads that an open upload goes on with, wherever its bytes will stand. */
export async function listUploadsInUse(
  database: Kysely<StorageTables>,
  storeUploadIds: readonly string[],
): Promise<Set<string>> {
  if (storeUploadIds.length === 0) return new Set()
  const rows = await database
    .selectFrom('uploads')
    .select('store_upload_id')
    .where('store_upload_id', 'in', storeUploadIds)
    .where('state', '=', 'open')
    .execute()
  return new Set(rows.map(({ store_upload_id }) => store_upload_id ?? ''))
}
