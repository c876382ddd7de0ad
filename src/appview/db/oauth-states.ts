import type { AppViewDb } from './schema.ts'

/** The sealed state of a login that is under way at `now` (ISO). */
export async function findOAuthState(db: AppViewDb, state: string, now: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('oauth_states')
    .select('sealed')
    .where('state', '=', state)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  return row?.sealed
}

export async function insertOAuthState(
  db: AppViewDb,
  row: { state: string; sealed: string; expiresAt: string },
): Promise<void> {
  await db
    .insertInto('oauth_states')
    .values({ state: row.state, sealed: row.sealed, expires_at: row.expiresAt })
    .execute()
}

/** False when it was not there: of several that take the same one, one gets it. */
export async function deleteOAuthState(db: AppViewDb, state: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom('oauth_states').where('state', '=', state).executeTakeFirst()
  return numDeletedRows === 1n
}

export async function deleteExpiredOAuthStates(db: AppViewDb, now: string): Promise<void> {
  await db.deleteFrom('oauth_states').where('expires_at', '<=', now).execute()
}

/** All but the newest so many. */
export async function deleteExcessOAuthStates(db: AppViewDb, countMax: number): Promise<void> {
  const first = await db
    .selectFrom('oauth_states')
    .select('expires_at')
    .orderBy('expires_at', 'desc')
    .offset(countMax)
    .limit(1)
    .executeTakeFirst()
  if (first !== undefined) await deleteExpiredOAuthStates(db, first.expires_at)
}
