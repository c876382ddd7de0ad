import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, BackfillStatus } from './schema.ts'

/** A data repo that is to be read. */
export interface BackfillRepo {
  did: Did
  /** Tries that failed, or are under way. */
  attempts: number
}

/** How far reading has come. */
export interface BackfillCounts {
  waiting: number
  done: number
  failed: number
  /** Records of the repos that are done. */
  recordCount: number
}

/**
 * Puts repos into the queue, those that were read or given up before as well. `isNews`: something happened to them,
 * so that those which wait need wait no longer, and those which are being read are read once more.
 */
export async function enqueueBackfillRepos(
  db: AppViewDb,
  dids: readonly Did[],
  { now, isNews = false }: { now: string; isNews?: boolean },
): Promise<void> {
  if (dids.length === 0) return
  const columns = { status: 'waiting', attempts: 0, next_at: now, updated_at: now } as const
  await db
    .insertInto('backfill_repos')
    .values([...new Set(dids)].map((did) => ({ did, record_count: 0, ...columns })))
    .onConflict((conflict) =>
      conflict
        .column('did')
        .doUpdateSet(columns)
        .where((eb) => (isNews ? eb.lit(true) : eb('backfill_repos.status', '!=', 'waiting'))),
    )
    .execute()
}

/** Puts a repo into the queue that never was in it, as one whose first try is under way until `nextAt`. */
export async function insertBackfillRepo(
  db: AppViewDb,
  repo: { did: Did; nextAt: string; now: string },
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('backfill_repos')
    .values({
      did: repo.did,
      status: 'waiting',
      attempts: 1,
      next_at: repo.nextAt,
      record_count: 0,
      updated_at: repo.now,
    })
    .onConflict((conflict) => conflict.column('did').doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** The repos whose turn it is, longest waiting first. */
export async function listDueBackfillRepos(
  db: AppViewDb,
  { now, limit }: { now: string; limit: number },
): Promise<BackfillRepo[]> {
  return db
    .selectFrom('backfill_repos')
    .select(['did', 'attempts'])
    .where('status', '=', 'waiting')
    .where('next_at', '<=', now)
    .orderBy('next_at')
    .orderBy('did')
    .limit(limit)
    .execute()
}

/** Begins a try, which is over at `nextAt`; false when another instance has begun one. */
export async function claimBackfillRepo(
  db: AppViewDb,
  { did, attempts }: BackfillRepo,
  { nextAt, now }: { nextAt: string; now: string },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('backfill_repos')
    .set({ attempts: attempts + 1, next_at: nextAt, updated_at: now })
    .where('did', '=', did)
    .where('status', '=', 'waiting')
    .where('attempts', '=', attempts)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Puts repos off without a try of theirs being counted. */
export async function postponeBackfillRepos(
  db: AppViewDb,
  repos: readonly BackfillRepo[],
  nextAt: string,
): Promise<void> {
  for (const { did, attempts } of repos) {
    await db
      .updateTable('backfill_repos')
      .set({ attempts, next_at: nextAt })
      .where('did', '=', did)
      .where('status', '=', 'waiting')
      .execute()
  }
}

/**
 * Ends the try that is over at `nextAt`: the repo was read, or it is given up. One that was put into the queue anew
 * meanwhile stays there. Without `recordCount` it holds what it held before.
 */
export async function finishBackfillRepo(
  db: AppViewDb,
  repo: {
    did: Did
    nextAt: string
    status: Exclude<BackfillStatus, 'waiting'>
    recordCount?: number | undefined
    now: string
  },
): Promise<void> {
  await db
    .updateTable('backfill_repos')
    .set({
      status: repo.status,
      next_at: null,
      updated_at: repo.now,
      ...(repo.recordCount !== undefined && { record_count: repo.recordCount }),
    })
    .where('did', '=', repo.did)
    .where('next_at', '=', repo.nextAt)
    .execute()
}

export async function countBackfillRepos(db: AppViewDb): Promise<BackfillCounts> {
  const rows = await db
    .selectFrom('backfill_repos')
    .select((eb) => ['status', eb.fn.countAll().as('count'), eb.fn.sum('record_count').as('records')])
    .groupBy('status')
    .execute()
  const counts = { waiting: 0, done: 0, failed: 0, recordCount: 0 }
  for (const { status, count, records } of rows) {
    counts[status] = Number(count)
    counts.recordCount += Number(records)
  }
  return counts
}

/** The repos that were given up, by DID. */
export async function listFailedBackfillRepos(db: AppViewDb, limit: number): Promise<Did[]> {
  const rows = await db
    .selectFrom('backfill_repos')
    .select('did')
    .where('status', '=', 'failed')
    .orderBy('did')
    .limit(limit)
    .execute()
  return rows.map((row) => row.did)
}
