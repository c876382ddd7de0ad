import type { Kysely } from 'kysely'

import type { StorageTables } from './storage-tables.ts'

/** Notes who sent the bytes of a blob. */
export async function insertBlobUploader(
  database: Kysely<StorageTables>,
  digest: string,
  userDid: string,
): Promise<void> {
  await database
    .insertInto('blob_uploaders')
    .values({ digest, user_did: userDid })
    .onConflict((conflict) => conflict.columns(['digest', 'user_did']).doNothing())
    .execute()
}

/** Accounts that sent bytes, in the order of their DIDs, after `after`. */
export async function listUploaders(
  database: Kysely<StorageTables>,
  after: string,
  limit: number,
): Promise<string[]> {
  const rows = await database
    .selectFrom('blob_uploaders')
    .select('user_did')
    .distinct()
    .where('user_did', '>', after)
    .orderBy('user_did')
    .limit(limit)
    .execute()
  return rows.map(({ user_did }) => user_did)
}
