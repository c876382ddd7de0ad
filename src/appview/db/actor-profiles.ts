import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'

/** How an account shows itself on the network. */
export interface ActorProfile {
  displayName?: string | undefined
  description?: string | undefined
  /** A blob in the account's PDS. */
  avatarCid?: string | undefined
}

/** Profiles of those of the accounts that have one. */
export async function findActorProfiles(
  db: AppViewDb,
  dids: readonly Did[],
): Promise<Map<Did, ActorProfile>> {
  if (dids.length === 0) return new Map()
  const rows = await db.selectFrom('actor_profiles').selectAll().where('did', 'in', dids).execute()
  return new Map(
    rows.map((row) => [
      row.did,
      {
        ...(row.display_name !== null && { displayName: row.display_name }),
        ...(row.description !== null && { description: row.description }),
        ...(row.avatar_cid !== null && { avatarCid: row.avatar_cid }),
      },
    ]),
  )
}

/** When an account was last asked for its profile (ISO); undefined when it never was. */
export async function findActorProfileFreshness(db: AppViewDb, did: Did): Promise<string | undefined> {
  const row = await db
    .selectFrom('actor_profiles')
    .select('fetched_at')
    .where('did', '=', did)
    .executeTakeFirst()
  return row?.fetched_at
}

/** Stores what an account showed at `fetchedAt`; one without a profile shows nothing. */
export async function putActorProfile(
  db: AppViewDb,
  { did, profile, fetchedAt }: { did: Did; profile: ActorProfile; fetchedAt: string },
): Promise<void> {
  const columns = {
    display_name: profile.displayName ?? null,
    description: profile.description ?? null,
    avatar_cid: profile.avatarCid ?? null,
    fetched_at: fetchedAt,
  }
  await db
    .insertInto('actor_profiles')
    .values({ did, ...columns })
    .onConflict((conflict) => conflict.column('did').doUpdateSet(columns))
    .execute()
}
