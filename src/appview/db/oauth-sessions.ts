import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'

/** The sealed tokens of an account that signed in by OAuth. */
export async function findOAuthSession(db: AppViewDb, did: Did): Promise<string | undefined> {
  const row = await db.selectFrom('oauth_sessions').select('sealed').where('did', '=', did).executeTakeFirst()
  return row?.sealed
}

export async function putOAuthSession(
  db: AppViewDb,
  row: { did: Did; sealed: string; updatedAt: string },
): Promise<void> {
  const columns = { sealed: row.sealed, updated_at: row.updatedAt }
  await db
    .insertInto('oauth_sessions')
    .values({ did: row.did, ...columns })
    .onConflict((conflict) => conflict.column('did').doUpdateSet(columns))
    .execute()
}

export async function deleteOAuthSession(db: AppViewDb, did: Did): Promise<void> {
  await db.deleteFrom('oauth_sessions').where('did', '=', did).execute()
}

/**
 * Whether anything is left that the tokens of this account serve: a browser that is signed in, a paired device, or one
 * that was approved and has not come for its secret yet.
 */
export async function isOAuthSessionUsed(db: AppViewDb, did: Did): Promise<boolean> {
  for (const table of ['web_sessions', 'devices'] as const) {
    const row = await db.selectFrom(table).select('id').where('did', '=', did).executeTakeFirst()
    if (row !== undefined) return true
  }
  const grant = await db
    .selectFrom('device_grants')
    .select('did')
    .where('did', '=', did)
    .where('status', '=', 'approved')
    .executeTakeFirst()
  return grant !== undefined
}
