import type { Did } from '../../atproto/syntax.ts'
import { flag, type AppViewDb } from './schema.ts'

/** How an account uses the registry. Without `defaultHoldDid` it has opted out of the AppView's default hold. */
export interface SailorProfile {
  did: Did
  defaultHoldDid?: Did
  autoRemoveUntagged: boolean
  updatedAt: string
}

/** Undefined when the account has no profile record (as far as the index knows). */
export async function findSailorProfile(db: AppViewDb, did: Did): Promise<SailorProfile | undefined> {
  const row = await db.selectFrom('sailor_profiles').selectAll().where('did', '=', did).executeTakeFirst()
  return (
    row && {
      did: row.did,
      ...(row.default_hold_did !== null && { defaultHoldDid: row.default_hold_did }),
      autoRemoveUntagged: row.auto_remove_untagged === 1,
      updatedAt: row.updated_at,
    }
  )
}

export async function upsertSailorProfile(db: AppViewDb, profile: SailorProfile): Promise<void> {
  const columns = {
    default_hold_did: profile.defaultHoldDid ?? null,
    auto_remove_untagged: flag(profile.autoRemoveUntagged),
    updated_at: profile.updatedAt,
  }
  await db
    .insertInto('sailor_profiles')
    .values({ did: profile.did, ...columns })
    .onConflict((conflict) => conflict.column('did').doUpdateSet(columns))
    .execute()
}

export async function deleteSailorProfile(db: AppViewDb, did: Did): Promise<void> {
  await db.deleteFrom('sailor_profiles').where('did', '=', did).execute()
}
