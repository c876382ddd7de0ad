import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'

/** Whether the index names this PDS blob as a picture of the account or of one of its repositories. */
export async function isAvatar(db: AppViewDb, did: Did, cid: string): Promise<boolean> {
  const identity = await db
    .selectFrom('identities')
    .select('is_active')
    .where('did', '=', did)
    .executeTakeFirst()
  if (identity?.is_active === 0) return false
  const ofAccount = await db
    .selectFrom('actor_profiles')
    .select('did')
    .where('did', '=', did)
    .where('avatar_cid', '=', cid)
    .executeTakeFirst()
  if (ofAccount !== undefined) return true
  const ofRepository = await db
    .selectFrom('repo_pages')
    .select('rkey')
    .where('owner_did', '=', did)
    .where('avatar_cid', '=', cid)
    .limit(1)
    .executeTakeFirst()
  return ofRepository !== undefined
}
