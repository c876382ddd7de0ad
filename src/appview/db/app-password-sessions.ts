import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables } from './schema.ts'

export type AppPasswordSessionRow = AppViewTables['app_password_sessions']

export async function findAppPasswordSession(
  db: AppViewDb,
  did: Did,
  passwordHash: string,
): Promise<AppPasswordSessionRow | undefined> {
  return db
    .selectFrom('app_password_sessions')
    .selectAll()
    .where('did', '=', did)
    .where('password_hash', '=', passwordHash)
    .executeTakeFirst()
}

/** Every session of an account, the last proved first. */
export async function listAppPasswordSessions(db: AppViewDb, did: Did): Promise<AppPasswordSessionRow[]> {
  return db
    .selectFrom('app_password_sessions')
    .selectAll()
    .where('did', '=', did)
    .orderBy('proved_at', 'desc')
    .execute()
}

export async function putAppPasswordSession(db: AppViewDb, row: AppPasswordSessionRow): Promise<void> {
  const { sealed, proved_at } = row
  await db
    .insertInto('app_password_sessions')
    .values(row)
    .onConflict((conflict) => conflict.columns(['did', 'password_hash']).doUpdateSet({ sealed, proved_at }))
    .execute()
}

/** New tokens of a session that is still there; one that was ended meanwhile stays so. Whether it is there. */
export async function updateAppPasswordSession(
  db: AppViewDb,
  { did, password_hash, ...columns }: Pick<AppPasswordSessionRow, 'did' | 'password_hash' | 'sealed'> & { proved_at?: string }, // prettier-ignore
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('app_password_sessions')
    .set(columns)
    .where('did', '=', did)
    .where('password_hash', '=', password_hash)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Ends every session of an account; those that ended. */
export async function deleteAppPasswordSessionsOf(db: AppViewDb, did: Did): Promise<AppPasswordSessionRow[]> {
  return db.deleteFrom('app_password_sessions').where('did', '=', did).returningAll().execute()
}

/** Ends a session, unless it has other tokens by now. Whether it ended. */
export async function deleteAppPasswordSession(
  db: AppViewDb,
  { did, password_hash, sealed }: Pick<AppPasswordSessionRow, 'did' | 'password_hash' | 'sealed'>,
): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('app_password_sessions')
    .where('did', '=', did)
    .where('password_hash', '=', password_hash)
    .where('sealed', '=', sealed)
    .executeTakeFirst()
  return numDeletedRows > 0n
}
