import { sql, type Kysely } from 'kysely'

import type { StorageTables } from './storage-tables.ts'

/** A blob, with all that decides over it. */
export interface SweepRow {
  digest: string
  size_bytes: number
  store_key: string
  stale_key: string | null
  condemned_at: string | null
  is_linked: number
  is_uploading: number
  uploader_count: number
  /** Of those who sent it, how many have been seen whole. */
  reached_count: number
  reached_at: string | null
}

/** Blobs in the order of their digests, after `after`. */
export async function listBlobsToSweep(
  database: Kysely<StorageTables>,
  after: string,
  limit: number,
): Promise<SweepRow[]> {
  const { rows } = await sql<SweepRow>`
    select blobs.digest, blobs.size_bytes, blobs.store_key, blobs.stale_key, blobs.condemned_at,
      case when exists (select 1 from layers where layers.digest = blobs.digest) then 1 else 0 end as is_linked,
      case when exists (select 1 from uploads where uploads.digest = blobs.digest) then 1 else 0 end as is_uploading,
      (select count(*) from blob_uploaders u where u.digest = blobs.digest) as uploader_count,
      (select count(o.reached_at) from blob_uploaders u join gc_owners o on o.did = u.user_did
        where u.digest = blobs.digest) as reached_count,
      (select min(o.reached_at) from blob_uploaders u join gc_owners o on o.did = u.user_did
        where u.digest = blobs.digest) as reached_at
    from blobs where blobs.digest > ${after} order by blobs.digest limit ${limit}`.execute(database)
  return rows
}

/** Condemns those of the blobs that nobody has begun to need meanwhile. */
export async function condemnBlobs(
  database: Kysely<StorageTables>,
  digests: readonly string[],
  condemnedAt: string,
): Promise<void> {
  if (digests.length === 0) return
  await database
    .updateTable('blobs')
    .set({ condemned_at: condemnedAt })
    .where('digest', 'in', digests)
    .where('condemned_at', 'is', null)
    .execute()
}

export async function pardonBlobs(
  database: Kysely<StorageTables>,
  digests: readonly string[],
): Promise<void> {
  if (digests.length === 0) return
  await database.updateTable('blobs').set({ condemned_at: null }).where('digest', 'in', digests).execute()
}

/** A blob whose row is gone, and where its bytes still are. */
export interface DeletedBlob {
  digest: string
  sizeBytes: number
  storeKeys: string[]
}

/**
 * Deletes those of the condemned blobs that are still condemned since `condemnedUntil` at the latest and still needed by
 * nothing, and notes their bytes as to be deleted. In one transaction: what was pardoned in between stays.
 */
export function deleteCondemnedBlobs(
  database: Kysely<StorageTables>,
  digests: readonly string[],
  condemnedUntil: string,
): Promise<DeletedBlob[]> {
  return database.transaction().execute(async (transaction) => {
    const rows = await transaction
      .deleteFrom('blobs')
      .where('digest', 'in', digests)
      .where('condemned_at', '<=', condemnedUntil)
      .where((eb) =>
        eb.not(
          eb.exists(
            eb.selectFrom('layers').select('layers.digest').whereRef('layers.digest', '=', 'blobs.digest'),
          ),
        ),
      )
      .where((eb) =>
        eb.not(
          eb.exists(
            eb.selectFrom('uploads').select('uploads.id').whereRef('uploads.digest', '=', 'blobs.digest'),
          ),
        ),
      )
      .returning(['digest', 'size_bytes', 'store_key', 'stale_key'])
      .execute()
    if (rows.length === 0) return []
    const deleted = rows.map(({ digest, size_bytes, store_key, stale_key }) => ({
      digest,
      sizeBytes: size_bytes,
      storeKeys: stale_key === null || stale_key === store_key ? [store_key] : [store_key, stale_key],
    }))
    await transaction
      .insertInto('gc_deletions')
      .values(
        deleted.flatMap(({ digest, storeKeys }) => storeKeys.map((store_key) => ({ store_key, digest }))),
      )
      .onConflict((conflict) => conflict.column('store_key').doNothing())
      .execute()
    await transaction
      .deleteFrom('blob_uploaders')
      .where(
        'digest',
        'in',
        rows.map(({ digest }) => digest),
      )
      .execute()
    return deleted
  })
}

/** Those of the digests that are known blobs. */
export async function listKnownDigests(
  database: Kysely<StorageTables>,
  digests: readonly string[],
): Promise<Set<string>> {
  if (digests.length === 0) return new Set()
  const rows = await database.selectFrom('blobs').select('digest').where('digest', 'in', digests).execute()
  return new Set(rows.map(({ digest }) => digest))
}

/** Where the bytes of a blob are, and how many. */
export interface StoredBlobRow {
  digest: string
  size_bytes: number
  store_key: string
}

/** Blobs in the order of their digests, after `after`. */
export function listBlobsToVerify(
  database: Kysely<StorageTables>,
  after: string,
  limit: number,
): Promise<StoredBlobRow[]> {
  return database
    .selectFrom('blobs')
    .select(['digest', 'size_bytes', 'store_key'])
    .where('digest', '>', after)
    .orderBy('digest')
    .limit(limit)
    .execute()
}

export async function countBlobs(database: Kysely<StorageTables>): Promise<number> {
  const row = await database
    .selectFrom('blobs')
    .select((eb) => eb.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}
