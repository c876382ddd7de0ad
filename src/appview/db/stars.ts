import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

export async function upsertStar(
  db: AppViewDb,
  star: { sailorDid: Did; rkey: string; repository: RepositoryKey; createdAt: string },
): Promise<void> {
  const columns = {
    owner_did: star.repository.ownerDid,
    repository: star.repository.name,
    created_at: star.createdAt,
  }
  await db
    .insertInto('stars')
    .values({ sailor_did: star.sailorDid, rkey: star.rkey, ...columns })
    .onConflict((conflict) => conflict.columns(['sailor_did', 'rkey']).doUpdateSet(columns))
    .execute()
}

export async function deleteStar(db: AppViewDb, sailorDid: Did, rkey: string): Promise<void> {
  await db.deleteFrom('stars').where('sailor_did', '=', sailorDid).where('rkey', '=', rkey).execute()
}

/** Keys of the records by which a sailor starred a repository: ours, and those of other software. */
export async function listStarRkeys(
  db: AppViewDb,
  sailorDid: Did,
  repository: RepositoryKey,
): Promise<string[]> {
  const rows = await starsOn(db, repository).select('rkey').where('sailor_did', '=', sailorDid).execute()
  return rows.map((row) => row.rkey)
}

/**
 * How many sailors starred a repository: one counts once, however many records it wrote, and not while its account is
 * away.
 */
export async function countStars(db: AppViewDb, repository: RepositoryKey): Promise<number> {
  const row = await starsOn(db, repository)
    .leftJoin('identities', 'identities.did', 'stars.sailor_did')
    .where((eb) => eb.or([eb('identities.is_active', 'is', null), eb('identities.is_active', '=', 1)]))
    .select((eb) => eb.fn.count('stars.sailor_did').distinct().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

const starsOn = (db: AppViewDb, { ownerDid, name }: RepositoryKey) =>
  db.selectFrom('stars').where('stars.owner_did', '=', ownerDid).where('stars.repository', '=', name)
