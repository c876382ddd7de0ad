import type { Did } from '../../atproto/syntax.ts'
import { shownRepositories, toRepository, type Viewer } from './listings.ts'
import type { Repository } from './repositories.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** What a sailor starred and `viewer` may see, the last starred first. */
export async function listShownStars(
  db: AppViewDb,
  sailorDid: Did,
  { limit, offset, viewer }: { limit: number; offset: number; viewer: Viewer },
): Promise<Repository[]> {
  const rows = await shownStars(db, sailorDid, viewer)
    .orderBy('starred.created_at', 'desc')
    .orderBy('repositories.owner_did')
    .orderBy('repositories.name')
    .limit(limit)
    .offset(offset)
    .execute()
  return rows.map(toRepository)
}

export async function countShownStars(db: AppViewDb, sailorDid: Did, viewer: Viewer): Promise<number> {
  const row = await shownStars(db, sailorDid, viewer)
    .clearSelect()
    .select((eb) => eb.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** What a sailor starred and may not see (any more): it is gone, moved to a private hold, or its owner is away. */
export async function listUnseenStars(
  db: AppViewDb,
  sailorDid: Did,
  { limit }: { limit: number },
): Promise<RepositoryKey[]> {
  const rows = await db
    .selectFrom(starred(db, sailorDid).as('starred'))
    .leftJoin(shownRepositories(db, sailorDid).as('shown'), (join) =>
      join.onRef('shown.owner_did', '=', 'starred.owner_did').onRef('shown.name', '=', 'starred.repository'),
    )
    .where('shown.name', 'is', null)
    .select(['starred.owner_did', 'starred.repository'])
    .orderBy('starred.owner_did')
    .orderBy('starred.repository')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ ownerDid: row.owner_did, name: row.repository }))
}

/** However many records tell of one star, it was given when the first was written. */
const starred = (db: AppViewDb, sailorDid: Did) =>
  db
    .selectFrom('stars')
    .select((eb) => ['owner_did', 'repository', eb.fn.min('created_at').as('created_at')])
    .where('sailor_did', '=', sailorDid)
    .groupBy(['owner_did', 'repository'])

const shownStars = (db: AppViewDb, sailorDid: Did, viewer: Viewer) =>
  shownRepositories(db, viewer).innerJoin(starred(db, sailorDid).as('starred'), (join) =>
    join
      .onRef('starred.owner_did', '=', 'repositories.owner_did')
      .onRef('starred.repository', '=', 'repositories.name'),
  )
