import { sql } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import { shownRepositories, toRepository, type Viewer } from './listings.ts'
import type { Repository } from './repositories.ts'
import { repositoryKey } from './repository-lists.ts'
import type { AppViewDb } from './schema.ts'

/** How an owner's repositories may be ordered: last changed, by name, most starred, most pulled first. */
export const repositoryOrders = ['updated', 'name', 'stars', 'pulls'] as const
export type RepositoryOrder = (typeof repositoryOrders)[number]

/** Which repositories of an owner. */
export interface OwnerFilter {
  viewer: Viewer
  /** What the name contains; empty for all. */
  text: string
}

/** A page of the repositories of an owner. */
export async function listOwnerRepositories(
  db: AppViewDb,
  ownerDid: Did,
  page: OwnerFilter & { order: RepositoryOrder; limit: number; offset: number },
): Promise<Repository[]> {
  const { limit, offset, order } = page
  let query = ownersRepositories(db, ownerDid, page)
  if (order === 'updated') query = query.orderBy('repositories.updated_at', 'desc')
  if (order === 'stars') query = query.orderBy(starCount, 'desc')
  if (order === 'pulls') query = query.orderBy(pullCount, 'desc')
  const rows = await query.orderBy('repositories.name').limit(limit).offset(offset).execute()
  return rows.map(toRepository)
}

export async function countOwnerRepositories(
  db: AppViewDb,
  ownerDid: Did,
  filter: OwnerFilter,
): Promise<number> {
  const row = await ownersRepositories(db, ownerDid, filter)
    .clearSelect()
    .select((eb) => eb.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Which of these repositories everyone may see, by {@link repositoryKey}. */
export async function findPublic(
  db: AppViewDb,
  repositories: readonly Pick<Repository, 'ownerDid' | 'name'>[],
): Promise<ReadonlySet<string>> {
  if (repositories.length === 0) return new Set()
  const rows = await shownRepositories(db, undefined)
    .where((eb) =>
      eb.or(
        repositories.map(({ ownerDid, name }) =>
          eb.and({ 'repositories.owner_did': ownerDid, 'repositories.name': name }),
        ),
      ),
    )
    .execute()
  return new Set(rows.map((row) => repositoryKey({ ownerDid: row.owner_did, name: row.name })))
}

/** How often what an owner shows was pulled, by the word of the holds that keep it. */
export async function sumOwnerPulls(db: AppViewDb, ownerDid: Did, viewer: Viewer): Promise<number> {
  const row = await db
    .selectFrom(
      ownersRepositories(db, ownerDid, { viewer, text: '' })
        .clearSelect()
        .select(pullCount.as('pull_count'))
        .as('repositories'),
    )
    .select((eb) => eb.fn.sum('repositories.pull_count').as('pull_count'))
    .executeTakeFirstOrThrow()
  return Number(row.pull_count ?? 0)
}

function ownersRepositories(db: AppViewDb, ownerDid: Did, { text, viewer }: OwnerFilter) {
  const query = shownRepositories(db, viewer).where('repositories.owner_did', '=', ownerDid)
  if (text === '') return query
  const pattern = `%${text.toLowerCase().replaceAll(/[\\%_]/g, '\\$&')}%`
  return query.where(sql<boolean>`repositories.name like ${pattern} escape '\\'`)
}

const starCount = sql<number>`(select count(distinct stars.sailor_did) from stars
  where stars.owner_did = repositories.owner_did and stars.repository = repositories.name)`

/** Only holds that keep something of the owner's have a say; what one of them keeps under several keys is one count. */
const pullCount = sql<number>`(select coalesce(sum(counted.pull_count), 0) from (
  select hold_stats.hold_did, max(hold_stats.pull_count) as pull_count from hold_stats
  where hold_stats.owner_did = repositories.owner_did and hold_stats.repository = repositories.name
  and exists (select 1 from manifests left join holds on holds.did = manifests.hold_did
    where manifests.owner_did = hold_stats.owner_did
    and (manifests.hold_did = hold_stats.hold_did or holds.successor_did = hold_stats.hold_did))
  group by hold_stats.hold_did) as counted)`
