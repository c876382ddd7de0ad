import { sql, type Kysely } from 'kysely'

import { findChargedBytes } from './charges.ts'
import type { KeptBlobRow } from './quota-tables.ts'
import type { StorageTables } from './storage-tables.ts'

/** What open uploads of an account hold on to, in bytes, those of `exceptIds` left out. */
export async function sumReservedBytes(
  database: Kysely<StorageTables>,
  userDid: string,
  exceptIds: readonly string[],
): Promise<number> {
  let query = database
    .selectFrom('uploads')
    .select(
      sql<number | string | null>`sum(case when reserved_bytes > free_bytes then reserved_bytes - free_bytes else 0 end)`.as('sum'), // prettier-ignore
    )
    .where('user_did', '=', userDid)
    .where('state', '=', 'open')
  if (exceptIds.length > 0) query = query.where('id', 'not in', exceptIds)
  return Number((await query.executeTakeFirst())?.sum ?? 0)
}

/** What an account uploaded and names in no manifest, in bytes; blobs that are gone do not count. */
export async function sumKeptBytes(database: Kysely<StorageTables>, userDid: string): Promise<number> {
  const row = await database
    .selectFrom('kept_blobs')
    .innerJoin('blobs', 'blobs.digest', 'kept_blobs.digest')
    .select((select) => select.fn.sum<number | string | null>('kept_blobs.size_bytes').as('sum'))
    .where('kept_blobs.user_did', '=', userDid)
    .executeTakeFirst()
  return Number(row?.sum ?? 0)
}

/** The size of a blob that an account uploaded and names in no manifest; undefined when there is no such. */
export async function findKeptBytes(
  database: Kysely<StorageTables>,
  userDid: string,
  digest: string,
): Promise<number | undefined> {
  const row = await database
    .selectFrom('kept_blobs')
    .innerJoin('blobs', 'blobs.digest', 'kept_blobs.digest')
    .select('kept_blobs.size_bytes')
    .where('kept_blobs.user_did', '=', userDid)
    .where('kept_blobs.digest', '=', digest)
    .executeTakeFirst()
  return row?.size_bytes
}

/** Whether an upload that is open was announced with this digest. */
export async function isAnnounced(
  database: Kysely<StorageTables>,
  userDid: string,
  digest: string,
): Promise<boolean> {
  const row = await database
    .selectFrom('uploads')
    .select('id')
    .where('user_did', '=', userDid)
    .where('state', '=', 'open')
    .where('announced_digest', '=', digest)
    .executeTakeFirst()
  return row !== undefined
}

/** A blob that an account has uploaded counts from now on, unless it is charged for it. */
export async function keepBlob(database: Kysely<StorageTables>, row: KeptBlobRow): Promise<void> {
  if ((await findChargedBytes(database, row.user_did, row.digest)) !== undefined) return
  await database
    .insertInto('kept_blobs')
    .values(row)
    .onConflict((conflict) => conflict.columns(['user_did', 'digest']).doNothing())
    .execute()
}

/**
 * Blobs that are gone, and those older than `keptBefore` that somebody's manifest names, count no longer against their
 * uploader. Others do until they are deleted: they take room, and for nobody else.
 */
export async function releaseKept(database: Kysely<StorageTables>, keptBefore: string): Promise<void> {
  await database
    .deleteFrom('kept_blobs')
    .where((expression) => {
      const blob = expression
        .selectFrom('blobs')
        .select('blobs.digest')
        .whereRef('blobs.digest', '=', 'kept_blobs.digest')
      const charge = expression
        .selectFrom('charges')
        .select('charges.digest')
        .whereRef('charges.digest', '=', 'kept_blobs.digest')
      return expression.or([
        expression.not(expression.exists(blob)),
        expression.and([expression('kept_at', '<', keptBefore), expression.exists(charge)]),
      ])
    })
    .execute()
}

/** What an open upload holds on to, and how much of it is charged already. */
export async function setReserved(
  database: Kysely<StorageTables>,
  uploadId: string,
  change: { reserved_bytes: number; free_bytes?: number; announced_digest?: string },
): Promise<void> {
  await database
    .updateTable('uploads')
    .set(change)
    .where('id', '=', uploadId)
    .where('state', '=', 'open')
    .execute()
}
