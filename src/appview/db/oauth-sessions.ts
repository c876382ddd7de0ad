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

/** New tokens in the place of `from`, or none; false when something else, or nothing, is there by now. */
export async function replaceOAuthSession(
  db: AppViewDb,
  did: Did,
  change: { from: string; to: { sealed: string; updatedAt: string } | undefined },
): Promise<boolean> {
  const { from, to } = change
  if (to === undefined) {
    const { numDeletedRows } = await db
      .deleteFrom('oauth_sessions')
      .where('did', '=', did)
      .where('sealed', '=', from)
      .executeTakeFirst()
    return numDeletedRows === 1n
  }
  const { numUpdatedRows } = await db
    .updateTable('oauth_sessions')
    .set({ sealed: to.sealed, updated_at: to.updatedAt })
    .where('did', '=', did)
    .where('sealed', '=', from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
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
