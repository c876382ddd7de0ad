import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, RepositoryKey } from './schema.ts'

/** What one hold counted for a repository. */
export interface HoldStats {
  holdDid: Did
  rkey: string
  repository: RepositoryKey
  pullCount: number
  pushCount: number
  lastPull?: string | undefined
  lastPush?: string | undefined
  updatedAt: string
}

/** What all holds of a repository counted together. */
export interface RepositoryStats {
  pullCount: number
  pushCount: number
  lastPull?: string
  lastPush?: string
}

export async function upsertHoldStats(db: AppViewDb, stats: HoldStats): Promise<void> {
  const columns = {
    owner_did: stats.repository.ownerDid,
    repository: stats.repository.name,
    pull_count: stats.pullCount,
    push_count: stats.pushCount,
    last_pull: stats.lastPull ?? null,
    last_push: stats.lastPush ?? null,
    updated_at: stats.updatedAt,
  }
  await db
    .insertInto('hold_stats')
    .values({ hold_did: stats.holdDid, rkey: stats.rkey, ...columns })
    .onConflict((conflict) => conflict.columns(['hold_did', 'rkey']).doUpdateSet(columns))
    .execute()
}

export async function deleteHoldStats(db: AppViewDb, holdDid: Did, rkey: string): Promise<void> {
  await db.deleteFrom('hold_stats').where('hold_did', '=', holdDid).where('rkey', '=', rkey).execute()
}

/**
 * Pulls and pushes of a repository. Only holds that the repository's own manifests name, and the successors of those,
 * have a say: anyone can write that anything was pulled a million times.
 */
export async function sumStats(db: AppViewDb, repository: RepositoryKey): Promise<RepositoryStats> {
  return (await sumStatsOfAll(db, [repository]))[0] ?? sum([])
}

/** The same for many repositories at once, in their order. */
export async function sumStatsOfAll(
  db: AppViewDb,
  repositories: readonly RepositoryKey[],
): Promise<RepositoryStats[]> {
  if (repositories.length === 0) return []
  const rows = await db
    .selectFrom('hold_stats')
    .select(['hold_did', 'owner_did', 'repository', 'pull_count', 'push_count', 'last_pull', 'last_push'])
    .where((eb) =>
      eb.or(
        repositories.map(({ ownerDid, name }) =>
          eb.and({ 'hold_stats.owner_did': ownerDid, 'hold_stats.repository': name }),
        ),
      ),
    )
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('manifest_repositories')
          .innerJoin('manifests', (join) =>
            join
              .onRef('manifests.owner_did', '=', 'manifest_repositories.owner_did')
              .onRef('manifests.digest', '=', 'manifest_repositories.digest'),
          )
          .leftJoin('holds', 'holds.did', 'manifests.hold_did')
          .select('manifests.digest')
          .whereRef('manifest_repositories.owner_did', '=', 'hold_stats.owner_did')
          .whereRef('manifest_repositories.repository', '=', 'hold_stats.repository')
          .where((inner) =>
            inner.or([
              inner('manifests.hold_did', '=', inner.ref('hold_stats.hold_did')),
              inner('holds.successor_did', '=', inner.ref('hold_stats.hold_did')),
            ]),
          ),
      ),
    )
    .execute()
  const byRepository = Map.groupBy(rows, (row) => `${row.owner_did}/${row.repository}`)
  return repositories.map(({ ownerDid, name }) => sum(byRepository.get(`${ownerDid}/${name}`) ?? []))
}

interface StatsRow {
  hold_did: Did
  pull_count: number
  push_count: number
  last_pull: string | null
  last_push: string | null
}

/** Holds add up; what one hold keeps under several keys is the same count, written by another version of it. */
function sum(rows: readonly StatsRow[]): RepositoryStats {
  const stats: RepositoryStats = { pullCount: 0, pushCount: 0 }
  for (const ofHold of Map.groupBy(rows, (row) => row.hold_did).values()) {
    stats.pullCount += Math.max(...ofHold.map((row) => row.pull_count))
    stats.pushCount += Math.max(...ofHold.map((row) => row.push_count))
  }
  const lastPull = latest(rows.map((row) => row.last_pull))
  const lastPush = latest(rows.map((row) => row.last_push))
  return { ...stats, ...(lastPull && { lastPull }), ...(lastPush && { lastPush }) }
}

function latest(times: readonly (string | null)[]): string | undefined {
  return times.filter((time) => time !== null).toSorted().at(-1) // prettier-ignore
}
