import type { Did } from '../../atproto/syntax.ts'
import { isHoldShown, shownRepositories, toRepository, type Viewer } from './listings.ts'
import type { Repository } from './repositories.ts'
import type { AppViewDb } from './schema.ts'

/** Repositories with layers in a hold that `viewer` may see, the last changed first. */
export async function listRepositoriesOfHold(
  db: AppViewDb,
  holdDid: Did,
  { limit, viewer }: { limit: number; viewer: Viewer },
): Promise<Repository[]> {
  const rows = await shownRepositories(db, viewer)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('manifest_repositories')
          .innerJoin('manifests', (join) =>
            join
              .onRef('manifests.owner_did', '=', 'manifest_repositories.owner_did')
              .onRef('manifests.digest', '=', 'manifest_repositories.digest'),
          )
          .select('manifests.digest')
          .whereRef('manifest_repositories.owner_did', '=', 'repositories.owner_did')
          .whereRef('manifest_repositories.repository', '=', 'repositories.name')
          .where('manifests.hold_did', '=', holdDid)
          .where(isHoldShown(viewer)),
      ),
    )
    .orderBy('repositories.updated_at', 'desc')
    .orderBy('repositories.owner_did')
    .orderBy('repositories.name')
    .limit(limit)
    .execute()
  return rows.map(toRepository)
}

/** What a hold says that it counted, for all repositories together. */
export async function sumHoldStats(
  db: AppViewDb,
  holdDid: Did,
): Promise<{ pullCount: number; pushCount: number }> {
  const row = await db
    .selectFrom('hold_stats')
    .select((eb) => [eb.fn.sum('pull_count').as('pulls'), eb.fn.sum('push_count').as('pushes')])
    .where('hold_did', '=', holdDid)
    .executeTakeFirstOrThrow()
  return { pullCount: Number(row.pulls ?? 0), pushCount: Number(row.pushes ?? 0) }
}

/** Members of a hold's crew, each once however many records it has. */
export async function countCrew(db: AppViewDb, holdDid: Did): Promise<number> {
  const row = await db
    .selectFrom('hold_crew')
    .select((eb) => eb.fn.count('member_did').distinct().as('count'))
    .where('hold_did', '=', holdDid)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** A hold that an account is crew of, and what it may do there. */
export interface CrewMembership {
  holdDid: Did
  permissions: string[]
}

/** The holds an account is crew of, in DID order; several records of one hold add up. */
export async function listMemberships(
  db: AppViewDb,
  memberDid: Did,
  { limit }: { limit: number },
): Promise<CrewMembership[]> {
  const rows = await db
    .selectFrom('hold_crew')
    .select(['hold_did', 'permissions'])
    .where('member_did', '=', memberDid)
    .orderBy('hold_did')
    .limit(limit)
    .execute()
  const byHold = Map.groupBy(rows, (row) => row.hold_did)
  return [...byHold].map(([holdDid, records]) => ({
    holdDid,
    permissions: [...new Set(records.flatMap((row) => JSON.parse(row.permissions) as string[]))].toSorted(),
  }))
}
