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

/** How many sailors starred a repository: one counts once, however many records it wrote. */
export async function countStars(db: AppViewDb, repository: RepositoryKey): Promise<number> {
  const row = await db
    .selectFrom('stars')
    .select((eb) => eb.fn.count('sailor_did').distinct().as('count'))
    .where('owner_did', '=', repository.ownerDid)
    .where('repository', '=', repository.name)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}
