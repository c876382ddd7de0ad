import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables } from './schema.ts'

export type WebSessionRow = AppViewTables['web_sessions']

export async function insertWebSession(db: AppViewDb, row: WebSessionRow): Promise<void> {
  await db.insertInto('web_sessions').values(row).execute()
}

export async function findWebSession(db: AppViewDb, id: string): Promise<WebSessionRow | undefined> {
  return db.selectFrom('web_sessions').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The last used first. */
export async function listWebSessions(db: AppViewDb, did: Did): Promise<WebSessionRow[]> {
  return db
    .selectFrom('web_sessions')
    .selectAll()
    .where('did', '=', did)
    .orderBy('used_at', 'desc')
    .orderBy('id')
    .execute()
}

/** Replaces the newest token, unless another request has done so meanwhile: then false. `shown` is the one before from now on. */
export async function rotateWebSession(
  db: AppViewDb,
  id: string,
  tokens: { from: string; to: string; shown: string; at: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('web_sessions')
    .set({
      token_hash: tokens.to,
      previous_hash: tokens.shown,
      rotated_at: tokens.at,
      used_at: tokens.at,
      confirmed_at: null,
    })
    .where('id', '=', id)
    .where('token_hash', '=', tokens.from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Notes that the newest token came back. */
export async function confirmWebSession(db: AppViewDb, id: string, at: string): Promise<void> {
  await db
    .updateTable('web_sessions')
    .set({ confirmed_at: at })
    .where('id', '=', id)
    .where('confirmed_at', 'is', null)
    .execute()
}

export async function touchWebSession(db: AppViewDb, id: string, at: string): Promise<void> {
  await db.updateTable('web_sessions').set({ used_at: at }).where('id', '=', id).execute()
}

/** Of this account only: an id that is another's deletes nothing. */
export async function deleteWebSession(db: AppViewDb, did: Did, id: string): Promise<void> {
  await db.deleteFrom('web_sessions').where('did', '=', did).where('id', '=', id).execute()
}

export async function deleteWebSessionsOf(db: AppViewDb, did: Did): Promise<void> {
  await db.deleteFrom('web_sessions').where('did', '=', did).execute()
}

export async function deleteOldWebSessions(
  db: AppViewDb,
  before: { used: string; created: string },
): Promise<void> {
  await db
    .deleteFrom('web_sessions')
    .where((or) => or.or([or('used_at', '<=', before.used), or('created_at', '<=', before.created)]))
    .execute()
}
