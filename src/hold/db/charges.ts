import { sql, type Kysely } from 'kysely'

import { chargeLayers, type UserUsageRow } from './quota-tables.ts'
import type { StorageTables } from './storage-tables.ts'

/** Of a digest of an account, how many manifests name it, more or fewer than before. */
export interface Reference {
  userDid: string
  digest: string
  sizeBytes: number
  count: number
}

/** Well below what SQLite takes: 32,766 parameters in a statement. */
const rowsPerStatement = 1000

/**
 * Counts new references, and charges for what was not charged before: the size of that which was not kept for the
 * account either, in bytes. Each (account, digest) may be named once.
 */
export async function addReferences(
  database: Kysely<StorageTables>,
  references: readonly Reference[],
): Promise<number> {
  let newBytes = 0
  for (let start = 0; start < references.length; start += rowsPerStatement) {
    const batch = references.slice(start, start + rowsPerStatement)
    const rows = await database
      .insertInto('charges')
      .values(
        batch.map(({ userDid, digest, sizeBytes, count }) => ({
          user_did: userDid,
          digest,
          size_bytes: sizeBytes,
          reference_count: count,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['user_did', 'digest']).doUpdateSet((row) => ({
          reference_count: sql`${row.ref('charges.reference_count')} + ${row.ref('excluded.reference_count')}`,
        })),
      )
      .returning(['user_did', 'digest', 'size_bytes', 'reference_count'])
      .execute()
    const counts = new Map(batch.map(({ userDid, digest, count }) => [`${userDid} ${digest}`, count]))
    const charged = rows.filter((row) => row.reference_count === counts.get(`${row.user_did} ${row.digest}`))
    for (const [userDid, added] of Map.groupBy(charged, (row) => row.user_did)) {
      const sizeBytes = sumOf(added)
      await changeUsage(database, userDid, { blobs: added.length, sizeBytes })
      newBytes += sizeBytes - (await takeKept(database, userDid, added))
    }
  }
  return newBytes
}

/** Takes references away, and the charge with the last of a digest. */
export async function removeReferences(
  database: Kysely<StorageTables>,
  references: readonly Pick<Reference, 'userDid' | 'digest' | 'count'>[],
): Promise<void> {
  for (const { userDid, digest, count } of references) {
    await database
      .updateTable('charges')
      .set((row) => ({ reference_count: row('reference_count', '-', count) }))
      .where('user_did', '=', userDid)
      .where('digest', '=', digest)
      .execute()
  }
  for (const [userDid, ofUser] of Map.groupBy(references, (reference) => reference.userDid)) {
    const digests = ofUser.map(({ digest }) => digest)
    for (let start = 0; start < digests.length; start += rowsPerStatement) {
      const released = await database
        .deleteFrom('charges')
        .where('user_did', '=', userDid)
        .where('digest', 'in', digests.slice(start, start + rowsPerStatement))
        .where('reference_count', '<=', 0)
        .returning(['digest', 'size_bytes'])
        .execute()
      await endFreeUploads(database, userDid, released)
      await changeUsage(database, userDid, { blobs: -released.length, sizeBytes: -sumOf(released) })
    }
  }
}

/** Makes charges anew from the layer rows. */
export async function rebuildCharges(database: Kysely<StorageTables>): Promise<void> {
  await database.deleteFrom('charges').execute()
  await database.deleteFrom('user_usage').execute()
  await chargeLayers(database)
  await database
    .deleteFrom('kept_blobs')
    .where((expression) =>
      expression.exists(
        expression
          .selectFrom('charges')
          .select('charges.digest')
          .whereRef('charges.user_did', '=', 'kept_blobs.user_did')
          .whereRef('charges.digest', '=', 'kept_blobs.digest'),
      ),
    )
    .execute()
}

export function findUsage(
  database: Kysely<StorageTables>,
  userDid: string,
): Promise<UserUsageRow | undefined> {
  return database.selectFrom('user_usage').selectAll().where('user_did', '=', userDid).executeTakeFirst()
}

/** What an account is charged for a blob, in bytes; undefined when it is not. */
export async function findChargedBytes(
  database: Kysely<StorageTables>,
  userDid: string,
  digest: string,
): Promise<number | undefined> {
  const row = await database
    .selectFrom('charges')
    .select('size_bytes')
    .where('user_did', '=', userDid)
    .where('digest', '=', digest)
    .executeTakeFirst()
  return row?.size_bytes
}

/** Those who are charged most, most first. */
export function listTopUsage(database: Kysely<StorageTables>, limit: number): Promise<UserUsageRow[]> {
  return database
    .selectFrom('user_usage')
    .selectAll()
    .where('blob_count', '>', 0)
    .orderBy('size_bytes', 'desc')
    .orderBy('user_did')
    .limit(limit)
    .execute()
}

/** How many accounts are charged for anything, and the blobs of the hold, charged or not. */
export async function sumUsage(
  database: Kysely<StorageTables>,
): Promise<{ users: number; blobs: number; sizeBytes: number }> {
  const { users } = await database
    .selectFrom('user_usage')
    .select((select) => select.fn.countAll<number>().as('users'))
    .where('blob_count', '>', 0)
    .executeTakeFirstOrThrow()
  const { blobs, sizeBytes } = await database
    .selectFrom('blobs')
    .select((select) => [
      select.fn.countAll<number>().as('blobs'),
      select.fn.sum<number | string | null>('size_bytes').as('sizeBytes'),
    ])
    .executeTakeFirstOrThrow()
  // A sum of bigints is a numeric in PostgreSQL, which arrives as text.
  return { users, blobs, sizeBytes: Number(sizeBytes ?? 0) }
}

async function changeUsage(
  database: Kysely<StorageTables>,
  userDid: string,
  by: { blobs: number; sizeBytes: number },
): Promise<void> {
  await database
    .insertInto('user_usage')
    .values({ user_did: userDid, blob_count: by.blobs, size_bytes: by.sizeBytes })
    .onConflict((conflict) =>
      conflict.column('user_did').doUpdateSet((row) => ({
        blob_count: row('user_usage.blob_count', '+', by.blobs),
        size_bytes: row('user_usage.size_bytes', '+', by.sizeBytes),
      })),
    )
    .execute()
}

/** Uploads of what was charged until now need room of their own. */
async function endFreeUploads(
  database: Kysely<StorageTables>,
  userDid: string,
  released: readonly { digest: string }[],
): Promise<void> {
  if (released.length === 0) return
  await database
    .updateTable('uploads')
    .set({ free_bytes: 0 })
    .where('user_did', '=', userDid)
    .where('state', '=', 'open')
    .where(
      'announced_digest',
      'in',
      released.map(({ digest }) => digest),
    )
    .execute()
}

/** What is charged for need not be kept for its uploader any more; its size in bytes. */
async function takeKept(
  database: Kysely<StorageTables>,
  userDid: string,
  charged: readonly { digest: string }[],
): Promise<number> {
  const taken = await database
    .deleteFrom('kept_blobs')
    .where('user_did', '=', userDid)
    .where(
      'digest',
      'in',
      charged.map(({ digest }) => digest),
    )
    .returning('size_bytes')
    .execute()
  return sumOf(taken)
}

function sumOf(rows: readonly { size_bytes: number }[]): number {
  return rows.reduce((sum, row) => sum + row.size_bytes, 0)
}
