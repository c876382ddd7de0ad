import type { Kysely } from 'kysely'

import type { StorageTables } from './storage-tables.ts'

/** Notes that a token was used; false when it had been before. */
export async function insertUsedToken(
  database: Kysely<StorageTables>,
  tokenKey: string,
  expiresAt: string,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await database
    .insertInto('used_tokens')
    .values({ token_key: tokenKey, expires_at: expiresAt })
    .onConflict((conflict) => conflict.column('token_key').doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

export async function deleteExpiredTokens(database: Kysely<StorageTables>, now: string): Promise<void> {
  await database.deleteFrom('used_tokens').where('expires_at', '<=', now).execute()
}
