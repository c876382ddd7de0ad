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
 * Accounts whose tokens serve nothing that is left: no browser that is signed in, no paired device, none that was
 * approved and may still come for its secret, and no deletion of the account's data. At most a hundred, or only `did`; `browser` says which are too old.
 */
export async function listUnusedOAuthSessions(
  db: AppViewDb,
  at: {
    now: string
    browser: { used: string; created: string }
    updatedBefore?: string
    did?: Did
    after?: string
  },
): Promise<{ did: Did; sealed: string }[]> {
  let query = db
    .selectFrom('oauth_sessions as session')
    .select(['session.did', 'session.sealed'])
    .where((eb) => {
      const devices = eb.selectFrom('devices').select('id').whereRef('devices.did', '=', 'session.did')
      return eb.not(eb.exists(devices))
    })
    .where((eb) => {
      const browsers = eb
        .selectFrom('web_sessions')
        .select('id')
        .whereRef('web_sessions.did', '=', 'session.did')
        .where('used_at', '>', at.browser.used)
        .where('created_at', '>', at.browser.created)
      return eb.not(eb.exists(browsers))
    })
    .where((eb) => {
      const grants = eb
        .selectFrom('device_grants')
        .select('device_code_hash')
        .whereRef('device_grants.did', '=', 'session.did')
        .where('status', '=', 'approved')
        .where('expires_at', '>', at.now)
      return eb.not(eb.exists(grants))
    })
    .where((eb) => {
      const deletions = eb
        .selectFrom('data_deletions')
        .select('id')
        .whereRef('data_deletions.did', '=', 'session.did')
        .where('status', '=', 'running')
      return eb.not(eb.exists(deletions))
    })
  if (at.did !== undefined) query = query.where('session.did', '=', at.did)
  if (at.updatedBefore !== undefined) query = query.where('session.updated_at', '<', at.updatedBefore)
  if (at.after !== undefined) query = query.where('session.did', '>', at.after as Did)
  return query.orderBy('session.did').limit(100).execute()
}
